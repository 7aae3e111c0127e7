#include "request_head.h"

#include "environment.h"

#include <doctest/doctest.h>

using namespace rouse;

namespace {

std::string joined(const iovec* parts, size_t count) {
    std::string sum;
    for (size_t at = 0; at < count; at++)
        sum.append(static_cast<const char*>(parts[at].iov_base), parts[at].iov_len);
    return sum;
}

} // namespace

TEST_CASE("a head is gathered from every offset into every number of parts") {
    // LD_X and CONTENT_LENGTH leave gaps, so that there are several parts.
    Environment environment({"A=1", "BB=22", "LD_X=x", "C=", "CONTENT_LENGTH=3", "D=4", "E=5"});
    CgiRequest request = read_cgi_request(environment.get(), nullptr);
    RequestHead head("before", &request);
    const std::string whole = bytes("beforeA\0001\0BB\00022\0C\0\0D\0004\0E\0005\0,");
    REQUIRE(head.size() == whole.size());

    for (size_t capacity = 1; capacity <= 6; capacity++) {
        for (size_t offset = 0; offset <= whole.size(); offset++) {
            CAPTURE(capacity);
            CAPTURE(offset);
            iovec parts[6];
            size_t used = head.gather(offset, parts, capacity);
            CHECK(used <= capacity);
            std::string got = joined(parts, used);
            CHECK(got == whole.substr(offset, got.size()));
            CHECK(got.empty() == (offset == whole.size()));
            if (capacity >= 5)
                CHECK(got == whole.substr(offset));
        }
        // And backwards: a request that is sent again begins at 0 again.
        for (size_t offset = whole.size() + 1; offset-- > 0;) {
            iovec parts[6];
            std::string got = joined(parts, head.gather(offset, parts, capacity));
            CHECK(got == whole.substr(offset, got.size()));
        }
    }
}

TEST_CASE("an environment as the kernel lays it out is one part, and the head three") {
    Environment environment({"A=1", "B=2", "C=3"});
    CgiRequest request = read_cgi_request(environment.get(), nullptr);
    RequestHead head("before", &request);
    iovec parts[16];
    CHECK(head.gather(0, parts, 16) == 3);
    CHECK(parts[1].iov_len == request.size);
}

TEST_CASE("a head without variables is its text, and an empty one is nothing") {
    iovec parts[4];
    RequestHead plain("GET / HTTP/1.0\r\n\r\n");
    CHECK(joined(parts, plain.gather(0, parts, 4)) == "GET / HTTP/1.0\r\n\r\n");
    CHECK(joined(parts, plain.gather(17, parts, 4)) == "\n");
    CHECK(RequestHead().gather(0, parts, 4) == 0);
    CHECK(RequestHead().size() == 0);
}

TEST_CASE("a large environment in many pieces is gathered in one pass") {
    std::vector<std::string> entries;
    std::string whole;
    for (int number = 0; number < 60'000; number++) {
        entries.push_back("V" + std::to_string(number) + "=");
        entries.push_back("LD_" + std::to_string(number) + "=");
        whole += "V" + std::to_string(number) + bytes("\0\0");
    }
    Environment environment(entries);
    CgiRequest request = read_cgi_request(environment.get(), nullptr);
    RequestHead head("", &request);
    std::string got;
    while (got.size() < head.size()) {
        iovec parts[3];
        size_t used = head.gather(got.size(), parts, 3);
        REQUIRE(used > 0);
        got += joined(parts, used);
    }
    CHECK(got == whole + ",");
}
