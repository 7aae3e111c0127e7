#include "error.h"

#include "buffer.h"

#include <stdint.h>
#include <string.h>

namespace rouse {
namespace {

// Our own words, because strerror brings 3 kB with it and says "Resource temporarily unavailable"
// where an owner needs to read that no process may be started.
struct Reason {
    uint8_t code; // every errno value of Linux fits
    const char* words;
};

// What the calls that rouse makes can answer. Exists for the compiler alone; what is kept is `packed`.
constexpr Reason reasons[] = {
    {EPERM, "not permitted"},
    {ENOENT, "no such file or folder"},
    {EIO, "input or output error"},
    {E2BIG, "arguments and environment are too large"},
    {ENOEXEC, "not a program: no #! line and no known binary format"},
    {EINTR, "interrupted"},
    {EBADF, "it is not open"},
    {EAGAIN, "not available just now, or a limit is reached"},
    {ENOMEM, "out of memory"},
    {EACCES, "permission denied"},
    {EBUSY, "in use"},
    {EEXIST, "something else is there"},
    {ENXIO, "nobody reads it"},
    {ENOTDIR, "a part of the path is not a folder"},
    {EISDIR, "it is a folder"},
    {EINVAL, "invalid argument"},
    {ENFILE, "the system has too many open files"},
    {EMFILE, "this process has too many open files"},
    {ETXTBSY, "the program file is open for writing"},
    {EFBIG, "the file is too large"},
    {ENOSPC, "the disk is full"},
    {EROFS, "the file system is read-only"},
    {EPIPE, "the other side has closed"},
    {ENAMETOOLONG, "the name is too long"},
    {ENOLCK, "no locks available here"},
    {ENOSYS, "this kernel cannot do it"},
    {ELOOP, "a symbolic link, or too many"},
    {ELIBBAD, "the interpreter is damaged"},
    {EPROTOTYPE, "a socket of another type"},
    {EOPNOTSUPP, "not supported here"},
    {EAFNOSUPPORT, "no such addresses here"},
    {EADDRNOTAVAIL, "the address is not available, or all ports are in use"},
    {ENETUNREACH, "the network cannot be reached"},
    {ECONNRESET, "the other side broke the connection off"},
    {ENOBUFS, "no buffer space left"},
    {ETIMEDOUT, "no answer in time"},
    {ECONNREFUSED, "nobody is listening"},
    {EHOSTUNREACH, "the host cannot be reached"},
    {ESTALE, "the file is gone from its server"},
    {EDQUOT, "the disk quota is used up"},
};

// One byte of code, the words, a NUL, and so on: half the size of a table of pointers.
consteval size_t packed_size() {
    size_t size = 0;
    for (const Reason& one : reasons)
        size += 1 + std::string_view(one.words).size() + 1;
    return size;
}

struct Packed {
    char bytes[packed_size()];
};

consteval Packed pack() {
    Packed packed = {};
    size_t at = 0;
    for (const Reason& one : reasons) {
        packed.bytes[at++] = static_cast<char>(one.code);
        for (char letter : std::string_view(one.words))
            packed.bytes[at++] = letter;
        at++;
    }
    return packed;
}

constexpr Packed packed = pack();

} // namespace

const char* reason(int code) {
    for (const char* at = packed.bytes; at < packed.bytes + sizeof packed.bytes; at += strlen(at) + 1)
        if (static_cast<unsigned char>(*at) == code)
            return at + 1;
    return "unknown error";
}

void say(const Error& error, const char* subject, Text& out) {
    out.add("cannot ").add(error.words.action).add(' ').add(subject).add(": ").add(reason(error.code)).add(". ");
    out.add(error.words.cure());
}

} // namespace rouse
