#include "io.h"
#include "world.h"

#include <sys/file.h>

using namespace rouse;

// The fake is what other tests stand on: that it behaves like a kernel is shown here.

TEST_CASE("the fake gives the lowest free descriptor, and none over the limit") {
    World world;
    CHECK(sys::open(AT_FDCWD, "/dev/null", O_RDONLY) == 3);
    CHECK(sys::open(AT_FDCWD, "/dev/null", O_RDONLY) == 4);
    CHECK(sys::close(3) == 0);
    CHECK(sys::open(AT_FDCWD, "/dev/null", O_RDONLY) == 3);
    CHECK(sys::close(9) == -EBADF);
    fake::kernel->descriptor_limit = 5;
    int ends[2];
    CHECK(sys::pipe(ends, 0) == -EMFILE);
    CHECK(fake::descriptors() == std::set<int>{0, 1, 2, 3, 4});
}

TEST_CASE("a close that fails closes all the same") {
    World world;
    sys::open(AT_FDCWD, "/dev/null", O_RDONLY);
    fake::fail("close", EINTR);
    CHECK(sys::close(3) == -EINTR);
    CHECK(sys::close(3) == -EBADF);
    CHECK(fake::kernel->closed == std::vector<int>{3});
}

TEST_CASE("a fault comes on the Nth call, once or for ever, and perhaps for one path only") {
    World world;
    char byte;
    fake::fail("read", EIO, {2});
    fake::fail("open", EACCES, {1, true, "null"});
    CHECK(sys::read(0, &byte, 1) == 0);
    CHECK(fake::any_fault_left());
    CHECK(sys::read(0, &byte, 1) == -EIO);
    CHECK(sys::read(0, &byte, 1) == 0);
    CHECK(sys::open(AT_FDCWD, "/tmp", O_RDONLY) == 3);
    CHECK(sys::open(AT_FDCWD, "/dev/null", O_RDONLY) == -EACCES);
    CHECK(sys::open(AT_FDCWD, "/dev/null", O_RDONLY) == -EACCES);
    CHECK_FALSE(fake::any_fault_left());
}

TEST_CASE("an interrupted write has written half, and the next answers EINTR") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    fake::fail("write", EINTR);
    CHECK(sys::write(1, "abcdef", 6) == 3);
    CHECK(sys::write(1, "def", 3) == -EINTR);
    CHECK(sys::write(1, "def", 3) == 3);
    CHECK(web_server.take() == "abcdef");
}

TEST_CASE("a full pipe takes no more, and a reader who goes makes EPIPE") {
    World world;
    int ends[2];
    REQUIRE(sys::pipe(ends, O_NONBLOCK) == 0);
    std::string much(70000, 'x');
    CHECK(sys::write(ends[1], much.data(), much.size()) == 65536);
    CHECK(sys::write(ends[1], "x", 1) == -EAGAIN);
    pollfd full = {ends[1], POLLOUT, 0};
    CHECK(sys::poll(&full, 1, 0) == 0);
    CHECK(sys::read(ends[0], much.data(), 5000) == 5000);
    CHECK(sys::poll(&full, 1, 0) == 1);
    sys::close(ends[0]);
    CHECK(sys::write(ends[1], "x", 1) == -EPIPE);
}

TEST_CASE("a connection that is closed with something unread is reset behind what was sent") {
    World world;
    int fd = -1;
    fake::Peer server = fake::connected(fd);
    CHECK(sys::send(fd, "request", 7, 0) == 7);
    server.send("answer");
    server.close();
    char bytes[16];
    CHECK(sys::recv(fd, bytes, sizeof bytes, 0) == 6);
    CHECK(sys::recv(fd, bytes, sizeof bytes, 0) == -ECONNRESET);
    CHECK(sys::recv(fd, bytes, sizeof bytes, 0) == 0);
    CHECK(sys::send(fd, "x", 1, 0) == -EPIPE);
}

TEST_CASE("a lock lives as long as its last copy") {
    World world;
    fake::Process& other = fake::add_process(200);
    fake::OpenFile held = fake::open_by(other, 5, "/tmp/lock");
    REQUIRE(fake::lock(held));
    held.reset();
    int fd = sys::open(AT_FDCWD, "/tmp/lock", O_RDWR);
    CHECK(sys::flock(fd, LOCK_EX | LOCK_NB) == -EWOULDBLOCK);
    other.end(SIGKILL);
    CHECK(sys::flock(fd, LOCK_EX | LOCK_NB) == 0);
    CHECK(sys::duplicate(fd, 10) == 10);
    sys::close(fd);
    fd = sys::open(AT_FDCWD, "/tmp/lock", O_RDWR);
    CHECK(sys::flock(fd, LOCK_EX | LOCK_NB) == -EWOULDBLOCK);
    sys::close(10);
    CHECK(sys::flock(fd, LOCK_EX | LOCK_NB) == 0);
}

TEST_CASE("waiting moves the clock on to what happens next, and waiting for nothing is found") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    int64_t begin = fake::kernel->now;
    fake::in(30, [&] { web_server.send("x"); });
    pollfd input = {0, POLLIN, 0};
    CHECK(sys::poll(&input, 1, 10) == 0);
    CHECK(fake::kernel->now == begin + 10);
    CHECK(sys::poll(&input, 1, 100) == 1);
    CHECK(fake::kernel->now == begin + 30);
    char byte;
    CHECK(sys::read(0, &byte, 1) == 1);
    CHECK_THROWS_AS(sys::read(0, &byte, 1), fake::Stuck);
    CHECK_THROWS_AS(sys::poll(&input, 1, -1), fake::Stuck);
}

TEST_CASE("descriptors travel in a message") {
    World world;
    int ends[2];
    REQUIRE(sys::socketpair(SOCK_SEQPACKET, ends) == 0);
    CHECK(sys::unlink(AT_FDCWD, "/tmp/none") == -ENOENT);
    int file = sys::open(AT_FDCWD, "/tmp/file", O_RDWR | O_CREAT, 0600);
    sys::write(file, "text", 4);
    char word[] = "word", control[CMSG_SPACE(sizeof(int))] = {};
    iovec parts = {word, 4};
    msghdr message = {};
    message.msg_iov = &parts;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &file, sizeof file);
    CHECK(sys::sendmsg(ends[0], &message, 0) == 4);
    sys::close(file);
    message.msg_controllen = sizeof control;
    CHECK(sys::recvmsg(ends[1], &message, 0) == 4);
    REQUIRE(CMSG_FIRSTHDR(&message) != nullptr);
    int number = -1;
    memcpy(&number, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof number);
    char text[8];
    CHECK(sys::pread(number, text, sizeof text, 0) == 4);
    sys::close(ends[0]);
    message.msg_controllen = sizeof control;
    CHECK(sys::recvmsg(ends[1], &message, 0) == 0);
}

TEST_CASE("a program that calls without end is found") {
    World world;
    CHECK_THROWS_AS(
        {
            for (;;)
                sys::write(1, "", 0);
        },
        fake::Spinning);
}
