// This file knows how bridges that find the server down begin one launch, wait for it, and are connected.
#include "waking.h"

#include <algorithm>

using namespace rouse;
using namespace launching;
using End = Launch::End;
using Outcome = Ledger::Outcome;
using Kind = GuardianWord::Kind;

TEST_CASE("who finds the server down launches it once, and is handed the connection [L1][L7]") {
    World world;
    Waking waking;
    waking.guardian = [&](fake::Process& child) {
        fake::in(400, [&] {
            CHECK(is_held("start.lock"));
            put_ledger(record(1, Outcome::Ready));
            waking.say(child, Kind::Ready, true);
        });
    };
    CHECK(waking.launch->wake() == End::Connected);
    CHECK(waking.guardians.size() == 1);
    CHECK(waking.launch->connection.socket.is_open());
    CHECK_FALSE(is_held("start.lock"));
    CHECK(fake::count("connect") == 1); // under the lock; none that would carry nothing
    waking.launch->answered();
    CHECK(ledger().answered == 1);
}

TEST_CASE("right after the fork the lock is the guardian's alone [L3][L5]") {
    World world;
    Waking waking;
    waking.guardian = [&](fake::Process& child) {
        fake::in(10, [&] {
            child.end(SIGKILL);
            CHECK_FALSE(is_held("start.lock"));
        });
        fake::in(20, [&] { waking.web_server.close(); });
    };
    waking.launch->wake();
}

TEST_CASE("a word without a connection is followed by one of our own [L7]") {
    World world;
    Waking waking;
    waking.guardian = [&](fake::Process& child) {
        fake::in(10, [&] {
            waking.server = fake::listen(waking.app.socket());
            waking.say(child, Kind::Ready);
        });
    };
    CHECK(waking.launch->wake() == End::Connected);
    CHECK(waking.server.has_caller());
}

TEST_CASE("a failed launch, and a wrong setting, are told as they are [B1]") {
    World world;
    Waking failed;
    failed.guardian = [&](fake::Process& child) { fake::in(10, [&] { failed.say(child, Kind::Failed, false, 4); }); };
    CHECK(failed.launch->wake() == End::Failed);
    CHECK(failed.launch->retry_after == 4);

    World another;
    Waking wrong;
    wrong.guardian = [&](fake::Process& child) {
        fake::in(10, [&] { wrong.say(child, Kind::Wrong, false, 0, "words"); });
    };
    CHECK(wrong.launch->wake() == End::Wrong);
    CHECK(std::string(wrong.launch->sentence) == "words");
}

TEST_CASE("who was delivered nothing begins anew at most twice [L4][L6]") {
    World world;
    Waking waking;
    waking.guardian = [&](fake::Process& child) { fake::in(10, [&] { child.end(SIGKILL); }); };
    int64_t begin = fake::kernel->now;
    CHECK(waking.launch->wake() == End::Overdue);
    CHECK(waking.guardians.size() == 3);
    CHECK(fake::kernel->now - begin == 30);
}

TEST_CASE("a guardian that died without a word is followed by one that works [L4]") {
    World world;
    Waking waking;
    waking.guardian = [&](fake::Process& child) {
        bool first = waking.guardians.size() == 1;
        fake::in(10, [&, first] {
            if (first)
                child.end(SIGKILL);
            else
                waking.say(child, Kind::Ready, true);
        });
    };
    CHECK(waking.launch->wake() == End::Connected);
}

TEST_CASE("a waiter spools, sleeps in flock, and is connected when the launch ends [L1][L6]") {
    World world;
    Waking waking("run = /home/me/run\nstart = /home/me/start\n", "the body");
    waking.web_server.send("the body");
    hold_start_lock(3000, [&] {
        waking.server = fake::listen(waking.app.socket());
        put_ledger(record(1, Outcome::Ready));
    });
    CHECK(waking.launch->wake() == End::Connected);
    CHECK(waking.guardians.empty());
    CHECK(waking.body->is_drained());
    CHECK(fake::count("flock") <= 3);
    CHECK(fake::count("connect") == 1);
    waking.launch->answered();
    CHECK(ledger().answered == 1);
}

