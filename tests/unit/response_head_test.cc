#include "response_head.h"

#include "bytes.h"
#include "said.h"

#include <algorithm>
#include <doctest/doctest.h>

using namespace rouse;
using State = ResponseHead::State;

namespace {

struct Read {
    ResponseHead head;
    std::string block; // as it is passed on
};

Read read(std::string_view bytes, bool ended = false) {
    Exact exact(bytes);
    Exact storage(std::string(ResponseHead::max_size + 64, '?'));
    Text normalised(storage.data(), storage.size());
    Read result;
    result.head = read_response_head(exact.view(), ended, normalised);
    CHECK_FALSE(normalised.overflowed());
    if (result.head.state == State::Sane)
        result.block = result.head.rewritten ? normalised.view() : bytes.substr(0, result.head.size);
    return result;
}

std::string fault(std::string_view bytes, bool ended = false) {
    Read result = read(bytes, ended);
    CHECK(result.head.state == State::Bad);
    return said(result.head.fault);
}

} // namespace

TEST_CASE("a block that needs no change passes byte for byte [R1]") {
    for (std::string block : {"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n", "Content-Type: text/plain\n\n",
                              "Content-Type: text/plain\n\r\n", "A:1\r\n\n", "A:\n\n", "A: \t \n\n",
                              "X-Bytes: \x80\xff \t\xc3\xa4\n\n", "!#$%&'*+-.^_`|~09azAZ: token\r\n\r\n",
                              "Location: /elsewhere\r\n\r\n", "Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n"}) {
        CAPTURE(block);
        Read result = read(block + "body\n\nbody");
        REQUIRE(result.head.state == State::Sane);
        CHECK_FALSE(result.head.rewritten);
        CHECK(result.head.size == block.size());
        CHECK(result.block == block);
    }
}

TEST_CASE("the status is that of the Status line, else 200") {
    CHECK(read("A: b\n\n").head.status == 200);
    CHECK(read("Status: 404 Not Found\n\n").head.status == 404);
    CHECK(read("status:999\n\n").head.status == 999);
    CHECK(read("STATUS: \t100\tx\n\n").head.status == 100);
    CHECK(read("Status: 404\nStatus: 404 Not Found\n\n").head.status == 404);
    for (std::string wrong : {"", "OK", "99", "099", "099 x", "20", "2000", "200OK", "+20", "-20", "2 0", "1e2"})
        CHECK_MESSAGE(fault("A: b\r\nStatus: " + wrong + "\r\n\r\n") ==
                          "a status that is no number from 100 to 999, or a second one",
                      wrong);
    CHECK(fault("Status: 200\nStatus: 404\n\n") == "a status that is no number from 100 to 999, or a second one");
}

