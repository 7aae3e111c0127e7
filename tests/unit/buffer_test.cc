#include "buffer.h"

#include "bytes.h"

#include <doctest/doctest.h>

using namespace rouse;

TEST_CASE("a text that does not fit leaves the buffer as it was and says so [X4]") {
    TextBuffer<6> text;
    text.add("abc");
    CHECK_FALSE(text.overflowed());
    text.add("def");
    CHECK(text.overflowed());
    CHECK(text.view() == "abc");
    text.add("de");
    CHECK(text.view() == "abcde");
    CHECK(text.room() == 0);
    CHECK(std::string(text.c_str()) == "abcde");
    text.clear();
    CHECK_FALSE(text.overflowed());
    CHECK(text.view().empty());
}

TEST_CASE("numbers are written in full, padded to a width") {
    TextBuffer<64> text;
    text.add_number(0).add(' ').add_number(7, 3).add(' ').add_number(UINT64_MAX).add(' ').add_hex(255, 4);
    CHECK(text.view() == "0 007 18446744073709551615 00ff");
}

TEST_CASE("no byte of a stranger can forge a line of the log [X1]") {
    TextBuffer<64> text;
    text.add_escaped(bytes("a\nb \\\xff\0~"));
    CHECK(text.view() == "a\\x0ab\\x20\\x5c\\xff\\x00~");
}

TEST_CASE("a decimal number has digits and nothing else, and does not wrap") {
    uint64_t number = 99;
    for (std::string_view wrong :
         {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "1,2", "18446744073709551616", "99999999999999999999"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_decimal(Exact(wrong).view(), number));
        CHECK(number == 99);
    }
    CHECK(parse_decimal("18446744073709551615", number));
    CHECK(number == UINT64_MAX);
    CHECK(parse_decimal("0005", number));
    CHECK(number == 5);
}

TEST_CASE("a part of a text is clamped to it") {
    CHECK(part("abc", 1) == "bc");
    CHECK(part("abc", 1, 1) == "b");
    CHECK(part("abc", 3).empty());
    CHECK(part("abc", 9, 9).empty());
    CHECK(part("abc", 0, SIZE_MAX) == "abc");
}

TEST_CASE("trim takes blanks at both ends and no others") {
    CHECK(trim(" \t a b\t ") == "a b");
    CHECK(trim(" \t ").empty());
    CHECK(trim("\na\r") == "\na\r");
}

TEST_CASE("case is ignored for letters of ASCII only") {
    CHECK(equals_ignoring_case("ChUnKeD", "chunked"));
    CHECK_FALSE(equals_ignoring_case("chunke", "chunked"));
    CHECK_FALSE(equals_ignoring_case("chunkedx", "chunked"));
    CHECK_FALSE(equals_ignoring_case(std::string_view("chunked\0x", 9), "chunked"));
    CHECK_FALSE(equals_ignoring_case("[", "{"));
    CHECK_FALSE(equals_ignoring_case("\xc0", "\xe0"));
}

TEST_CASE("a word is found in a list when it is whole") {
    CHECK(index_of("wait", "wait start socket") == 0);
    CHECK(index_of("start", "wait start socket") == 1);
    CHECK(index_of("socket", "wait start socket") == 2);
    for (std::string_view word : {"", "wai", "waitx", "ait", "wait start", "start ", " start", "socke"})
        CHECK_MESSAGE(index_of(word, "wait start socket") == -1, word);
}

TEST_CASE("a control character is one below a blank but TAB, or DEL") {
    for (int byte = 0; byte < 256; byte++) {
        std::string text = {'a', static_cast<char>(byte), 'b'};
        CHECK(has_control(text) == ((byte < 0x20 && byte != '\t') || byte == 0x7f));
    }
    CHECK_FALSE(has_control(""));
}

TEST_CASE("hexadecimal digits are told from everything else") {
    for (int byte = 0; byte < 256; byte++) {
        CAPTURE(byte);
        auto found = std::string_view("0123456789abcdefABCDEF").find(static_cast<char>(byte));
        int expected = found == std::string_view::npos ? -1 : static_cast<int>(found < 16 ? found : found - 6);
        CHECK(hex_digit(static_cast<char>(byte)) == expected);
    }
}
