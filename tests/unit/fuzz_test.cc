// Mutations of what servers send, through the readers of heads and chunks, under the sanitizers: always the same ones.
#include "bytes.h"
#include "chunked.h"
#include "response_head.h"

#include <doctest/doctest.h>
#include <vector>

using namespace rouse;
using State = ResponseHead::State;

namespace {

constexpr unsigned seed = 20261122;
constexpr int rounds = 40000;

const std::string_view words[] = {"HTTP/1.1 200 OK",
                                  "HTTP/1.0 404 Not Found",
                                  "HTTP/1.1 100 Continue",
                                  "HTTP/1.1 103 Early Hints",
                                  "HTTP/1.1 101 x",
                                  "\r\n",
                                  "\n",
                                  "\r",
                                  "\r\n\r\n",
                                  ":",
                                  ": ",
                                  " ",
                                  "\t",
                                  "Status: 200",
                                  "Content-Length: 5",
                                  "Content-Length: 6",
                                  "-1",
                                  "Transfer-Encoding: chunked",
                                  "Transfer-Encoding: identity",
                                  "Connection: close",
                                  "Connection: X-A",
                                  "X-A: b",
                                  "Keep-Alive: 1",
                                  "Set-Cookie: a=b",
                                  "Location: /",
                                  "\0",
                                  "\x7f",
                                  "5",
                                  "0",
                                  "fffffffffffffff",
                                  ";x",
                                  "0\r\n\r\n",
                                  "3\r\nabc\r\n"};

std::string mutated(Dice& dice, std::string text) {
    for (size_t left = dice.below(6); left > 0; left--) {
        size_t at = dice.below(text.size() + 1);
        switch (dice.below(4)) {
        case 0:
            text.insert(at, dice.text(2, words));
            break;
        case 1:
            text.erase(at, dice.below(8));
            break;
        case 2:
            if (at < text.size())
                text[at] = dice.byte();
            break;
        case 3:
            text.insert(at, text.substr(dice.below(text.size() + 1), dice.below(40)));
            break;
        }
    }
    return text;
}

std::vector<std::string> lines(std::string_view block) {
    std::vector<std::string> all;
    for (size_t feed = block.find('\n'); feed != block.npos; feed = block.find('\n')) {
        std::string_view line = block.substr(0, feed);
        all.emplace_back(line.ends_with('\r') ? line.substr(0, feed - 1) : line);
        block.remove_prefix(feed + 1);
    }
    CHECK(block.empty());
    return all;
}

} // namespace

TEST_CASE("a mutated head is refused, or passed on as a sane one [R1][R2][H4][X4]") {
    MESSAGE("seed " << seed << ", " << rounds << " rounds");
    const std::string seeds[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, X-A\r\nX-A: b\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 302 Found\r\nLocation: "
        "/x\r\n\r\n",
        "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\nTrailer: x\n\n5\r\nhello\r\n0\r\n\r\n",
        "Status: 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nok"};
    Exact storage(std::string(ResponseHead::max_size + 64, '?')), other_storage(storage.view());
    Dice dice(seed);
    int passed = 0;
    for (int round = 0; round < rounds; round++) {
        std::string text = mutated(dice, seeds[dice.below(std::size(seeds))]);
        CAPTURE(text);
        Exact exact(text);
        Text normalised(storage.data(), storage.size());
        ResponseHead head = read_response_head(exact.view(), true, normalised);
        REQUIRE(head.state != State::Incomplete);
        REQUIRE_FALSE(normalised.overflowed());
        // What has come of it makes no other head of it: an incomplete one stays so, or is refused for the same reason.
        Exact beginning(std::string_view(text).substr(0, dice.below(text.size() + 1)));
        Text other(other_storage.data(), other_storage.size());
        ResponseHead early = read_response_head(beginning.view(), false, other);
        if (early.state == State::Sane)
            REQUIRE(head.state == State::Sane);
        if (early.state == State::Sane)
            REQUIRE(early.size == head.size);
        if (early.state == State::Bad)
            REQUIRE(head.state == State::Bad);
        if (head.state != State::Sane)
            continue;
        passed++;
        std::string block = head.rewritten ? std::string(normalised.view()) : text.substr(0, head.size);
        auto all = lines(block);
        REQUIRE(all.size() >= 2);
        REQUIRE(all.back().empty());
        all.pop_back();
        for (const std::string& line : all) {
            REQUIRE_FALSE(line.empty());
            REQUIRE_FALSE(has_control(line));
            REQUIRE_FALSE(line.starts_with("HTTP/"));
            REQUIRE(line.find(':') != line.npos);
            REQUIRE_FALSE(equals_ignoring_case(std::string_view(line).substr(0, line.find(':')), "transfer-encoding"));
        }
        REQUIRE(head.status >= 100);
        REQUIRE_FALSE((head.chunked && head.has_length));
        // What is passed on is read as the same.
        Text again(other_storage.data(), other_storage.size());
        ResponseHead second = read_response_head(block, true, again);
        REQUIRE(second.state == State::Sane);
        REQUIRE(second.status == head.status);
        REQUIRE(second.has_length == head.has_length);
        REQUIRE(second.length == head.length);
    }
    CHECK(passed > rounds / 10);
}

TEST_CASE("mutated chunks are decoded the same in any pieces, and never past their end [R2][X4]") {
    MESSAGE("seed " << seed << ", " << rounds << " rounds");
    const std::string seeds[] = {"5\r\nhello\r\n0\r\n\r\n", "a;x=y\r\n0123456789\r\n00\r\nTrailer: x\r\n\r\n",
                                 "1\r\na\r\n2 \r\nbc\r\n0\r\n\r\nsurplus", "ffffffffffffffff\r\nx"};
    Dice dice(seed + 1);
    int ended = 0;
    for (int round = 0; round < rounds; round++) {
        std::string text = mutated(dice, seeds[dice.below(std::size(seeds))]);
        CAPTURE(text);
        Exact whole(text);
        ChunkedDecoder decoder;
        size_t kept = decoder.decode(whole.data(), whole.size());
        REQUIRE(kept <= text.size());
        std::string content(whole.view().substr(0, kept)), pieces;
        ChunkedDecoder other;
        for (size_t at = 0; at < text.size();) {
            Exact piece(std::string_view(text).substr(at, 1 + dice.below(7)));
            size_t size = other.decode(piece.data(), piece.size());
            REQUIRE(size <= piece.size());
            pieces += piece.view().substr(0, size);
            at += piece.size();
        }
        REQUIRE(pieces == content);
        REQUIRE(other.state() == decoder.state());
        ended += decoder.state() == ChunkedDecoder::State::Ended;
    }
    CHECK(ended > rounds / 10);
}