TEST_CASE("a launch that ended without an outcome is taken over by the first that gets the lock [L6]") {
    World world;
    Waking waking;
    put_ledger(record(4, Outcome::Starting, 100));
    fake::Process& other = hold_start_lock(-1);
    fake::in(200, [&] { other.end(SIGKILL); });
    waking.guardian = [&](fake::Process& child) { fake::in(10, [&] { waking.say(child, Kind::Ready, true); }); };
    CHECK(waking.launch->wake() == End::Connected);
    CHECK(waking.guardian_began - 200 <= 1'000'001);
    CHECK(waking.guardians.size() == 1);
}

TEST_CASE("up under the lock is used, and a ledger that still says starting is made ready [L1]") {
    World world;
    Waking waking;
    put_ledger(record(4, Outcome::Starting, 100));
    waking.server = fake::listen(waking.app.socket());
    CHECK(waking.launch->wake() == End::Connected);
    CHECK(waking.guardians.empty());
    CHECK(ledger().outcome == Outcome::Ready);
    CHECK_FALSE(is_held("start.lock"));
}

TEST_CASE("a wait that is over is answered, and the launch goes on [L3][L5]") {
    World world;
    Waking waking("run = /home/me/run\nstart = /home/me/start\nwait = 2\n");
    int64_t begin = fake::kernel->now;
    CHECK(waking.launch->wake() == End::Overdue);
    CHECK(fake::kernel->now - begin == 2001);
    CHECK(waking.guardians[0]->alive);
    CHECK(waking.guardians[0]->signals.empty());

    World another;
    Waking waiter("run = /home/me/run\nstart = /home/me/start\nwait = 2\n");
    fake::Process& other = hold_start_lock(-1);
    begin = fake::kernel->now;
    CHECK(waiter.launch->wake() == End::Overdue);
    CHECK(fake::kernel->now - begin < 2100);
    CHECK(other.signals.empty());
}

