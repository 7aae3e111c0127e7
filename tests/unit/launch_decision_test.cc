// This file knows what decides whether a bridge launches: a failure, its window, a fault, a hang, a touch.
#include "health.h"
#include "waking.h"

using namespace rouse;
using namespace launching;
using End = Launch::End;
using Outcome = Ledger::Outcome;
using Kind = GuardianWord::Kind;

namespace {

// What a launch notes of the app file and the start script, so that it sees when they change.
uint64_t fingerprint() {
    uint64_t sum = nothing_seen;
    for (std::string path : {"/home/me/app.cgi", "/home/me/start"}) {
        fake::File file = fake::find(path);
        auto moment = static_cast<uint64_t>(file->changed);
        uint64_t values[] = {file->number, file->content.size(), moment, 0, moment, 0};
        sum = see(values, sizeof values, sum);
    }
    return sum;
}

} // namespace

TEST_CASE("a failure newer than what a waiter had seen is its own, when the window has passed too [L6]") {
    World world;
    Waking waking;
    hold_start_lock(3000, [&] {
        Ledger failure = record(7, Outcome::Failed);
        failure.failures = 1;
        failure.fingerprint = 1; // another: no window at all
        put_ledger(failure);
    });
    CHECK(waking.launch->wake() == End::Failed);
    CHECK(waking.guardians.empty());
}

