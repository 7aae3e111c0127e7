#include "connection.h"
#include "said.h"
#include "world.h"

#include <map>

using namespace rouse;

namespace {

const PeerRule ours = {1000, false, 0};

// The address keeps pointing into its text.
struct Name {
    explicit Name(std::string_view text) : text_(text) { REQUIRE(!parse_address(text_, address)); }
    Name(const Name&) = delete;
    std::string text_;
    Address address;
};

Connection connect_until(const Address& address, const PeerRule& rule, Deadline deadline) {
    Connection connection;
    rouse::connect_until(address, rule, deadline, connection);
    return connection;
}

Connection connect_now(const Address& address, const PeerRule& rule) {
    return connect_until(address, rule, Deadline());
}

} // namespace

TEST_CASE("a server that listens is connected to, by any kind of address") {
    for (std::string name : {"/tmp/sock", "@shop", "127.0.0.1:4000", "[::1]:4000", "localhost:4000"}) {
        CAPTURE(name);
        World world;
        Name server_name(name);
        fake::Server server = fake::listen(name);
        {
            Connection connection = connect_now(server_name.address, ours);
            CHECK(connection.reach == Reach::Connected);
            REQUIRE(server.has_caller());
            fake::Descriptor& descriptor = fake::kernel->process().descriptors[connection.socket.number()];
            CHECK(descriptor.close_on_exec);
            CHECK((descriptor.open->flags & O_NONBLOCK) != 0);
        }
        world.check_nothing_leaked();
    }
}

TEST_CASE("nobody there is down, and nothing else is [C1]") {
    World world;
    for (std::string name :
         {"/tmp/sock", "/tmp/none/sock", "@shop", "127.0.0.1:4000", "[::1]:4000", "localhost:4000"}) {
        CAPTURE(name);
        CHECK(connect_now(Name(name).address, ours).reach == Reach::Down);
    }
    fake::listen("/tmp/sock").close(); // a dead socket
    CHECK(connect_now(Name("/tmp/sock").address, ours).reach == Reach::Down);
    fake::Server bound = fake::bind("/tmp/bound"); // not yet listening
    CHECK(connect_now(Name("/tmp/bound").address, ours).reach == Reach::Down);
    fake::put("/tmp/file");
    CHECK(connect_now(Name("/tmp/file").address, ours).reach == Reach::Down); // and nothing_in_the_way says more
    CHECK(connect_now(Name("/tmp/file/sock").address, ours).reach == Reach::Wrong);
    world.check_nothing_leaked();
}

TEST_CASE("localhost is 127.0.0.1, then ::1") {
    World world;
    fake::Server server = fake::listen("[::1]:4000");
    CHECK(connect_now(Name("localhost:4000").address, ours).reach == Reach::Connected);
    fake::fail("socket", EAFNOSUPPORT, {1, true}); // a machine without this family at all
    CHECK(connect_now(Name("[::1]:4000").address, ours).reach == Reach::Down);
}

TEST_CASE("a full backlog, and a port without an answer, are busy: somebody lives there [C1]") {
    World world;
    fake::Server server = fake::listen("/tmp/sock", 0);
    Connection first = connect_now(Name("/tmp/sock").address, ours);
    CHECK(first.reach == Reach::Connected);
    CHECK(connect_now(Name("/tmp/sock").address, ours).reach == Reach::Busy);
    fake::kernel->tcp_answers = false;
    fake::Server port = fake::listen("127.0.0.1:4000");
    int64_t begin = fake::kernel->now;
    CHECK(connect_now(Name("127.0.0.1:4000").address, ours).reach == Reach::Busy);
    CHECK(fake::kernel->now - begin <= 100);
}

