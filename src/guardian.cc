#include "guardian.h"

#include "deadline.h"
#include "health.h"
#include "io.h"
#include "listener.h"
#include "locks.h"
#include "log.h"
#include "proc.h"
#include "process.h"
#include "run_folder.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/wait.h>

namespace rouse {

namespace {

constexpr int alive_patience = 100; // milliseconds: a killed process gives up its socket before its locks
constexpr int look_fast = 3;        // milliseconds between two looks (2 would cost up to 2 % of a processor) ...
constexpr int fast_for = 2000;      // ... in the first two seconds
constexpr int look_slow = 15;       // milliseconds, later
constexpr int after_stop = 2000;    // milliseconds for alive.lock to become free once nobody holds it

class Guardian {
public:
    explicit Guardian(GuardianOrder& order) : order_(order), settings_(*order.settings) {}
    [[noreturn]] void run();

private:
    [[noreturn]] void launch();
    [[noreturn]] void watch();
    [[noreturn]] void ready(int connection);
    [[noreturn]] void failed(std::string_view sentence, bool by_somebody_else = false);
    [[noreturn]] void failed(Phrase sentence);
    [[noreturn]] void wrong(const Error& error);
    [[noreturn]] void end(int connection = -1);

    bool take_alive_lock(int patience);
    void stop_holders();
    bool clear_the_way();
    void start_script(const char* why);
    void look();
    void look_at_child();
    void sleep(int milliseconds);
    void write();
    void log(Event event, std::string_view sentence = {});

