#include "scgi.h"

#include "environment.h"

#include <algorithm>
#include <doctest/doctest.h>

using namespace rouse;

namespace {

std::string framed(const std::vector<std::string>& entries, uint64_t length) {
    Environment environment(entries);
    CgiRequest request = read_cgi_request(environment.get(), nullptr);
    TextBuffer<128> storage;
    RequestHead head = frame_scgi(request, length, storage);
    iovec parts[RequestHead::max_parts];
    std::string sum;
    for (size_t used = head.gather(0, parts), at = 0; at < used; at++)
        sum.append(static_cast<const char*>(parts[at].iov_base), parts[at].iov_len);
    CHECK(sum.size() == head.size());
    return sum;
}

} // namespace

TEST_CASE("the example of the SCGI protocol is framed to the byte [F1]") {
    CHECK(framed({"REQUEST_METHOD=POST", "REQUEST_URI=/deepthought", "CONTENT_LENGTH=27"}, 27) ==
          bytes("70:CONTENT_LENGTH\00027\0SCGI\0001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,"));
}

TEST_CASE("without variables there are still the two that the protocol asks for [F1]") {
    CHECK(framed({}, 0) == bytes("24:CONTENT_LENGTH\0000\0SCGI\0001\0,"));
    CHECK(framed({"SCGI=0", "CONTENT_LENGTH=9"}, INT64_MAX) ==
          bytes("42:CONTENT_LENGTH\0009223372036854775807\0SCGI\0001\0,"));
}

TEST_CASE("the netstring's length counts every byte, whatever the variables are [F1]") {
    const std::string_view words[] = {"A", "B", "\xff", "=", "==", "x=", "PATH=", "CONTENT_LENGTH=5", "\xc3\xa4"};
    Dice dice(4);
    for (int round = 0; round < 2000; round++) {
        std::vector<std::string> entries;
        for (size_t left = dice.below(12); left > 0; left--)
            entries.push_back(std::string(dice.text(4, words).c_str())); // up to the first NUL
        std::string wire = framed(entries, dice.below(1000));
        size_t colon = wire.find(':');
        REQUIRE(colon != wire.npos);
        CHECK(wire.substr(0, colon) == std::to_string(wire.size() - colon - 2));
        CHECK(wire.back() == ',');
        CHECK(wire.compare(colon + 1, 15, bytes("CONTENT_LENGTH\0")) == 0);
        CHECK(std::count(wire.begin(), wire.end(), '\0') % 2 == 0);
    }
}