TEST_CASE("who may wait gets the place that becomes free, or is told at the deadline [C1]") {
    World world;
    fake::Server server = fake::listen("/tmp/sock", 0);
    Name name("/tmp/sock");
    Connection first = connect_now(name.address, ours);
    int64_t begin = fake::kernel->now;
    CHECK(connect_until(name.address, ours, Deadline::in(200)).reach == Reach::Busy);
    CHECK(fake::kernel->now == begin + 201);

    fake::in(50, [&] { server.accept(); });
    Connection second = connect_until(name.address, ours, Deadline::in(200));
    CHECK(second.reach == Reach::Connected);
    CHECK(fake::kernel->now == begin + 251);
    CHECK((fake::kernel->process().descriptors[second.socket.number()].open->flags & O_NONBLOCK) != 0);

    fake::fail("connect", EINTR);
    server.accept();
    CHECK(connect_until(name.address, ours, Deadline::in(200)).reach == Reach::Connected);
    CHECK(connect_until(name.address, ours, Deadline::in(0)).reach == Reach::Busy);
}

TEST_CASE("a connection to itself is not a server [C2]") {
    World world;
    fake::Server server = fake::listen("127.0.0.1:33333"); // the port that the fake gives to callers
    fake::OpenFile listener = server.listener;
    CHECK(connect_now(Name("127.0.0.1:33333").address, ours).reach == Reach::Down);
    REQUIRE(server.has_caller());
    fake::Peer peer = server.accept();
    CHECK(peer.open->in->reset); // or the port would be in TIME_WAIT, and the real server could not bind it
    world.check_nothing_leaked();
}

TEST_CASE("a stranger's server is refused before anything is sent [X2]") {
    for (std::string name : {"/tmp/sock", "@shop", "127.0.0.1:4000", "[::1]:4000", "localhost:4000"}) {
        CAPTURE(name);
        struct {
            uid_t server;
            PeerRule rule;
            Reach reach;
        } const cases[] = {
            {1000, {1000, false, 0}, Reach::Connected}, {0, {1000, false, 0}, Reach::Connected},
            {1001, {1000, false, 0}, Reach::Foreign},   {1001, {1000, true, 1001}, Reach::Connected},
            {1002, {1000, true, 1001}, Reach::Foreign}, {1000, {1000, true, 1001}, Reach::Connected},
        };
        for (auto& one : cases) {
            World world;
            Name server_name(name);
            fake::Server server = fake::listen(name, 16, one.server);
            Connection connection = connect_now(server_name.address, one.rule);
            CHECK(connection.reach == one.reach);
            CHECK(connection.socket.is_open() == (one.reach == Reach::Connected));
            if (one.reach == Reach::Foreign)
                CHECK(server.accept().take().empty());
        }
    }
}

TEST_CASE("a kernel that does not tell whose a port is is believed [X2]") {
    World world;
    fake::kernel->netlink_tells = false;
    fake::Server server = fake::listen("127.0.0.1:4000", 16, 1001);
    CHECK(connect_now(Name("127.0.0.1:4000").address, ours).reach == Reach::Connected);
}

TEST_CASE("a port whose listener was closed while we stood in its backlog is asked again [C1]") {
    Name name("127.0.0.1:4000");
    for (bool again : {true, false}) { // a new listener, or none
        World world;
        fake::Server server;
        if (again)
            server = fake::listen("127.0.0.1:4000");
        fake::fail("connect", ECONNRESET);
        CHECK(connect_now(name.address, ours).reach == (again ? Reach::Connected : Reach::Down));
        CHECK(fake::count("connect") == 2);
    }
    World world;
    fake::Server server = fake::listen("127.0.0.1:4000");
    fake::fail("connect", ECONNRESET, {.for_ever = true});
    CHECK(connect_now(name.address, ours).reach == Reach::Busy); // somebody listens, however badly: no launch
    CHECK(fake::count("connect") == 3);
}

