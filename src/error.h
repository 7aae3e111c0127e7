// This file knows what went wrong, as the parts of one sentence:
// "cannot ACTION SUBJECT: REASON".
#pragma once

#include "phrase.h"

#include <errno.h>
#include <string.h>
#include <string_view>
#include <utility>

namespace rouse {

void an_error_needs_an_action_and_a_cure(); // never defined: what the compiler names when a literal has one part only

// "ACTION\0CURE"_words in one literal: the action completes "cannot ...", the cure says what the owner can do about it
// and may be empty. One pointer rather than two, at each of the places where an error is made.
struct Words {
    Phrase action;

    Phrase cure() const { return {action.packed + strlen(action.packed) + 1}; }
};

template <Literal literal> consteval Words operator""_words() {
    size_t nuls = 0;
    for (char one : literal.bytes)
        nuls += one == '\0';
    if (nuls != 2)
        an_error_needs_an_action_and_a_cure();
    return {operator""_phrase<literal>()};
}

struct [[nodiscard]] Error {
    int code = 0; // an errno value; 0 means success
    Words words;
    const char* subject = nullptr; // lives as long as the process: settings, environ or a literal

    explicit operator bool() const { return code != 0; }
};

class Text;

// The sentence, with `subject` in the place of the error's own: a page has no paths in it.
void say(const Error& error, const char* subject, Text& out);

// The cure alone, behind a space; nothing when there is none.
void say_cure(const Error& error, Text& out);

// What errno `code` means, in a few words; "error N" is not attempted: an unknown code is "unknown error".
Phrase reason(int code);

// A value, or the error that prevented it. T must be movable and have a cheap empty state.
template <class T> class [[nodiscard]] Result {
public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(error) {}

    bool ok() const { return error_.code == 0; }
    T& value() { return value_; }
    const Error& error() const { return error_; }

private:
    T value_{};
    Error error_{};
};

} // namespace rouse
