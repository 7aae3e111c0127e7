#include "ctl/turn.h"

#include "fingerprint.h"
#include "guardian.h"
#include "io.h"
#include "locks.h"
#include "run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

namespace rouse {

namespace {

constexpr int spare = 20'000; // milliseconds beyond the time-outs of a launch, as for a guardian that is stuck
constexpr int most_tries = 3; // of a launch that somebody kills

// All the time that a launch may rightly take: what runs is stopped, the script started, what failed stopped again.
int whole_launch(const Settings& settings) {
    int64_t sum = int64_t{settings.start_timeout} + 2 * int64_t{settings.stop_timeout} + spare;
    return sum > INT32_MAX ? INT32_MAX : static_cast<int>(sum);
}

Exit refuse(const Error& error, Text& complaint) {
    say(error, error.subject, complaint);
    return Exit::Not;
}

void add_failed(const Site& site, Text& complaint) {
    static Condition condition;
    condition = {};
    look_at(site, condition);
    complaint.add("the launch failed: ");
    add_in_words(condition.why(), complaint);
    // A reason with a cure is a sentence already.
    complaint.add(complaint.view().ends_with('.') ? "" : ".").add(" See the log: rousectl log ").add(site.app.path);
}

// One launch: the guardian gets the lock, and says one word at the end.
Exit launch_once(const Site& site, Turn& turn, bool replaces, GuardianWord& word, bool& heard, Text& complaint) {
    int ends[2];
    int result = sys::socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC, ends);
    if (result < 0)
        return refuse({-result, "start a process for\0", "the launch"}, complaint);
    Fd ours(ends[0]), theirs(ends[1]);
    struct sigaction action = {};
    action.sa_handler = SIG_IGN; // nobody waits for the guardian
    sys::sigaction(SIGCHLD, action);
    // Of this shell's variables the script gets none: it is to find what it finds when a request starts it.
    static CgiRequest request;
    GuardianOrder order = {&site.settings,
                           &request,
                           site.rule,
                           Moment{turn.boot, boot_now(), fingerprint_of(site.settings)},
                           "owner",
                           replaces,
                           turn.folder.number(),
                           turn.lock.number(),
                           theirs.number()};
    result = sys::fork();
    if (result == 0)
        guard_launch(order);
    turn.lock.reset(); // the guardian's alone
    theirs.reset();
    if (result < 0)
        return refuse({-result, "start a process for\0", "the launch"}, complaint);
    int events = wait_for(ours.number(), POLLIN, Deadline::in(whole_launch(site.settings)));
    if (events <= 0) {
        complaint.add("the server is still starting: see rousectl status.");
        return Exit::Pending;
    }
    // A connection that may come with it is closed by the kernel, since there is no room for it.
    heard = uninterrupted([&] { return sys::recv(ours.number(), &word, sizeof word, 0); }) == sizeof word;
    return Exit::Well;
}

} // namespace

Exit take_turn(const Site& site, Turn& turn, Text& complaint) {
    const Settings& settings = site.settings;
    if (settings.start_count == 0) {
        complaint.add("there is no `start` in ").add(site.app.name());
        complaint.add(": rouse only forwards, and whoever starts the server must stop it.");
        return Exit::Not;
    }
    if (is_of_another_user(site, complaint))
        return Exit::Unknown;
    Error refusal_of_folder;
    if (!open_node_folder(settings, turn.folder, refusal_of_folder))
        return refuse(refusal_of_folder, complaint);
    Hold hold;
    try_lock(turn.folder.number(), start_lock, hold);
    if (hold.held == Held::No) {
        constexpr std::string_view words = "waiting for the launch that is under way\n";
        write_all(2, words); // not heard: it changes nothing
        wait_for_lock(turn.folder.number(), start_lock, Deadline::in(whole_launch(settings)), hold);
    }
    if (hold.held == Held::Error)
        return refuse(hold.error, complaint);
    if (hold.held == Held::No) {
        complaint.add("another launch, or another rousectl, is still under way: see rousectl status.");
        return Exit::Pending;
    }
    turn.lock = std::move(hold.lock);
    turn.boot = this_boot();
    read_ledger(turn.folder.number(), turn.ledger);
    if (Error refusal = judge_owner(turn.ledger, settings))
        return refuse(refusal, complaint);
    turn.listening = who_listens(settings.socket);
    if (turn.listening.uid_is_known && turn.listening.uid != site.rule.own) {
        complaint.add("the server at ").add(settings.socket.text).add(" is of ");
        add_user(turn.listening.uid, complaint);
        complaint.add(": only that user can stop it. Choose another `socket` to run one beside it.");
        return Exit::Not;
    }
    return Exit::Well;
}

Exit launch(const Site& site, Turn& turn, bool replaces, Text& out, Text& complaint) {
    Error refusal;
    if (!start_script_is_trusted(site.settings, site.app.owner, refusal) ||
        !nothing_in_the_way(site.settings.socket, site.rule.own, refusal))
        return refuse(refusal, complaint);
    if (replaces && turn.listening.somebody) {
        const char* script = site.settings.start[0];
        struct stat status;
        int result = sys::stat(AT_FDCWD, script, status);
        if (result == 0 && (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
            result = -EACCES;
        if (result < 0)
            return refuse({-result,
                           "run the start script\0The server that runs was left alone: mend the script (chmod 755), or "
                           "`start`, first.",
                           script},
                          complaint);
    }
    for (int tries = 1;; ++tries) {
        GuardianWord word;
        bool heard = false;
        if (Exit exit = launch_once(site, turn, replaces, word, heard, complaint); exit != Exit::Well)
            return exit;
        if (heard && word.kind == GuardianWord::Kind::Ready) {
            out.add("up: launch ").add_number(static_cast<uint64_t>(word.number)).add('\n');
            return Exit::Well;
        }
        if (heard && word.kind == GuardianWord::Kind::Wrong) {
            complaint.add(word.sentence);
            return Exit::Not;
        }
        if (heard || tries == most_tries) {
            add_failed(site, complaint);
            return Exit::Not;
        }
        // It ended without a word: somebody killed it, or the script (P5). Another may be quicker than we.
        if (Exit exit = take_turn(site, turn, complaint); exit != Exit::Well)
            return exit;
        replaces = false;
    }
}

} // namespace rouse
