#include "tree.h"

#include "deadline.h"
#include "fd.h"
#include "io.h"
#include "listener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr size_t most_sockets = 8;   // listening on one address: more would be a curiosity
constexpr size_t most_signalled = 64; // processes that are remembered to have had their TERM
constexpr int after_kill = 2000;     // milliseconds
constexpr int look_every = 10;       // milliseconds

// Calls `use(name)` for each entry of a folder until it answers true; whether it did.
template <class Use> bool any_entry(int parent, const char* path, Use use) {
    Fd folder(sys::open(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.is_open())
        return false;
    alignas(dirent) char entries[4096];
    for (;;) {
        ssize_t size = sys::getdents(folder.number(), entries, sizeof entries);
        if (size <= 0)
            return false;
        for (ssize_t at = 0; at < size;) {
            auto* entry = reinterpret_cast<dirent*>(entries + at);
            at += entry->d_reclen;
            if (use(folder.number(), entry->d_name))
                return true;
        }
    }
}

class Scan {
public:
    explicit Scan(const TreeMark& mark) : mark_(mark) {
        auto remember = [&](uint64_t inode) {
            if (sockets_count_ < most_sockets)
                sockets_[sockets_count_++] = static_cast<ino_t>(inode);
        };
        const Address& address = *mark.address;
        if (address.is_unix()) {
            each_unix_listener(address.text, remember);
            return;
        }
        for (const sockaddr_storage* name : {&address.bytes, &address.other})
            if (name->ss_family != 0) {
                TcpListener listener = find_tcp_listener(*name);
                if (listener.known == TcpListener::Known::Somebody)
                    remember(listener.inode);
            }
    }

    bool belongs(const char* pid) const {
        static char path_bytes[64];
        Text path(path_bytes);
        path.add("/proc/").add(pid);
        struct stat status;
        // Root may look into everybody's processes: only ours are stopped.
        if (sys::stat(AT_FDCWD, path.c_str(), status) < 0 || status.st_uid != sys::effective_uid())
            return false;
        path.add("/fd");
        if (any_entry(AT_FDCWD, path.c_str(), [&](int folder, const char* name) { return holds(folder, name); }))
            return true;
        path.clear();
        path.add("/proc/").add(pid).add("/environ");
        return carries_mark(path.c_str());
    }

private:
    bool holds(int folder, const char* name) const {
        struct stat status;
        if (*name == '.' || sys::stat(folder, name, status) < 0)
            return false;
        if (S_ISREG(status.st_mode))
            return status.st_dev == mark_.device && status.st_ino == mark_.inode;
        if (S_ISSOCK(status.st_mode))
            for (size_t index = 0; index < sockets_count_; ++index)
                if (status.st_ino == sockets_[index])
                    return true;
        return false;
    }

    bool carries_mark(const char* path) const {
        Fd file(sys::open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
        if (!file.is_open())
            return false;
        constexpr std::string_view name = "ROUSE_LAUNCH=";
        char bytes[4096];
        size_t kept = 0; // an entry may lie across two pieces
        for (;;) {
            ssize_t size =
                uninterrupted([&] { return sys::read(file.number(), bytes + kept, sizeof bytes - kept); });
            if (size <= 0)
                return false;
            std::string_view text(bytes, kept + static_cast<size_t>(size));
            for (size_t end; (end = text.find('\0')) != std::string_view::npos; text.remove_prefix(end + 1)) {
                std::string_view entry = part(text, 0, end);
                if (part(entry, 0, name.size()) == name && entry.size() > mark_.launch.size() &&
                    part(entry, entry.size() - mark_.launch.size()) == mark_.launch)
                    return true;
            }
            kept = text.size() < sizeof bytes ? text.size() : 0; // an entry that fills the array is not ours
            memmove(bytes, text.data(), kept);
        }
    }

    const TreeMark& mark_;
    size_t sockets_count_ = 0;
    ino_t sockets_[most_sockets] = {};
};

struct Signalled {
    uint64_t pid;
    uint64_t start;
};

// Sends `number` to the process if it still belongs to the tree once it is held by a pidfd, or, on a kernel without
// them (before 5.3), if it is still the one that started then.
void signal_if_ours(const Scan& scan, const char* name, pid_t pid, uint64_t start, int number) {
    Fd process(sys::pidfd_open(pid));
    if (!scan.belongs(name) || start_time_of(pid) != start)
        return;
    if (process.is_open())
        sys::pidfd_send_signal(process.number(), number); // ESRCH: gone, which is what we want
    else if (process.number() == -ENOSYS || process.number() == -EPERM)
        sys::kill(pid, number);
}

} // namespace

uint64_t start_time_of(pid_t pid) {
    static char path_bytes[64];
    Text path(path_bytes);
    path.add("/proc/").add_number(static_cast<uint64_t>(pid)).add("/stat");
    char storage[1024];
    std::string_view text;
    if (!read_small_file(AT_FDCWD, path.c_str(), storage, sizeof storage, text))
        return 0;
    text = part(text, text.rfind(')') + 1); // the name in parentheses may hold anything
    uint64_t ticks = 0;
    parse_decimal(word_of(text, 19), ticks); // field 22: the first behind the name is 3
    return ticks;
}

void add_launch_mark(dev_t device, ino_t inode, Text& out) {
    out.add('@').add_hex(device).add(':').add_hex(inode);
}

bool stop_tree(const TreeMark& mark, int stop_timeout) {
    Signalled signalled[most_signalled];
    size_t count = 0;
    bool killing = stop_timeout == 0;
    Deadline deadline = Deadline::in(killing ? after_kill : stop_timeout);
    for (;;) {
        Scan scan(mark);
        bool found = false;
        any_entry(AT_FDCWD, "/proc", [&](int, const char* name) {
            uint64_t pid = 0;
            if (!parse_decimal(name, pid) || pid <= 1 || pid == static_cast<uint64_t>(sys::getpid()) ||
                !scan.belongs(name))
                return false;
            found = true;
            uint64_t start = start_time_of(static_cast<pid_t>(pid));
            bool had_it = false;
            for (size_t index = 0; index < count && !killing; ++index)
                had_it = had_it || (signalled[index].pid == pid && signalled[index].start == start);
            if (had_it)
                return false;
            if (count < most_signalled)
                signalled[count++] = {pid, start};
            signal_if_ours(scan, name, static_cast<pid_t>(pid), start, killing ? SIGKILL : SIGTERM);
            return false;
        });
        if (!found)
            return true;
        if (deadline.left() == 0) {
            if (killing)
                return false;
            killing = true;
            deadline = Deadline::in(after_kill);
            continue;
        }
        sys::nanosleep(look_every);
    }
}

} // namespace rouse
