#include "health.h"
#include "launching.h"
#include "said.h"

#include <algorithm>
#include <sys/wait.h>

using namespace rouse;
using namespace launching;
using Outcome = Ledger::Outcome;
using Kind = GuardianWord::Kind;

namespace {

// A guardian as a bridge forks it: it holds start.lock, the node's folder, and its end of the socketpair.
class Guarding {
public:
    explicit Guarding(std::string lines = "run = /home/me/run\nstart = /home/me/start\n") : app(std::move(lines)) {
        folder = sys::open(AT_FDCWD, run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        start_lock = sys::open(AT_FDCWD, "/home/me/run/n1/start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (start_lock >= 0)
            fake::lock(fake::kernel->process().descriptors[start_lock].open);
        int ends[2] = {-1, -1};
        sys::socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC, ends);
        channel = ends[1];
        bridge = &fake::add_process(90); // holds the other end
        if (ends[0] >= 0) {
            fake::give(*bridge, 3, fake::kernel->process().descriptors[ends[0]].open);
            messages = bridge->descriptors[3].open->messages_in;
            sys::close(ends[0]);
        }
        fake::kernel->on_fork = [this](fake::Process& child) {
            scripts.push_back(&child);
            if (refuse != 0) {
                fake::OpenFile trouble;
                for (auto& [number, descriptor] : child.descriptors)
                    if (descriptor.open->type == fake::Open::Type::Pipe && descriptor.open->out != nullptr &&
                        number > 2)
                        trouble = descriptor.open;
                ExecTrouble why = {false, refuse};
                REQUIRE(trouble != nullptr);
                trouble->out->bytes.assign(reinterpret_cast<char*>(&why), sizeof why);
                trouble.reset();
                child.end(127 << 8);
                return;
            }
            become_script(child);
            if (script)
                script(child);
        };
    }
    Guarding(const Guarding&) = delete;

    bool is_set_up() const { return folder >= 0 && start_lock >= 0 && channel >= 0; }

    // How the launches of this run directory are marked, behind the device.
    static std::string mark() {
        static char bytes[32];
        Text text(bytes);
        return std::string(text.add_hex(lock_file("alive.lock")->number).view());
    }

    // To the guardian's end: its exit status.
    int guard() {
        Moment moment = {boot, fake::kernel->now, 99};
        try {
            GuardianOrder order = {&*app.settings, &request, {1000, false, 0}, moment, reason,
                                   replaces,       folder,   start_lock,       channel};
            guard_launch(order);
        } catch (const fake::Exited& exited) {
            return exited.status;
        }
    }

    // What the bridge was told; null: nothing.
    const GuardianWord* word() const {
        return messages == nullptr || messages->empty()
                   ? nullptr
                   : reinterpret_cast<const GuardianWord*>(messages->front().bytes.data());
    }
    bool handed_over() const { return !messages->front().descriptors.empty(); }

    // A script that listens after so many milliseconds, in the foreground.
    std::function<void(fake::Process&)> listens_after(int64_t milliseconds, size_t backlog = 16) {
        return [this, milliseconds, backlog](fake::Process& child) {
            fake::in(milliseconds, [this, &child, backlog] {
                if (!child.alive)
                    return;
                server = fake::listen(app.socket(), backlog);
                fake::give(child, 9, server.listener);
                server.listener.reset();
            });
        };
    }

    App app;
    CgiRequest request;
    int folder, start_lock, channel;
    fake::Process* bridge = nullptr;
    std::shared_ptr<std::vector<fake::Message>> messages;
    std::vector<fake::Process*> scripts;
    std::function<void(fake::Process&)> script;
    int refuse = 0; // errno of execve
    const char* reason = nullptr;
    bool replaces = false;
    fake::Server server;
};

} // namespace

TEST_CASE(
    "a launch runs the script once, waits until it listens, writes so, and hands the connection over [L1][L7][C3]") {
    World world;
    Guarding guarding;
    guarding.script = guarding.listens_after(300);
    int64_t begin = fake::kernel->now;
    CHECK(guarding.guard() == 0);
    CHECK(guarding.scripts.size() == 1);
    CHECK(fake::kernel->now - begin < 310); // looked often enough
    REQUIRE(guarding.word() != nullptr);
    CHECK(guarding.word()->kind == Kind::Ready);
    CHECK(guarding.word()->number == 1);
    CHECK(guarding.handed_over());
    CHECK(guarding.messages->front().descriptors[0]->type == fake::Open::Type::Connected);
    Ledger written = ledger();
    CHECK(written.outcome == Outcome::Ready);
    CHECK(written.number == 1);
    CHECK(written.started == begin);
    CHECK(written.changed == fake::kernel->now);
    CHECK(written.fingerprint == 99);
    CHECK(written.guardian == 100);
    CHECK(written.socket == see("sock", 4));
    CHECK(logged(" launch launch=1 reason=cold version="));
    CHECK(logged(" ready launch=1"));
    CHECK_FALSE(is_held("start.lock"));
    CHECK(is_held("alive.lock"));
    guarding.scripts[0]->end(0);
    CHECK_FALSE(is_held("alive.lock")); // nobody else had a copy
}

TEST_CASE("ready is written before the handover [L7]") {
    World world;
    Guarding guarding;
    guarding.script = guarding.listens_after(10);
    fake::fail("sendmsg", EPIPE); // the bridge is gone
    CHECK(guarding.guard() == 0);
    CHECK(ledger().outcome == Outcome::Ready);
    CHECK(guarding.scripts[0]->alive);
}

TEST_CASE("a server whose backlog is full at once is ready, and the word alone is said [C1]") {
    World world;
    Guarding guarding;
    guarding.script = [&](fake::Process& child) {
        fake::in(10, [&] {
            guarding.server = fake::listen(guarding.app.socket(), 0);
            fake::give(child, 9, guarding.server.listener);
            int fd = -1;
            guarding.server.listener->queue.push_back(fake::connected(fd).open);
        });
    };
    CHECK(guarding.guard() == 0);
    REQUIRE(guarding.word() != nullptr);
    CHECK(guarding.word()->kind == Kind::Ready);
    CHECK_FALSE(guarding.handed_over());
}

TEST_CASE("a script that daemonises and exits 0 is waited for [P5]") {
    World world;
    Guarding guarding;
    guarding.script = [&](fake::Process& child) {
        fake::Process& daemon = fake::add_process(500);
        daemon.descriptors = child.descriptors;
        fake::in(5, [&child] { child.end(0); });
        fake::in(50, [&] { guarding.server = fake::listen(guarding.app.socket()); });
    };
    CHECK(guarding.guard() == 0);
    CHECK(guarding.word()->kind == Kind::Ready);
    CHECK(is_held("alive.lock"));
}

TEST_CASE("a script that exits otherwise ends the launch at once, with its status in words [P5][B1]") {
    World world;
    Guarding guarding;
    guarding.script = [&](fake::Process& child) { fake::in(40, [&child] { child.end(3 << 8); }); };
    int64_t begin = fake::kernel->now;
    CHECK(guarding.guard() == 0);
    CHECK(fake::kernel->now - begin == 40);
    REQUIRE(guarding.word() != nullptr);
    CHECK(guarding.word()->kind == Kind::Failed);
    CHECK(guarding.word()->retry_after == 1);
    CHECK(ledger().outcome == Outcome::Failed);
    CHECK(ledger().failures == 1);
    CHECK(logged("exit status 3"));
    CHECK(std::string(ledger().reason).find("exit status 3") != std::string::npos);
    CHECK_FALSE(is_held("alive.lock"));
}

TEST_CASE("what a failed script left behind is stopped before the failure is written [P5][L4]") {
    World world;
    Guarding guarding;
    fake::Process* left = nullptr;
    Outcome when_stopped = Outcome::None;
    guarding.script = [&](fake::Process& child) {
        left = &fake::add_process(500);
        left->descriptors = child.descriptors;
        left->on_signal = [&](fake::Process& process, int number) {
            when_stopped = ledger().outcome;
            process.end(number);
        };
        fake::in(10, [&child] { child.end(1 << 8); });
    };
    CHECK(guarding.guard() == 0);
    REQUIRE(left != nullptr);
    CHECK(left->signals == std::vector<int>{SIGTERM});
    CHECK(when_stopped == Outcome::Starting);
    CHECK(ledger().outcome == Outcome::Failed);
}

TEST_CASE("a script that fails although its server listens has not failed [P5]") {
    World world;
    Guarding guarding;
    guarding.script = [&](fake::Process& child) {
        fake::in(10, [&] {
            guarding.server = fake::listen(guarding.app.socket());
            child.end(1 << 8);
        });
    };
    CHECK(guarding.guard() == 0);
    CHECK(guarding.word()->kind == Kind::Ready);
}

TEST_CASE("a server that never listens is given up at start-timeout, and its tree is stopped [P5][C3]") {
    World world;
    Guarding guarding("run = /home/me/run\nstart = /home/me/start\nstart-timeout = 5\n");
    fake::Server bound;
    guarding.script = [&](fake::Process&) { fake::in(10, [&] { bound = fake::bind(guarding.app.socket()); }); };
    int64_t begin = fake::kernel->now;
    CHECK(guarding.guard() == 0);
    CHECK(fake::kernel->now - begin >= 5000);
    CHECK(fake::kernel->now - begin < 5100);
    CHECK(guarding.word()->kind == Kind::Failed);
    CHECK(guarding.scripts[0]->signals == std::vector<int>{SIGTERM});
    CHECK(ledger().outcome == Outcome::Failed);
}

TEST_CASE("a launch that somebody else ended is no failure, and nobody is told, so that it is tried again [P5]") {
    for (int number : {SIGKILL, SIGTERM, SIGINT, SIGHUP}) {
        World world;
        Guarding guarding;
        guarding.script = [&](fake::Process& child) {
            fake::in(10, [&child, number] {
                child.end(number);
                CHECK_FALSE(is_held("alive.lock")); // the tree's alone, and not the guardian's
            });
        };
        CHECK(guarding.guard() == 0);
        CHECK(guarding.word() == nullptr);
        CHECK(ledger().outcome == Outcome::Killed);
        CHECK(ledger().killed == 1);
        CHECK(ledger().failures == 0);
        CHECK(logged(" killed launch=1"));
    }
    for (int number : {SIGSEGV, SIGABRT, SIGXCPU, SIGPIPE}) {
        World world;
        Guarding guarding;
        guarding.script = [&](fake::Process& child) { fake::in(10, [&child, number] { child.end(number); }); };
        guarding.guard();
        CHECK(ledger().outcome == Outcome::Failed);
    }
}

TEST_CASE("the fifth launch in a row that somebody ended counts as failed [P5]") {
    World world;
    for (int round = 1; round <= 5; round++) {
        Ledger before = ledger();
        fake::reset();
        Guarding guarding;
        if (round > 1) {
            before.started = before.changed = fake::kernel->now;
            put_ledger(before);
        }
        guarding.script = [&](fake::Process& child) { fake::in(10, [&child] { child.end(SIGKILL); }); };
        guarding.guard();
        CHECK(ledger().killed == round);
        CHECK(ledger().outcome == (round < 5 ? Outcome::Killed : Outcome::Failed));
    }
}

TEST_CASE("a script that cannot be run is told in words, at once, for each errno of execve [P4]") {
    for (int error : errors_of("execve")) {
        World world;
        Guarding guarding;
        guarding.refuse = error;
        int64_t begin = fake::kernel->now;
        CHECK(guarding.guard() == 0);
        CHECK(fake::kernel->now - begin < 10);
        CHECK(guarding.word()->kind == Kind::Failed);
        CHECK(logged("cannot run /home/me/start: "));
        CHECK(ledger().outcome == Outcome::Failed);
    }
}

TEST_CASE("no process left is a shortage and not the script's failure, for each errno of fork and pipe [C1][B1]") {
    for (std::string call : {"fork", "pipe"}) {
        for (int error : errors_of(call)) {
            World world;
            Guarding guarding;
            fake::fail(call, error);
            CHECK(guarding.guard() == 0);
            CHECK(guarding.scripts.empty());
            CHECK(guarding.word()->kind == Kind::Failed);
            Ledger written = ledger();
            CHECK(written.outcome == Outcome::Failed);
            CHECK(written.failures == 0);
            CHECK(back_off_left(written, {boot, fake::kernel->now, 99}) == 0);
            CHECK_FALSE(is_held("alive.lock"));
        }
    }
}

TEST_CASE("only a dead socket of ours is removed before a launch [L8]") {
    World world;
    Guarding dead;
    fake::listen(dead.app.socket()).close();
    fake::File old = fake::find(dead.app.socket());
    dead.script = dead.listens_after(10);
    dead.guard();
    CHECK(dead.word()->kind == Kind::Ready);
    CHECK(fake::find(dead.app.socket()) != old);

    for (bool is_folder : {false, true}) {
        World another;
        Guarding file;
        if (is_folder)
            fake::put_folder(file.app.socket());
        else
            fake::put(file.app.socket(), "precious");
        file.guard();
        CHECK(file.word()->kind == Kind::Wrong);
        CHECK(std::string(file.word()->sentence).find("/home") == std::string::npos); // no path for the visitor
        CHECK(file.scripts.empty());
        CHECK(fake::exists(file.app.socket()));
    }
    World third;
    Guarding strangers;
    fake::listen(strangers.app.socket()).close();
    fake::find(strangers.app.socket())->uid = 1001;
    strangers.guard();
    CHECK(strangers.word()->kind == Kind::Wrong);
    CHECK(fake::exists(strangers.app.socket()));
}

TEST_CASE("a socket that somebody has bound and does not yet listen on is neither removed nor doubled [L8]") {
    World world;
    Guarding guarding;
    guarding.server = fake::bind(guarding.app.socket());
    fake::File bound = fake::find(guarding.app.socket());
    fake::in(100, [&] { guarding.server.listener->type = fake::Open::Type::Listening; });
    guarding.guard();
    CHECK(guarding.scripts.empty());
    CHECK(fake::find(guarding.app.socket()) == bound);
    CHECK(guarding.word()->kind == Kind::Ready);
    CHECK(logged("reason=bound-already"));
}

TEST_CASE("what an older launch left alive is stopped before the script runs, by KILL if need be [L4]") {
    for (bool stubborn : {false, true}) {
        World world;
        Guarding guarding("run = /home/me/run\nstart = /home/me/start\nstop-timeout = 1\n");
        fake::Process& old = add_holder(200);
        if (stubborn)
            old.on_signal = [](fake::Process&, int) {};
        put_ledger(record(3, Outcome::Ready, 60'000));
        guarding.script = guarding.listens_after(10);
        guarding.guard();
        CHECK(old.signals == (stubborn ? std::vector<int>{SIGTERM, SIGKILL} : std::vector<int>{SIGTERM}));
        CHECK(guarding.scripts.size() == 1);
        CHECK(guarding.word()->kind == Kind::Ready);
        CHECK(guarding.word()->number == 4);
        CHECK(logged(" stopping launch=3"));
        CHECK(logged("reason=died"));
    }
}

TEST_CASE("the script never runs unless alive.lock was got [L4]") {
    World world;
    Guarding guarding("run = /home/me/run\nstart = /home/me/start\nstop-timeout = 1\n");
    fake::Process& old = add_holder(200);
    fake::fail("pidfd_send_signal", EPERM, {1, true});
    put_ledger(record(3, Outcome::Ready, 60'000));
    guarding.guard();
    CHECK(old.alive);
    CHECK(guarding.scripts.empty());
    CHECK(ledger().outcome == Outcome::Failed);
    CHECK(guarding.word()->kind == Kind::Failed);
}

TEST_CASE("what gives up its lock a moment after its socket is not stopped [L4]") {
    World world;
    Guarding guarding;
    fake::Process& dying = add_holder(200);
    fake::in(60, [&] { dying.end(SIGKILL); });
    put_ledger(record(3, Outcome::Ready, 60'000));
    guarding.script = guarding.listens_after(10);
    guarding.guard();
    CHECK(dying.signals.empty());
    CHECK(guarding.word()->kind == Kind::Ready);
}

TEST_CASE("a launch whose guardian was killed is adopted: nothing is run, and its server is waited for [L4]") {
    World world;
    Guarding guarding;
    fake::Process& booting = add_holder(200);
    Ledger starting = record(3, Outcome::Starting, 1000);
    put_ledger(starting);
    fake::in(500, [&] {
        guarding.server = fake::listen(guarding.app.socket());
        fake::give(booting, 9, guarding.server.listener);
    });
    guarding.guard();
    CHECK(guarding.scripts.empty());
    CHECK(booting.signals.empty());
    CHECK(guarding.word()->kind == Kind::Ready);
    CHECK(guarding.word()->number == 3);
    CHECK(ledger().outcome == Outcome::Ready);
    CHECK(ledger().started == starting.started);
    CHECK(logged(" adopted launch=3"));
}

TEST_CASE("an adopted launch keeps the first one's deadline [L4]") {
    World world;
    Guarding guarding("run = /home/me/run\nstart = /home/me/start\nstart-timeout = 5\n");
    fake::Process& booting = add_holder(200);
    put_ledger(record(3, Outcome::Starting, 4000));
    int64_t begin = fake::kernel->now;
    guarding.guard();
    CHECK(fake::kernel->now - begin < 1200);
    CHECK(booting.signals == std::vector<int>{SIGTERM});
    CHECK(ledger().outcome == Outcome::Failed);
}

TEST_CASE("an adopted launch that dies is launched again at once, and counts as killed [L4][P5]") {
    World world;
    Guarding guarding;
    fake::Process& booting = add_holder(200);
    put_ledger(record(3, Outcome::Starting, 1000));
    fake::in(200, [&] { booting.end(SIGKILL); });
    guarding.script = guarding.listens_after(10);
    guarding.guard();
    CHECK(guarding.scripts.size() == 1);
    CHECK(guarding.word()->kind == Kind::Ready);
    CHECK(ledger().number == 4);
    CHECK(ledger().killed == 1);
}

TEST_CASE("a launch that is older than start-timeout is not adopted but ended [L4]") {
    World world;
    Guarding guarding;
    fake::Process& stuck = add_holder(200);
    put_ledger(record(3, Outcome::Starting, 90'000));
    guarding.script = guarding.listens_after(10);
    guarding.guard();
    CHECK(stuck.signals == std::vector<int>{SIGTERM});
    CHECK(guarding.scripts.size() == 1);
}

TEST_CASE("a server of another boot or container that holds the lock is left alone [L9][B3]") {
    World world;
    Guarding guarding;
    fake::Process& other = add_holder(200);
    Ledger elsewhere = record(3, Outcome::Ready, 60'000);
    elsewhere.boot = 7;
    put_ledger(elsewhere);
    guarding.guard();
    CHECK(guarding.word()->kind == Kind::Wrong);
    CHECK(other.signals.empty());
    CHECK(guarding.scripts.empty());
    CHECK(ledger().boot == 7);
}

TEST_CASE("a full disk starts the server without a ledger, any other fault does not [C1]") {
    for (int error : errors_of("pwrite")) {
        World world;
        Guarding guarding;
        guarding.script = guarding.listens_after(10);
        fake::fail("pwrite", error, {1, error != EINTR && error != EAGAIN});
        CHECK(guarding.guard() == 0);
        bool is_full = error == ENOSPC || error == EDQUOT;
        bool is_written = error == EINTR; // half: that is as much as none
        INFO(said(reason(error)));
        REQUIRE(guarding.word() != nullptr);
        if (is_full || is_written)
            CHECK(guarding.word()->kind == Kind::Ready);
        else
            CHECK(guarding.word()->kind == Kind::Wrong);
        CHECK(guarding.scripts.size() == (is_full || is_written ? 1u : 0u));
    }
}

TEST_CASE("a start.lock that was replaced makes the guardian go without a word [L5]") {
    World world;
    Guarding guarding;
    fake::find(run)->entries.erase("start.lock");
    lock_file("start.lock");
    CHECK(guarding.guard() == 0);
    CHECK(guarding.scripts.empty());
    CHECK(guarding.word() == nullptr);
}

TEST_CASE("the guardian leaves the web server's world: no descriptor of it is kept [L3]") {
    World world;
    Guarding guarding;
    int number = sys::open(AT_FDCWD, "/tmp", O_RDONLY);
    std::weak_ptr<fake::Open> stray = fake::kernel->process().descriptors[number].open;
    fake::Peer web_server = fake::as_mod_cgi();
    guarding.script = [&](fake::Process&) {
        CHECK(stray.expired());
        for (int fd : {0, 1, 2})
            CHECK(fake::kernel->process().descriptors[fd].open->type == fake::Open::Type::File);
        CHECK(web_server.from_program->ended);
    };
    fake::in(100, [&] { guarding.server = fake::listen(guarding.app.socket()); });
    guarding.guard();
    CHECK(fake::count("setsid") == 1);
    CHECK(guarding.scripts.size() == 1);
}

TEST_CASE("a launch on a port is looked at without connecting to nobody [C2]") {
    World world;
    Guarding guarding("socket = 127.0.0.1:4000\nrun = /home/me/run\nstart = /home/me/start\n");
    fake::find(run)->entries.clear();
    Guarding again("socket = 127.0.0.1:4000\nrun = /home/me/run\nstart = /home/me/start\n");
    again.script = again.listens_after(100);
    again.guard();
    CHECK(again.word()->kind == Kind::Ready);
    CHECK(fake::count("connect") == 1);
}

TEST_CASE("whatever fails, a launch ends, runs the script at most once, and is ready only with a server [L1][L4][X4]") {
    auto launch = [](World& world, bool with_dead_socket) {
        Guarding guarding("run = /home/me/run\nstart = /home/me/start\nstart-timeout = 0.3\nstop-timeout = 0.1\n");
        if (!guarding.is_set_up()) {
            world.expect_no_more_than_now();
            return;
        }
        if (with_dead_socket)
            fake::listen(guarding.app.socket()).close();
        guarding.script = guarding.listens_after(50);
        int status = guarding.guard();
        CHECK(status == 0);
        CHECK(guarding.scripts.size() <= 1);
        if (guarding.word() != nullptr && guarding.word()->kind == Kind::Ready) {
            // A connect that says busy was to a socket that is dead, and is believed (C1).
            CHECK((guarding.scripts.size() == 1 || with_dead_socket));
            if (!guarding.scripts.empty())
                CHECK(guarding.scripts[0]->alive);
        }
        if (ledger().outcome == Outcome::Failed && !guarding.scripts.empty())
            CHECK(std::none_of(guarding.scripts.begin(), guarding.scripts.end(),
                               [](fake::Process* script) { return script->alive && script->signals.empty(); }));
        fake::kernel->processes.at(100)->alive = true; // its descriptors are no leak: it is gone
        fake::as_mod_cgi();
    };
    fail_each({"open",         "read",    "write",     "pwrite",          "flock",       "fork",
               "pipe",         "sendmsg", "stat",      "fstat",           "close_range", "duplicate_to",
               "sigtimedwait", "wait",    "sigaction", "set_signal_mask", "rename",      "setsid",
               "socket",       "connect"},
              [&](World& world) { launch(world, false); });
    fail_each({"stat", "unlink", "connect", "open"}, [&](World& world) { launch(world, true); });
}

TEST_CASE("what is to be replaced is stopped although it listens, and its name goes first [W2][W3]") {
    for (bool holds_the_lock : {true, false}) {
        World world;
        Guarding guarding;
        guarding.reason = "hung";
        guarding.replaces = true;
        fake::Process& old = holds_the_lock ? add_holder(200) : fake::add_process(200);
        fake::Server hanging = fake::listen(guarding.app.socket());
        fake::give(old, 9, hanging.listener);
        hanging.listener.reset();
        bool name_was_there = true;
        old.on_signal = [&](fake::Process& process, int) {
            name_was_there = fake::exists(guarding.app.socket());
            process.end(SIGTERM);
        };
        if (!holds_the_lock) // known by the mark
            old.environment = "ROUSE_LAUNCH=3@7:" + std::string(guarding.mark()) + std::string(1, '\0');
        put_ledger(record(3, Outcome::Ready, 60'000));
        fake::put("/home/me/run/n1/hung", "...", 0600);
        guarding.script = guarding.listens_after(10);
        guarding.guard();
        CHECK_FALSE(old.alive);
        CHECK_FALSE(name_was_there);
        CHECK(fake::count("connect") == 1); // to the new one
        CHECK(guarding.scripts.size() == 1);
        CHECK(ledger().number == 4);
        CHECK(logged("reason=hung"));
        CHECK_FALSE(fake::exists("/home/me/run/n1/hung"));
    }
}

TEST_CASE("a server that is replaced early was no failure of its own [W3][B2]") {
    World world;
    Guarding guarding;
    guarding.reason = "touched";
    guarding.replaces = true;
    Ledger young = record(3, Outcome::Ready, 500);
    young.early = 1;
    young.failures = 2;
    put_ledger(young);
    guarding.script = guarding.listens_after(10);
    guarding.guard();
    CHECK(guarding.scripts.size() == 1);
    CHECK(ledger().outcome == Outcome::Ready);
    CHECK(ledger().early == 0);
    CHECK(ledger().failures == 0);
}

TEST_CASE("a launch of another boot that something still holds is not replaced either [L4]") {
    World world;
    Guarding guarding;
    guarding.reason = "touched";
    guarding.replaces = true;
    fake::Process& old = add_holder(200);
    fake::Server server = fake::listen(guarding.app.socket());
    Ledger other = record(3, Outcome::Ready, 60'000);
    other.boot = 7;
    put_ledger(other);
    guarding.guard();
    CHECK(old.signals.empty());
    CHECK(fake::exists(guarding.app.socket()));
    CHECK(guarding.word()->kind == Kind::Wrong);
}

TEST_CASE("restart-on is noted before the script can look at it, and a note that cannot be made is none [W3]") {
    const std::string touched = "/home/me/run/n1/touched";
    const std::string lines = "run = /home/me/run\nstart = /home/me/start\nrestart-on = stamp\n";
    auto stamp = [] { return fake::put("/home/me/stamp"); };
    {
        World world;
        Guarding guarding(lines);
        fake::File file = stamp();
        guarding.script = [&](fake::Process& child) {
            CHECK(look_for_touch(*guarding.app.settings) == Touch::None);
            file->changed++; // while it starts
            guarding.listens_after(10)(child);
        };
        CHECK(look_for_touch(*guarding.app.settings) == Touch::FirstLook);
        guarding.guard();
        CHECK(look_for_touch(*guarding.app.settings) == Touch::Touched);
        CHECK_FALSE(fake::exists(touched + ".new"));
    }
    for (const char* call : {"symlink", "rename"}) {
        World world;
        Guarding guarding(lines);
        fake::File file = stamp();
        guarding.script = guarding.listens_after(10);
        note_touch(*guarding.app.settings, guarding.folder, Noting::FirstLook);
        file->changed++;
        fake::fail(call, ENOSPC, {1, true, "touched.new"});
        CHECK(look_for_touch(*guarding.app.settings) == Touch::Touched);
        guarding.guard();
        CHECK(look_for_touch(*guarding.app.settings) == Touch::FirstLook); // and not Touched, again and again
    }
}
