#include "process.h"
#include "said.h"
#include "world.h"

#include <algorithm>
#include <sys/resource.h>

using namespace rouse;

namespace {

struct App {
    explicit App(std::string lines = "run = /home/me/run\nstart = start -v two\ndirectory = work\nlog = log\n")
        : text(std::move(lines)) {
        fake::put_folder("/home/me/work");
        fake::put("/home/me/start", "#!/bin/sh\n", 0755);
        REQUIRE_FALSE(parse_settings(text, "/home/me/app.cgi", "n1", *settings));
    }
    std::string text;
    std::unique_ptr<Settings> settings = std::make_unique<Settings>();
};

std::vector<std::string> environment_of(const App& app, const CgiRequest& request = {}) {
    auto environment = std::make_unique<LaunchEnvironment>();
    environment->make(*app.settings, request, "cold", "7@7:3e8");
    std::vector<std::string> entries;
    for (auto entry = environment->entries(); *entry != nullptr; entry++)
        entries.push_back(*entry);
    return entries;
}

bool has(const std::vector<std::string>& entries, const std::string& entry) {
    return std::count(entries.begin(), entries.end(), entry) == 1;
}

const char* const no_environment[] = {"A=b", nullptr};

// Follows the child of start_program to the end.
fake::Executed executed(const App& app, int alive, const int (&close_first)[3] = {-1, -1, -1}) {
    fake::kernel->follow_child = true;
    Fd trouble;
    try {
        start_program(*app.settings, no_environment, alive, close_first, trouble);
    } catch (const fake::Executed& program) {
        trouble.release(); // the child's world is not ours to close
        return program;
    }
    FAIL("nothing was executed");
    return {};
}

} // namespace

