#include "launch.h"

#include "health.h"
#include "launching.h"

#include <algorithm>

using namespace rouse;
using namespace launching;
using End = Launch::End;
using Outcome = Ledger::Outcome;
using Kind = GuardianWord::Kind;

namespace {

// A bridge that found the server down. `guardian` is what the guardian that it forks does.
class Waking {
public:
    explicit Waking(std::string lines = "run = /home/me/run\nstart = /home/me/start\n", std::string content = "")
        : app(std::move(lines)), body_text(std::move(content)), web_server(fake::as_mod_cgi()) {
        request.body = body_text.empty() ? CgiRequest::Body::None : CgiRequest::Body::Length;
        request.length = body_text.size();
        body->begin(request, 0, app.settings->max_spool, "/tmp");
        launch->begin(*app.settings, request, *body, {1000, false, 0}, 1000, 1);
        fake::kernel->on_fork = [this](fake::Process& child) {
            guardians.push_back(&child);
            for (auto& [number, descriptor] : child.descriptors)
                if (descriptor.open->type == fake::Open::Type::Packets)
                    channel = descriptor.open; // the second of the two is the guardian's
            guardian_began = fake::kernel->now;
            std::map<int, fake::Descriptor> kept = {{5, {channel.lock()}}};
            for (auto& [number, descriptor] : child.descriptors)
                if (descriptor.open->node == lock_file("start.lock"))
                    kept[6] = descriptor;
            child.descriptors = kept;
            if (guardian)
                guardian(child);
        };
    }
    Waking(const Waking&) = delete;

    // The guardian says a word and goes.
    void say(fake::Process& child, Kind kind, bool with_connection = false, unsigned retry_after = 0,
             const char* sentence = "") {
        GuardianWord word;
        word.kind = kind;
        word.number = 1;
        word.retry_after = retry_after;
        strncpy(word.sentence, sentence, sizeof word.sentence - 1);
        fake::Message message = {std::string(reinterpret_cast<char*>(&word), sizeof word), {}};
        if (with_connection) {
            int fd = -1;
            peer = fake::connected(fd);
            message.descriptors.push_back(fake::kernel->process().descriptors[fd].open);
            fake::kernel->process().descriptors.erase(fd);
        }
        if (auto open = channel.lock())
            open->messages_out->push_back(message);
        child.end(0);
    }

    App app;
    std::string body_text;
    fake::Peer web_server, peer;
    CgiRequest request;
    std::unique_ptr<RequestBody> body = std::make_unique<RequestBody>();
    std::unique_ptr<Launch> launch = std::make_unique<Launch>();
    std::function<void(fake::Process&)> guardian;
    std::vector<fake::Process*> guardians;
    std::weak_ptr<fake::Open> channel;
    int64_t guardian_began = 0;
    fake::Server server;
};

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

// Somebody else's launch: holds start.lock for so long, then does `at_end`.
fake::Process& hold_start_lock(int64_t milliseconds, std::function<void()> at_end = {}) {
    lock_file("start.lock");
    fake::Process& other = fake::add_process(300);
    REQUIRE(fake::lock(fake::open_by(other, 5, "/home/me/run/n1/start.lock")));
    if (milliseconds >= 0)
        fake::in(milliseconds, [&other, at_end] {
            if (at_end)
                at_end();
            other.end(0);
        });
    return other;
}

} // namespace

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