TEST_CASE("each errno of connect and socket has its class [C1]") {
    const std::map<int, Reach> other = {
        {ENOENT, Reach::Down},      {ECONNREFUSED, Reach::Down},
        {EAGAIN, Reach::Busy},      {EINPROGRESS, Reach::Busy},
        {ETIMEDOUT, Reach::Busy},   {EMFILE, Reach::Shortage},
        {ENFILE, Reach::Shortage},  {ENOMEM, Reach::Shortage},
        {ENOBUFS, Reach::Shortage}, {EADDRNOTAVAIL, Reach::Shortage},
    };
    for (std::string name : {"/tmp/sock", "127.0.0.1:4000"}) {
        for (std::string call : {"connect", "socket"}) {
            for (int error : errors_of(call)) {
                if (error == EINTR || error == ECONNRESET)
                    continue; // goes on, see above
                CAPTURE(call);
                INFO(said(reason(error)));
                World world;
                Name server_name(name);
                fake::Server server = fake::listen(name);
                fake::fail(call, error);
                Connection connection = connect_now(server_name.address, ours);
                bool is_tcp = name[0] != '/';
                Reach expected = other.count(error) > 0 ? other.at(error) : Reach::Wrong;
                if (is_tcp && error == EAGAIN)
                    expected = Reach::Shortage; // connect(2): no free local port
                if (is_tcp && error == EINPROGRESS && call == "connect")
                    expected = Reach::Connected; // the handshake was not begun in the fake: see the next line
                if (is_tcp && error == EAFNOSUPPORT && call == "socket")
                    expected = Reach::Down; // no IPv6 here: nobody can listen there
                if (is_tcp && error == EINPROGRESS)
                    continue;
                CHECK(connection.reach == expected);
                CHECK(connection.error.code != 0);
                CHECK_FALSE(connection.socket.is_open());
                world.check_nothing_leaked();
            }
        }
    }
}

TEST_CASE("whatever fails on the way to a server, the answer is a class, and down is never said wrongly [C1]") {
    for (std::string name : {"/tmp/sock", "127.0.0.1:4000", "localhost:4000"}) {
        for (bool waits : {false, true}) {
            fail_each({"socket", "connect", "poll", "getsockopt", "setsockopt", "getsockname", "getpeername", "send",
                       "recv", "set_status_flags"},
                      [&](World&) {
                          Name server_name(name);
                          fake::Server server = fake::listen(name);
                          Connection connection = waits ? connect_until(server_name.address, ours, Deadline::in(100))
                                                        : connect_now(server_name.address, ours);
                          CHECK((connection.reach == Reach::Connected) == connection.socket.is_open());
                          CHECK((connection.reach == Reach::Connected) == !connection.error);
                          if (connection.reach == Reach::Down)
                              CHECK((connection.error.code == ENOENT || connection.error.code == ECONNREFUSED));
                      });
        }
    }
}

TEST_CASE("what is no socket of ours is not in the way only when nothing is there [C1][L8]") {
    World world;
    Name name("/tmp/sock");
    Error error;
    CHECK(nothing_in_the_way(name.address, 1000, error));
    fake::listen("/tmp/sock").close();
    CHECK(nothing_in_the_way(name.address, 1000, error));
    fake::find("/tmp/sock")->uid = 1001;
    CHECK_FALSE(nothing_in_the_way(name.address, 1000, error));
    CHECK(error.code == EPERM);
    fake::put("/tmp/sock", "precious");
    CHECK_FALSE(nothing_in_the_way(name.address, 1000, error));
    CHECK(error.code == EEXIST);
    fake::find("/tmp")->entries.erase("sock");
    fake::put_folder("/tmp/sock");
    CHECK_FALSE(nothing_in_the_way(name.address, 1000, error));
    CHECK(nothing_in_the_way(Name("@shop").address, 1000, error));
    CHECK(nothing_in_the_way(Name("127.0.0.1:1").address, 1000, error));
    fail_each({"stat"}, [&](World&) {
        fake::put("/tmp/sock", "precious");
        Error why;
        if (nothing_in_the_way(name.address, 1000, why))
            CHECK(fake::count("stat") == 1); // ENOENT was said
        else
            CHECK(why.code != 0);
    });
}