TEST_CASE("a guardian that is stuck past every time-out is killed, and only that one [L5]") {
    struct {
        int64_t age;
        bool other_start;
        bool other_boot;
        bool killed;
    } const cases[] = {{104'000, false, false, false},
                       {106'000, false, false, true},
                       {106'000, true, false, false},
                       {106'000, false, true, false}};
    for (auto& one : cases) {
        World world;
        Waking waking("run = /home/me/run\nstart = /home/me/start\nwait = 0.5\n");
        fake::Process& stuck = hold_start_lock(-1);
        Ledger starting = record(4, Outcome::Starting, one.age);
        starting.guardian = 300;
        starting.guardian_start = static_cast<int64_t>(stuck.start) + one.other_start;
        if (one.other_boot)
            starting.boot = 7;
        put_ledger(starting);
        CHECK(waking.launch->wake() == End::Overdue);
        CHECK(stuck.signals == (one.killed ? std::vector<int>{SIGKILL} : std::vector<int>{}));
    }
}

TEST_CASE("a web server that closes our output ends our wait and not the launch [L3][S5]") {
    World world;
    Waking waking;
    waking.guardian = [&](fake::Process&) { fake::in(50, [&] { waking.web_server.close(); }); };
    CHECK(waking.launch->wake() == End::Gone);
    CHECK(waking.guardians[0]->alive);
    CHECK(waking.guardians[0]->signals.empty());
}

TEST_CASE("the body is taken off the web server's hands while a launch goes on [F3]") {
    World world;
    Waking waking("run = /home/me/run\nstart = /home/me/start\n", std::string(100'000, 'x'));
    for (int piece = 0; piece < 10; piece++)
        fake::in(10 * piece, [&] { waking.web_server.send(std::string(10'000, 'x')); });
    waking.guardian = [&](fake::Process& child) { fake::in(500, [&] { waking.say(child, Kind::Ready, true); }); };
    CHECK(waking.launch->wake() == End::Connected);
    CHECK(waking.body->is_drained());
    CHECK(waking.body->can_be_sent_again());

    World another;
    Waking cut("run = /home/me/run\nstart = /home/me/start\n", "the body");
    fake::in(10, [&] {
        cut.web_server.send("the b");
        cut.web_server.end();
    });
    CHECK(cut.launch->wake() == End::ShortBody);

    World third;
    Waking large("run = /home/me/run\nstart = /home/me/start\nmax-spool = 4\n", "the body");
    large.web_server.send("the body");
    CHECK(large.launch->wake() == End::LargeBody);
}

TEST_CASE("a busy server is waited for, with the body in hand, and never launched [C1]") {
    World world;
    Waking waking("run = /home/me/run\nstart = /home/me/start\nwait = 2\n", "the body");
    waking.web_server.send("the body");
    waking.server = fake::listen(waking.app.socket(), 0);
    int fd = -1;
    waking.server.listener->queue.push_back(fake::connected(fd).open);
    CHECK(waking.launch->wait_for_room() == End::Overdue);
    CHECK(waking.guardians.empty());

    World another;
    Waking lucky;
    lucky.server = fake::listen(lucky.app.socket(), 0);
    lucky.server.listener->queue.push_back(fake::connected(fd).open);
    fake::in(100, [&] { lucky.server.accept(); });
    CHECK(lucky.launch->wait_for_room() == End::Connected);
}

TEST_CASE("who finds it busy under the lock gives the lock up before it waits [L5][C1]") {
    World world;
    Waking waking("run = /home/me/run\nstart = /home/me/start\nwait = 2\n");
    waking.server = fake::listen(waking.app.socket(), 0);
    int fd = -1;
    waking.server.listener->queue.push_back(fake::connected(fd).open);
    fake::in(100, [&] {
        CHECK_FALSE(is_held("start.lock"));
        waking.server.accept();
    });
    CHECK(waking.launch->wake() == End::Connected);
}

TEST_CASE("whatever fails, a wait ends with a class, launches at most three times, and leaves no lock [C1][L5][X4]") {
    for (bool somebody_launches : {false, true}) {
        fail_each({"open", "read", "write", "pwrite", "flock", "fork", "socket", "connect", "socketpair", "poll",
                   "recvmsg", "stat", "fstat", "mkdir", "sigaction", "set_signal_mask", "setitimer", "getsockopt"},
                  [&](World& world) {
                      Waking waking("run = /home/me/run\nstart = /home/me/start\nwait = 5\n", "the body");
                      waking.web_server.send("the body");
                      world.expect_no_more_than_now();
                      if (somebody_launches)
                          hold_start_lock(300, [&] {
                              waking.server = fake::listen(waking.app.socket());
                              put_ledger(record(1, Outcome::Ready));
                          });
                      waking.guardian = [&](fake::Process& child) {
                          fake::in(100, [&] {
                              waking.server = fake::listen(waking.app.socket());
                              waking.say(child, Kind::Ready);
                          });
                      };
                      End end = waking.launch->wake();
                      CHECK((end == End::Connected) == waking.launch->connection.socket.is_open());
                      CHECK(waking.guardians.size() <= 3);
                      if (end == End::Shortage || (end == End::Wrong && waking.launch->sentence[0] == '\0'))
                          CHECK(waking.launch->error.code != 0);
                      waking.launch.reset();
                      waking.body.reset();
                      bool by_guardian = std::any_of(waking.guardians.begin(), waking.guardians.end(),
                                                     [](fake::Process* one) { return one->alive; });
                      CHECK((!is_held("start.lock") || by_guardian || somebody_launches));
                  });
    }
}

TEST_CASE("when all places are taken the answer is at once, and the launch goes on [L1]") {
    const std::string lines = "run = /home/me/run\nstart = /home/me/start\nmax-waiting = 2\n";
    for (size_t taken : {0, 1, 2}) {
        for (bool begins : {true, false}) {
            World world;
            Waking waking(lines);
            fake::File file = fake::put(std::string(run) + "/waiting", "", 0600);
            for (size_t slot = 0; slot < taken; slot++)
                file->locked_bytes.insert(static_cast<int64_t>(slot));
            if (!begins)
                hold_start_lock(300, [&] { waking.server = fake::listen(waking.app.socket()); });
            waking.guardian = [&](fake::Process& child) {
                fake::in(300, [&] { waking.say(child, Kind::Ready, true); });
            };
            int64_t begin = fake::kernel->now;
            CHECK(waking.launch->wake() == (taken == 2 ? End::Overdue : End::Connected));
            CHECK(fake::kernel->now - begin == (taken == 2 ? 0 : 300));
            CHECK(waking.guardians.size() == (begins ? 1 : 0));
        }
    }
}
