#include "listener.h"
#include "world.h"

using namespace rouse;
using Known = TcpListener::Known;

namespace {

TcpListener listener_of(std::string_view name) {
    Address address;
    std::string text(name);
    REQUIRE(!parse_address(text, address));
    return find_tcp_listener(address.bytes);
}

std::set<uint64_t> unix_listeners_of(std::string_view name) {
    ino_t inodes[8];
    size_t count = find_unix_listeners(name, inodes, 8);
    return {inodes, inodes + count};
}

} // namespace

TEST_CASE("the kernel tells who listens on a port [X2]") {
    World world;
    fake::Server server = fake::listen("127.0.0.1:4000", 16, 1234);
    TcpListener listener = listener_of("127.0.0.1:4000");
    CHECK(listener.known == Known::Somebody);
    CHECK(listener.uid == 1234);
    CHECK(listener.inode == server.listener->node->number);
    CHECK(listener_of("127.0.0.1:4001").known == Known::Nobody);
    CHECK(listener_of("[::1]:4000").known == Known::Nobody);
    for (int error : {EPERM, EINVAL, ENOSYS, EOPNOTSUPP}) {
        fake::kernel->netlink_error = error; // no word about the port
        CHECK(listener_of("127.0.0.1:4000").known == Known::Unknown);
    }
    fake::kernel->netlink_error = 0;
    fake::kernel->netlink_tells = false;
    CHECK(listener_of("127.0.0.1:4000").known == Known::Unknown);
    world.check_nothing_leaked();
}

TEST_CASE("whatever fails, who listens is unknown, or known rightly [X2]") {
    fail_each({"socket", "send", "recv", "close"}, [](World&) {
        fake::Server server = fake::listen("127.0.0.1:4000", 16, 1234);
        TcpListener listener = listener_of("127.0.0.1:4000");
        CHECK(listener.known != Known::Nobody);
        if (listener.known == Known::Somebody)
            CHECK(listener.uid == 1234);
    });
}

TEST_CASE("a socket that is bound is found, listening or not, and no other [L8]") {
    World world;
    fake::Server one = fake::bind("/tmp/sock"), two = fake::listen("@shop"), three = fake::listen("/tmp/sock2");
    CHECK(unix_listeners_of("/tmp/sock") == std::set<uint64_t>{one.listener->node->number});
    CHECK(unix_listeners_of("/tmp/soc").empty());
    CHECK(unix_listeners_of("/tmp/none").empty());
    std::vector<fake::Server> many; // more than there is room for
    for (int index = 0; index < 12; index++)
        many.push_back(fake::bind("/tmp/sock"));
    CHECK(unix_listeners_of("/tmp/sock").size() == 1); // each takes the name from the one before
    one.close();
    many.clear();
    CHECK(unix_listeners_of("/tmp/sock").empty());
    world.check_nothing_leaked();
}
