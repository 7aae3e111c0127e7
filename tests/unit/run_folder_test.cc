#include "fingerprint.h"
#include "run_folder.h"
#include "said.h"
#include "world.h"

using namespace rouse;

namespace {

struct App {
    explicit App(std::string lines = "run = /home/me/run\nstart = /home/me/start\n") : text(std::move(lines)) {
        REQUIRE_FALSE(parse_settings(text, "/home/me/app.cgi", "n1", *settings));
    }
    std::string text;
    std::unique_ptr<Settings> settings = std::make_unique<Settings>();
};

Result<Fd> open_node_folder(const Settings& settings) {
    Fd folder;
    Error error;
    if (!rouse::open_node_folder(settings, folder, error))
        return error;
    return Result<Fd>(std::move(folder));
}

Error check_start_script(const Settings& settings, uid_t owner_of_app) {
    Error error;
    return start_script_is_trusted(settings, owner_of_app, error) ? Error() : error;
}

} // namespace

TEST_CASE("the run directory and the node's folder are made for us alone, with a denial for the web [X3][L9]") {
    World world;
    App app;
    {
        Result<Fd> folder = open_node_folder(*app.settings);
        REQUIRE(folder.ok());
        CHECK(fake::find("/home/me/run")->mode == 0700);
        CHECK(fake::find("/home/me/run/n1")->mode == 0700);
        std::string denial = fake::content("/home/me/run/.htaccess");
        CHECK(denial.find("Require all denied") != std::string::npos);
        CHECK(denial.find("Deny from all") != std::string::npos);
        CHECK(fake::kernel->process().descriptors[folder.value().number()].close_on_exec);
    }
    world.check_nothing_leaked();
    fake::find("/home/me/run")->entries.erase(".htaccess");
    CHECK(open_node_folder(*app.settings).ok());
    CHECK_FALSE(fake::exists("/home/me/run/.htaccess")); // an existing one is not changed
}

TEST_CASE("a run directory that others can write to, or that is a stranger's, is refused and not changed [X3]") {
    struct {
        mode_t mode;
        uid_t uid;
        gid_t gid;
        bool trusted;
    } const cases[] = {
        {0700, 1000, 1000, true},  {0755, 1000, 1000, true},  {0770, 1000, 1000, true}, {0770, 1000, 50, false},
        {0707, 1000, 1000, false}, {0777, 1000, 1000, false}, {0700, 0, 0, true},       {0700, 1001, 1000, false},
        {0755, 1000, 50, true},    {01777, 0, 0, false},
    };
    for (std::string path : {"/home/me/run", "/home/me/run/n1"}) {
        for (auto& one : cases) {
            World world;
            App app;
            fake::put_folder("/home/me/run", 0700);
            fake::File folder = fake::put_folder(path, one.mode);
            folder->mode = one.mode;
            folder->uid = one.uid;
            folder->gid = one.gid;
            {
                Result<Fd> opened = open_node_folder(*app.settings);
                CHECK(opened.ok() == one.trusted);
                if (!opened.ok())
                    CHECK(opened.error().code == EPERM);
            }
            CHECK(folder->mode == one.mode);
            world.check_nothing_leaked();
        }
    }
}

TEST_CASE("what is no folder in the place of the run directory is an error [X3][X4]") {
    World world;
    App app;
    fake::put("/home/me/run", "precious");
    CHECK(open_node_folder(*app.settings).error().code == ENOTDIR);
    fake::put_folder("/home/me/elsewhere");
    fake::put("/home/me/run")->kind = fake::Node::Kind::Link;
    fake::find("/home/me")->entries["run"]->target = "/home/me/elsewhere";
    CHECK_FALSE(open_node_folder(*app.settings).ok());
    CHECK(fake::find("/home/me/elsewhere")->entries.empty());
}

TEST_CASE("whatever fails, the node's folder is open or the error has words [C1]") {
    fail_each({"open", "mkdir", "fstat", "write", "unlink", "close"}, [](World&) {
        App app;
        Result<Fd> folder = open_node_folder(*app.settings);
        if (folder.ok())
            CHECK(folder.value().is_open());
        else
            CHECK(said(folder.error().words.cure()) != "");
        // Half a denial would deny nothing.
        std::string denial = fake::content("/home/me/run/.htaccess");
        if (!denial.empty() && fake::count("unlink") == 0)
            CHECK(denial.find("</IfModule>\n<IfModule") != std::string::npos);
    });
}

TEST_CASE("two bridges that make the folder at once both get it [L9]") {
    World world;
    App app;
    fake::put_folder("/home/me/run", 0700);
    fake::put_folder("/home/me/run/n1", 0700);
    fake::fail("open", ENOENT, {2}); // not yet there when it was looked for
    CHECK(open_node_folder(*app.settings).ok());
}

TEST_CASE("a ledger knows its socket by where it lies, so that a home can be moved") {
    World world;
    struct {
        std::string lines, name;
    } const cases[] = {
        {"run = r\nstart = s", "sock"},
        {"socket = /home/me/app.sock\nstart = s", "beside"},
        {"socket = @shop\nrun = r", "@shop"},
        {"socket = @my shop\nrun = r", "@my shop"},
        {"socket = 127.0.0.1:4000\nrun = r", "127.0.0.1:4000"},
    };
    for (auto& one : cases) {
        App app(one.lines);
        CHECK(name_of_socket(*app.settings) == see(one.name.data(), one.name.size()));
        Ledger ledger;
        stamp_ledger(ledger, *app.settings, 7);
        CHECK(ledger.socket == name_of_socket(*app.settings));
        CHECK(ledger.boot == 7);
    }
}

TEST_CASE("a start script that others can write to, or that is a stranger's, is refused [X3]") {
    struct {
        mode_t mode;
        uid_t uid;
        gid_t gid;
        bool trusted;
    } const cases[] = {
        {0755, 1000, 1000, true}, {0775, 1000, 1000, true}, {0775, 1000, 50, false}, {0757, 1000, 1000, false},
        {0755, 0, 0, true},       {0755, 1001, 50, false},  {0755, 1002, 50, true}, // 1002 owns the app file
    };
    for (auto& one : cases) {
        World world;
        App app;
        fake::File script = fake::put("/home/me/start", "#!/bin/sh\n", one.mode);
        script->uid = one.uid;
        script->gid = one.gid;
        Error error = check_start_script(*app.settings, 1002);
        CHECK(static_cast<bool>(error) == !one.trusted);
    }
    World world;
    App app;
    CHECK_FALSE(check_start_script(*app.settings, 1000)); // execve says better that it is not there
}
