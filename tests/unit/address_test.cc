#include "address.h"

#include "bytes.h"
#include "said.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>

using namespace rouse;
using Family = Address::Family;

namespace {

// What is wrong, up to the cure; empty when nothing is.
std::string parse(std::string_view text, Address& address) {
    static std::string kept; // the address points into it
    kept = text;
    Phrase fault = parse_address(kept, address);
    if (!fault)
        return "";
    std::string whole = said(fault);
    REQUIRE(whole.find(". ") != whole.npos);
    return whole.substr(0, whole.find(". "));
}

const std::string no_name = "there is no name", too_long = "the socket's path is over 107 bytes",
                  no_port = "there is no port from 1 to 65535", no_host = "this is no host that rouse knows";

// What the C library makes of host and port, for comparison.
bool inet_agrees(const sockaddr_storage& bytes, int family, const std::string& host, uint16_t port) {
    if (bytes.ss_family != family)
        return false;
    if (family == AF_INET) {
        in_addr expected;
        auto socket = reinterpret_cast<const sockaddr_in&>(bytes);
        return inet_pton(family, host.c_str(), &expected) == 1 && expected.s_addr == socket.sin_addr.s_addr &&
               socket.sin_port == htons(port);
    }
    in6_addr expected;
    auto socket = reinterpret_cast<const sockaddr_in6&>(bytes);
    return inet_pton(family, host.c_str(), &expected) == 1 &&
           memcmp(&expected, &socket.sin6_addr, sizeof expected) == 0 && socket.sin6_port == htons(port);
}

} // namespace

TEST_CASE("a path is a unix socket of up to 107 bytes [C1]") {
    Address address;
    CHECK(parse("/run/app.sock", address) == "");
    CHECK(address.family == Family::Path);
    CHECK(address.is_unix());
    CHECK(address.text == "/run/app.sock");
    auto socket = reinterpret_cast<const sockaddr_un&>(address.bytes);
    CHECK(socket.sun_family == AF_UNIX);
    CHECK(std::string(socket.sun_path) == "/run/app.sock");
    CHECK(address.size == offsetof(sockaddr_un, sun_path) + 14);

    std::string longest = "/" + std::string(106, 'x');
    CHECK(parse(longest, address) == "");
    CHECK(address.size == sizeof(sockaddr_un));
    CHECK(parse(longest + "x", address) == too_long);
}

TEST_CASE("an abstract name has a NUL in front, none behind, and its exact length") {
    Address address;
    CHECK(parse("@shop", address) == "");
    CHECK(address.family == Family::Abstract);
    CHECK(address.text == "@shop");
    auto socket = reinterpret_cast<const sockaddr_un&>(address.bytes);
    CHECK(address.size == offsetof(sockaddr_un, sun_path) + 5);
    CHECK(std::string_view(socket.sun_path, 5) == bytes("\0shop"));

    CHECK(parse("@", address) == no_name);
    CHECK(parse("", address) != "");
    CHECK(parse("@" + std::string(107, 'x'), address) == "");
    CHECK(address.size == sizeof(sockaddr_un));
    CHECK(parse("@" + std::string(108, 'x'), address) == too_long);
}

TEST_CASE("TCP addresses are read as the C library reads them") {
    for (std::string host : {"127.0.0.1", "0.0.0.0", "255.255.255.255", "10.20.30.40"}) {
        CAPTURE(host);
        Address address;
        CHECK(parse(host + ":4000", address) == "");
        CHECK(address.family == Family::Inet4);
        CHECK_FALSE(address.is_unix());
        CHECK(address.size == sizeof(sockaddr_in));
        CHECK(inet_agrees(address.bytes, AF_INET, host, 4000));
    }
    for (std::string host : {"::1"}) {
        CAPTURE(host);
        Address address;
        CHECK(parse("[" + host + "]:65535", address) == "");
        CHECK(address.family == Family::Inet6);
        CHECK(address.size == sizeof(sockaddr_in6));
        CHECK(inet_agrees(address.bytes, AF_INET6, host, 65535));
    }
}

TEST_CASE("localhost is 127.0.0.1, then ::1") {
    Address address;
    CHECK(parse("localhost:1", address) == "");
    CHECK(address.family == Family::Localhost);
    CHECK(inet_agrees(address.bytes, AF_INET, "127.0.0.1", 1));
    CHECK(inet_agrees(address.other, AF_INET6, "::1", 1));
    CHECK(address.other_size == sizeof(sockaddr_in6));
}

TEST_CASE("a port is a number from 1 to 65535") {
    Address address;
    for (std::string port : {"", ":", ":0", ":65536", ":-1", ":+1", ": 1", ":1 ", ":http", ":99999999999999999999"}) {
        CAPTURE(port);
        CHECK(parse("127.0.0.1" + port, address) == no_port);
        CHECK(parse("[::1]" + port, address) == no_port);
    }
    for (std::string text : {"[::1", "[::1]x:1", "[", "[]", "::1"})
        CHECK_MESSAGE(parse(text, address) != "", text);
}

TEST_CASE("a host is an address or localhost, and nothing is looked up") {
    Address address;
    for (std::string host : {"",
                             "example.org",
                             "LOCALHOST",
                             "1.2.3",
                             "1.2.3.4.5",
                             "256.1.1.1",
                             "01.2.3.4",
                             "1.2.3.4 ",
                             "1..2.3",
                             "::1",
                             "[]",
                             "[::]",
                             "[0:0:0:0:0:0:0:1]",
                             "[fe80::1]",
                             "[:]",
                             "[:::]",
                             "[1:2]",
                             "[1:2:3:4:5:6:7:8:9]",
                             "[::1::2]",
                             "[12345::]",
                             "[g::]",
                             "[1:2:3:4:5:6:7:8::]",
                             "[::1%eth0]",
                             "[1.2.3.4]",
                             "[::1.2.3]",
                             "[::ffff:1.2.3.4]",
                             "[1:2:3:4:5:6:7:1.2.3.4]",
                             "[:1]",
                             "[1:]",
                             "[1:2:3:4:5:6:7:]"}) {
        CAPTURE(host);
        CHECK(parse(host + ":4000", address) == no_host);
    }
}

TEST_CASE("no text is too strange for the address parser [X4]") {
    const std::string_view words[] = {":", "::", "[", "]", ".", "1", "255", "ffff", "localhost", "@", "/", ":80"};
    Dice dice(1);
    for (int round = 0; round < 20000; round++) {
        Exact text(dice.text(12, words));
        Address address;
        bool is_address = !parse_address(text.view(), address);
        CHECK(is_address == (address.family != Family::None));
        CHECK((address.size > 0) == is_address);
        if (!is_address || address.is_unix())
            continue;
        // What we take, the C library takes, and reads the same.
        std::string host(text.view().substr(0, text.view().rfind(':')));
        if (address.family == Family::Inet6)
            host = host.substr(1, host.size() - 2);
        if (address.family != Family::Localhost) {
            CAPTURE(host);
            uint16_t port = ntohs(reinterpret_cast<const sockaddr_in&>(address.bytes).sin_port);
            CHECK(inet_agrees(address.bytes, address.bytes.ss_family, host, port));
        }
    }
}