TEST_CASE("early heads are passed over, each with all that it says [R2][H4]") {
    std::string early =
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nConnection: A\r\n\r\n";
    for (std::string final : {"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "Status: 200 OK\r\nA: b\r\n\r\n"}) {
        Read result = read(early + "HTTP/1.0 199 x\n\n" + final + "body");
        REQUIRE(result.head.state == State::Sane);
        CHECK(result.block == "Status: 200 OK\r\nA: b\r\n\r\n");
        CHECK(result.head.size == early.size() + 16 + final.size());
        CHECK(result.head.status == 200);
        CHECK_FALSE(result.head.has_length);
        CHECK_FALSE(result.head.chunked);
        for (size_t size = 0; size < early.size() + final.size(); size++)
            CHECK(read((early + final).substr(0, size)).head.state == State::Incomplete);
    }
    CHECK(fault(early, true) == "a header without an end");
    CHECK(fault(early + "\r\n") == "a blank line where the header should be");
    CHECK(fault(repeated(2000, "HTTP/1.1 100 x\r\n\r\n")) == "a header of over 32 KiB");
    CHECK(fault("HTTP/1.1 101 x\n\nHTTP/1.1 200 OK\n\n") == "a change of protocols that nobody asked for");
    CHECK(read("Status: 100\n\nA").block == "Status: 100\n\n");
}

TEST_CASE("fields of the connection stay behind where there is a status line, whatever follows them [H4]") {
    std::string fields = "X-A: 1\nKeep-Alive: 1\nconnection: x-a , X-B\nX-B: 1\nTE: 1\nProxy-: 1\nProxyx: 1\nX-: 1\n"
                         "Connection: X-C\nX-C: 1\n\n";
    CHECK(read("HTTP/1.1 200 OK\n" + fields).block == "Status: 200 OK\nProxyx: 1\nX-: 1\n\n");
    CHECK(read("Status: 200 OK\n" + fields).block == "Status: 200 OK\n" + fields);
    CHECK(
        read(
            "HTTP/1.1 200 OK\nConnection: Set-Cookie\nTransfer-Encoding: chunked\nSet-Cookie: a\nContent-Length: 3\n\n")
            .block == "Status: 200 OK\n\n");
    CHECK(fault("HTTP/1.1 200 OK\nConnection: " + std::string(1023, 'x') + "\n\n") ==
          "a Connection field of over 1 KiB");
}

TEST_CASE("an HTTP status line becomes a Status line [R2]") {
    struct {
        std::string in, out;
        unsigned status;
    } const cases[] = {
        {"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "Status: 200 OK\r\nA: b\r\n\r\n", 200},
        {"HTTP/1.0 404 Not Found\nA: b\n\n", "Status: 404 Not Found\nA: b\n\n", 404},
        {"HTTP/1.1 204\r\n\r\n", "Status: 204\r\n\r\n", 204},
        {"HTTP/1.1 204 \r\n\r\n", "Status: 204\r\n\r\n", 204},
        {"HTTP/1.1 500 Really: bad\r\n\r\n", "Status: 500 Really: bad\r\n\r\n", 500},
        {"HTTP/1.1 201 Created\r\nStatus: 404 Not Found\r\nA: b\r\nstatus: 500\r\n\r\n",
         "Status: 201 Created\r\nA: b\r\n\r\n", 201},
    };
    for (auto& one : cases) {
        CAPTURE(one.in);
        Read result = read(one.in + "body");
        REQUIRE(result.head.state == State::Sane);
        CHECK(result.head.rewritten);
        CHECK(result.head.size == one.in.size());
        CHECK(result.block == one.out);
        CHECK(result.head.status == one.status);
    }
    for (std::string line : {"HTTP/1.1 99 x", "HTTP/1.1 abc", "HTTP/1.1 ", "HTTP/1.1 2000"})
        CHECK_MESSAGE(fault(line + "\r\nA: b\r\n\r\n") == "a status that is no number from 100 to 999, or a second one",
                      line);
    for (std::string line :
         {"HTTP/1.1", "HTTP/2 200", "HTTP/1.x 200", "HTTP/1. 200 OK", "http/1.1 200 OK", "HTTP/1.10 200"})
        CHECK_MESSAGE(fault(line + "\r\nA: b\r\n\r\n") == "a line that is no header", line);
    CHECK(fault("A: b\r\nHTTP/1.1 200 OK\r\n\r\n") == "a line that is no header");
}

TEST_CASE("a length is one number [R3]") {
    Read none = read("A: b\n\n");
    CHECK_FALSE(none.head.has_length);
    Read some = read("content-LENGTH:  42 \r\n\r\n");
    CHECK(some.head.has_length);
    CHECK(some.head.length == 42);
    CHECK(read("Content-Length: 0\n\n").head.has_length);
    CHECK(read("Content-Length: 9223372036854775807\n\n").head.length == INT64_MAX);

    for (std::string wrong : {"", "-1", "+1", "1 2", "1, 1", "0x1", "9223372036854775808", "18446744073709551617", "a"})
        CHECK_MESSAGE(
            fault("Content-Length: " + wrong + "\n\n") == "a Content-Length that is no number, or a second one", wrong);
    CHECK(fault("Content-Length: 1\nContent-Length: 2\n\n") == "a Content-Length that is no number, or a second one");
}

TEST_CASE("the same length twice is passed on once (RFC 9110, 8.6)") {
    Read twice = read("Content-Length: 5\r\nA: b\r\nContent-Length: 05\r\n\r\n");
    REQUIRE(twice.head.state == State::Sane);
    CHECK(twice.head.length == 5);
    CHECK(twice.block == "Content-Length: 5\r\nA: b\r\n\r\n");
}

TEST_CASE("a chunked coding is to be undone, and a length beside it does not count [R2]") {
    for (std::string coding : {"chunked", "Chunked", "CHUNKED \t"}) {
        Read result = read("A: b\r\nTransfer-Encoding: " + coding + "\r\nC: d\r\n\r\n");
        REQUIRE(result.head.state == State::Sane);
        CHECK(result.head.chunked);
        CHECK(result.head.rewritten);
        CHECK(result.block == "A: b\r\nC: d\r\n\r\n");
    }
    for (std::string block : {"Content-Length: 5\nTransfer-Encoding: chunked\nA: b\n\n",
                              "Transfer-Encoding: chunked\nContent-Length: 5\nA: b\nContent-Length: 5\n\n"}) {
        Read result = read(block);
        REQUIRE(result.head.state == State::Sane);
        CHECK(result.head.chunked);
        CHECK_FALSE(result.head.has_length);
        CHECK(result.head.length == 0);
        CHECK(result.block == "A: b\n\n");
    }
    Read identity = read("A: b\nTransfer-Encoding: Identity\nContent-Length: 5\n\n");
    CHECK_FALSE(identity.head.chunked);
    CHECK(identity.head.length == 5);
    CHECK(identity.block == "A: b\nContent-Length: 5\n\n");

    for (std::string wrong : {"", "gzip", "gzip, chunked", "chunked, chunked", "chunked;x=1", "x-chunked"})
        CHECK_MESSAGE(fault("Transfer-Encoding: " + wrong + "\n\n") == "a transfer coding that rouse does not know",
                      wrong);
    CHECK(fault("Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n") ==
          "a transfer coding that rouse does not know");
    // What would be left is a block without a line.
    CHECK(fault("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n") == "no header but a transfer coding");
}

TEST_CASE("what is no header is never passed on [R1][X4]") {
    CHECK(fault("\r\n") == "a blank line where the header should be");
    CHECK(fault("\nbody") == "a blank line where the header should be");
    CHECK(fault("<html>\n\n") == "a line that is no header");
    CHECK(fault("A: b\nTraceback (most recent call last)\n\n") == "a line that is no header");
    CHECK(fault("A: b\n folded\n\n") == "a line that is no header");
    CHECK(fault("A: b\n\tfolded: x\n\n") == "a line that is no header");
    CHECK(fault(" A: b\n\n") == "a line that is no header");
    CHECK(fault("A: b\n \n\n") == "a line that is no header");
    CHECK(fault("A : b\n\n") == "a line that is no header");
    CHECK(fault("A\t: b\n\n") == "a line that is no header");
    CHECK(fault(": b\n\n") == "a line that is no header");
    for (std::string name : {"A B", "A(", "\xc3\xa4", "A@", "\"A\"", "A/B", "A=B", "{A}", "A,"})
        CHECK_MESSAGE(fault(name + ": b\n\n") == "a line that is no header", name);
}

TEST_CASE("no control byte but TAB is in a header that is passed on [R1][X4]") {
    for (int byte = 0; byte < 256; byte++) {
        CAPTURE(byte);
        std::string one(1, static_cast<char>(byte));
        bool is_control = (byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7f;
        for (std::string block : {"A: b" + one + "c: d\r\nE: f\r\n\r\n", "Content-Type: b\r\nA" + one + ": d\r\n\r\n",
                                  "HTTP/1.1 200 O" + one + "K: x\r\n\r\n"}) {
            if (is_control)
                CHECK(fault(block) == "a control character in the header");
            else if (read(block).head.state == State::Bad)
                CHECK(said(read(block).head.fault) != "a control character in the header");
        }
    }
    CHECK(fault("A: b\r\r\n\r\n") == "a control character in the header");
    CHECK(read("A: b\r\n\r\r\n\r\n").head.state == State::Bad);
}

TEST_CASE("a block without an end is waited for, and bad when nothing more can come [R1]") {
    for (std::string begin :
         {"", "A", "A: b", "A: b\r", "A: b\r\n", "A: b\r\n\r", "HTTP/1.1 200 OK\r\n", "<html>", " "}) {
        CAPTURE(begin);
        CHECK(read(begin).head.state == State::Incomplete);
        CHECK(read(begin, true).head.state == State::Bad);
    }
    CHECK(fault("", true) == "a header without an end");
    CHECK(fault("A: b\r\n", true) == "a header without an end");
    CHECK(fault("<html>\n<p>", true) == "a line that is no header");
}

TEST_CASE("a block is at most 32 KiB with its blank line [R1]") {
    auto block = [](size_t size) { return "A: " + std::string(size - 7, 'x') + "\r\n\r\n"; };
    CHECK(read(block(ResponseHead::max_size)).head.state == State::Sane);
    CHECK(read(block(ResponseHead::max_size) + "body").head.size == ResponseHead::max_size);
    CHECK(fault(block(ResponseHead::max_size + 1)) == "a header of over 32 KiB");
    CHECK(read(std::string(ResponseHead::max_size - 1, 'x')).head.state == State::Incomplete);
    CHECK(fault(std::string(ResponseHead::max_size, 'x')) == "a header of over 32 KiB");
    CHECK(fault(std::string(ResponseHead::max_size, '\n')) == "a blank line where the header should be");
    CHECK(fault("<html>\n" + std::string(ResponseHead::max_size, 'x')) == "a line that is no header");

    // The largest that is rewritten fits the room that the contract asks for.
    std::string rewritten = "HTTP/1.1 200 OK\r\n" + block(ResponseHead::max_size - 17);
    CHECK(read(rewritten).block.size() == ResponseHead::max_size - 1);
}

TEST_CASE("it does not matter in which pieces a head comes [R1]") {
    for (std::string whole :
         {"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody", "A: b\n\nbody\n\n",
          "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
          "A: b\r\n folded\r\n\r\nbody", "\r\nA: b\r\n\r\n", "<html><body>\n<p>\n\n</p></body></html>",
          "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "A : b\n\nA: b\n\n"}) {
        CAPTURE(whole);
        Read expected = read(whole);
        REQUIRE(expected.head.state != State::Incomplete);
        bool decided = false;
        for (size_t split = 0; split <= whole.size(); split++) {
            Read result = read(whole.substr(0, split));
            if (result.head.state == State::Incomplete) {
                CHECK_FALSE(decided); // once decided, it stays
                continue;
            }
            decided = true;
            CHECK(result.head.state == expected.head.state);
            CHECK(said(result.head.fault) == said(expected.head.fault));
            CHECK(result.head.size == expected.head.size);
            CHECK(result.block == expected.block);
            CHECK(result.head.status == expected.head.status);
            CHECK(result.head.has_length == expected.head.has_length);
            CHECK(result.head.length == expected.head.length);
            CHECK(result.head.chunked == expected.head.chunked);
        }
    }
}

TEST_CASE("whatever a server sends, what is passed on is a sane block that says the same [R1][X4]") {
    const std::string_view words[] = {"\r\n",
                                      "\n",
                                      "\r\n\r\n",
                                      ": ",
                                      "A",
                                      "Status: 200 OK\r\n",
                                      "HTTP/1.1 200 OK\r\n",
                                      " ",
                                      "\r",
                                      "Content-Length: 5\r\n",
                                      "chunked",
                                      "Transfer-Encoding: chunked\r\n",
                                      "B: c\n",
                                      "Content-Length: ",
                                      "5",
                                      "identity",
                                      "Status: ",
                                      "\n\n",
                                      "x\t"};
    Dice dice(5);
    int sane = 0, rewritten = 0;
    for (int round = 0; round < 30000; round++) {
        Read result = read(dice.text(12, words), dice.below(2) != 0);
        if (result.head.state == State::Bad)
            CHECK(said(result.head.fault) != "");
        if (result.head.state != State::Sane)
            continue;
        sane++;
        rewritten += result.head.rewritten;
        CHECK(result.head.status >= 100);
        CHECK(result.head.status <= 999);
        CHECK(result.block.find('\0') == std::string::npos);
        // Read again, it is sane, needs no change, and says what the first reading said.
        Read again = read(result.block);
        CHECK(again.head.state == State::Sane);
        CHECK_FALSE(again.head.rewritten);
        CHECK_FALSE(again.head.chunked);
        CHECK(again.block == result.block);
        CHECK(again.head.status == result.head.status);
        CHECK(again.head.has_length == result.head.has_length);
        CHECK(again.head.length == result.head.length);
    }
    CHECK(sane > 1000);
    CHECK(rewritten > 100);
}
