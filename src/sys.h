// This file knows every system call that the programs make. Each answers >= 0, or -errno: errno itself never
// leaves sys.cc. It is also the seam for tests, at the linker: unit tests bring a kernel of their own.
//
// Policy for EINTR: nothing is retried here. read, write and waiting are repeated by io.h, by what is left of a
// deadline; flock is meant to be interrupted (locks.h); close is never repeated: on Linux the number is already
// free when it answers EINTR (close(2)). No call here blocks a signal or installs a handler by itself.
#pragma once

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

namespace rouse::sys {

// Files. Every descriptor is made close-on-exec by the caller's flags. `folder` may be AT_FDCWD.
int open(int folder, const char* path, int flags, mode_t mode = 0);
int close(int fd);
ssize_t read(int fd, void* bytes, size_t size);
ssize_t write(int fd, const void* bytes, size_t size);
ssize_t last_write(int fd, const void* bytes, size_t size); // whatever block_signals_of_writes said
ssize_t pread(int fd, void* bytes, size_t size, off_t offset);
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset);
int fstat(int fd, struct stat& status);
int stat(int folder, const char* path, struct stat& status, int flags = 0); // AT_SYMLINK_NOFOLLOW
bool is_noexec(int fd);                                                     // whether its file system is mounted so
int mkdir(int folder, const char* path, mode_t mode);
int unlink(int folder, const char* path);
int rename(int folder, const char* from, const char* to);
int symlink(const char* target, int folder, const char* path);
ssize_t readlink(int folder, const char* path, char* target, size_t size);
ssize_t getdents(int fd, void* entries, size_t size); // struct dirent64 records, see getdents64(2)
ssize_t getcwd(char* path, size_t size);              // length with the NUL
int chdir(const char* path);
int flock(int fd, int operation);
int set_size(int fd, off_t size);    // ftruncate(2)
int lock_byte(int fd, off_t offset); // fcntl F_SETLK, for writing: -EAGAIN or -EACCES when another process has it
int memory_file();                   // memfd_create(2)

// Descriptors.
int duplicate(int fd, int lowest);    // fcntl F_DUPFD: the copy is NOT close-on-exec
int duplicate_to(int fd, int number); // dup2: the copy is not close-on-exec
int close_range(unsigned first, unsigned last);
int pipe(int ends[2], int flags);
int set_pipe_size(int fd, int bytes);
int get_status_flags(int fd);
int set_status_flags(int fd, int flags);

// Moving bytes. splice uses and moves the file offsets, sendfile reads `from` at `offset` and moves nothing.
ssize_t splice(int from, int to, size_t size, unsigned flags);
ssize_t sendfile(int to, int from, off_t offset, size_t size);
int poll(pollfd* descriptors, nfds_t count, int milliseconds); // -1: for ever

// Sockets.
int socket(int family, int type, int protocol);
int socketpair(int type, int ends[2]);
int connect(int fd, const sockaddr* address, socklen_t size);
int bind(int fd, const sockaddr* address, socklen_t size);
int getsockname(int fd, sockaddr* address, socklen_t* size);
int getpeername(int fd, sockaddr* address, socklen_t* size);
int getsockopt(int fd, int level, int name, void* value, socklen_t* size);
int setsockopt(int fd, int level, int name, const void* value, socklen_t size);
ssize_t send(int fd, const void* bytes, size_t size, int flags);
ssize_t recv(int fd, void* bytes, size_t size, int flags);
ssize_t sendmsg(int fd, const msghdr* message, int flags);
ssize_t recvmsg(int fd, msghdr* message, int flags);

// Processes and signals.
pid_t fork(); // without the libc's fork handlers
// A child that has our memory and our descriptors, not copies (CLONE_VM, CLONE_FILES), and a stack of its own that ends
// below `stack_end` (16 bytes aligned). Its end is no signal to us.
pid_t clone_beside(void (*program)(), void* stack_end);
int execve(const char* path, const char* const* argv, const char* const* environment);
[[noreturn]] void exit(int status); // _exit: nothing is flushed
pid_t getpid();
pid_t getppid();
int signal_at_parents_death(int number); // PR_SET_PDEATHSIG
bool is_filtered();                      // whether there is a filter of system calls, seccomp(2)
int yield();
int set_scheduling(int policy); // sched_setscheduler(2), of this process, with priority 0
pid_t setsid();
pid_t wait(pid_t pid, int* status, int options); // waitpid
int pidfd_open(pid_t pid);
int pidfd_send_signal(int pidfd, int number);
int kill(pid_t pid, int number);
int sigaction(int number, const struct sigaction& action);
using SignalSet = uint64_t; // a bit for each, as the kernel takes it
constexpr SignalSet only(int number) {
    return SignalSet{1} << (number - 1);
}
int set_signal_mask(int how, SignalSet set); // sigprocmask
// For a bridge a write to whoever has gone is to answer EPIPE, and one over the web server's limit of a file's size EFBIG: the next
// write, pwrite or splice first blocks SIGPIPE and SIGXFSZ. (Nobody sends a file or sets a size who has not written before.)
void block_signals_of_writes();
int sigtimedwait(SignalSet set, const timespec& timeout);
int setitimer_real(int first_milliseconds, int every_milliseconds); // SIGALRM; 0, 0 disarms
int getrlimit(int resource, rlimit& limit);
int setrlimit(int resource, const rlimit& limit);

// Clocks, names, identity.
int64_t clock_milliseconds(clockid_t clock); // since the clock's epoch
int nanosleep(int milliseconds);
int node_name(char* name, size_t size); // uname -n, NUL-terminated
uid_t effective_uid();
gid_t effective_gid();
const char* executed_path(); // AT_EXECFN (getauxval(3)): the path that the kernel was asked to execute
int random(void* bytes, size_t size);

} // namespace rouse::sys
