// This file knows how tests of the effect rooms use the kernel in memory, and how to fail each call in each way.
#pragma once

#include "bytes.h"
#include "error.h"
#include "fake_sys.h"
#include "said.h"

#include <algorithm>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>

// A fresh kernel, and at the end a look whether a descriptor was left behind.
class World {
public:
    World() {
        fake::reset();
        before_ = fake::descriptors();
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    // Descriptors that a test makes for the program are no leak.
    void expect_no_more_than_now() { before_ = fake::descriptors(); }
    void check_nothing_leaked() {
        bool leaked = fake::descriptors() != before_;
        CHECK_MESSAGE(!leaked, "descriptors were left open, or closed that were not ours");
    }

private:
    std::set<int> before_;
};

// The errors that the manual page of a call names (and those of the path, the socket or the file behind it).
inline std::vector<int> errors_of(std::string_view call) {
    const std::vector<int> path = {EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM};
    const std::vector<int> moved = {EAGAIN,     EBADF,    EFAULT,    EINTR, EINVAL,  EIO,
                                    ECONNRESET, ENOTCONN, ETIMEDOUT, EPIPE, ENOBUFS, ENOMEM};
    auto with = [](std::vector<int> some, std::initializer_list<int> more) {
        some.insert(some.end(), more);
        return some;
    };
    if (call == "open")
        return with(path, {EAGAIN, EBADF, EBUSY, EDQUOT, EEXIST, EFAULT, EFBIG, EINTR, EINVAL, EISDIR, EMFILE, ENFILE,
                           ENODEV, ENOSPC, ENXIO, EOPNOTSUPP, EOVERFLOW, EROFS, ETXTBSY});
    if (call == "read" || call == "recv" || call == "pread" || call == "recvmsg")
        return with(moved, {EISDIR, ECONNREFUSED, ENOTSOCK, ENXIO, EOVERFLOW, ESPIPE});
    if (call == "write" || call == "pwrite" || call == "send" || call == "sendfile")
        return with(moved, {EDESTADDRREQ, EDQUOT, EFBIG, ENOSPC, EPERM, ENXIO, EOVERFLOW, ESPIPE, EISCONN, EMSGSIZE});
    if (call == "splice")
        return with(moved, {ESPIPE, ENOSPC, EFBIG, EDQUOT});
    if (call == "sendmsg")
        return with(moved, {EACCES, EALREADY, EDESTADDRREQ, EISCONN, EMSGSIZE, ENOTSOCK, EOPNOTSUPP});
    if (call == "connect")
        return with(path, {EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EALREADY, EBADF, ECONNREFUSED, ECONNRESET,
                           EFAULT, EHOSTUNREACH, EINPROGRESS, EINTR, EISCONN, ENETUNREACH, ENOBUFS, ENOTSOCK,
                           EPROTOTYPE, EROFS, ETIMEDOUT});
    if (call == "socket" || call == "socketpair")
        return {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT, EOPNOTSUPP};
    if (call == "pipe")
        return {EMFILE, ENFILE, EINVAL};
    if (call == "poll")
        return {EFAULT, EINTR, EINVAL, ENOMEM};
    if (call == "flock")
        return {EBADF, EINTR, EINVAL, ENOLCK, EWOULDBLOCK, EOPNOTSUPP, EIO};
    if (call == "fork")
        return {EAGAIN, ENOMEM, ENOSYS};
    if (call == "execve")
        return with(path, {E2BIG, EAGAIN, EFAULT, EINVAL, EIO, EISDIR, ELIBBAD, EMFILE, ENFILE, ENOEXEC, ETXTBSY});
    if (call == "mkdir")
        return with(path, {EDQUOT, EEXIST, EMLINK, ENOSPC, EROFS, EINVAL});
    if (call == "unlink" || call == "rename" || call == "chdir")
        return with(path, {EBUSY, EIO, EROFS, EISDIR});
    if (call == "stat" || call == "fstat")
        return with(path, {EBADF, EFAULT, EOVERFLOW, EIO});
    if (call == "sigtimedwait" || call == "nanosleep")
        return {EAGAIN, EINTR};
    if (call == "getsockopt" || call == "setsockopt" || call == "getsockname")
        return {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, ENOBUFS};
    return {EINVAL, ENOSYS, EPERM, ENOMEM, ESRCH, EIO, EMFILE};
}

// Those that some room asks for by name, and one that none does: from the second call on they stand for all.
inline bool is_told_apart(int error) {
    const int some[] = {EINTR,  EAGAIN, EIO,    ENOENT, EACCES,     ENOSPC,       EINVAL, EPIPE,
                        ENOMEM, EMFILE, ENOSYS, EEXIST, ECONNRESET, ECONNREFUSED, EISDIR, EOPNOTSUPP};
    return std::find(std::begin(some), std::end(some), error) != std::end(some);
}

// Runs `scenario` with each of `calls` failing with each errno of its manual page: the first of its calls, then the second
// to the sixth with those that are told apart, once and then for ever, as long as the scenario makes so many. The scenario
// makes its world, runs, and says what must hold in any case; it must end, spin nowhere and leak nothing.
template <class Scenario> void fail_each(std::initializer_list<const char*> calls, Scenario scenario) {
    for (std::string call : calls)
        for (int error : errors_of(call))
            for (bool for_ever : {false, true}) {
                // A kernel that answers these for ever does not exist, and waiting for it to stop is right.
                if (for_ever && (error == EINTR || error == EAGAIN))
                    continue;
                size_t last = !is_told_apart(error) ? 1 : for_ever ? 3 : 6;
                for (size_t nth = 1; nth <= last; nth++) {
                    INFO(call << " number " << nth << std::string(for_ever ? " and later: " : ": ") << error << " "
                              << said(rouse::reason(error)));
                    World world;
                    fake::fail(call, error, {nth, for_ever});
                    try {
                        scenario(world);
                        world.check_nothing_leaked();
                    } catch (const fake::Stuck& stuck) {
                        FAIL_CHECK("waits for ever in " << stuck.call);
                    } catch (const fake::Spinning& spinning) {
                        FAIL_CHECK("spins in " << spinning.call);
                    }
                    if (fake::any_fault_left())
                        break;
                }
            }
}
