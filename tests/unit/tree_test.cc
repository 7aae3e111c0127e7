#include "proc.h"
#include "tree.h"
#include "world.h"

#include <algorithm>

using namespace rouse;

namespace {

// A run directory whose alive.lock some processes hold.
struct Run {
    Run() {
        lock = fake::put("/home/me/alive.lock");
        static char bytes[64];
        Text text(bytes);
        add_launch_mark(7, lock->number, text);
        launch = text.view();
        REQUIRE(!parse_address("/home/me/sock", address));
        mark = {7, lock->number, launch, &address};
    }
    fake::Process& holder(pid_t pid, uid_t uid = 1000) {
        fake::Process& process = fake::add_process(pid, uid);
        fake::open_by(process, 5, "/home/me/alive.lock");
        return process;
    }
    fake::File lock;
    std::string launch;
    Address address;
    TreeMark mark;
};

using Signals = std::vector<int>;

} // namespace

TEST_CASE("whoever holds the lock, listens on the socket, or carries the mark is stopped, and nobody else [L4]") {
    World world;
    Run run;
    fake::Process& holder = run.holder(200);
    fake::Process& listener = fake::add_process(201);
    fake::Server server = fake::listen("/home/me/sock");
    fake::give(listener, 7, server.listener);
    fake::Process& marked = fake::add_process(202);
    marked.environment = "PATH=/bin" + std::string(1, '\0') + "ROUSE_LAUNCH=3" + run.launch + std::string(1, '\0');
    fake::Process& other = fake::add_process(203);
    other.environment = "ROUSE_LAUNCH=3@7:1" + std::string(1, '\0') + "X" + run.launch + std::string(1, '\0');
    fake::open_by(other, 5, "/home/me/another.lock");
    fake::Process& stranger = run.holder(204, 1001);
    fake::Process& ourselves = *fake::kernel->processes.at(100);
    fake::open_by(ourselves, 50, "/home/me/alive.lock");
    world.expect_no_more_than_now();

    stranger.descriptors.clear();
    CHECK(stop_tree(run.mark, 1000));
    CHECK(holder.signals == Signals{SIGTERM});
    CHECK(listener.signals == Signals{SIGTERM});
    CHECK(marked.signals == Signals{SIGTERM});
    CHECK(other.signals.empty());
    CHECK(stranger.signals.empty());
    CHECK(ourselves.signals.empty());
    CHECK(fake::kernel->processes.at(1)->signals.empty());
    world.check_nothing_leaked();
}

TEST_CASE("root stops its own and no one else's [X2]") {
    World world;
    Run run;
    fake::kernel->uid = 0;
    fake::Process& stranger = run.holder(200, 1001);
    CHECK(stop_tree(run.mark, 100));
    CHECK(stranger.signals.empty());
}

TEST_CASE("TERM is sent once, and KILL after the time that is set [P5]") {
    World world;
    Run run;
    fake::Process& stubborn = run.holder(200);
    stubborn.on_signal = [](fake::Process&, int) {};
    int64_t begin = fake::kernel->now;
    CHECK(stop_tree(run.mark, 500));
    CHECK(stubborn.signals == Signals{SIGTERM, SIGKILL});
    CHECK(fake::kernel->now - begin >= 500);
    CHECK(fake::kernel->now - begin < 600);

    fake::Process& slow = run.holder(201);
    slow.on_signal = [](fake::Process& process, int) { fake::in(300, [&process] { process.end(0); }); };
    begin = fake::kernel->now;
    CHECK(stop_tree(run.mark, 500));
    CHECK(slow.signals == Signals{SIGTERM});
    CHECK(fake::kernel->now - begin < 400);
}

TEST_CASE("what appears while the tree is being stopped is stopped too") {
    World world;
    Run run;
    fake::Process& parent = run.holder(200);
    parent.on_signal = [&](fake::Process& process, int) {
        run.holder(201); // forks, and goes
        process.end(0);
    };
    CHECK(stop_tree(run.mark, 500));
    CHECK(fake::kernel->processes.at(201)->signals == Signals{SIGTERM});
    CHECK_FALSE(fake::kernel->processes.at(201)->alive);
}

TEST_CASE("more processes than are remembered are stopped all the same") {
    World world;
    Run run;
    for (pid_t pid = 200; pid < 300; pid++)
        run.holder(pid);
    CHECK(stop_tree(run.mark, 500));
    for (pid_t pid = 200; pid < 300; pid++)
        CHECK_FALSE(fake::kernel->processes.at(pid)->alive);
}

TEST_CASE("what cannot be killed is not waited for longer than 2 s [L5]") {
    World world;
    Run run;
    run.holder(200);
    fake::fail("pidfd_send_signal", EPERM, {1, true});
    int64_t begin = fake::kernel->now;
    CHECK_FALSE(stop_tree(run.mark, 500));
    CHECK(fake::kernel->now - begin < 3000);
}

TEST_CASE("a kernel without pidfds is asked by number") {
    World world;
    Run run;
    fake::Process& holder = run.holder(200);
    fake::fail("pidfd_open", ENOSYS, {1, true});
    CHECK(stop_tree(run.mark, 500));
    CHECK(holder.signals == Signals{SIGTERM});
    CHECK(fake::count("kill") == 1);
}

TEST_CASE("a zombie holds nothing and is not waited for") {
    World world;
    Run run;
    fake::Process& zombie = run.holder(200);
    zombie.end(0);
    CHECK(stop_tree(run.mark, 500));
    CHECK(zombie.signals.empty());
}

TEST_CASE("a process is named by number and start time [X2]") {
    World world;
    fake::Process& process = fake::add_process(200);
    process.start = 7777;
    CHECK(start_time_of(200) == 7777); // its name has blanks and parentheses
    CHECK(start_time_of(999) == 0);
    end_process(200, 7776); // the number was used again
    CHECK(process.signals.empty());
    fake::Process& stranger = fake::add_process(201, 1001);
    end_process(201, stranger.start);
    CHECK(stranger.signals.empty());
    end_process(1, start_time_of(1));
    CHECK(fake::kernel->processes.at(1)->signals.empty());
    end_process(200, 7777);
    CHECK(process.signals == Signals{SIGKILL});
    end_process(999, 0);
    world.check_nothing_leaked();
}

TEST_CASE("whatever fails while a tree is stopped, it ends, and spares everybody else [L4][C1]") {
    fail_each({"open", "read", "stat", "getdents", "pidfd_open", "pidfd_send_signal", "nanosleep", "close"},
              [](World&) {
                  Run run;
                  fake::Process& holder = run.holder(200);
                  fake::Process& other = fake::add_process(300);
                  bool stopped = stop_tree(run.mark, 100);
                  CHECK(other.signals.empty());
                  CHECK(fake::kernel->processes.at(100)->signals.empty());
                  (void)stopped;
                  (void)holder;
              });
}