    GuardianOrder& order_;
    const Settings& settings_;
    pid_t script_ = 0; // the start script, until it is waited for
    Fd trouble_;       // see Started
    Fd alive_;
    bool adopted_ = false; // the launch was begun by a guardian that is gone: try alive.lock at each look
    Ledger ledger_ = {};
    GuardianWord word_ = {};
    char mark_[64]; // how ROUSE_LAUNCH ends: see add_launch_mark
};

void Guardian::end(int connection) {
    iovec parts = {&word_, sizeof word_};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &parts;
    message.msg_iovlen = 1;
    if (connection >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &connection, sizeof connection);
    }
    // EPIPE: the bridge is gone, which changes nothing. A full buffer cannot be: it is the only message.
    sys::sendmsg(order_.channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    sys::exit(0);
}

void Guardian::log(Event event, std::string_view sentence) {
    LogLine line(event);
    line.add("launch", static_cast<uint64_t>(ledger_.number));
    if (!sentence.empty())
        line.quote("error", sentence);
    line.write_to(settings_.log);
}

void Guardian::write() {
    int result = write_ledger(order_.folder, ledger_);
    bool disk_is_full = result == -ENOSPC || result == -EDQUOT;
    if (result < 0 && !disk_is_full && ledger_.outcome == Ledger::Outcome::Starting)
        wrong({-result, "write the ledger in\0Nothing was started without it."_words, settings_.node_run.data()});
}

void Guardian::ready(int connection) {
    ledger_.outcome = Ledger::Outcome::Ready;
    ledger_.changed = boot_now();
    if (ledger_.number == 0) // found up, and the ledger was unreadable
        ledger_.number = 1;
    // The counts stay until the server has shown that it works: see judge().
    write(); // before the handover: whoever is served may already need to know
    forget_silences(settings_);
    log(Event::Ready);
    word_.kind = GuardianWord::Kind::Ready;
    word_.number = ledger_.number;
    end(connection);
}

// Nothing of the launch may be alive when the ledger says that it is over. What somebody else ended is tried again at
// once, without a word, by whoever waits (P5).
void Guardian::failed(std::string_view sentence, bool by_somebody_else) {
    stop_holders();
    ledger_.changed = boot_now();
    set_reason(ledger_, sentence);
    bool counts = !by_somebody_else || ++ledger_.killed > killed_tolerated;
    ledger_.outcome = counts ? Ledger::Outcome::Failed : Ledger::Outcome::Killed;
    ledger_.failures += counts;
    write();
    log(counts ? Event::Failed : Event::Killed, sentence);
    if (!counts)
        sys::exit(0);
    order_.moment.now = ledger_.changed;
    word_.kind = GuardianWord::Kind::Failed;
    word_.retry_after = static_cast<unsigned>(back_off_left(ledger_, order_.moment) + 999) / 1000;
    end();
}

void Guardian::failed(Phrase phrase) {
    static char sentence_bytes[128];
    failed(Text(sentence_bytes).add(phrase).view());
}

void Guardian::wrong(const Error& error) {
    static char sentence_bytes[512];
    Text sentence(sentence_bytes), visible(word_.sentence);
    say(error, error.subject, sentence);
    log(Event::Failed, sentence.view());
    say(error, "what the app file names", visible); // no path for the visitor
    visible.c_str();
    word_.kind = GuardianWord::Kind::Wrong;
    end();
}

// The descriptor of alive.lock, locked or not, names the run directory for the tree.
bool Guardian::take_alive_lock(int patience) {
    for (Deadline deadline = Deadline::in(patience);;) {
        Hold hold;
        try_lock(order_.folder, alive_lock, hold);
        if (hold.held == Held::Error)
            wrong(hold.error);
        if (hold.held == Held::Yes) {
            alive_ = std::move(hold.lock);
            return true;
        }
        if (deadline.left() == 0)
            return false;
        sleep(look_fast);
    }
}

// Stops whatever of any launch of this run directory is alive. Our own copy of alive.lock goes first: it keeps nothing
// out that start.lock does not keep out.
void Guardian::stop_holders() {
    alive_.reset();
    struct stat status;
    if (sys::stat(order_.folder, alive_lock, status, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    Text mark(mark_);
    add_launch_mark(status.st_dev, status.st_ino, mark);
    stop_tree({status.st_dev, status.st_ino, mark.view(), &settings_.socket}, settings_.stop_timeout);
}

// Sleeps, or until a child changes its state. SIGCHLD is blocked, so that it cannot be missed in between.
void Guardian::sleep(int milliseconds) {
    sys::sigtimedwait(sys::only(SIGCHLD), {milliseconds / 1000, milliseconds % 1000 * 1'000'000L});
}

// Whether the server listens; then it does not return. Up and busy are both ready (C1).
void Guardian::look() {
    const Address& address = settings_.socket;
    struct stat status;
    if (address.family == Address::Family::Path) { // cheaper than a socket; the connection stays the proof
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
    Connection connection;
    connect_until(address, order_.rule, Deadline(), connection);
    // Foreign: it listens, and the bridge refuses it in words. Wrong: its mode may not be set yet.
    if (connection.reach == Reach::Connected || connection.reach == Reach::Busy || connection.reach == Reach::Foreign)
        ready(connection.socket.number());
}

void Guardian::look_at_child() {
    int status = 0;
    if (script_ <= 0 || sys::wait(script_, &status, WNOHANG) <= 0)
        return;
    script_ = 0;
    if (status == 0)
        return; // it may have daemonised
    static char sentence_bytes[512];
    Text sentence(sentence_bytes);
    ExecTrouble trouble;
    if (sys::read(trouble_.number(), &trouble, sizeof trouble) == sizeof trouble) {
        explain(trouble, settings_, sentence);
        failed(sentence.view());
    }
    look(); // one last time: what it left behind may serve all the same
    sentence.add("the start script ended with "_phrase);
    int number = WTERMSIG(status); // 0: by itself
    if (number == 0)
        sentence.add("exit status ").add_number(static_cast<unsigned>(WEXITSTATUS(status)));
    else
        sentence.add("signal ").add_number(static_cast<unsigned>(number));
    if (number == SIGXCPU)
        sentence.add(" (its limit of CPU time)"_phrase);
    failed(sentence.view(), number == SIGKILL || number == SIGTERM || number == SIGINT || number == SIGHUP);
}

void Guardian::watch() {
    int64_t begun = boot_now();
    Deadline deadline = Deadline::at(ledger_.started + settings_.start_timeout);
    for (;;) {
        look();
        look_at_child();
        if (adopted_ && take_alive_lock(0))
            launch(); // what was adopted is gone
        int left = deadline.left();
        if (left == 0) {
            look();
            failed("it did not listen within start-timeout"_phrase);
        }
        int nap = boot_now() - begun < fast_for ? look_fast : look_slow;
        sleep(nap < left ? nap : left);
    }
}

// Removes a dead socket of ours from the path. False: somebody has bound one there and does not listen yet; a
// server that was started by hand, say. Then nothing is removed and nothing is run (L8).
bool Guardian::clear_the_way() {
    const Address& address = settings_.socket;
    if (address.family != Address::Family::Path)
        return true;
    Error error;
    if (!nothing_in_the_way(address, order_.rule.own, error))
        wrong(error);
    look();                                                        // refused a moment ago, and still
    if (ino_t any; find_unix_listeners(address.text, &any, 1) > 0) // last: whoever binds now must not lose its name
        return false;
    sys::unlink(AT_FDCWD, address.path());
    return true;
}

void Guardian::start_script(const char* why) {
    static char name_bytes[96];
    Text name(name_bytes);
    struct stat status;
    name.add_number(static_cast<uint64_t>(ledger_.number));
    if (sys::fstat(alive_.number(), status) == 0)
        add_launch_mark(status.st_dev, status.st_ino, name);
    const int close_first[] = {order_.start_lock, order_.channel, order_.folder};
    static LaunchEnvironment environment;
    environment.make(settings_, *order_.request, text_of(why), name.view());
    script_ = start_program(settings_, environment.entries(), alive_.number(), close_first, trouble_);
    if (script_ < 0) {
        // A shortage is not the script's fault: all who wait are told of it, and there is no window (C1).
        ledger_.fingerprint = 0;
        --ledger_.failures; // failed() counts one
        static char sentence_bytes[128];
        Text sentence(sentence_bytes);
        sentence.add("cannot start a process: "_phrase).add(reason(-script_));
        failed(sentence.view());
    }
    alive_.reset(); // from here on it is held as long as the tree lives, and not longer
}

// alive.lock is ours: nothing that an earlier launch started lives, as far as anybody can know.
void Guardian::launch() {
    adopted_ = false;
    Moment& moment = order_.moment;
    moment.now = boot_now();
    read_ledger(order_.folder, ledger_);
    if (order_.replaces)
        ledger_.answered = ledger_.number; // it did not go down by itself, however early
    judge(ledger_, moment);
    Ledger::Outcome last = ledger_.outcome;
    stamp_ledger(ledger_, settings_, moment.boot);
    ledger_.fingerprint = moment.fingerprint;
    // A launch that is still starting ended without a word: its guardian and its tree were killed (P5).
    if (last == Ledger::Outcome::Starting && ++ledger_.killed > killed_tolerated)
        failed("the launch was ended by somebody else, again and again"_phrase);
    ++ledger_.number;
    ledger_.outcome = Ledger::Outcome::Starting;
    ledger_.started = ledger_.changed = moment.now;
    ledger_.guardian = sys::getpid();
    ledger_.guardian_start = static_cast<int64_t>(start_time_of(sys::getpid()));
    set_reason(ledger_, ""sv);
    write();
    if (!is_current(order_.folder, start_lock, order_.start_lock))
        sys::exit(0); // replaced: what we hold is nobody's lock any more
    forget_silences(settings_);
    note_touch(settings_, order_.folder, Noting::Launch);
    const char* why = last == Ledger::Outcome::None || last == Ledger::Outcome::Failed ? "cold" : "died";
    if (order_.reason != nullptr)
        why = order_.reason;
    bool way_is_clear = clear_the_way();
    LogLine(Event::Launch)
        .add("launch", static_cast<uint64_t>(ledger_.number))
        .add("reason", text_of(way_is_clear ? why : "bound-already"))
        .add("version", ROUSE_VERSION ""sv)
        .write_to(settings_.log);
    if (way_is_clear)
        start_script(why);
    watch();
}

void Guardian::run() {
    sys::setsid();
    const int kept[] = {order_.folder, order_.start_lock, order_.channel};
    close_all_but(kept);
    rotate_log(settings_.log);
    replace_standard_descriptors(settings_.log, order_.folder);
    struct sigaction action = {};
    action.sa_handler = SIG_DFL; // the bridge ignored it: then no child could be waited for
    sys::sigaction(SIGCHLD, action);
    sys::set_signal_mask(SIG_BLOCK, sys::only(SIGCHLD));

    bool free = take_alive_lock(order_.replaces ? 0 : alive_patience);
    if (free && !order_.replaces)
        launch();
    read_ledger(order_.folder, ledger_);
    if (!free && ledger_.number != 0 && ledger_.boot != order_.moment.boot)
        wrong(
            {EBUSY,
             "take over\0A server of another machine or container holds alive.lock: give each a `run` of its own."_words,
             settings_.node_run.data()});
    int64_t age = boot_now() - ledger_.started;
    if (!order_.replaces && ledger_.outcome == Ledger::Outcome::Starting && age >= 0 && age < settings_.start_timeout) {
        adopted_ = true;
        log(Event::Adopted);
        watch();
    }
    stamp_ledger(ledger_, settings_, order_.moment.boot);
    if (!order_.replaces)
        look();
    else if (settings_.socket.family == Address::Family::Path)
        sys::unlink(AT_FDCWD, settings_.socket.path()); // who comes now waits for the new server
    log(Event::Stopping);
    stop_holders();
    if (!take_alive_lock(after_stop))
        failed("what an earlier launch started cannot be stopped"_phrase);
    launch();
}

} // namespace

void guard_launch(GuardianOrder& order) {
    Guardian(order).run();
}

} // namespace rouse
