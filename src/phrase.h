// This file knows our own sentences: they are packed when the program is compiled, and read as they stand in the source.
//
// Most of what rouse can say is said to an owner whose settings are wrong, and half of it is the same few letters again.
// "..."_phrase is a text in which each of the commonest pieces is one byte; Text::add (buffer.h) writes it out. What is
// compared or looked up on the way of each request stays a plain literal.
#pragma once

#include <stddef.h>
#include <string_view>

namespace rouse {

struct Phrase {
    const char* packed = nullptr; // up to a NUL

    explicit operator bool() const { return packed != nullptr; }
};

// Byte pair encoding: each piece is two that stand before it, or letters. Any list of that kind will do; `tests/pieces`
// prints the one that suits the present texts best.
constexpr std::string_view pieces[] = {
    "e ",          "th",       "s ",       "t ",       "er",
    "no",          "in",       "is ",      "or",       "on",
    "the ",        "er ",      "d ",       "en",       "it",
    "a ",          "an",       "ch",       ", ",       "ar",
    "st",          "or ",      "re",       "no ",      "not ",
    "to",          ". ",       "at ",      "y ",       "ro",
    "us",          ": ",       "un",       "it ",      "ti",
    ", or ",       "of",       "ther",     "as ",      "of ",
    "li",          "in ",      "rit",      "il",       "ke",
    "ed",          "is no ",   "ou",       "rite ",    "that ",
    "oc",          "its ",     "se",       "tion",     "fil",
    "mo",          "ad",       "ing",      "Th",       "The ",
    "ch ",         "es",       "run",      "can",      "con",
    "ver ",        "ne",       "pp",       "star",     "ed ",
    "lin",         "to ",      ". W",      ". Write ", "ocke",
    "ol",          "wi",       "ke ",      "be ",      "ther ",
    "su",          "this ",    "socke",    "me",       "ake ",
    "lic",         "tion ",    "ans",      "ent",      "there ",
    "such ",       "00",       "th ",      "ve ",      "old",
    "tr",          "id",       "od",       "app",      "applic",
    "applica",     "cannot ",  "end",      "di",       "nother ",
    "m ",          "os",       "pa",       "en ",      "sh",
    "op",          "fold",     "ser",      "ut ",      "file ",
    "The applica", "wn",       "answ",     "o ",       "he",
    "um",          "nec",      "another ", "socket",   "`run",
    "`run`",       "ay ",      "ex",       "pro",      "The application ",
    "start",       "Con",      "too ",     "connec",   "line ",
    "ort",         "such as ", "000",      "am",       "this is no ",
    "'s ",         "over ",    "one",      "ri",       "l ",
    "es ",         "t the ",   "qu",       "bod",      "body ",
    "and ",        "d not ",   "own",      "t of ",    "ach",
    "ended ",      "be",
};
constexpr size_t piece_count = sizeof pieces / sizeof pieces[0];
// The bytes that stand for pieces, as signed char: all below the blank but NUL, LF and CR, which stand for themselves.
constexpr int pieces_below = ' ';

consteval char byte_of_piece(size_t index) {
    int byte = static_cast<int>(index) - 128;
    for (int stands_for_itself : {'\0', '\n', '\r'})
        byte += byte >= stands_for_itself;
    return static_cast<char>(byte);
}

void a_phrase_is_ascii_without_control_bytes_but_line_ends(); // never defined: what the compiler names when one is not

template <size_t Size> struct Literal {
    char bytes[Size] = {};
    size_t size = Size; // with the NUL behind it

    consteval Literal(const char (&literal)[Size]) {
        for (size_t at = 0; at < Size; at++)
            bytes[at] = literal[at];
    }

    consteval bool stands_at(size_t at, std::string_view piece) const {
        for (char one : piece)
            if (bytes[at++] != one) // before the end: no piece has a NUL
                return false;
        return true;
    }

    // The shortest way to write it with pieces.
    consteval Literal packed() const {
        size_t length[Size] = {}; // from each byte to the end
        size_t choice[Size] = {};
        for (size_t at = Size - 1; at-- > 0;) {
            if ((bytes[at] < ' ' && bytes[at] != '\0' && bytes[at] != '\n' && bytes[at] != '\r') || bytes[at] > '~')
                a_phrase_is_ascii_without_control_bytes_but_line_ends();
            length[at] = 1 + length[at + 1];
            choice[at] = piece_count;
            for (size_t index = 0; index < piece_count; index++) {
                size_t end = at + pieces[index].size();
                if (stands_at(at, pieces[index]) && 1 + length[end] < length[at]) {
                    length[at] = 1 + length[end];
                    choice[at] = index;
                }
            }
        }
        Literal result = *this;
        result.size = length[0] + 1;
        size_t to = 0;
        for (size_t at = 0; at + 1 < Size; to++) {
            bool is_piece = choice[at] < piece_count;
            result.bytes[to] = is_piece ? byte_of_piece(choice[at]) : bytes[at];
            at += is_piece ? pieces[choice[at]].size() : 1;
        }
        result.bytes[to] = '\0';
        return result;
    }
};

// Of a form the % are places, in which a Text puts values (Text::fill): one of these bytes stands there, by kind.
enum Place : char { OfText = '{', OfString, OfPhrase, OfNumber };

void a_form_has_a_place_for_each_value_and_no_braces(); // never defined, as above

template <Literal literal> consteval auto with_places(std::string_view kinds) {
    Literal result = literal;
    size_t place = 0;
    for (char& one : result.bytes) {
        if (one >= OfText)
            place = kinds.size() + 1;
        if (one == '%') {
            one = place < kinds.size() ? kinds[place] : one;
            place++;
        }
    }
    if (place != kinds.size())
        a_form_has_a_place_for_each_value_and_no_braces();
    return result;
}

template <size_t Size> struct Bytes {
    char bytes[Size] = {};
};

template <Literal literal> constexpr auto shortened = literal.packed();

template <Literal literal> consteval auto without_rest() {
    Bytes<shortened<literal>.size> kept;
    for (size_t at = 0; at < sizeof kept; at++)
        kept.bytes[at] = shortened<literal>.bytes[at];
    return kept;
}

// alignas: else each begins where a table would best, and half of what was won is lost.
template <Literal literal> alignas(1) constexpr auto kept = without_rest<literal>();

template <Literal literal> consteval Phrase operator""_phrase() {
    return {kept<literal>.bytes};
}

} // namespace rouse
