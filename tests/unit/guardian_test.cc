// This file knows what a guardian does with the start script, and what comes of that.
#include "guarding.h"
#include "said.h"

#include <algorithm>

using namespace rouse;
using namespace launching;
using Outcome = Ledger::Outcome;
using Kind = GuardianWord::Kind;

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
