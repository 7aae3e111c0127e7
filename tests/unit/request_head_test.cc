#include "request_head.h"

#include "environment.h"

#include <doctest/doctest.h>

using namespace rouse;

namespace {

std::string gathered(const RequestHead& head, size_t offset, size_t* count = nullptr) {
    iovec parts[RequestHead::max_parts];
    size_t used = head.gather(offset, parts);
    REQUIRE(used <= RequestHead::max_parts);
    std::string sum;
    for (size_t at = 0; at < used; at++) {
        CHECK(parts[at].iov_len > 0);
        sum.append(static_cast<const char*>(parts[at].iov_base), parts[at].iov_len);
    }
    if (count != nullptr)
        *count = used;
    return sum;
}

} // namespace

TEST_CASE("a head is gathered from every offset, forwards and again from its beginning") {
    // All that leaves a gap does, so that there are as many parts as there can be.
    Environment environment({"A=1", "BB=22", "LD_X=x", "C=", "CONTENT_LENGTH=3", "D=4", "PATH=/bin", "E=5",
                             "HTTP_TRANSFER_ENCODING=chunked", "F=6", "SCRIPT_NAME=/x"});
    CgiRequest request = read_cgi_request(environment.get(), "/s");
    RequestHead head("before", request, "after");
    const std::string whole = bytes("beforeA\0001\0BB\00022\0C\0\0D\0004\0E\0005\0F\0006\0SCRIPT_NAME\0/s\0after");
    REQUIRE(head.size() == whole.size());
    size_t count = 0;
    CHECK(gathered(head, 0, &count) == whole);
    CHECK(count == RequestHead::max_parts);
    for (size_t offset = 0; offset <= whole.size(); offset++)
        CHECK(gathered(head, offset) == whole.substr(offset));
    CHECK(gathered(head, 0) == whole);
}

TEST_CASE("what is dropped and not remembered makes no part more") {
    std::vector<std::string> entries;
    std::string whole = "before";
    for (int number = 0; number < 1000; number++) {
        entries.push_back("V" + std::to_string(number) + "=");
        entries.push_back("LD_" + std::to_string(number) + "=x");
        entries.push_back("V0=twice");
        entries.push_back("no equals sign");
        whole += "V" + std::to_string(number) + bytes("\0\0");
    }
    Environment environment(entries);
    CgiRequest request = read_cgi_request(environment.get(), nullptr);
    size_t count = 0;
    CHECK(gathered(RequestHead("before", request, "after"), 0, &count) == whole + "after");
    CHECK(count == 3);
}

TEST_CASE("a head of one text is that text, and an empty one is nothing") {
    RequestHead plain("GET / HTTP/1.0\r\n\r\n");
    CHECK(gathered(plain, 0) == "GET / HTTP/1.0\r\n\r\n");
    CHECK(gathered(plain, 17) == "\n");
    CHECK(RequestHead().size() == 0);
    CHECK(gathered(RequestHead(), 0).empty());
}
