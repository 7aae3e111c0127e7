#include "locks.h"
#include "world.h"

using namespace rouse;

namespace {

int open_folder() {
    return sys::open(AT_FDCWD, "/home/me", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

Hold try_lock(int folder, const char* name) {
    Hold hold;
    rouse::try_lock(folder, name, hold);
    return hold;
}

Hold wait_for_lock(int folder, const char* name, Deadline deadline) {
    Hold hold;
    rouse::wait_for_lock(folder, name, deadline, hold);
    return hold;
}

} // namespace

TEST_CASE("a lock is had by one, and by the next when the last copy is closed [L5]") {
    World world;
    int folder = open_folder();
    Hold first = try_lock(folder, start_lock);
    CHECK(first.held == Held::Yes);
    CHECK(fake::find("/home/me/start.lock")->mode == 0600);
    Hold second = try_lock(folder, start_lock);
    CHECK(second.held == Held::No);
    CHECK(second.lock.is_open());
    CHECK(fake::kernel->process().descriptors[second.lock.number()].close_on_exec);
    CHECK(try_lock(folder, alive_lock).held == Held::Yes);

    int copy = sys::duplicate(first.lock.number(), 20); // as a server inherits it
    first.lock.reset();
    CHECK(try_lock(folder, start_lock).held == Held::No);
    sys::close(copy);
    CHECK(try_lock(folder, start_lock).held == Held::Yes);
    CHECK(fake::exists("/home/me/start.lock")); // made once and never unlinked
}

TEST_CASE("a waiter sleeps until the lock is free [L6]") {
    World world;
    int folder = open_folder();
    fake::put("/home/me/start.lock");
    fake::Process& guardian = fake::add_process(200);
    REQUIRE(fake::lock(fake::open_by(guardian, 5, "/home/me/start.lock")));
    fake::in(3000, [&] { guardian.end(0); });
    int64_t begin = fake::kernel->now;
    Hold hold = wait_for_lock(folder, start_lock, Deadline::in(25'000));
    CHECK(hold.held == Held::Yes);
    CHECK(fake::kernel->now == begin + 3000);
    CHECK(fake::count("flock") == 1); // no polling
    CHECK(fake::kernel->alarm_at == -1);
}

TEST_CASE("a waiter gives up at its deadline, when an alarm came too early or was blocked all the same [L5]") {
    World world;
    int folder = open_folder();
    fake::Process& guardian = fake::add_process(200);
    REQUIRE(fake::lock(fake::open_by(guardian, 5, "/home/me/start.lock")));
    sys::set_signal_mask(SIG_BLOCK, UINT64_MAX); // a web server may leave it so
    fake::fail("flock", EINTR);                  // something else interrupts
    int64_t begin = fake::kernel->now;
    Hold hold = wait_for_lock(folder, start_lock, Deadline::in(500));
    CHECK(hold.held == Held::No);
    CHECK(fake::kernel->now >= begin + 500);
    CHECK(fake::kernel->now <= begin + 550);
    CHECK(fake::kernel->alarm_at == -1);
    CHECK(wait_for_lock(folder, start_lock, Deadline::in(0)).held == Held::No);
}

TEST_CASE("the alarm repeats: one that comes before flock sleeps is not the last [L5]") {
    World world;
    int folder = open_folder();
    fake::Process& guardian = fake::add_process(200);
    REQUIRE(fake::lock(fake::open_by(guardian, 5, "/home/me/start.lock")));
    fake::kernel->lost_alarms = 1;
    int64_t begin = fake::kernel->now;
    CHECK(wait_for_lock(folder, start_lock, Deadline::in(100)).held == Held::No);
    CHECK(fake::kernel->now - begin >= 100);
    CHECK(fake::kernel->now - begin <= 200);
    CHECK(fake::kernel->alarm_at == -1); // disarmed at the end
}

TEST_CASE("a lock file that was replaced while we waited is not the lock [L5]") {
    World world;
    int folder = open_folder();
    fake::put("/home/me/start.lock");
    fake::Process& guardian = fake::add_process(200);
    fake::OpenFile old = fake::open_by(guardian, 5, "/home/me/start.lock");
    REQUIRE(fake::lock(old));
    fake::in(10, [&] {
        fake::put("/home/me/start.lock"); // a cleaner, or a deploy
        guardian.end(0);
    });
    old.reset();
    Hold hold = wait_for_lock(folder, start_lock, Deadline::in(1000));
    CHECK(hold.held == Held::Yes);
    CHECK(is_current(folder, start_lock, hold.lock.number()));
    fake::put("/home/me/start.lock");
    CHECK_FALSE(is_current(folder, start_lock, hold.lock.number()));
    sys::unlink(folder, start_lock);
    CHECK_FALSE(is_current(folder, start_lock, hold.lock.number()));
}

TEST_CASE("a link in the place of a lock is refused [X3]") {
    World world;
    int folder = open_folder();
    fake::put("/home/me/victim", "precious");
    fake::put("/home/me/start.lock")->kind = fake::Node::Kind::Link;
    fake::find("/home/me")->entries["start.lock"]->target = "/home/me/victim";
    Hold hold = try_lock(folder, start_lock);
    CHECK(hold.held == Held::Error);
    CHECK(hold.error.code == ELOOP);
    CHECK(fake::content("/home/me/victim") == "precious");
}

TEST_CASE("whatever fails, a lock is had, or not, or the error has words [C1][L5]") {
    fail_each({"open", "flock", "fstat", "stat", "close", "sigaction", "set_signal_mask"}, [](World& world) {
        fake::in(30, [] {});
        Fd folder(open_folder());
        if (!folder.is_open())
            return;
        Hold hold = try_lock(folder.number(), start_lock);
        CHECK((hold.held == Held::Error) == static_cast<bool>(hold.error));
        CHECK((hold.held == Held::Yes) <= hold.lock.is_open());
        Hold waited = wait_for_lock(folder.number(), alive_lock, Deadline::in(20));
        CHECK((waited.held == Held::Error) == static_cast<bool>(waited.error));
        (void)world;
    });
}
