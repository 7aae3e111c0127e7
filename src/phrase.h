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
    "e ",      "th",          "s ",       "t ",          "er",       "no",
    "in",      "is ",         "or",       "on",          "the ",     "er ",
    "d ",      "it",          "a ",       "en",          "an",       ", ",
    "ch",      "re",          "or ",      "ar",          "st",       "no ",
    "y ",      "not ",        "to",       "at ",         ". ",       "ro",
    "us",      "un",          "it ",      "ti",          ", or ",    "of",
    "ther",    "as ",         "of ",      "in ",         "li",       "rit",
    "il",      "ke",          "ed",       "is no ",      "ou",       "rite ",
    "that ",   "oc",          "its ",     "tion",        "con",      "fil",
    ": ",      "mo",          "ad",       "ing",         "Th",       "The ",
    "se",      "ch ",         "es",       "run",         "me",       "wi",
    "ver ",    "ne",          "ed ",      "pp",          "star",     "lin",
    "to ",     ". W",         ". Write ", "ocke",        "ol",       "can",
    "ke ",     "be ",         "ther ",    "su",          "this ",    "socke",
    "ake ",    "od",          "lic",      "tion ",       "ans",      "there ",
    "such ",   "00",          "pa",       "th ",         "ve ",      "old",
    "end",     "ent",         "app",      "applic",      "applica",  "di",
    "nother ", "m ",          "os",       "en ",         "sh",       "op",
    "fold",    "tr",          "ser",      "ut ",         "file ",    "um",
    "he",      "not be ",     "o ",       "The applica", "answ",     "wn",
    "nec",     "another ",    "socket",   "`run",        "`run`",    "ay ",
    "pro",     "qu",          "bod",      "body ",       "too ",     "The application ",
    "start",   "connec",      "line ",    "ort",         "such as ", "000",
    "na",      "this is no ", "'s ",      "over ",       "one",      "ri",
    "l ",      "es ",         "wh",       "ex",          "t the ",   "id",
    "and ",    "ended ",      "be",       "for",         "tent",     "arg",
    "own",     "t of ",       "server ",
};
constexpr size_t piece_count = sizeof pieces / sizeof pieces[0];
constexpr int pieces_below = ' '; // the bytes that stand for pieces, as signed char: all below the blank but NUL

consteval char byte_of_piece(size_t index) {
    return static_cast<char>(static_cast<int>(index) - (index < 128 ? 128 : 127));
}

void a_phrase_is_printable_ascii(); // never defined: what the compiler names when one is not

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
            if ((bytes[at] < ' ' && bytes[at] != '\0') || bytes[at] > '~')
                a_phrase_is_printable_ascii();
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
