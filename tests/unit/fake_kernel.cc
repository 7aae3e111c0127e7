// This file knows the kernel in memory as a whole: the world that a test begins with, its faults and its time.
#include "fake_kernel.h"

#include <algorithm>
#include <errno.h>

namespace fake {

Kernel* kernel = nullptr;

namespace {

struct Fault {
    std::string call;
    int error;
    When when;
    size_t seen = 0;
    bool done = false;
};

std::vector<Fault> faults;
std::set<std::string> interrupted_next; // calls that moved half before EINTR

} // namespace

void reset() {
    static std::unique_ptr<Kernel> present;
    faults.clear();
    interrupted_next.clear();
    kernel = nullptr; // what is freed now closes nothing
    present = std::make_unique<Kernel>();
    kernel = present.get();
    kernel->blocked = 0;
    kernel->root = make_node(Node::Kind::Folder, 0755);
    kernel->root->uid = 0;
    kernel->working_folder = kernel->root;
    kernel->processes[1] = std::make_shared<Process>();
    kernel->processes[1]->pid = 1;
    kernel->processes[100] = std::make_shared<Process>();
    kernel->process().pid = 100;
    kernel->process().uid = kernel->uid;
    kernel->process().start = 5000;
    put_folder("/tmp", 01777);
    put_folder("/dev");
    kernel->root->entries["dev"]->entries["null"] = make_node(Node::Kind::Null, 0666);
    put_folder("/home");
    put_folder("/home/me");
    as_mod_cgi().end();
}

// --- Faults ---

int injected(const char* call, std::string_view path) {
    kernel->calls[call]++;
    std::string_view name = call;
    if (++kernel->all_calls > kernel->most_calls && name != "close") // which destructors call
        throw Spinning{call};
    if (!interrupted_next.empty() && interrupted_next.erase(call) > 0)
        return -EINTR;
    for (Fault& fault : faults) {
        if (fault.call != call || (fault.done && !fault.when.for_ever) ||
            (!fault.when.path.empty() && path.find(fault.when.path) == path.npos))
            continue;
        if (++fault.seen < fault.when.nth)
            continue;
        fault.done = true;
        kernel->last_fault = fault.error;
        return -fault.error;
    }
    return 0;
}

int injected(const char* call, size_t& size) {
    if (auto limit = kernel->short_counts.find(call); limit != kernel->short_counts.end())
        size = std::min(size, limit->second);
    bool is_second_half = interrupted_next.count(call) > 0;
    int fault = injected(call);
    if (fault == -EINTR && size > 1 && !is_second_half) {
        size /= 2;
        interrupted_next.insert(call);
        return 0;
    }
    return fault;
}

void fail(const std::string& call, int error, When when) {
    faults.push_back({call, error, when});
}

bool any_fault_left() {
    return std::any_of(faults.begin(), faults.end(), [](const Fault& fault) { return !fault.done; });
}

size_t count(const std::string& call) {
    return kernel->calls[call];
}

// --- Time ---

Waited wait_until(const char* call, const std::function<bool()>& holds, int milliseconds, bool by_alarm) {
    int64_t deadline = milliseconds < 0 ? INT64_MAX : kernel->now + milliseconds;
    for (;;) {
        if (holds())
            return Waited::Holds;
        if (++kernel->all_calls > kernel->most_calls)
            throw Spinning{call};
        bool moved = false;
        if (milliseconds != 0)
            for (auto& one : kernel->idle)
                moved = one() || moved;
        if (moved)
            continue;
        bool alarm_is_let_through = by_alarm && kernel->alarm_at >= 0 &&
                                    (kernel->blocked & rouse::sys::only(SIGALRM)) == 0 &&
                                    kernel->actions.count(SIGALRM) > 0;
        int64_t alarm = alarm_is_let_through ? std::max(kernel->alarm_at, kernel->now) : INT64_MAX;
        int64_t event = kernel->events.empty() ? INT64_MAX : std::max(kernel->events.begin()->first, kernel->now);
        if (event == INT64_MAX && alarm == INT64_MAX && deadline == INT64_MAX)
            throw Stuck{call};
        if (event <= deadline && event <= alarm) {
            auto what = std::move(kernel->events.begin()->second);
            kernel->events.erase(kernel->events.begin());
            kernel->now = event;
            what();
        } else if (alarm <= deadline) {
            kernel->now = alarm;
            kernel->alarm_at = kernel->alarm_every > 0 ? alarm + kernel->alarm_every : -1;
            if (kernel->lost_alarms == 0)
                return Waited::Interrupted;
            kernel->lost_alarms--;
        } else {
            kernel->now = deadline;
            return holds() ? Waited::Holds : Waited::Over;
        }
    }
}

void in(int64_t milliseconds, std::function<void()> what) {
    kernel->events.emplace(kernel->now + milliseconds, std::move(what));
}

} // namespace fake
