#include "leaving.h"

#include "buffer.h"
#include "proc.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

// A process that exits closes its descriptors first and is gone after that. Between the two Apache reads the end of the
// output, looks whether the process is still there, finds it, and sleeps before it looks again: 10 ms under mod_cgid
// (kill(2) with signal 0, until nothing has the number), 47 ms under mod_cgi (waitpid(2), until there is a status). The sleep
// costs more than all the rest of a request, and only the order can avoid it.
//
// So the output is kept open by somebody who closes it when we are gone: a process that is made for it at the very end. It
// shares our memory and our table of descriptors (CLONE_VM, CLONE_FILES), so that nothing is copied, and our exit neither
// tears down the one nor closes the other: that falls to whoever has them last. The kernel tells it of our death
// (PR_SET_PDEATHSIG), it makes sure of it, closes, and ends. No byte is in its hands: all were written before, and
// a web server that takes the exit for the end finds them in the pipe or socket. What can go wrong only costs the order:
// - it cannot be made (RLIMIT_NPROC, seccomp, memory): we exit as ever;
// - it is killed: the table is ours alone again, and we exit as ever;
// - we are killed, at whatever point: then it is told, or if that was before it had asked, its parent is another one.
//
// Descriptors have nobody else to go to: what the kernel itself holds for a process (a message with SCM_RIGHTS under way, a
// memory map, asynchronous input and output) it lets go before that process is gone, or in its own time.
namespace rouse {

namespace {

constexpr int told = SIGTERM; // any that can be blocked

// An orphan, as the other process is by then, is gone only when process 1 of its PID namespace has waited for it; and there are
// process 1s that never wait (a container's, mostly), under whom each request would leave a zombie, or only every second or
// two. So it is only made under those whose work it is, by their names. (Or a subreaper waits, prctl(2): it asked to.) What
// process 1 does with SIGCHLD tells nothing: Node and Go catch it, and wait for nobody but their own children.
constexpr char reapers[] = "systemd init tini docker-init dumb-init runit s6-svscan catatonit openrc-init procd";

enum class GoneFirst : char { No, IfOrphansAreReaped, Yes };
[[gnu::section(".bss.1")]] GoneFirst gone_first;

// Our number; the other process reads it where it is, in the memory that both have.
[[gnu::section(".bss.1")]] pid_t bridge;

bool orphans_are_reaped() {
    int file = sys::open(AT_FDCWD, "/proc/1/comm", O_RDONLY | O_CLOEXEC); // the exit closes it
    static struct stat status;
    if (file == -ENOENT || file == -EPERM)
        // Hidden (hidepid, see proc(5)), if /proc is there: that is how hosts are set up that many share, and those have an init.
        return sys::stat(AT_FDCWD, "/proc/self", status) == 0;
    // A name and a line feed; shorter to make than all of /proc/1/stat.
    [[gnu::section(".bss.1")]] static char bytes[16];
    ssize_t size = sys::read(file, bytes, sizeof bytes);
    return index_of({bytes, size < 1 ? 0 : static_cast<size_t>(size - 1)}, reapers) >= 0;
}

// After its death had begun. A zombie is gone for whoever waits; who ignores SIGCHLD has none: then the state is X for the
// moment until the number is free, and only that is being gone for whoever asks by kill(2).
bool is_gone(pid_t pid) {
    if (sys::kill(pid, 0) == -ESRCH)
        return true;
    return !begins_with(proc_stat(pid), " X"sv);
}

// The other process, from its first to its last instruction. Its stack is a small one.
[[noreturn]] void keep_output_open() {
    sys::set_signal_mask(SIG_BLOCK, sys::only(told));
    if (sys::signal_at_parents_death(told) < 0)
        sys::exit(0);                // nobody would tell us, and the output never end
    while (sys::getppid() == bridge) // also when it died before we asked to be told
        sys::sigtimedwait(sys::only(told), {3600, 0});
    // The kernel tells us while it makes a zombie of our parent, in one piece under a lock that wait takes as well (tasklist_lock).
    // Whoever waits for it is therefore certain; so are we, behind it: the answer, that we have no child, does not matter.
    sys::wait(-1, nullptr, WNOHANG);
    // That is all that mod_cgi wants, which waits, and has given us a pipe. mod_cgid ignores SIGCHLD and asks by number: its output
    // is a socket. To look at /proc for everybody would cost as much as making the two processes end.
    if (sys::getsockname(STDOUT_FILENO, nullptr, nullptr) != -ENOTSOCK)
        while (!is_gone(bridge))
            sys::yield();
    sys::close_range(0, ~0U); // rather than by the exit: that takes the memory apart first
    sys::exit(0);
}

} // namespace

void begin_leaving(char* const* environment) {
    for (; *environment != nullptr; ++environment)
        if (begins_with(*environment, "SERVER_SOFTWARE=Apache"))
            gone_first = GoneFirst::IfOrphansAreReaped;
}

void prepare_to_leave() {
    if (gone_first == GoneFirst::IfOrphansAreReaped)
        gone_first = orphans_are_reaped() ? GoneFirst::Yes : GoneFirst::No;
}

void leave(int status) {
    prepare_to_leave();
    // For the other one, which needs a third of it. Not on our stack: that would be a page more.
    [[gnu::section(".bss.1")]] alignas(16) static char stack[1024];
    if (gone_first == GoneFirst::Yes) {
        bridge = sys::getpid();
        sys::clone_beside(keep_output_open, stack + sizeof stack);
    }
    sys::exit(status);
}

} // namespace rouse
