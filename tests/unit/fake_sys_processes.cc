// This file knows the door to the kernel in memory: processes and signals, clocks, names, identity.
#include "fake_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

namespace rouse::sys {

using namespace fake;

// --- Processes and signals ---

pid_t fork() {
    if (int fault = injected("fork"))
        return fault;
    pid_t pid = kernel->processes.rbegin()->first + 1;
    Process& child = add_process(pid, kernel->uid);
    child.parent = kernel->current;
    child.descriptors = kernel->process().descriptors;
    child.scheduling = kernel->process().scheduling;
    if (kernel->follow_child) {
        kernel->current = pid;
        kernel->pending_signals.clear();
        return 0;
    }
    if (kernel->on_fork)
        kernel->on_fork(child);
    return pid;
}

int execve(const char* path, const char* const* argv, const char* const* environment) {
    if (int fault = injected("execve", path))
        return fault;
    int error = 0;
    File node = look_up(AT_FDCWD, path, true, error);
    if (node == nullptr)
        return error;
    if (node->kind != Node::Kind::Regular || (node->mode & 0111) == 0)
        return -EACCES;
    if (node->content.substr(0, 2) != "#!")
        return -ENOEXEC;
    Executed executed = {path, {}, {}};
    for (; *argv != nullptr; argv++)
        executed.arguments.push_back(*argv);
    for (; *environment != nullptr; environment++)
        executed.environment.push_back(*environment);
    auto& descriptors = kernel->process().descriptors;
    for (auto one = descriptors.begin(); one != descriptors.end();)
        one = one->second.close_on_exec ? descriptors.erase(one) : std::next(one);
    throw executed;
}

void exit(int status) {
    kernel->calls["exit"]++;
    kernel->process().end(status << 8);
    throw Exited{status};
}

pid_t getpid() {
    return kernel->current;
}

bool is_filtered() {
    return kernel->filtered;
}

int set_scheduling(int policy) {
    if (int fault = injected("set_scheduling"))
        return fault;
    kernel->process().scheduling = policy;
    return 0;
}

pid_t setsid() {
    if (int fault = injected("setsid"))
        return fault;
    return kernel->current;
}

pid_t wait(pid_t pid, int* status, int options) {
    if (int fault = injected("wait"))
        return fault;
    auto found = kernel->processes.find(pid);
    if (found == kernel->processes.end() || found->second->reaped)
        return -ECHILD;
    if (found->second->alive && (options & WNOHANG))
        return 0;
    wait_until(
        "wait", [&] { return !found->second->alive; }, -1);
    found->second->reaped = true;
    if (status != nullptr)
        *status = found->second->status;
    return pid;
}

namespace {

int deliver(pid_t pid, int number) {
    auto found = kernel->processes.find(pid);
    if (found == kernel->processes.end() || found->second->reaped)
        return -ESRCH;
    Process& process = *found->second;
    if (!process.alive)
        return 0; // a zombie takes it and nothing happens
    if (process.uid != kernel->uid)
        return -EPERM;
    process.signals.push_back(number);
    if (number == SIGKILL)
        process.end(SIGKILL);
    else if (process.on_signal)
        process.on_signal(process, number);
    else
        process.end(number);
    return 0;
}

} // namespace

int pidfd_open(pid_t pid) {
    if (int fault = injected("pidfd_open"))
        return fault;
    auto found = kernel->processes.find(pid);
    if (found == kernel->processes.end() || found->second->reaped)
        return -ESRCH;
    OpenFile open = make_open(Open::Type::Process, O_RDWR);
    open->pid = pid;
    return install(kernel->process(), open, true);
}

int pidfd_send_signal(int pidfd, int number) {
    if (int fault = injected("pidfd_send_signal"))
        return fault;
    OpenFile open = at(pidfd);
    return open == nullptr ? -EBADF : deliver(open->pid, number);
}

int kill(pid_t pid, int number) {
    if (int fault = injected("kill"))
        return fault;
    return pid <= 1 ? -EPERM : deliver(pid, number);
}

int sigaction(int number, const struct sigaction& action) {
    if (int fault = injected("sigaction"))
        return fault;
    if (number == SIGKILL || number == SIGSTOP)
        return -EINVAL;
    kernel->actions[number] = action;
    return 0;
}

int set_signal_mask(int how, SignalSet set) {
    if (int fault = injected("set_signal_mask"))
        return fault;
    SignalSet before = how == SIG_SETMASK ? 0 : kernel->blocked;
    kernel->blocked = how == SIG_UNBLOCK ? before & ~set : before | set;
    return 0;
}

int sigtimedwait(SignalSet set, const timespec& timeout) {
    if (int fault = injected("sigtimedwait"))
        return fault;
    int found = 0;
    auto is_pending = [&] {
        for (int number : kernel->pending_signals)
            if ((set & only(number)) != 0)
                found = number;
        return found != 0;
    };
    wait_until("sigtimedwait", is_pending, static_cast<int>(timeout.tv_sec * 1000 + timeout.tv_nsec / 1'000'000));
    kernel->pending_signals.erase(found);
    return found != 0 ? found : -EAGAIN;
}

int setitimer_real(int first_milliseconds, int every_milliseconds) {
    if (int fault = injected("setitimer"))
        return fault;
    kernel->alarm_at = first_milliseconds > 0 ? kernel->now + first_milliseconds : -1;
    kernel->alarm_every = every_milliseconds;
    return 0;
}

int getrlimit(int resource, rlimit& limit) {
    if (int fault = injected("getrlimit"))
        return fault;
    auto found = kernel->limits.find(resource);
    limit = found == kernel->limits.end() ? rlimit{RLIM_INFINITY, RLIM_INFINITY} : found->second;
    return 0;
}

int setrlimit(int resource, const rlimit& limit) {
    if (int fault = injected("setrlimit"))
        return fault;
    kernel->limits[resource] = limit;
    return 0;
}

// --- Clocks, names, identity ---

int64_t clock_milliseconds(clockid_t clock) {
    injected("clock");
    return clock == CLOCK_REALTIME ? kernel->now + 1'700'000'000'000 : kernel->now;
}

int nanosleep(int milliseconds) {
    if (int fault = injected("nanosleep"))
        return fault;
    kernel->slept += milliseconds;
    wait_until(
        "nanosleep", [] { return false; }, milliseconds);
    return 0;
}

int node_name(char* name, size_t size) {
    if (int fault = injected("node_name"))
        return fault;
    if (kernel->node.size() >= size)
        return -ENAMETOOLONG;
    memcpy(name, kernel->node.c_str(), kernel->node.size() + 1);
    return 0;
}

uid_t effective_uid() {
    return kernel->uid;
}
gid_t effective_gid() {
    return kernel->gid;
}
const char* executed_path() {
    return kernel->executed.c_str();
}

int random(void* bytes, size_t size) {
    if (int fault = injected("random"))
        return fault;
    for (size_t at = 0; at < size; at++)
        static_cast<unsigned char*>(bytes)[at] =
            static_cast<unsigned char>(kernel->chance = kernel->chance * 1103515245 + 12345);
    return static_cast<int>(size);
}

} // namespace rouse::sys