TEST_CASE("an old failure whose window has passed is no reason not to try again [B1][B3]") {
    World world;
    Waking waking;
    Ledger failure = record(7, Outcome::Failed, 100'000);
    failure.failures = 3;
    put_ledger(failure);
    waking.guardian = [&](fake::Process& child) { fake::in(10, [&] { waking.say(child, Kind::Ready, true); }); };
    CHECK(waking.launch->wake() == End::Connected);
}

TEST_CASE("within the window the answer is at once and nothing is run, until something changes [B1][B3]") {
    for (int64_t failures : {1, 2, 7}) {
        World world;
        Waking waking;
        Ledger failure = record(7, Outcome::Failed, 500);
        failure.failures = failures;
        failure.fingerprint = fingerprint();
        put_ledger(failure);
        CHECK(waking.launch->wake() == End::Failed);
        CHECK(waking.guardians.empty());
        CHECK(waking.launch->retry_after == (failures == 1 ? 1 : failures == 2 ? 2 : 60));

        fake::find("/home/me/start")->changed++; // mended
        auto another = std::make_unique<Launch>();
        another->begin(*waking.app.settings, waking.request, *waking.body, {1000, false, 0}, 1000, 1);
        waking.guardian = [&](fake::Process& child) { fake::in(1, [&] { waking.say(child, Kind::Ready, true); }); };
        CHECK(another->wake() == End::Connected);
    }
}

TEST_CASE("a server that goes down at once, twice in a row, is a failure for who finds it so [B2]") {
    World world;
    Waking waking;
    Ledger early = record(7, Outcome::Ready, 500);
    early.early = 1;
    put_ledger(early);
    CHECK(waking.launch->wake() == End::Failed);
    CHECK(ledger().outcome == Outcome::Failed);
    CHECK(ledger().failures == 1);
    CHECK(waking.guardians.empty());
}

TEST_CASE("no process left is a shortage, and all who wait share it, for each errno of fork [C1][L6]") {
    for (int error : {EAGAIN, ENOMEM}) {
        World world;
        Waking waking;
        fake::fail("fork", error);
        CHECK(waking.launch->wake() == End::Shortage);
        CHECK(waking.launch->error.code == error);
        CHECK(ledger().outcome == Outcome::Failed);
        CHECK(ledger().failures == 0);
        CHECK(ledger().number == 1);
        CHECK_FALSE(is_held("start.lock"));
    }
}

TEST_CASE("what is wrong is said, and nothing is launched [C1][X3]") {
    World world;
    Waking file;
    fake::put(file.app.socket(), "precious");
    CHECK(file.launch->wake() == End::Wrong);
    CHECK(fake::content(file.app.socket()) == "precious");

    World another;
    Waking script;
    fake::find("/home/me/start")->mode = 0777;
    CHECK(script.launch->wake() == End::Wrong);

    World third;
    Waking foreign;
    foreign.server = fake::listen(foreign.app.socket(), 16, 1001);
    CHECK(foreign.launch->wake() == End::Foreign);

    World fourth;
    Waking others_ledger;
    Ledger other = record(3, Outcome::Ready, 100'000);
    other.socket = 7;
    put_ledger(other);
    CHECK(others_ledger.launch->wake() == End::Wrong);
    CHECK(others_ledger.launch->error.code == EBUSY);

    World fifth;
    Waking stopped;
    put_ledger(record(3, Outcome::Stopped, 100'000));
    CHECK(stopped.launch->wake() == End::Stopped);
    for (auto* one : {&file, &script, &foreign, &others_ledger, &stopped})
        CHECK(one->guardians.empty());
}

TEST_CASE("a ledger of noise stops no launch [B3][X4]") {
    World world;
    Waking waking;
    fake::put("/home/me/run/n1/ledger", std::string(3000, '\xff'));
    waking.guardian = [&](fake::Process& child) { fake::in(10, [&] { waking.say(child, Kind::Ready, true); }); };
    CHECK(waking.launch->wake() == End::Connected);
}

TEST_CASE("the third silence replaces at once: the name goes, the guardian stops what runs, nobody waits for it [W2]") {
    World world;
    Waking waking;
    put_ledger(record(4, Outcome::Ready, 60'000));
    waking.server = fake::listen(waking.app.socket());
    fake::put(std::string(run) + "/hung", "..", 0600);
    waking.launch->suspect();
    CHECK(waking.guardians.empty());
    int64_t begin = fake::kernel->now;
    waking.launch->silent();
    CHECK(waking.guardians.size() == 1);
    CHECK(is_held("start.lock"));
    CHECK_FALSE(fake::exists(waking.app.socket()));
    CHECK(fake::kernel->now == begin);
    CHECK(fake::count("connect") == 0);
}

TEST_CASE("nobody replaces before the third, without a suspicion, behind an answer or somebody's lock [W2]") {
    for (int one = 0; one < 6; one++) {
        INFO(one);
        World world;
        Waking waking;
        Ledger now = record(4, one == 4 ? Outcome::Stopped : Outcome::Ready, 60'000);
        if (one == 5)
            now.socket = 7;
        put_ledger(now);
        waking.server = fake::listen(waking.app.socket());
        fake::put(std::string(run) + "/hung", one == 0 ? "." : "..", 0600);
        if (one != 1)
            waking.launch->suspect();
        if (one == 2)
            waking.launch->answered(); // to somebody
        if (one == 3)
            hold_start_lock(-1);
        waking.launch->silent();
        CHECK(waking.guardians.empty());
        CHECK(fake::exists(waking.app.socket()));
    }
}

TEST_CASE("who comes to the lock replaces what hangs or was touched, and connects to nothing before [W2][W3][L7]") {
    for (bool hangs : {true, false}) {
        World world;
        Waking waking("run = /home/me/run\nstart = /home/me/start\nrestart-on = stamp\n");
        put_ledger(record(4, Outcome::Ready, 60'000));
        waking.server = fake::listen(waking.app.socket());
        CHECK_FALSE(waking.launch->is_touched()); // the first look
        if (hangs)
            fake::put(std::string(run) + "/hung", "...", 0600);
        else
            fake::put("/home/me/stamp");
        CHECK(waking.launch->is_touched() == !hangs);
        waking.guardian = [&](fake::Process& child) { fake::in(10, [&] { waking.say(child, Kind::Ready, true); }); };
        CHECK(waking.launch->wake() == End::Connected);
        CHECK(waking.guardians.size() == 1);
        CHECK(fake::count("connect") == 0);
    }
}

TEST_CASE("what somebody else has restarted meanwhile is used [W3]") {
    World world;
    Waking waking("run = /home/me/run\nstart = /home/me/start\nrestart-on = stamp\n");
    put_ledger(record(4, Outcome::Ready, 60'000));
    CHECK_FALSE(waking.launch->is_touched());
    fake::put("/home/me/stamp");
    CHECK(waking.launch->is_touched());
    hold_start_lock(500, [&] {
        put_ledger(record(5, Outcome::Ready));
        Fd folder(sys::open(AT_FDCWD, run, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        note_touch(*waking.app.settings, folder.number(), Noting::Launch);
        waking.server = fake::listen(waking.app.socket());
    });
    CHECK(waking.launch->wake() == End::Connected);
    CHECK(waking.guardians.empty());
}

TEST_CASE("a touch neither starts what its owner stopped nor replaces what is not ours [W3][X3]") {
    World world;
    Waking waking("run = /home/me/run\nstart = /home/me/start\nrestart-on = stamp\n");
    put_ledger(record(4, Outcome::Stopped, 60'000));
    CHECK_FALSE(waking.launch->is_touched());
    fake::put("/home/me/stamp");
    CHECK(waking.launch->wake() == End::Stopped);
    CHECK(waking.guardians.empty());

    World another;
    Waking strangers("run = /home/me/run\nstart = /home/me/start\nrestart-on = stamp\n");
    CHECK_FALSE(strangers.launch->is_touched());
    fake::put("/home/me/stamp");
    strangers.server = fake::listen(strangers.app.socket());
    fake::find(strangers.app.socket())->uid = 1001;
    CHECK(strangers.launch->wake() == End::Connected);
    CHECK(strangers.guardians.empty());
}

TEST_CASE("whatever fails at the third silence, there is one guardian at most, and without it no lock [W2]") {
    fail_each({"open", "fstat", "stat", "write", "flock", "socketpair", "fork", "unlink", "read"}, [](World& world) {
        Waking waking;
        waking.server = fake::listen(waking.app.socket());
        put_ledger(record(4, Outcome::Ready, 60'000));
        fake::put(std::string(run) + "/hung", "..", 0600);
        lock_file("start.lock");
        world.expect_no_more_than_now();
        {
            auto launch = std::make_unique<Launch>();
            launch->begin(*waking.app.settings, waking.request, *waking.body, {1000, false, 0}, 1000, 1);
            launch->suspect();
            launch->silent();
        }
        CHECK(waking.guardians.size() <= 1);
        CHECK(is_held("start.lock") == !waking.guardians.empty());
        if (waking.guardians.empty() && fake::count("unlink") == 0)
            CHECK(fake::exists(waking.app.socket()));
    });
}
