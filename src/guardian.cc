#include "guardian.h"

#include "deadline.h"
#include "io.h"
#include "listener.h"
#include "locks.h"
#include "log.h"
#include "process.h"
#include "run_folder.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/wait.h>

namespace rouse {

namespace {

constexpr int alive_patience = 100;  // milliseconds: a killed process gives up its socket before its locks
constexpr int look_fast = 2;         // milliseconds between two looks ...
constexpr int fast_for = 2000;       // ... in the first two seconds
constexpr int look_slow = 15;        // milliseconds, later
constexpr int after_stop = 2000;     // milliseconds for alive.lock to become free once nobody holds it

class Guardian {
public:
    explicit Guardian(const GuardianOrder& order) : order_(order), settings_(order.settings) {}
    [[noreturn]] void run();

private:
    [[noreturn]] void launch();
    [[noreturn]] void watch();
    [[noreturn]] void ready(Fd connection);
    [[noreturn]] void failed(std::string_view sentence);
    [[noreturn]] void killed(std::string_view sentence);
    [[noreturn]] void wrong(const Error& error);
    [[noreturn]] void end(const GuardianWord& word, const Fd& connection);
    [[noreturn]] void give_up(std::string_view sentence, bool by_somebody_else);

    bool take_alive_lock(int patience);
    void stop_holders();
    void look();
    void look_at_child();
    bool clear_the_way();
    void start_script(const char* why);
    void stamp();
    void sleep(int milliseconds);
    void write();

