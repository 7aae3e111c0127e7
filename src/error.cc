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

// Exists for the compiler alone; what is kept is `packed`.
constexpr Reason reasons[] = {
    {EPERM, "not permitted"},
    {ENOENT, "no such file or folder"},
    {ESRCH, "no such process"},
    {EINTR, "interrupted by a signal"},
    {EIO, "input or output error"},
    {ENXIO, "no such device, or nobody reads"},
    {E2BIG, "arguments and environment are too large"},
    {ENOEXEC, "not a program: no #! line and no known binary format"},
    {EBADF, "the descriptor is not open for this"},
    {ECHILD, "no child process"},
    {EAGAIN, "not available just now, or a limit is reached"},
    {ENOMEM, "out of memory"},
    {EACCES, "permission denied"},
    {EFAULT, "bad address in memory"},
    {EBUSY, "in use"},
    {EEXIST, "it exists already"},
    {EXDEV, "on another file system"},
    {ENODEV, "no such device"},
    {ENOTDIR, "a part of the path is not a folder"},
    {EISDIR, "it is a folder"},
    {EINVAL, "invalid argument"},
    {ENFILE, "the system has too many open files"},
    {EMFILE, "this process has too many open files"},
    {ENOTTY, "not supported for this kind of file"},
    {ETXTBSY, "the program file is open for writing"},
    {EFBIG, "over the largest size of a file"},
    {ENOSPC, "no space left on the disk"},
    {ESPIPE, "not possible on a pipe or socket"},
    {EROFS, "the file system is read-only"},
    {EMLINK, "too many links"},
    {EPIPE, "the other side has closed"},
    {EDEADLK, "it would wait for itself"},
    {ENAMETOOLONG, "the name is too long"},
    {ENOLCK, "no locks available here"},
    {ENOSYS, "this kernel cannot do it"},
    {ENOTEMPTY, "the folder is not empty"},
    {ELOOP, "too many symbolic links, or a link where none is allowed"},
    {EPROTO, "protocol error"},
    {EOVERFLOW, "too large to be represented"},
    {ELIBBAD, "the interpreter is damaged"},
    {ENOTSOCK, "not a socket"},
    {EDESTADDRREQ, "no peer is set"},
    {EMSGSIZE, "the message is too long"},
    {EPROTOTYPE, "a socket of another type"},
    {EPROTONOSUPPORT, "the protocol is not supported"},
    {EOPNOTSUPP, "not supported here"},
    {EAFNOSUPPORT, "this kind of address is not supported"},
    {EADDRINUSE, "the address is in use"},
    {EADDRNOTAVAIL, "the address is not available, or all ports are in use"},
    {ENETDOWN, "the network is down"},
    {ENETUNREACH, "the network cannot be reached"},
    {ECONNABORTED, "the connection was given up"},
    {ECONNRESET, "the other side broke the connection off"},
    {ENOBUFS, "no buffer space left"},
    {EISCONN, "already connected"},
    {ENOTCONN, "not connected"},
    {ETIMEDOUT, "no answer in time"},
    {ECONNREFUSED, "nobody is listening"},
    {EHOSTUNREACH, "the host cannot be reached"},
    {EALREADY, "already being done"},
    {EINPROGRESS, "still being done"},
    {ESTALE, "the file is gone, or was replaced"},
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
