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
    Phrase words;
};

// What the calls that rouse makes can answer. Exists for the compiler alone; what is kept is `packed`.
constexpr Reason reasons[] = {
    {EPERM, "not permitted"_phrase},
    {ENOENT, "no such file or folder"_phrase},
    {EIO, "input or output error"_phrase},
    {E2BIG, "arguments and environment are too large"_phrase},
    {ENOEXEC, "not a program: no #! line and no known binary format"_phrase},
    {EINTR, "interrupted"_phrase},
    {EBADF, "it is not open"_phrase},
    {EAGAIN, "not available just now, or a limit is reached"_phrase},
    {ENOMEM, "out of memory"_phrase},
    {EACCES, "permission denied"_phrase},
    {EBUSY, "in use"_phrase},
    {EEXIST, "something else is there"_phrase},
    {ENXIO, "nobody reads it"_phrase},
    {ENOTDIR, "a part of the path is not a folder"_phrase},
    {EISDIR, "it is a folder"_phrase},
    {EINVAL, "invalid argument"_phrase},
    {ENFILE, "the system has too many open files"_phrase},
    {EMFILE, "this process has too many open files"_phrase},
    {ETXTBSY, "the program file is open for writing"_phrase},
    {EFBIG, "the file is too large"_phrase},
    {ENOSPC, "the disk is full"_phrase},
    {EROFS, "the file system is read-only"_phrase},
    {EPIPE, "the other side has closed"_phrase},
    {ENAMETOOLONG, "the name is too long"_phrase},
    {ENOLCK, "no locks available here"_phrase},
    {ENOSYS, "this kernel cannot do it"_phrase},
    {ELOOP, "a symbolic link, or too many"_phrase},
    {ELIBBAD, "the interpreter is damaged"_phrase},
    {EPROTOTYPE, "a socket of another type"_phrase},
    {EOPNOTSUPP, "not supported here"_phrase},
    {EAFNOSUPPORT, "no such addresses here"_phrase},
    {EADDRNOTAVAIL, "the address is not available, or all ports are in use"_phrase},
    {ENETUNREACH, "the network cannot be reached"_phrase},
    {ECONNRESET, "the other side broke the connection off"_phrase},
    {ENOBUFS, "no buffer space left"_phrase},
    {ETIMEDOUT, "no answer in time"_phrase},
    {ECONNREFUSED, "nobody is listening"_phrase},
    {EHOSTUNREACH, "the host cannot be reached"_phrase},
    {ESTALE, "the file is gone from its server"_phrase},
    {EDQUOT, "the disk quota is used up"_phrase},
};

// One byte of code, the words, a NUL, and so on: half the size of a table of pointers.
consteval size_t packed_size() {
    size_t size = 0;
    for (const Reason& one : reasons)
        size += 1 + std::string_view(one.words.packed).size() + 1;
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
        for (char letter : std::string_view(one.words.packed))
            packed.bytes[at++] = letter;
        at++;
    }
    return packed;
}

constexpr Packed packed = pack();

} // namespace

Phrase reason(int code) {
    for (const char* at = packed.bytes; at < packed.bytes + sizeof packed.bytes; at += strlen(at) + 1)
        if (static_cast<unsigned char>(*at) == code)
            return {at + 1};
    return "unknown error"_phrase;
}

void say(const Error& error, const char* subject, Text& out) {
    out.fill<"cannot % %: %.">(error.words.action, subject, reason(error.code));
    say_cure(error, out);
}

void say_cure(const Error& error, Text& out) {
    if (Phrase cure = error.words.cure(); *cure.packed != '\0')
        out.add(' ').add(cure);
}

} // namespace rouse
