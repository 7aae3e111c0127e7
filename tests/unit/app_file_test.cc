#include "app_file.h"
#include "said.h"
#include "world.h"

using namespace rouse;

namespace {

std::unique_ptr<AppFile> read_of(const std::string& executed) {
    fake::kernel->executed = executed;
    auto file = std::make_unique<AppFile>();
    read_app_file(*file);
    if (file->descriptor > 2 && fake::descriptors().count(file->descriptor) > 0)
        sys::close(file->descriptor); // as the exit does
    return file;
}

} // namespace

TEST_CASE("for a #! file the settings are in the file itself [X1]") {
    World world;
    fake::put("/home/me/app.cgi", "#!/bin/rouse\nrun = r\n", 0755)->uid = 1234;
    auto file = read_of("/home/me/app.cgi");
    CHECK_FALSE(file->error);
    CHECK(file->path == "/home/me/app.cgi");
    CHECK(file->name() == "app.cgi");
    CHECK(file->text == "#!/bin/rouse\nrun = r\n");
    CHECK(file->owner == 1234);
    world.check_nothing_leaked();
}

TEST_CASE("a relative path is from the working directory at start") {
    World world;
    fake::kernel->working_folder = fake::find("/home/me");
    fake::put("/home/me/app.cgi", "run = r\n");
    CHECK(read_of("app.cgi")->path == "/home/me/app.cgi");
    CHECK(read_of("./app.cgi")->path == "/home/me/app.cgi");
}

TEST_CASE("for rouse itself, copied or linked, the settings are beside it") {
    World world;
    fake::put("/home/me/app.cgi", "\177ELF...", 0777); // who may write to a program does not decide the settings
    auto file = read_of("/home/me/app.cgi");
    CHECK(file->error.code == ENOENT);
    CHECK(std::string(file->error.subject) == "/home/me/app.cgi.conf");
    CHECK(file->text.empty());
    fake::put("/home/me/app.cgi.conf", "run = r\n")->uid = 1234;
    file = read_of("/home/me/app.cgi");
    CHECK_FALSE(file->error);
    CHECK(file->path == "/home/me/app.cgi.conf");
    CHECK(file->text == "run = r\n");
    CHECK(file->owner == 1234);
    fake::find("/home/me/app.cgi.conf")->mode = 0666;
    CHECK(read_of("/home/me/app.cgi")->error.code == EPERM);
    fake::put("/home/me/app.cgi.conf", "\177ELF...");
    CHECK(read_of("/home/me/app.cgi")->text.empty());
}

TEST_CASE("an app file that others can write to is refused [X3]") {
    struct {
        mode_t mode;
        gid_t gid;
        bool trusted;
    } const cases[] = {
        {0755, 1000, true}, {0775, 1000, true}, {0775, 50, false}, {0757, 1000, false}, {0666, 1000, false}};
    for (auto& one : cases) {
        World world;
        fake::File app = fake::put("/home/me/app.cgi", "run = r\n", one.mode);
        app->gid = one.gid;
        CHECK(static_cast<bool>(read_of("/home/me/app.cgi")->error) == !one.trusted);
    }
}

TEST_CASE("an app file that is no file, too large or too deep is an error [X4]") {
    World world;
    CHECK(read_of("/home/me/none")->error.code == ENOENT);
    CHECK(read_of("/home/me")->error.code == EISDIR);
    CHECK(read_of("")->error);
    fake::put("/home/me/app.cgi", std::string(AppFile::max_size, '#'));
    CHECK(read_of("/home/me/app.cgi")->error.code == EFBIG);
    fake::put("/home/me/app.cgi", std::string(AppFile::max_size - 1, '#'));
    CHECK_FALSE(read_of("/home/me/app.cgi")->error);
    CHECK(read_of(std::string(5000, 'x'))->error.code == ENAMETOOLONG);
    world.check_nothing_leaked();
}

TEST_CASE("whatever fails, the app file is read whole or the error has a cure [X4]") {
    for (std::string text : {"run = r\n", "\177ELF"}) {
        fail_each({"open", "read", "fstat", "getcwd", "close"}, [&](World&) {
            fake::put("/app.cgi", text);
            fake::put("/home/me/app.cgi", text);
            fake::put("/home/me/app.cgi.conf", "run = r\n");
            auto file = read_of("app.cgi");
            if (file->error)
                CHECK(said(file->error.words.cure()) != "");
            else
                CHECK(file->text == "run = r\n");
        });
    }
}
