#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <type_traits>

namespace rouse::sys {

namespace {

template <class Number> Number answer(Number result) {
    return result >= 0 ? result : static_cast<Number>(-errno);
}

template <class Argument> long word(Argument argument) {
    if constexpr (std::is_pointer_v<Argument>)
        return reinterpret_cast<long>(argument);
    else
        return static_cast<long>(argument);
}

// The calls that a libc does not wrap, or wraps with much more code than the call (fork, getcwd).
template <class... Arguments> long raw(long number, Arguments... arguments) {
    return answer(::syscall(number, word(arguments)...));
}

} // namespace

int open(int folder, const char* path, int flags, mode_t mode) {
    return answer(::openat(folder, path, flags, mode));
}

int close(int fd) {
    return answer(::close(fd));
}

ssize_t read(int fd, void* bytes, size_t size) {
    return answer(::read(fd, bytes, size));
}

ssize_t write(int fd, const void* bytes, size_t size) {
    return answer(::write(fd, bytes, size));
}

ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
    return answer(::pread(fd, bytes, size, offset));
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
    return answer(::pwrite(fd, bytes, size, offset));
}

int fstat(int fd, struct stat& status) {
    return answer(::fstat(fd, &status));
}

int stat(int folder, const char* path, struct stat& status, int flags) {
    return answer(::fstatat(folder, path, &status, flags));
}

int mkdir(int folder, const char* path, mode_t mode) {
    return answer(::mkdirat(folder, path, mode));
}

int unlink(int folder, const char* path) {
    return answer(::unlinkat(folder, path, 0));
}

int rename(int folder, const char* from, const char* to) {
    return answer(::renameat(folder, from, folder, to));
}

ssize_t readlink(int folder, const char* path, char* target, size_t size) {
    return answer(::readlinkat(folder, path, target, size));
}

ssize_t getdents(int fd, void* entries, size_t size) {
    return raw(SYS_getdents64, fd, entries, size);
}

ssize_t getcwd(char* path, size_t size) {
    return raw(SYS_getcwd, path, size);
}

int chdir(const char* path) {
    return answer(::chdir(path));
}

int flock(int fd, int operation) {
    return answer(::flock(fd, operation));
}

int duplicate(int fd, int lowest) {
    return answer(::fcntl(fd, F_DUPFD, lowest));
}

int duplicate_to(int fd, int number) {
    return answer(::dup2(fd, number));
}

int close_range(unsigned first, unsigned last) {
    return static_cast<int>(raw(436, first, last, 0u)); // close_range(2), the same number on every architecture
}

int pipe(int ends[2], int flags) {
    return answer(::pipe2(ends, flags));
}

int set_pipe_size(int fd, int bytes) {
    return answer(::fcntl(fd, F_SETPIPE_SZ, bytes));
}

int get_status_flags(int fd) {
    return answer(::fcntl(fd, F_GETFL));
}

int set_status_flags(int fd, int flags) {
    return answer(::fcntl(fd, F_SETFL, flags));
}

ssize_t splice(int from, int to, size_t size, unsigned flags) {
    return answer(::splice(from, nullptr, to, nullptr, size, flags));
}

ssize_t sendfile(int to, int from, off_t offset, size_t size) {
    return answer(::sendfile(to, from, &offset, size));
}

int poll(pollfd* descriptors, nfds_t count, int milliseconds) {
    return answer(::poll(descriptors, count, milliseconds));
}

int socket(int family, int type, int protocol) {
    return answer(::socket(family, type, protocol));
}

int socketpair(int type, int ends[2]) {
    return answer(::socketpair(AF_UNIX, type, 0, ends));
}

int connect(int fd, const sockaddr* address, socklen_t size) {
    return answer(::connect(fd, address, size));
}

int bind(int fd, const sockaddr* address, socklen_t size) {
    return answer(::bind(fd, address, size));
}

