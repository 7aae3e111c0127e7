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

// Waits when there is a deadline.
void lock(int folder, const char* name, Deadline deadline, Hold& hold) {
    bool waits = deadline.begun();
    int result;
    for (int attempt = 0; attempt < most_replaced; ++attempt) {
        // For reading and writing: NFS refuses exclusive locks on what is open for reading only (flock(2)).
        hold.lock.reset(sys::open(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
        result = hold.lock.number();
        if (result < 0)
            break;
        do
            result = sys::flock(hold.lock.number(), waits ? LOCK_EX : LOCK_EX | LOCK_NB);
        while (result == -EINTR && waits && deadline.left() > 0);
        hold.held = Held::No;
        if (result == -EWOULDBLOCK || result == -EINTR)
            return;
        if (result < 0)
            break;
        hold.held = Held::Yes;
        if (is_current(folder, name, hold.lock.number()))
            return;
        // Replaced while we waited: what we hold is nobody's lock any more.
        result = -ESTALE; // or a file system that cannot even say what is there: no reason to spin
    }
    hold.held = Held::Error;
    hold.lock.reset();
    hold.error = {-result, "lock\0Can files be made and locked in the run directory?"_words, name};
}

} // namespace

bool is_current(int folder, const char* name, int lock) {
    struct stat held, present;
    return sys::fstat(lock, held) == 0 && sys::stat(folder, name, present, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == present.st_dev && held.st_ino == present.st_ino;
}

void try_lock(int folder, const char* name, Hold& hold) {
    lock(folder, name, Deadline(), hold);
}

void wait_for_lock(int folder, const char* name, Deadline deadline, Hold& hold) {
    set_alarm(deadline.left());
    lock(folder, name, deadline, hold);
    sys::setitimer_real(0, 0);
}

} // namespace rouse
