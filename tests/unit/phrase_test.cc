#include "said.h"

#include <doctest/doctest.h>

using namespace rouse;

TEST_CASE("a phrase says what stands in the source [X4]") {
    CHECK(said(""_phrase) == "");
    CHECK(said("~"_phrase) == "~");
    CHECK(said(" "_phrase) == " ");
    CHECK(said("The application was stopped by its owner."_phrase) == "The application was stopped by its owner.");
    CHECK(said("` of another socket, not the 1,000th: \"e \" <body> {|} #!"_phrase) ==
          "` of another socket, not the 1,000th: \"e \" <body> {|} #!");
    CHECK(said("Write Write Write one that no server answers, or another with no such file"
               " in front of it"_phrase) ==
          "Write Write Write one that no server answers, or another with no such file in front of it");
}

TEST_CASE("each piece says itself, and no byte of a phrase is a NUL before its end") {
    for (size_t index = 0; index < piece_count; index++) {
        size_t below = index < 128 + 9 ? 127 : index < 128 + 11 ? 126 : 125; // NUL, LF and CR stand for themselves
        const char one[] = {static_cast<char>(index < 128 ? index + 128 : index - below), '\0'};
        CHECK(one[0] != '\0');
        CHECK(one[0] != '\n');
        CHECK(one[0] != '\r');
        CHECK(one[0] < pieces_below);
        CHECK(said({one}) == pieces[index]);
    }
}

TEST_CASE("a phrase is shorter than its text") {
    CHECK(std::string_view("there is no such file. Put it there, or mend `start`."_phrase.packed).size() < 30);
}

TEST_CASE("of a phrase as much is written as there is room for") {
    char bytes[12];
    Text text(bytes);
    text.add("The application is down."_phrase);
    CHECK(text.view() == "The applica");
    CHECK(text.overflowed());
}

TEST_CASE("of two phrases in one literal each is read by itself") {
    constexpr Phrase first = "connect to\0Mend `socket`."_phrase;
    CHECK(said(first) == "connect to");
    CHECK(said({first.packed + std::string_view(first.packed).size() + 1}) == "Mend `socket`.");
}