int getsockname(int fd, sockaddr* address, socklen_t* size) {
    return answer(::getsockname(fd, address, size));
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
    return answer(::getsockopt(fd, level, name, value, size));
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    return answer(::setsockopt(fd, level, name, value, size));
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
    return answer(::send(fd, bytes, size, flags));
}

ssize_t recv(int fd, void* bytes, size_t size, int flags) {
    return answer(::recv(fd, bytes, size, flags));
}

// Raw, because musl copies and repairs the message for kernels that take other types; Linux itself takes ours.
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return raw(SYS_sendmsg, fd, message, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
    return raw(SYS_recvmsg, fd, message, flags);
}

pid_t fork() {
    return static_cast<pid_t>(raw(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

int execve(const char* path, const char* const* argv, const char* const* environment) {
    return static_cast<int>(raw(SYS_execve, path, argv, environment));
}

void exit(int status) {
    ::_exit(status);
}

pid_t getpid() {
    return ::getpid();
}

pid_t setsid() {
    return answer(::setsid());
}

pid_t wait(pid_t pid, int* status, int options) {
    return answer(::waitpid(pid, status, options));
}

int pidfd_open(pid_t pid) {
    return static_cast<int>(raw(434, pid, 0)); // pidfd_open(2), the same number on every architecture
}

int pidfd_send_signal(int pidfd, int number) {
    return static_cast<int>(raw(424, pidfd, number, 0, 0)); // pidfd_send_signal(2)
}

int kill(pid_t pid, int number) {
    return answer(::kill(pid, number));
}

int sigaction(int number, const struct sigaction& action) {
    return answer(::sigaction(number, &action, nullptr));
}

int set_signal_mask(int how, const sigset_t& set) {
    return answer(::sigprocmask(how, &set, nullptr));
}

// Raw, because musl repeats it after EINTR.
int sigtimedwait(const sigset_t& set, const timespec& timeout) {
    return static_cast<int>(raw(SYS_rt_sigtimedwait, &set, 0, &timeout, _NSIG / 8));
}

int setitimer_real(int first_milliseconds, int every_milliseconds) {
    itimerval timer = {};
    timer.it_value.tv_sec = first_milliseconds / 1000;
    timer.it_value.tv_usec = first_milliseconds % 1000 * 1000;
    timer.it_interval.tv_sec = every_milliseconds / 1000;
    timer.it_interval.tv_usec = every_milliseconds % 1000 * 1000;
    return answer(::setitimer(ITIMER_REAL, &timer, nullptr));
}

int getrlimit(int resource, rlimit& limit) {
    return static_cast<int>(raw(SYS_prlimit64, 0, resource, 0, &limit));
}

int setrlimit(int resource, const rlimit& limit) {
    return static_cast<int>(raw(SYS_prlimit64, 0, resource, &limit, 0));
}

int64_t clock_milliseconds(clockid_t clock) {
    timespec now = {};
    // Raw: the libc's detour through the vDSO costs more to set up than the one call here and there that it saves.
    raw(SYS_clock_gettime, clock, &now);
    return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

int nanosleep(int milliseconds) {
    timespec time = {};
    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = milliseconds % 1000 * 1'000'000L;
    return static_cast<int>(raw(SYS_nanosleep, &time, 0));
}

int node_name(char* name, size_t size) {
    utsname names;
    if (int result = answer(::uname(&names)); result < 0)
        return result;
    size_t length = strnlen(names.nodename, sizeof names.nodename);
    if (length >= size)
        return -ENAMETOOLONG;
    memcpy(name, names.nodename, length);
    name[length] = '\0';
    return 0;
}

uid_t effective_uid() {
    return static_cast<uid_t>(::getauxval(AT_EUID));
}

gid_t effective_gid() {
    return static_cast<gid_t>(::getauxval(AT_EGID));
}

const char* executed_path() {
    return reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
}

int random(void* bytes, size_t size) {
    return static_cast<int>(raw(SYS_getrandom, bytes, size, 0));
}

} // namespace rouse::sys
