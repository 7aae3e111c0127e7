#include "locks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

namespace rouse {

namespace {

// flock(2) has no time-out. The alarm repeats: one that comes just before flock goes to sleep interrupts
// nothing, and there would not be another.
constexpr int alarm_every = 50; // milliseconds

constexpr int most_replaced = 100; // times in a row that the file was not the one we locked

void wake(int) {} // it is enough that a handler ran: flock then answers EINTR

void set_alarm(int first_milliseconds) {
    struct sigaction action = {};
    action.sa_handler = wake; // and no SA_RESTART
    sys::sigaction(SIGALRM, action);
    sys::set_signal_mask(SIG_UNBLOCK, sys::only(SIGALRM)); // a web server may have left it blocked
    sys::setitimer_real(first_milliseconds > 0 ? first_milliseconds : 1, alarm_every);
}

Hold refused(int code, const char* name) {
    return {Held::Error, Fd(), {code, "lock\0Can files be made and locked in the run directory?"_words, name}};
}

Hold lock(int folder, const char* name, const Deadline* deadline) {
    for (int attempt = 0; attempt < most_replaced; ++attempt) {
        // For reading and writing: NFS refuses exclusive locks on what is open for reading only (flock(2)).
        Fd file(sys::open(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
        if (!file.is_open())
            return refused(-file.number(), name);
        int result = sys::flock(file.number(), deadline != nullptr ? LOCK_EX : LOCK_EX | LOCK_NB);
        while (result == -EINTR && deadline != nullptr && deadline->left() > 0)
            result = sys::flock(file.number(), LOCK_EX);
        if (result == -EWOULDBLOCK || result == -EINTR)
            return {Held::No, std::move(file), {}};
        if (result < 0)
            return refused(-result, name);
        if (is_current(folder, name, file.number()))
            return {Held::Yes, std::move(file), {}};
        // Replaced while we waited: what we hold is nobody's lock any more.
    }
    return refused(ESTALE, name); // or a file system that cannot even say what is there: no reason to spin
}

} // namespace

bool is_current(int folder, const char* name, int lock) {
    struct stat held, present;
    return sys::fstat(lock, held) == 0 && sys::stat(folder, name, present, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == present.st_dev && held.st_ino == present.st_ino;
}

Hold try_lock(int folder, const char* name) {
    return lock(folder, name, nullptr);
}

Hold wait_for_lock(int folder, const char* name, const Deadline& deadline) {
    set_alarm(deadline.left());
    Hold hold = lock(folder, name, &deadline);
    sys::setitimer_real(0, 0);
    return hold;
}

} // namespace rouse
