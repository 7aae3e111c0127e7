#include "deadline.h"
#include "fd.h"
#include "io.h"
#include "world.h"

using namespace rouse;

TEST_CASE("write_all resumes after a short write and an interruption") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    fake::kernel->short_counts["write"] = 2;
    fake::fail("write", EINTR, {2});
    CHECK(write_all(1, "hello, world") == 0);
    CHECK(web_server.take() == "hello, world");
    CHECK(write_all(1, "") == 0);
}

TEST_CASE("write_all waits for a descriptor that does not block") {
    World world;
    int ends[2];
    REQUIRE(sys::pipe(ends, O_NONBLOCK) == 0);
    std::string got, much(200'000, 'x');
    fake::kernel->idle.push_back([&] { // a slow reader
        char bytes[10000];
        ssize_t count = sys::read(ends[0], bytes, sizeof bytes);
        got.append(bytes, static_cast<size_t>(std::max<ssize_t>(count, 0)));
        return count > 0;
    });
    CHECK(write_all(ends[1], much) == 0);
    while (fake::kernel->idle[0]()) {
    }
    CHECK(got == much);
}

TEST_CASE("write_all answers the error after a part") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    fake::kernel->short_counts["write"] = 3;
    fake::fail("write", ENOSPC, {2});
    CHECK(write_all(1, "hello") == -ENOSPC);
    CHECK(web_server.take() == "hel");
    web_server.close();
    CHECK(write_all(1, "hello") == -EPIPE);
}

TEST_CASE("write_all writes everything or answers an error, whatever fails") {
    fail_each({"write", "poll"}, [](World&) {
        fake::Peer web_server = fake::as_mod_cgi();
        fake::kernel->short_counts["write"] = 4;
        int result = write_all(1, "hello, world");
        std::string got = web_server.take();
        CHECK(got == std::string("hello, world").substr(0, got.size()));
        CHECK((result == 0) == (got.size() == 12));
    });
}

TEST_CASE("read_full reads to the size, to the end, or to an error") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    web_server.send("hello");
    web_server.end();
    fake::kernel->short_counts["read"] = 2;
    fake::fail("read", EINTR, {2});
    char bytes[16];
    CHECK(read_full(0, bytes, 4) == 4);
    CHECK(std::string(bytes, 4) == "hell");
    CHECK(read_full(0, bytes, sizeof bytes) == 1);
    CHECK(read_full(0, bytes, sizeof bytes) == 0);
    fake::fail("read", EIO);
    CHECK(read_full(0, bytes, sizeof bytes) == -EIO);
}

TEST_CASE("wait_for waits by the deadline, whatever interrupts it") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    int64_t begin = boot_now();
    fake::fail("poll", EINTR, {1});
    fake::fail("poll", EINTR, {2});
    CHECK(wait_for(0, POLLIN, Deadline::in(100)) == 0);
    CHECK(boot_now() == begin + 101);
    fake::in(30, [&] { web_server.send("x"); });
    CHECK(wait_for(0, POLLIN, Deadline::in(100)) == POLLIN);
    CHECK(boot_now() == begin + 131);
    web_server.end();
    CHECK((wait_for(0, POLLIN, Deadline::in(100)) & POLLHUP) != 0);
    fake::fail("poll", ENOMEM);
    CHECK(wait_for(0, POLLIN, Deadline::in(100)) == -ENOMEM);
}

TEST_CASE("a deadline is not over before its moment, and never says less than nothing") {
    World world;
    CHECK_FALSE(Deadline().begun());
    Deadline deadline = Deadline::in(99);
    CHECK(deadline.begun());
    CHECK(deadline.left() == 100);
    fake::kernel->now += 40;
    CHECK(deadline.left() == 60);
    fake::kernel->now += 60;
    CHECK(deadline.left() == 0);
    fake::kernel->now += 1'000'000'000'000;
    CHECK(deadline.left() == 0);
    CHECK(Deadline::at(INT64_MAX).left() == INT32_MAX);
    CHECK(Deadline::in(INT32_MAX).left() == INT32_MAX);
}

TEST_CASE("a descriptor is closed once, by its last owner") {
    World world;
    {
        Fd none, first(sys::open(AT_FDCWD, "/dev/null", O_RDONLY));
        CHECK_FALSE(none.is_open());
        CHECK_FALSE(Fd(-ENOENT).is_open());
        REQUIRE(first.number() == 3);
        Fd second(std::move(first));
        CHECK(second.number() == 3);
        CHECK(fake::kernel->closed.empty());
        second = Fd(sys::open(AT_FDCWD, "/dev/null", O_RDONLY));
        CHECK(second.number() == 4);
        CHECK(fake::kernel->closed == std::vector<int>{3});
        Fd& same = second;
        second = std::move(same);
        CHECK(second.number() == 4);
        fake::fail("close", EINTR); // close(2): the number is free all the same, and is not closed again
    }
    CHECK(fake::kernel->closed == std::vector<int>{3, 4});
    Fd released(sys::open(AT_FDCWD, "/dev/null", O_RDONLY));
    int number = released.release();
    released.reset();
    CHECK(fake::descriptors().count(number) == 1);
}

TEST_CASE("a small file is read whole or not at all [X4]") {
    World world;
    fake::put("/tmp/file", "1234567");
    fake::put_folder("/tmp/folder");
    fake::put("/tmp/link")->kind = fake::Node::Kind::Link;
    fake::find("/tmp")->entries["link"]->target = "/tmp/file";
    char storage[8];
    std::string_view text;
    CHECK(read_small_file(AT_FDCWD, "/tmp/file", storage, sizeof storage, text));
    CHECK(text == "1234567");
    CHECK(text.data()[7] == '\0');
    CHECK_FALSE(read_small_file(AT_FDCWD, "/tmp/file", storage, 7, text));
    CHECK_FALSE(read_small_file(AT_FDCWD, "/tmp/none", storage, sizeof storage, text));
    CHECK_FALSE(read_small_file(AT_FDCWD, "/tmp/folder", storage, sizeof storage, text));
    CHECK_FALSE(read_small_file(AT_FDCWD, "/tmp/link", storage, sizeof storage, text));
    world.check_nothing_leaked();
    fail_each({"open", "read", "close"}, [](World&) {
        fake::put("/tmp/file", "1234567");
        char bytes[8];
        std::string_view found;
        if (read_small_file(AT_FDCWD, "/tmp/file", bytes, sizeof bytes, found))
            CHECK(found == "1234567");
    });
}
