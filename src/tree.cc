#include "tree.h"

#include "deadline.h"
#include "fd.h"
#include "lines.h"
#include "listener.h"
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr size_t most_sockets = 9;    // listening on one address: more would be a curiosity
constexpr size_t most_signalled = 64; // processes that are remembered to have had their TERM
constexpr int after_kill = 2000;      // milliseconds
constexpr int look_every = 10;        // milliseconds

bool is_ours(pid_t pid) {
    struct stat status;
    return sys::stat(AT_FDCWD, proc_path(pid, ""), status) == 0 && status.st_uid == sys::effective_uid();
}

class Entries {
public:
    [[gnu::noinline]] explicit Entries(const char* path)
        : folder_(sys::open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

    // The name of the next, valid until the one behind it is asked for; null at the end.
    const char* next() {
        if (at_ >= size_) {
            at_ = 0;
            size_ = sys::getdents(folder_.number(), entries_, sizeof entries_); // not open: -EBADF
            if (size_ <= 0)
                return nullptr;
        }
        auto* entry = reinterpret_cast<dirent*>(entries_ + at_);
        at_ += entry->d_reclen;
        return entry->d_name;
    }

    int folder() const { return folder_.number(); }

private:
    Fd folder_;
    ssize_t at_ = 0, size_ = 0;
    alignas(dirent) char entries_[2048];
};

// The next of /proc that may belong to a tree: not init, not ourselves. -1 at the end.
[[gnu::noinline]] pid_t next_process(Entries& processes) {
    uint64_t number = 0;
    while (const char* name = processes.next())
        if (parse_decimal(text_of(name), number) && number > 1 && number != static_cast<uint64_t>(sys::getpid()))
            return static_cast<pid_t>(number);
    return -1;
}

class Scan {
public:
    explicit Scan(const TreeMark& mark) : mark_(mark) {
        if (mark.socket != 0)
            sockets_[sockets_count_++] = mark.socket;
        if (mark.address == nullptr)
            return;
        const Address& address = *mark.address;
        if (address.is_unix())
            sockets_count_ += find_unix_listeners(address.text, sockets_ + sockets_count_, most_sockets - 1);
        else
            for (const sockaddr_storage* name : {&address.bytes, &address.other})
                if (TcpListener listener = find_tcp_listener(*name); listener.inode != 0)
                    sockets_[sockets_count_++] = listener.inode;
    }

    bool belongs(pid_t pid) const {
        // Root may look into everybody's processes: only ours are stopped.
        return is_ours(pid) && (holds(pid) || carries_mark(pid));
    }

private:
    bool holds(pid_t pid) const {
        Entries descriptors(proc_path(pid, "/fd"));
        while (const char* name = descriptors.next()) {
            struct stat status;
            if (sys::stat(descriptors.folder(), name, status) < 0)
                continue;
            if (status.st_dev == mark_.device && status.st_ino == mark_.inode)
                return true;
            for (size_t index = 0; S_ISSOCK(status.st_mode) && index < sockets_count_; ++index)
                if (status.st_ino == sockets_[index])
                    return true;
        }
        return false;
    }

    bool carries_mark(pid_t pid) const {
        LineReader environment(proc_path(pid, "/environ"), '\0');
        for (std::string_view entry; environment.next(entry);)
            if (begins_with(entry, "ROUSE_LAUNCH="sv) && entry.ends_with(mark_.launch))
                return true;
        return false;
    }

    const TreeMark& mark_;
    size_t sockets_count_ = 0;
    ino_t sockets_[most_sockets];
};

// By pidfd; on a kernel without them (before 5.3) by number, right after it was confirmed.
void send(const Fd& process, pid_t pid, int number) {
    if (process.is_open())
        sys::pidfd_send_signal(process.number(), number); // ESRCH: gone, which is what we want
    else if (process.number() == -ENOSYS || process.number() == -EPERM)
        sys::kill(pid, number);
}

} // namespace

void end_process(pid_t pid, uint64_t start) {
    Fd process(sys::pidfd_open(pid));
    if (pid > 1 && is_ours(pid) && start_time_of(pid) == start)
        send(process, pid, SIGKILL);
}

void add_launch_mark(dev_t device, ino_t inode, Text& out) {
    out.add('@').add_hex(device).add(':').add_hex(inode);
}

size_t find_tree(const TreeMark& mark, pid_t* pids, size_t capacity) {
    Scan scan(mark);
    Entries processes("/proc");
    size_t count = 0;
    for (pid_t pid; count < capacity && (pid = next_process(processes)) >= 0;)
        if (scan.belongs(pid))
            pids[count++] = pid;
    return count;
}

bool stop_tree(const TreeMark& mark, int stop_timeout) {
    static uint64_t signalled[most_signalled]; // start time and pid of each, in one number
    size_t count = 0;
    bool killing = false;
    for (Deadline deadline = Deadline::in(stop_timeout);;) {
        Scan scan(mark);
        bool found = false;
        Entries processes("/proc");
        for (pid_t pid; (pid = next_process(processes)) >= 0;) {
            if (!scan.belongs(pid))
                continue;
            found = true;
            uint64_t name = start_time_of(pid) << 22 | static_cast<uint64_t>(pid); // PID_MAX_LIMIT is 2^22
            bool had_it = false;
            for (size_t index = 0; index < count && !killing; ++index)
                had_it |= signalled[index] == name;
            if (had_it)
                continue;
            if (count < most_signalled)
                signalled[count++] = name;
            Fd process(sys::pidfd_open(pid));
            if (scan.belongs(pid)) // still, now that the pidfd holds it
                send(process, pid, killing ? SIGKILL : SIGTERM);
        }
        if (!found)
            return true;
        if (deadline.left() == 0) {
            if (killing)
                return false;
            killing = true;
            deadline = Deadline::in(after_kill);
        } else {
            sys::nanosleep(look_every);
        }
    }
}

} // namespace rouse
