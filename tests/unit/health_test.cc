#include "health.h"

#include "launching.h"

using namespace rouse;
using namespace launching;

namespace {

const std::string hung = "/home/me/run/n1/hung";

struct Watched : App {
    Watched() : App("run = /home/me/run\nstart = /home/me/start\nrestart-on = stamp\n") {
        folder.reset(sys::open(AT_FDCWD, run, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    bool silence() const { return count_silence(folder.number(), suspect_server(folder.number(), false)); }
    Touch look() const { return look_for_touch(*settings); }
    Fd folder;
};

} // namespace

TEST_CASE("the third silence in a row says that the server hangs, and every later one [W2]") {
    World world;
    Watched app;
    CHECK_FALSE(is_hung(app.folder.number()));
    CHECK_FALSE(app.silence());
    CHECK_FALSE(app.silence());
    CHECK_FALSE(is_hung(app.folder.number()));
    CHECK(app.silence());
    CHECK(is_hung(app.folder.number()));
    CHECK(app.silence());
    CHECK((fake::find(hung)->mode & 0777) == 0600);
}

TEST_CASE("an answer in between begins the count anew, also for all who are silent already [W2]") {
    World world;
    Watched app;
    int folder = app.folder.number();
    CHECK_FALSE(app.silence());
    CHECK_FALSE(app.silence());
    Fd many[] = {suspect_server(folder, false), suspect_server(folder, false), suspect_server(folder, false)};
    forget_silences(*app.settings);
    for (Fd& one : many)
        CHECK_FALSE(count_silence(folder, one));
    CHECK_FALSE(fake::exists(hung));
    CHECK_FALSE(app.silence()); // one
    for (Fd& one : many)        // of another file
        CHECK_FALSE(count_silence(folder, one));
    CHECK_FALSE(app.silence()); // two
    CHECK(app.silence());
}

TEST_CASE("silences that end together count each [W2]") {
    World world;
    Watched app;
    int folder = app.folder.number();
    Fd many[] = {suspect_server(folder, false), suspect_server(folder, false), suspect_server(folder, false)};
    CHECK_FALSE(count_silence(folder, many[0]));
    CHECK_FALSE(count_silence(folder, many[1]));
    CHECK(count_silence(folder, many[2]));
}

TEST_CASE("on a full disk they count too [W2]") {
    for (int error : {ENOSPC, EDQUOT}) {
        World world;
        Watched app;
        fake::fail("write", error, {1, true});
        CHECK_FALSE(app.silence());
        CHECK_FALSE(app.silence());
        CHECK(app.silence());
    }
}

TEST_CASE("a full backlog counts behind a silence, and never alone [W2][C1]") {
    World world;
    Watched app;
    int folder = app.folder.number();
    CHECK_FALSE(suspect_server(folder, true).is_open());
    CHECK_FALSE(fake::exists(hung));
    Fd begun = suspect_server(folder, false); // somebody waits, and may be answered yet
    CHECK_FALSE(suspect_server(folder, true).is_open());
    CHECK_FALSE(count_silence(folder, begun));
    for (bool last : {false, true}) {
        Fd busy = suspect_server(folder, true);
        CHECK(busy.is_open());
        CHECK(count_silence(folder, busy) == last);
    }
}

TEST_CASE("a link in the place of the count is neither written nor believed [X3]") {
    World world;
    Watched app;
    fake::put("/home/me/victim", "12345");
    REQUIRE(sys::symlink("/home/me/victim", AT_FDCWD, hung.c_str()) == 0);
    CHECK_FALSE(app.silence());
    CHECK(fake::content("/home/me/victim") == "12345");
    CHECK_FALSE(count_silence(app.folder.number(), Fd()));
    CHECK_FALSE(is_hung(app.folder.number()));
}

TEST_CASE("restart-on is touched when inode or time change, when it appears and when it goes [W3]") {
    World world;
    Watched app;
    CHECK(app.look() == Touch::FirstLook); // not there, which is a state like any other
    auto note = [&](Noting noting) { note_touch(*app.settings, app.folder.number(), noting); };
    note(Noting::FirstLook);
    CHECK(app.look() == Touch::None);
    fake::File file = fake::put("/home/me/stamp");
    CHECK(app.look() == Touch::Touched);
    note(Noting::FirstLook); // who looks first does not know better than a launch
    CHECK(app.look() == Touch::Touched);
    note(Noting::Launch);
    CHECK(app.look() == Touch::None);
    file->changed--;
    CHECK(app.look() == Touch::Touched);
    file->changed++;
    CHECK(app.look() == Touch::None);
    file->number++;
    CHECK(app.look() == Touch::Touched);
    note(Noting::Launch);
    sys::unlink(AT_FDCWD, "/home/me/stamp");
    CHECK(app.look() == Touch::Touched);
    note(Noting::Launch);
    CHECK(app.look() == Touch::None);
}

TEST_CASE("a restart-on of which the kernel says nothing has not changed [W3]") {
    for (int error : {EACCES, EIO, ESTALE, ELOOP}) {
        World world;
        Watched app;
        fake::put("/home/me/stamp");
        note_touch(*app.settings, app.folder.number(), Noting::Launch);
        fake::fail("stat", error, {1, true, "stamp"});
        CHECK(app.look() == Touch::None);
    }
    for (int error : {ENOENT, ENOTDIR}) {
        World world;
        Watched app;
        fake::put("/home/me/stamp");
        note_touch(*app.settings, app.folder.number(), Noting::Launch);
        fake::fail("stat", error, {1, true, "stamp"});
        CHECK(app.look() == Touch::Touched);
    }
    World world;
    Watched app;
    fake::put(std::string(run) + "/touched", "no link"); // EINVAL
    CHECK(app.look() == Touch::None);
}

TEST_CASE("without restart-on nothing is asked, and with it two things [W3][S4]") {
    World world;
    App plain;
    size_t before = fake::kernel->all_calls;
    CHECK(look_for_touch(*plain.settings) == Touch::None);
    CHECK(fake::kernel->all_calls == before);
    Watched app;
    before = fake::kernel->all_calls;
    app.look();
    CHECK(fake::kernel->all_calls == before + 2);
    forget_silences(*app.settings);
    CHECK(fake::kernel->all_calls == before + 3);
}