TEST_CASE("the start script is run in a session of its own, with its arguments, in its folder [P1][P3]") {
    World world;
    App app;
    int alive = sys::open(AT_FDCWD, "/home/me/alive.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    fake::Executed program = executed(app, alive);
    CHECK(program.path == "/home/me/start");
    CHECK(program.arguments == std::vector<std::string>{"/home/me/start", "-v", "two"});
    CHECK(program.environment == std::vector<std::string>{"A=b"});
    CHECK(fake::kernel->working_folder == fake::find("/home/me/work"));
    CHECK(fake::count("setsid") == 1);
}

TEST_CASE("of our descriptors it keeps 0, 1, 2 and a copy of alive.lock, not as 3 [P1]") {
    World world;
    App app;
    int start = sys::open(AT_FDCWD, "/home/me/start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(start == 3); // and free when the copy is made
    int alive = sys::open(AT_FDCWD, "/home/me/alive.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int other = sys::open(AT_FDCWD, "/tmp", O_RDONLY | O_CLOEXEC),
        folder = sys::open(AT_FDCWD, "/tmp", O_RDONLY | O_CLOEXEC);
    executed(app, alive, {start, other, folder});
    std::set<int> left = fake::descriptors();
    CHECK(left.size() == 4);
    CHECK(left.count(3) == 0);
    int copy = *left.rbegin();
    CHECK(fake::kernel->process().descriptors[copy].open->node == fake::find("/home/me/alive.lock"));
}

TEST_CASE("what must not be held long is closed before anything that can block [L4]") {
    World world;
    App app;
    int alive = sys::open(AT_FDCWD, "/home/me/alive.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int start = sys::open(AT_FDCWD, "/home/me/start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    fake::kernel->follow_child = true;
    fake::fail("chdir", EIO);
    Fd trouble;
    CHECK_THROWS_AS(start_program(*app.settings, no_environment, alive, {start, -1, -1}, trouble), fake::Exited);
    trouble.release();
    CHECK(std::count(fake::kernel->closed.begin(), fake::kernel->closed.end(), start) == 1);
}

TEST_CASE("its signals are as a shell gives them, whatever the web server left [P1]") {
    World world;
    App app;
    sys::set_signal_mask(SIG_BLOCK, UINT64_MAX);
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    for (int number = 1; number < _NSIG; number++)
        sys::sigaction(number, ignore);
    executed(app, 0);
    for (int number = 1; number < _NSIG; number++) {
        CHECK((fake::kernel->blocked & sys::only(number)) == 0);
        bool is_default = fake::kernel->actions[number].sa_handler == SIG_DFL;
        CHECK((is_default || number == SIGKILL || number == SIGSTOP));
    }
}

TEST_CASE("soft limits are raised to the hard ones, descriptors to 4096, and two are left [P3]") {
    World world;
    App app;
    for (int resource : {RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NPROC, RLIMIT_CORE, RLIMIT_STACK})
        fake::kernel->limits[resource] = {10, 1000};
    fake::kernel->limits[RLIMIT_NOFILE] = {256, 1'000'000};
    executed(app, 0);
    for (int resource : {RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NPROC})
        CHECK(fake::kernel->limits[resource].rlim_cur == 1000);
    CHECK(fake::kernel->limits[RLIMIT_NOFILE].rlim_cur == 4096);
    CHECK(fake::kernel->limits[RLIMIT_CORE].rlim_cur == 10);
    CHECK(fake::kernel->limits[RLIMIT_STACK].rlim_cur == 10);
    World another;
    App other;
    fake::kernel->limits[RLIMIT_NOFILE] = {5000, 6000}; // more already: never less
    executed(other, 0);
    CHECK(fake::kernel->limits[RLIMIT_NOFILE].rlim_cur == 5000);
}

TEST_CASE("its environment is clean, and nothing of the request is in it [P2][X1]") {
    World world;
    App app;
    fake::put_folder("/etc");
    fake::put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000:Me:/home/me:/bin/zsh\n");
    CgiRequest request;
    request.method = "POST";
    request.accept = "evil";
    auto entries = environment_of(app, request);
    CHECK(has(entries, "PATH=/usr/local/bin:/usr/bin:/bin"));
    CHECK(has(entries, "HOME=/home/me"));
    CHECK(has(entries, "USER=me"));
    CHECK(has(entries, "LOGNAME=me"));
    CHECK(has(entries, "SHELL=/bin/zsh"));
    CHECK(has(entries, "ROUSE_SOCKET=/home/me/run/n1/sock"));
    CHECK(has(entries, "ROUSE_APP=/home/me/app.cgi"));
    CHECK(has(entries, "ROUSE_REASON=cold"));
    CHECK(has(entries, "ROUSE_LAUNCH=7@7:3e8"));
    CHECK(entries.size() == 9);

    request.path = "/opt/bin";
    request.lang = "C.UTF-8";
    request.tz = "Europe/Berlin";
    request.home = "/home/other";
    request.user = "other";
    request.logname = "third";
    request.shell = "/bin/ksh";
    entries = environment_of(app, request);
    for (std::string entry : {"PATH=/opt/bin", "LANG=C.UTF-8", "TZ=Europe/Berlin", "HOME=/home/other", "USER=other",
                              "LOGNAME=third", "SHELL=/bin/ksh"})
        CHECK_MESSAGE(has(entries, entry), entry);
    CHECK(entries.size() == 11);
}

TEST_CASE("a user who is not in /etc/passwd lives in the highest folder that is ours [P2]") {
    World world;
    App app;
    fake::find("/home")->uid = 0;
    auto entries = environment_of(app);
    CHECK(has(entries, "HOME=/home/me"));
    CHECK(std::none_of(entries.begin(), entries.end(), [](auto& entry) { return entry.substr(0, 5) == "USER="; }));
    fake::find("/home/me")->uid = 0;
    entries = environment_of(app);
    CHECK(std::none_of(entries.begin(), entries.end(), [](auto& entry) { return entry.substr(0, 5) == "HOME="; }));
}

TEST_CASE("an environment that is too large leaves entries out, and never half of one [X4]") {
    World world;
    App app;
    CgiRequest request;
    std::string large(17'000, 'x'), half(9000, 'y');
    request.path = half;
    request.lang = large;
    request.tz = half;
    request.home = half;
    auto entries = environment_of(app, request);
    CHECK(entries[0] == "PATH=" + half);
    for (auto& entry : entries)
        CHECK(entry.find('=') != entry.npos);
    CHECK(has(entries, "ROUSE_LAUNCH=7@7:3e8"));
}

TEST_CASE("a program that cannot be run says why, for each errno of execve and chdir [P4]") {
    for (std::string call : {"execve", "chdir"}) {
        for (int error : errors_of(call)) {
            INFO(call << ": " << said(reason(error)));
            World world;
            App app;
            fake::kernel->follow_child = true;
            fake::fail(call, error);
            Fd trouble_pipe;
            int exit_status = -1;
            try {
                start_program(*app.settings, no_environment, 0, {-1, -1, -1}, trouble_pipe);
            } catch (const fake::Exited& exited) {
                exit_status = exited.status;
            }
            CHECK(exit_status == 127);
            fake::kernel->current = 100; // back in the parent
            CHECK(trouble_pipe.is_open());
            ExecTrouble trouble;
            // The child's end is gone with the child, the parent's own copy with the frames that threw.
            REQUIRE(sys::read(trouble_pipe.number(), &trouble, sizeof trouble) == sizeof trouble);
            CHECK(trouble.code == error);
            CHECK(trouble.at_folder == (call == "chdir"));
            static char bytes[512];
            Text words(bytes);
            explain(trouble, *app.settings, words);
            CHECK(words.view().find(call == "chdir" ? "/home/me/work" : "/home/me/start") != std::string_view::npos);
            CHECK(words.view().find("error N") == std::string_view::npos);
        }
    }
}

TEST_CASE("a missing interpreter, CRLF and a missing script are told apart [P4]") {
    struct {
        std::string script;
        std::string words;
    } const cases[] = {
        {"#!/no/such/thing\n", "interpreter"},
        {"#!/bin/sh\r\necho\r\n", "carriage return"},
        {"#!/bin/sh\r", "carriage return"},
        {"", "no such file"},
        {"#!" + std::string(5000, 'x'), "interpreter"},
    };
    for (auto& one : cases) {
        World world;
        App app;
        fake::put("/home/me/start", one.script, 0755);
        if (one.script.empty())
            fake::find("/home/me")->entries.erase("start");
        static char bytes[512];
        Text words(bytes);
        explain({false, ENOENT}, *app.settings, words);
        INFO(std::string(words.view()));
        CHECK(words.view().find(one.words) != std::string_view::npos);
        world.check_nothing_leaked();
    }
}

TEST_CASE("a process that cannot be made is an answer, for each errno of fork and pipe [C1]") {
    for (std::string call : {"fork", "pipe"}) {
        for (int error : errors_of(call)) {
            World world;
            App app;
            fake::fail(call, error);
            {
                Fd trouble;
                CHECK(start_program(*app.settings, no_environment, 0, {-1, -1, -1}, trouble) == -error);
            }
            world.check_nothing_leaked();
        }
    }
}

TEST_CASE("the parent learns that the program runs by the end of the pipe [P4]") {
    World world;
    App app;
    fake::kernel->on_fork = [](fake::Process& child) { child.end(0); };
    Fd trouble;
    CHECK(start_program(*app.settings, no_environment, 0, {-1, -1, -1}, trouble) == 101);
    ExecTrouble none;
    CHECK(sys::read(trouble.number(), &none, sizeof none) == 0);
}

TEST_CASE("every descriptor but three is closed, also where close_range is missing [P1]") {
    for (bool has_close_range : {true, false}) {
        for (auto kept : {std::vector<int>{3, 4, 5}, std::vector<int>{9, 5, 7}, std::vector<int>{3, 3, 60}}) {
            World world;
            for (int count = 0; count < 60; count++)
                sys::open(AT_FDCWD, "/dev/null", O_RDONLY);
            if (!has_close_range)
                fake::fail("close_range", ENOSYS, {1, true});
            fake::kernel->limits[RLIMIT_NOFILE] = {256, 256};
            close_all_but({kept[0], kept[1], kept[2]});
            std::set<int> expected = {0, 1, 2};
            expected.insert(kept.begin(), kept.end());
            CHECK(fake::descriptors() == expected);
        }
    }
}

TEST_CASE("0 becomes /dev/null, 1 and 2 the log, and nothing stays that reaches the web server [P1]") {
    auto node_of = [](int fd) { return fake::kernel->process().descriptors[fd].open->node; };
    World world;
    int folder = sys::open(AT_FDCWD, "/home/me", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world.expect_no_more_than_now();
    replace_standard_descriptors("/home/me/log", folder);
    CHECK(node_of(0)->kind == fake::Node::Kind::Null);
    CHECK(node_of(1) == fake::find("/home/me/log"));
    CHECK(node_of(2) == node_of(1));
    CHECK(fake::find("/home/me/log")->mode == 0600);
    auto& log = *fake::kernel->process().descriptors[1].open;
    CHECK((log.flags & O_APPEND) != 0);
    CHECK((log.flags & O_NONBLOCK) == 0); // the server inherits it
    CHECK_FALSE(fake::kernel->process().descriptors[1].close_on_exec);
    world.check_nothing_leaked();

    fail_each({"open", "set_status_flags"}, [&](World& one) {
        fake::Peer web_server = fake::as_mod_cgi();
        fake::open_by(fake::kernel->process(), 9, "/home/me");
        one.expect_no_more_than_now();
        replace_standard_descriptors("/home/me/log", 9);
        for (int fd : {0, 1, 2})
            CHECK(node_of(fd)->kind != fake::Node::Kind::Pipe);
        CHECK(web_server.from_program->ended);
    });
}
