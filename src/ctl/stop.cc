#include "ctl/commands.h"
#include "ctl/turn.h"
#include "io.h"
#include "locks.h"
#include "log.h"
#include "run_folder.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

namespace rouse {

namespace {

constexpr int after_stop = 2000; // milliseconds for alive.lock to become free once nobody holds it
constexpr int look_every = 2;    // milliseconds

Turn turn;

Held try_alive_lock(int folder) {
    Hold hold;
    try_lock(folder, alive_lock, hold);
    return hold.held;
}

bool alive_lock_becomes_free(int folder) {
    for (Deadline deadline = Deadline::in(after_stop);;) {
        if (try_alive_lock(folder) == Held::Yes)
            return true;
        if (deadline.left() == 0)
            return false;
        sys::nanosleep(look_every);
    }
}

} // namespace

// First the record, so that a stop that is cut off leaves nobody who starts the server; then the name, so that nobody
// reaches a server that is about to go; then the processes. Requests that come meanwhile wait for the lock, and read
// the record after us.
Exit stop(const Order& order) {
    const Settings& settings = order.site.settings;
    if (Exit exit = take_turn(order.site, turn, order.complaint); exit != Exit::Well)
        return exit;
    int folder = turn.folder.number();
    Ledger& ledger = turn.ledger;
    if (ledger.number != 0 && ledger.boot != turn.boot && try_alive_lock(folder) == Held::No) {
        say({EBUSY,
             "stop it from here\0A server of another machine or container holds alive.lock: stop it there, and give "
             "each a `run` of its own.",
             ""},
            settings.node_run.data(), order.complaint);
        return Exit::Not;
    }
    ledger.outcome = Ledger::Outcome::Stopped;
    ledger.changed = boot_now();
    ledger.failures = ledger.killed = ledger.early = 0;
    if (ledger.number == 0) // a record without a launch is none
        ledger.number = 1;
    stamp_ledger(ledger, settings, turn.boot);
    if (int result = write_ledger(folder, ledger); result < 0) {
        say({-result, "write the ledger in\0Nothing was stopped without it: the next request would start it again.",
             ""},
            settings.node_run.data(), order.complaint);
        return Exit::Not;
    }
    Error in_the_way;
    if (settings.socket.family == Address::Family::Path &&
        nothing_in_the_way(settings.socket, order.site.rule.own, in_the_way))
        sys::unlink(AT_FDCWD, settings.socket.path());

    static char mark_bytes[64];
    Text mark(mark_bytes);
    TreeMark tree;
    struct stat status;
    tree.launch = "@"; // no process carries it
    tree.address = &settings.socket;
    tree.socket = turn.listening.inode;
    if (sys::stat(folder, alive_lock, status, AT_SYMLINK_NOFOLLOW) == 0) {
        add_launch_mark(status.st_dev, status.st_ino, mark);
        tree.device = status.st_dev;
        tree.inode = status.st_ino;
        tree.launch = mark.view();
    }
    pid_t any;
    bool was_alive = find_tree(tree, &any, 1) > 0;
    if (!stop_tree(tree, settings.stop_timeout) || !alive_lock_becomes_free(folder)) {
        order.complaint.add("something that was started cannot be stopped: see rousectl status. It will not be "
                            "started again until rousectl start.");
        return Exit::Not;
    }
    LogLine(Event::Stopped).add("launch", static_cast<uint64_t>(ledger.number)).write_to(settings.log);
    order.out.add(was_alive ? "stopped\n" : "stopped; it was not running\n");
    return Exit::Well;
}

} // namespace rouse
