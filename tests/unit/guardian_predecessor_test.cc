// This file knows what a guardian does with what was there before it: a socket, a server, a launch, a note.
#include "guarding.h"
#include "health.h"

using namespace rouse;
using namespace launching;
using Outcome = Ledger::Outcome;
using Kind = GuardianWord::Kind;

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
