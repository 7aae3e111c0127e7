#include "chunked.h"

#include "bytes.h"

#include <doctest/doctest.h>

using namespace rouse;
using State = ChunkedDecoder::State;

namespace {

// Decodes `coded` in pieces of `size` bytes.
std::string decoded(std::string_view coded, size_t size, State& state) {
    ChunkedDecoder decoder;
    std::string content;
    for (size_t at = 0; at < coded.size(); at += size) {
        Exact piece(coded.substr(at, size));
        size_t kept = decoder.decode(piece.data(), piece.size());
        CHECK(kept <= piece.size());
        content.append(piece.data(), kept);
    }
    state = decoder.state();
    return content;
}

std::string decoded(std::string_view coded, State expected) {
    State state;
    std::string content = decoded(coded, SIZE_MAX / 2, state);
    CHECK(state == expected);
    return content;
}

} // namespace

TEST_CASE("chunks become the content, in whatever pieces they come [R2]") {
    struct {
        std::string coded, content;
    } const cases[] = {
        {"0\r\n\r\n", ""},
        {"5\r\nhello\r\n0\r\n\r\n", "hello"},
        {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
        {"00000000000000A\r\n0123456789\r\n000\r\n\r\n", "0123456789"},
        {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
        {"3;name=value;x=\"y\"\r\nabc\r\n0;last\r\n\r\n", "abc"},
        {"3   \r\nabc\r\n0\t\r\n\r\n", "abc"},
        {"1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", "a"},
        {"1\r\na\r\n0\r\n\r\nwhat comes behind is ignored", "a"},
    };
    for (auto& one : cases) {
        CAPTURE(one.coded);
        for (size_t size = 1; size <= one.coded.size(); size++) {
            State state;
            CHECK(decoded(one.coded, size, state) == one.content);
            CHECK(state == State::Ended);
        }
    }
}

TEST_CASE("content before a mistake is kept, and nothing after it [R2][X4]") {
    for (std::string wrong :
         {"\r\n", "x\r\n", "-1\r\n", "+1\r\n", " 1\r\n", "0x1\r\nb", "1\nb", ";x\r\n", "1\rb", "1;x\nb", "1\r\nbc",
          "1\r\nb\n", "1\r\nb\rx", "10000000000000000\r\nb", "00000000000000001\r\nb", "1,\r\nb"}) {
        CAPTURE(wrong);
        std::string coded = "3\r\nabc\r\n" + wrong + "\r\n0\r\n\r\n";
        for (size_t size = 1; size <= coded.size(); size++) {
            State state;
            std::string content = decoded(coded, size, state);
            CHECK(state == State::Bad);
            CHECK((content == "abc" || content == "abcb"));
        }
    }
    CHECK(decoded("0\r\nA: b\r\n\n", State::Bad).empty());
    CHECK(decoded("0\r\n\rx", State::Bad).empty());
}

TEST_CASE("content that has not ended is not taken for whole [R3]") {
    std::string coded = "5\r\nhello\r\n3;x\r\nabc\r\n0\r\nT: x\r\n\r\n";
    for (size_t size = 0; size < coded.size(); size++) {
        State state;
        decoded(coded.substr(0, size), coded.size(), state);
        CHECK(state == State::More);
    }
}

TEST_CASE("a size may be as large as 64 bits say, and one digit more is bad") {
    ChunkedDecoder decoder;
    std::string coded = "FFFFFFFFFFFFFFFF\r\nabc";
    CHECK(decoder.decode(coded.data(), coded.size()) == 3);
    CHECK(decoder.state() == State::More);
    decoded("FFFFFFFFFFFFFFFF0\r\n", State::Bad);
}

TEST_CASE("an extension or a trailer is bounded, many short ones are not") {
    std::string long_one = "1;" + std::string(40000, 'x') + "\r\na\r\n0\r\n\r\n";
    decoded(long_one, State::Bad);
    decoded("0\r\nT: " + std::string(40000, 'x') + "\r\n\r\n", State::Bad);
    decoded("0\r\n" + repeated(10000, "T:x\r\n") + "\r\n", State::Bad);
    CHECK(decoded(repeated(10000, "1;signature=0123456789\r\na\r\n") + "0\r\n\r\n", State::Ended) ==
          std::string(10000, 'a'));
}

TEST_CASE("any content in any chunks and any pieces comes out as it went in [R2]") {
    Dice dice(6);
    for (int round = 0; round < 500; round++) {
        std::string content, coded;
        for (size_t chunks = dice.below(6); chunks > 0; chunks--) {
            std::string chunk;
            for (size_t left = 1 + dice.below(300); left > 0; left--)
                chunk += dice.byte();
            char size[20];
            snprintf(size, sizeof size, dice.below(2) ? "%zx" : "%04zX", chunk.size());
            coded += size + std::string(dice.below(2) ? ";e=1" : "") + "\r\n" + chunk + "\r\n";
            content += chunk;
        }
        coded += "0\r\n\r\n";
        State state;
        CHECK(decoded(coded, 1 + dice.below(50), state) == content);
        CHECK(state == State::Ended);
    }
}

TEST_CASE("whatever a server sends for chunks, the decoder ends in a state and within the piece [X4]") {
    const std::string_view words[] = {"\r\n",           "0", "1", "5", "a", ";", "hello", "\r", "\n", "0\r\n\r\n",
                                      "5\r\nhello\r\n", " "};
    Dice dice(7);
    for (int round = 0; round < 20000; round++) {
        std::string coded = dice.text(20, words);
        State whole, pieces;
        std::string content = decoded(coded, coded.size() + 1, whole);
        CHECK(decoded(coded, 1 + dice.below(3), pieces) == content);
        CHECK(whole == pieces);
    }
}