    const GuardianOrder& order_;
    const Settings& settings_;
    Ledger ledger_;
    Fd alive_;
    TextBuffer<64> mark_; // how ROUSE_LAUNCH ends: see add_launch_mark
    Started script_;
    bool adopted_ = false; // the launch was begun by a guardian that is gone: try alive.lock at each look
};

void fill(GuardianWord& word, std::string_view sentence) {
    sentence = part(sentence, 0, sizeof word.sentence - 1);
    memcpy(word.sentence, sentence.data(), sentence.size());
}

void Guardian::end(const GuardianWord& word, const Fd& connection) {
    iovec part_of_message = {const_cast<GuardianWord*>(&word), sizeof word};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part_of_message;
    message.msg_iovlen = 1;
    if (connection.is_open()) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        int number = connection.number();
        memcpy(CMSG_DATA(header), &number, sizeof number);
    }
    // EPIPE: the bridge is gone, which changes nothing. A full buffer cannot be: it is the only message.
    sys::sendmsg(order_.channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    sys::exit(0);
}

void Guardian::ready(Fd connection) {
    ledger_.outcome = Ledger::Outcome::Ready;
    ledger_.changed = boot_now();
    if (ledger_.number == 0) // found up, and the ledger was unreadable
        ledger_.number = 1;
    int64_t took = ledger_.changed - ledger_.started;
    // The counts stay until the server has shown that it works: see judged().
    write(); // before the handover: whoever is served may already need to know
    LogLine(Event::Ready).add("launch", ledger_.number).add("ms", static_cast<uint64_t>(took)).write_to(settings_.log);
    GuardianWord word;
    word.kind = GuardianWord::Kind::Ready;
    word.number = ledger_.number;
    end(word, connection);
}

// Nothing of the launch may be alive when the ledger says that it is over.
void Guardian::give_up(std::string_view sentence, bool by_somebody_else) {
    stop_holders();
    ledger_.changed = boot_now();
    set_reason(ledger_, sentence);
    bool counts_as_killed = by_somebody_else && ++ledger_.killed <= killed_tolerated;
    ledger_.outcome = counts_as_killed ? Ledger::Outcome::Killed : Ledger::Outcome::Failed;
    if (!counts_as_killed)
        ++ledger_.failures;
    write();
    LogLine(counts_as_killed ? Event::Killed : Event::Failed)
        .add("launch", ledger_.number)
        .add("failures", ledger_.failures)
        .quote("error", sentence)
        .write_to(settings_.log);
    if (counts_as_killed)
        sys::exit(0); // without a word: whoever waits launches again at once
    end({}, Fd());
}

void Guardian::failed(std::string_view sentence) {
    give_up(sentence, false);
}

void Guardian::killed(std::string_view sentence) {
    give_up(sentence, true);
}

void Guardian::wrong(const Error& error) {
    static char sentence_bytes[512];
    Text sentence(sentence_bytes);
    say(error, error.subject, sentence);
    LogLine(Event::Failed).quote("error", sentence.view()).write_to(settings_.log);
    GuardianWord word;
    word.kind = GuardianWord::Kind::Wrong;
    sentence.clear(); // no path for the visitor
    say(error, "what the app file names", sentence);
    fill(word, sentence.view());
    end(word, Fd());
}

void Guardian::write() {
    int result = write_ledger(order_.folder, ledger_);
    bool disk_is_full = result == -ENOSPC || result == -EDQUOT;
    if (result < 0 && !disk_is_full && ledger_.outcome == Ledger::Outcome::Starting)
        wrong({-result, "write the ledger in\0" "Nothing was started without it.", settings_.node_run.data()});
}

bool Guardian::take_alive_lock(int patience) {
    Deadline deadline = Deadline::in(patience);
    for (;;) {
        Hold hold = try_lock(order_.folder, alive_lock);
        if (hold.held == Held::Error)
            wrong(hold.error);
        struct stat status;
        mark_.clear();
        if (sys::fstat(hold.lock.number(), status) == 0)
            add_launch_mark(status.st_dev, status.st_ino, mark_);
        if (hold.held == Held::Yes) {
            alive_ = std::move(hold.lock);
            return true;
        }
        if (deadline.left() == 0)
            return false;
        sleep(look_fast);
    }
}

// Stops whatever of any launch of this run directory is alive. Our own copy of alive.lock goes first: it would
// be found, and it keeps nothing out that start.lock does not keep out.
void Guardian::stop_holders() {
    alive_.reset();
    struct stat status;
    if (sys::stat(order_.folder, alive_lock, status, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    TreeMark mark;
    mark.device = status.st_dev;
    mark.inode = status.st_ino;
    mark_.clear();
    add_launch_mark(status.st_dev, status.st_ino, mark_);
    mark.launch = mark_.view();
    mark.address = &settings_.socket;
    stop_tree(mark, settings_.stop_timeout);
}

// Sleeps, or until a child changes its state. SIGCHLD is blocked, so that it cannot be missed in between.
void Guardian::sleep(int milliseconds) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sys::sigtimedwait(child, {milliseconds / 1000, milliseconds % 1000 * 1'000'000L});
}

// Whether the server listens; then it does not return. Up and busy are both ready (C1).
void Guardian::look() {
    const Address& address = settings_.socket;
    if (address.family == Address::Family::Path) { // cheaper than a socket; the connection stays the proof
        struct stat status;
        if (sys::stat(AT_FDCWD, address.path(), status) < 0)
            return;
    } else if (!address.is_unix()) {
        // A look at a dead port may connect to itself, and then the server could not bind it (C2).
        bool nobody = find_tcp_listener(address.bytes).known == TcpListener::Known::Nobody;
        if (nobody && address.family == Address::Family::Localhost)
            nobody = find_tcp_listener(address.other).known == TcpListener::Known::Nobody;
        if (nobody)
            return;
    }
    Connection connection = connect_now(address, order_.rule);
    switch (connection.reach) {
    case Reach::Connected:
        ready(std::move(connection.socket));
    case Reach::Busy:
    case Reach::Foreign: // it listens; the bridge refuses it in words
        ready(Fd());
    case Reach::Down:
    case Reach::Shortage:
    case Reach::Wrong: // its mode may not be set yet
        return;
    }
}

void Guardian::look_at_child() {
    int status = 0;
    if (script_.pid <= 0 || sys::wait(script_.pid, &status, WNOHANG) <= 0)
        return;
    script_.pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return; // it may have daemonised
    static char sentence_bytes[512];
    Text sentence(sentence_bytes);
    ExecTrouble trouble;
    if (WIFEXITED(status) && sys::read(script_.trouble.number(), &trouble, sizeof trouble) == sizeof trouble) {
        explain(trouble, settings_, sentence);
        failed(sentence.view());
    }
    look(); // one last time: what it left behind may serve all the same
    if (WIFEXITED(status)) {
        sentence.add("the start script ended with exit status ");
        sentence.add_number(static_cast<unsigned>(WEXITSTATUS(status)));
        failed(sentence.view());
    }
    int number = WTERMSIG(status);
    sentence.add("the start script was ended by signal ").add_number(static_cast<unsigned>(number));
    if (number == SIGKILL || number == SIGTERM || number == SIGINT || number == SIGHUP)
        killed(sentence.view());
    if (number == SIGXCPU)
        sentence.add(" (its limit of CPU time)");
    failed(sentence.view());
}

void Guardian::watch() {
    int64_t begun = boot_now();
    Deadline deadline = Deadline::at(ledger_.started + settings_.start_timeout);
    for (;;) {
        look();
        look_at_child();
        if (adopted_ && take_alive_lock(0))
            launch(); // what was adopted is gone
        if (deadline.left() == 0) {
            look();
            static char sentence_bytes[128];
            Text sentence(sentence_bytes);
            sentence.add("it did not listen within ").add_number(static_cast<uint64_t>(settings_.start_timeout));
            sentence.add(" ms");
            failed(sentence.view());
        }
        int nap = boot_now() - begun < fast_for ? look_fast : look_slow;
        sleep(nap < deadline.left() ? nap : deadline.left());
    }
}

// Removes a dead socket of ours from the path. False: somebody has bound one there and does not listen yet; a
// server that was started by hand, say. Then nothing is removed and nothing is run (L8).
bool Guardian::clear_the_way() {
    const Address& address = settings_.socket;
    if (address.family != Address::Family::Path)
        return true;
    bool bound = false;
    each_unix_listener(address.text, [&](uint64_t) { bound = true; });
    if (bound)
        return false;
    Error error;
    if (!nothing_in_the_way(address, order_.rule.own, error))
        wrong(error);
    look(); // refused a moment ago, and still
    sys::unlink(AT_FDCWD, address.path());
    return true;
}

void Guardian::start_script(const char* why) {
    static char name_bytes[160];
    Text name(name_bytes);
    name.add_number(ledger_.number).add(mark_.view());
    const int close_first[] = {order_.start_lock, order_.channel, order_.folder};
    LaunchEnvironment environment(settings_, order_.request, why, name.view());
    script_ = start_program(settings_, environment.entries(), alive_.number(), close_first, 3);
    if (script_.pid < 0) {
        static char sentence_bytes[128];
        Text sentence(sentence_bytes);
        sentence.add("cannot start a process: ").add(reason(-script_.pid));
        failed(sentence.view());
    }
    alive_.reset(); // from here on it is held as long as the tree lives, and not longer
}

// Whose record it is, and of when.
void Guardian::stamp() {
    static char socket_bytes[sizeof ledger_.socket];
    Text socket(socket_bytes);
    name_of_socket(settings_, socket);
    memcpy(ledger_.socket, socket.c_str(), socket.size() + 1);
    memcpy(ledger_.boot, order_.moment.boot.data(), order_.moment.boot.size());
    ledger_.boot[order_.moment.boot.size()] = '\0';
    ledger_.fingerprint = order_.moment.fingerprint;
}

// alive.lock is ours: nothing that an earlier launch started lives, as far as anybody can know.
void Guardian::launch() {
    adopted_ = false;
    Moment moment = order_.moment;
    moment.now = boot_now();
    ledger_ = judged(read_ledger(order_.folder), moment);
    Ledger::Outcome last = ledger_.outcome;
    stamp();
    // A launch that is still starting ended without a word: its guardian and its tree were killed (P5).
    if (last == Ledger::Outcome::Starting && ++ledger_.killed > killed_tolerated)
        failed("the launch was ended by somebody else, again and again");
    ++ledger_.number;
    ledger_.outcome = Ledger::Outcome::Starting;
    ledger_.started = ledger_.changed = boot_now();
    ledger_.guardian = sys::getpid();
    ledger_.guardian_start = start_time_of(ledger_.guardian);
    set_reason(ledger_, "");
    write();
    if (!is_current(order_.folder, start_lock, order_.start_lock))
        sys::exit(0); // replaced: what we hold is nobody's lock any more
    bool died = last == Ledger::Outcome::Ready || last == Ledger::Outcome::Killed || last == Ledger::Outcome::Starting;
    const char* why = died ? "died" : "cold";
    bool way_is_clear = clear_the_way();
    LogLine(Event::Launch)
        .add("launch", ledger_.number)
        .add("reason", way_is_clear ? why : "bound-already")
        .add("version", ROUSE_VERSION)
        .write_to(settings_.log);
    if (way_is_clear)
        start_script(why);
    watch();
}

void Guardian::run() {
    sys::setsid();
    const int kept[] = {order_.folder, order_.start_lock, order_.channel};
    close_all_but(kept, 3);
    rotate_log(settings_.log);
    replace_standard_descriptors(settings_.log);
    struct sigaction action = {};
    action.sa_handler = SIG_DFL; // a web server may have left it ignored: then no child could be waited for
    sys::sigaction(SIGCHLD, action);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sys::set_signal_mask(SIG_BLOCK, child);

    if (take_alive_lock(alive_patience))
        launch();
    ledger_ = read_ledger(order_.folder);
    if (ledger_.number != 0 && ledger_.boot != order_.moment.boot)
        wrong({EBUSY, "take over the run directory\0" "A server that was started under another kernel holds its alive.lock: give each machine or container "
               "a run directory of its own.", settings_.node_run.data()});
    int64_t age = boot_now() - ledger_.started;
    if (ledger_.outcome == Ledger::Outcome::Starting && age >= 0 && age < settings_.start_timeout) {
        adopted_ = true;
        LogLine(Event::Adopted).add("launch", ledger_.number).write_to(settings_.log);
        watch();
    }
    stamp();
    look();
    LogLine(Event::Stopping).add("launch", ledger_.number).write_to(settings_.log);
    stop_holders();
    if (!take_alive_lock(after_stop))
        failed("what an earlier launch started cannot be stopped");
    launch();
}

} // namespace

void guard_launch(const GuardianOrder& order) {
    Guardian(order).run();
}

} // namespace rouse
