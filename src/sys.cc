#include "sys.h"

#include "start.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <type_traits>

namespace rouse::sys {

namespace {

// The kernel's own interface. The C library's adds cancellation points, fall-backs for kernels of before 2012 and
// conversions between types that are the same on every 64-bit Linux: a tenth of the program, and a moment at each start.
#if defined(__x86_64__)
// syscall(2), "Architecture calling conventions". Only the registers that the call takes are loaded, each as wide as what
// it is given: where the kernel takes an int it looks at no more. So no pointer and no size is a mere 0
// here, but 0L; and never nullptr, whose type has no value to load.
inline long raw(long number) {
    asm volatile("syscall" : "+a"(number) : : "rcx", "r11", "memory");
    return number;
}
template <class A> inline long raw(long number, A a) {
    asm volatile("syscall" : "+a"(number) : "D"(a) : "rcx", "r11", "memory");
    return number;
}
template <class A, class B> inline long raw(long number, A a, B b) {
    asm volatile("syscall" : "+a"(number) : "D"(a), "S"(b) : "rcx", "r11", "memory");
    return number;
}
template <class A, class B, class C> inline long raw(long number, A a, B b, C c) {
    asm volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return number;
}
template <class A, class B, class C, class D> inline long raw(long number, A a, B b, C c, D d) {
    register D r10 asm("r10") = d;
    asm volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return number;
}
template <class A, class B, class C, class D, class E> inline long raw(long number, A a, B b, C c, D d, E e) {
    register D r10 asm("r10") = d;
    register E r8 asm("r8") = e;
    asm volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return number;
}
template <class A, class B, class C, class D, class E, class F>
inline long raw(long number, A a, B b, C c, D d, E e, F f) {
    register D r10 asm("r10") = d;
    register E r8 asm("r8") = e;
    register F r9 asm("r9") = f;
    asm volatile("syscall"
                 : "+a"(number)
                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return number;
}

extern "C" void return_from_signal();
asm(".pushsection .text\n.globl return_from_signal\nreturn_from_signal:\n\tmov $15, %eax\n\tsyscall\n.popsection"); // rt_sigreturn(2)
#else
template <class... Arguments> long raw(long number, Arguments... arguments) {
    long result = ::syscall(number, arguments...);
    return result >= 0 ? result : -errno;
}
#endif

template <class... Arguments> int call(long number, Arguments... arguments) {
    return static_cast<int>(raw(number, arguments...));
}

[[gnu::section(".bss.1")]] bool signals_are_to_be_blocked; // and have not been

// Blocked, not ignored: that is one call for both, and what stays pending is nobody's, for a child does not inherit it.
[[gnu::noinline]] void prepare_to_write() {
    if (signals_are_to_be_blocked)
        set_signal_mask(SIG_BLOCK, only(SIGPIPE) | only(SIGXFSZ));
    signals_are_to_be_blocked = false;
}

static_assert(sizeof(long) == 8, "struct stat, struct timespec and off_t are the kernel's own only there");

} // namespace

[[gnu::noinline]] int open(int folder, const char* path, int flags, mode_t mode) {
    return call(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    return call(SYS_close, fd);
}

ssize_t read(int fd, void* bytes, size_t size) {
    return raw(SYS_read, fd, bytes, size);
}

ssize_t last_write(int fd, const void* bytes, size_t size) {
    return raw(SYS_write, fd, bytes, size);
}

ssize_t write(int fd, const void* bytes, size_t size) {
    prepare_to_write();
    return last_write(fd, bytes, size);
}

ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
    return raw(SYS_pread64, fd, bytes, size, offset);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
    prepare_to_write();
    return raw(SYS_pwrite64, fd, bytes, size, offset);
}

int fstat(int fd, struct stat& status) {
    return call(SYS_fstat, fd, &status);
}

[[gnu::noinline]] int stat(int folder, const char* path, struct stat& status, int flags) {
    return call(SYS_newfstatat, folder, path, &status, flags);
}

bool is_noexec(int fd) {
    struct statfs status = {};
    return call(SYS_fstatfs, fd, &status) == 0 && (status.f_flags & 8 /* ST_NOEXEC */) != 0;
}

int mkdir(int folder, const char* path, mode_t mode) {
    return call(SYS_mkdirat, folder, path, mode);
}

[[gnu::noinline]] int unlink(int folder, const char* path) {
    return call(SYS_unlinkat, folder, path, 0);
}

int rename(int folder, const char* from, const char* to) {
    return call(SYS_renameat2, folder, from, folder, to, 0);
}

int symlink(const char* target, int folder, const char* path) {
    return call(SYS_symlinkat, target, folder, path);
}

ssize_t readlink(int folder, const char* path, char* target, size_t size) {
    return raw(SYS_readlinkat, folder, path, target, size);
}

ssize_t getdents(int fd, void* entries, size_t size) {
    return raw(SYS_getdents64, fd, entries, size);
}

ssize_t getcwd(char* path, size_t size) {
    return raw(SYS_getcwd, path, size);
}

int chdir(const char* path) {
    return call(SYS_chdir, path);
}

int memory_file() {
    return call(SYS_memfd_create, "spool", 1 /* MFD_CLOEXEC */);
}

int flock(int fd, int operation) {
    return call(SYS_flock, fd, operation);
}

int set_size(int fd, off_t size) {
    return call(SYS_ftruncate, fd, size);
}

int lock_byte(int fd, off_t offset) {
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = offset;
    lock.l_len = 1;
    return call(SYS_fcntl, fd, F_SETLK, &lock);
}

int duplicate(int fd, int lowest) {
    return call(SYS_fcntl, fd, F_DUPFD, long{lowest});
}

int duplicate_to(int fd, int number) {
    return call(SYS_dup3, fd, number, 0);
}

int close_range(unsigned first, unsigned last) {
    return call(436, first, last, 0u); // close_range(2), the same number on every architecture
}

int pipe(int ends[2], int flags) {
    return call(SYS_pipe2, ends, flags);
}

int set_pipe_size(int fd, int bytes) {
    return call(SYS_fcntl, fd, F_SETPIPE_SZ, long{bytes});
}

int get_status_flags(int fd) {
    return call(SYS_fcntl, fd, F_GETFL);
}

int set_status_flags(int fd, int flags) {
    return call(SYS_fcntl, fd, F_SETFL, long{flags});
}

ssize_t splice(int from, int to, size_t size, unsigned flags) {
    prepare_to_write();
    return raw(SYS_splice, from, 0L, to, 0L, size, flags);
}

ssize_t sendfile(int to, int from, off_t offset, size_t size) {
    return raw(SYS_sendfile, to, from, &offset, size);
}

int poll(pollfd* descriptors, nfds_t count, int milliseconds) {
    timespec limit = {milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
    return call(SYS_ppoll, descriptors, count, milliseconds < 0 ? nullptr : &limit, 0L, 0L);
}

int socket(int family, int type, int protocol) {
    return call(SYS_socket, family, type, protocol);
}

int socketpair(int type, int ends[2]) {
    return call(SYS_socketpair, AF_UNIX, type, 0, ends);
}

int connect(int fd, const sockaddr* address, socklen_t size) {
    return call(SYS_connect, fd, address, size);
}

int bind(int fd, const sockaddr* address, socklen_t size) {
    return call(SYS_bind, fd, address, size);
}

int getsockname(int fd, sockaddr* address, socklen_t* size) {
    return call(SYS_getsockname, fd, address, size);
}

int getpeername(int fd, sockaddr* address, socklen_t* size) {
    return call(SYS_getpeername, fd, address, size);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
    return call(SYS_getsockopt, fd, level, name, value, size);
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    return call(SYS_setsockopt, fd, level, name, value, size);
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
    return raw(SYS_sendto, fd, bytes, size, flags, 0L, 0);
}

ssize_t recv(int fd, void* bytes, size_t size, int flags) {
    return raw(SYS_recvfrom, fd, bytes, size, flags, 0L, 0);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return raw(SYS_sendmsg, fd, message, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
    return raw(SYS_recvmsg, fd, message, flags);
}

pid_t fork() {
    return call(SYS_clone, long{SIGCHLD}, 0L, 0L, 0L, 0L);
}

pid_t clone_beside(void (*program)(), void* stack_end) {
    constexpr long flags = CLONE_VM | CLONE_FS | CLONE_FILES;
#if defined(__x86_64__)
    // The child comes back from the call with an empty stack, so it cannot go back to where it was called from.
    long result;
    register long unused asm("r10") = 0;
    asm volatile("syscall\n\ttest %%eax, %%eax\n\tjnz 1f\n\tcall *%%rbx\n\tud2\n1:"
                 : "=a"(result)
                 : "a"(SYS_clone), "D"(flags), "S"(stack_end), "d"(0L), "r"(unused), "b"(program)
                 : "rcx", "r11", "memory");
    return static_cast<pid_t>(result);
#else
    auto run = [](void* argument) { return reinterpret_cast<void (*)()>(argument)(), 0; };
    pid_t result = ::clone(run, stack_end, flags, reinterpret_cast<void*>(program));
    return result >= 0 ? result : -errno;
#endif
}

int execve(const char* path, const char* const* argv, const char* const* environment) {
    return call(SYS_execve, path, argv, environment);
}

void exit(int status) {
    for (;;)
        raw(SYS_exit_group, status);
}

pid_t getpid() {
    return call(SYS_getpid);
}

pid_t getppid() {
    return call(SYS_getppid);
}

int signal_at_parents_death(int number) {
    return call(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, long{number});
}

bool is_filtered() {
    return call(SYS_prctl, 21 /* PR_GET_SECCOMP */) != 0;
}

int yield() {
    return call(SYS_sched_yield);
}

int set_scheduling(int policy) {
    static const int priority = 0; // all of a sched_param
    return call(SYS_sched_setscheduler, 0, policy, &priority);
}

pid_t setsid() {
    return call(SYS_setsid);
}

pid_t wait(pid_t pid, int* status, int options) {
    return call(SYS_wait4, pid, status, options, 0L);
}

int pidfd_open(pid_t pid) {
    return call(434, pid, 0); // pidfd_open(2), the same number on every architecture
}

int pidfd_send_signal(int pidfd, int number) {
    return call(424, pidfd, number, 0L, 0); // pidfd_send_signal(2)
}

int kill(pid_t pid, int number) {
    return call(SYS_kill, pid, number);
}

int sigaction(int number, const struct sigaction& action) {
    // The library refuses the signals that it keeps for itself (32 to 34); a web server may have left them ignored.
    const long as_at_first[4] = {}; // the kernel's struct: handler, flags, restorer, mask
    if (action.sa_handler == SIG_DFL)
        return call(SYS_rt_sigaction, number, as_at_first, 0L, sizeof(SignalSet));
#if defined(__x86_64__)
    // rt_sigaction(2) of this architecture wants to be told how a handler returns; the C library's way of telling it comes
    // with a lock for abort(3) that nothing here needs.
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)();
        unsigned long mask;
    } kernel_action = {action.sa_handler, 0x04000000 /* SA_RESTORER */, return_from_signal, 0};
    return call(SYS_rt_sigaction, number, &kernel_action, 0L, sizeof(SignalSet));
#else
    return ::sigaction(number, &action, nullptr) < 0 ? -errno : 0;
#endif
}

[[gnu::noinline]] int set_signal_mask(int how, SignalSet set) {
    return call(SYS_rt_sigprocmask, how, &set, 0L, sizeof set);
}

void block_signals_of_writes() {
    signals_are_to_be_blocked = true;
}

int sigtimedwait(SignalSet set, const timespec& timeout) {
    return call(SYS_rt_sigtimedwait, &set, 0L, &timeout, sizeof set);
}

int setitimer_real(int first_milliseconds, int every_milliseconds) {
    itimerval timer = {};
    timer.it_value.tv_sec = first_milliseconds / 1000;
    timer.it_value.tv_usec = first_milliseconds % 1000 * 1000;
    timer.it_interval.tv_sec = every_milliseconds / 1000;
    timer.it_interval.tv_usec = every_milliseconds % 1000 * 1000;
    return call(SYS_setitimer, ITIMER_REAL, &timer, 0L);
}

int getrlimit(int resource, rlimit& limit) {
    return call(SYS_prlimit64, 0, resource, 0L, &limit);
}

int setrlimit(int resource, const rlimit& limit) {
    return call(SYS_prlimit64, 0, resource, &limit, 0L);
}

int64_t clock_milliseconds(clockid_t clock) {
    timespec now = {};
    raw(SYS_clock_gettime, clock, &now);
    return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

int nanosleep(int milliseconds) {
    timespec time = {};
    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = milliseconds % 1000 * 1'000'000L;
    return call(SYS_nanosleep, &time, 0L);
}

int node_name(char* name, size_t size) {
    utsname names;
    if (int result = call(SYS_uname, &names); result < 0)
        return result;
    size_t length = strlen(names.nodename);
    if (length >= size)
        return -ENAMETOOLONG;
    memcpy(name, names.nodename, length);
    name[length] = '\0';
    return 0;
}

uid_t effective_uid() {
    return static_cast<uid_t>(auxiliary_value(AT_EUID));
}

gid_t effective_gid() {
    return static_cast<gid_t>(auxiliary_value(AT_EGID));
}

const char* executed_path() {
    return reinterpret_cast<const char*>(auxiliary_value(AT_EXECFN));
}

int random(void* bytes, size_t size) {
    return call(SYS_getrandom, bytes, size, 0);
}

} // namespace rouse::sys
