#include "ctl/condition.h"

#include "deadline.h"
#include "fingerprint.h"
#include "health.h"
#include "io.h"
#include "locks.h"
#include "log.h"
#include "proc.h"
#include "start.h"
#include "tree.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

namespace rouse {

namespace {

// What a launch of this run directory started, and whoever listens at the address.
void find_processes(int folder, const Settings& settings, Condition& condition) {
    static char mark_bytes[64];
    Text mark(mark_bytes);
    TreeMark tree;
    struct stat status;
    tree.launch = "@"; // no process carries it
    if (sys::stat(folder, alive_lock, status, AT_SYMLINK_NOFOLLOW) == 0) {
        add_launch_mark(status.st_dev, status.st_ino, mark);
        tree.device = status.st_dev;
        tree.inode = status.st_ino;
        tree.launch = mark.view();
        condition.is_ours = find_tree(tree, condition.processes, 1) > 0;
    }
    tree.address = &settings.socket;
    tree.socket = condition.listening.inode;
    condition.process_count = find_tree(tree, condition.processes, Condition::most_processes);
    uint64_t ticks = auxiliary_value(AT_CLKTCK);
    for (size_t index = 0; index < condition.process_count && ticks > 0; ++index) {
        uint64_t began = start_time_of(condition.processes[index]);
        int64_t age = boot_now() / 1000 - static_cast<int64_t>(began / ticks);
        if (began > 0 && age > condition.uptime)
            condition.uptime = age;
    }
}

// Whether somebody carries out a launch, or waits for one: they have start.lock open. Before the new launch has a record
// of its own, what ran is stopped, which may take its time.
bool somebody_launches(int folder) {
    TreeMark mark;
    struct stat status;
    pid_t any;
    mark.launch = "@"; // no process carries it
    if (sys::stat(folder, start_lock, status, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    mark.device = status.st_dev;
    mark.inode = status.st_ino;
    return find_tree(mark, &any, 1) > 0;
}

bool guardian_lives(const Ledger& ledger) {
    uint64_t start = start_time_of(static_cast<pid_t>(ledger.guardian));
    return ledger.guardian > 1 && start != 0 && start == static_cast<uint64_t>(ledger.guardian_start);
}

Condition::State state_of(const Site& site, int folder, Condition& condition) {
    using State = Condition::State;
    const Ledger& ledger = condition.ledger;
    if (condition.listening.somebody)
        return condition.listening.uid_is_known && !site.rule.allows(condition.listening.uid) ? State::Foreign
                                                                                              : State::Up;
    switch (ledger.outcome) {
    case Ledger::Outcome::Stopped:
        return State::Stopped;
    case Ledger::Outcome::Starting:
        // Somebody may have killed the guardian; the next request watches what it left.
        if (condition.is_of_this_boot && (guardian_lives(ledger) || condition.process_count > 0))
            return State::Starting;
        break;
    case Ledger::Outcome::Failed:
        condition.retry_after = back_off_left(ledger, {condition.boot, boot_now(), fingerprint_of(site.settings)});
        if (condition.retry_after > 0)
            return State::BackingOff;
        break;
    case Ledger::Outcome::None:
    case Ledger::Outcome::Ready:
    case Ledger::Outcome::Killed:
        break;
    }
    return somebody_launches(folder) ? State::Starting : State::Down;
}

} // namespace

void look_at(const Site& site, Condition& condition) {
    const Settings& settings = site.settings;
    condition.boot = this_boot();
    condition.listening = who_listens(settings.socket);
    Fd folder;
    if (!settings.run.empty()) {
        Result<Fd> opened = open_existing_folder(settings);
        if (!opened.ok() && opened.error().code != ENOENT) {
            condition.error = opened.error();
            return;
        }
        folder = std::move(opened.value());
    }
    if (folder.is_open()) {
        read_ledger(folder.number(), condition.ledger);
        condition.hangs = is_hung(folder.number());
        condition.failure = last_failure(last_log_lines(settings.log, condition.log, sizeof condition.log));
    }
    condition.is_of_this_boot = condition.ledger.number != 0 && condition.ledger.boot == condition.boot;
    find_processes(folder.number(), settings, condition);
    if (!condition.listening.somebody && settings.start_count > 0)
        condition.error = judge_owner(condition.ledger, settings);
    if (!condition.error)
        condition.state = state_of(site, folder.number(), condition);
}

std::string_view Condition::why() const {
    uint64_t launch = 0;
    bool is_newest = parse_decimal(failure.launch, launch) && launch == static_cast<uint64_t>(ledger.number);
    return is_newest && !failure.sentence.empty() ? failure.sentence : std::string_view(ledger.reason);
}

Exit Condition::exit() const {
    switch (state) {
    case State::Up:
        return hangs ? Exit::Not : Exit::Well;
    case State::Foreign:
    case State::Stopped:
    case State::Down:
        return Exit::Not;
    case State::Starting:
    case State::BackingOff:
        return Exit::Pending;
    case State::Unknown:
        break;
    }
    return Exit::Unknown;
}

const char* Condition::name() const {
    switch (state) {
    case State::Up:
        return "up";
    case State::Foreign:
        return "foreign";
    case State::Starting:
        return "starting";
    case State::BackingOff:
        return "backing off";
    case State::Stopped:
        return "stopped";
    case State::Down:
        return "down";
    case State::Unknown:
        break;
    }
    return "unknown";
}

} // namespace rouse
