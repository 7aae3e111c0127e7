// This file knows what went wrong, as the parts of one sentence:
// "cannot ACTION SUBJECT: REASON".
#pragma once

#include <errno.h>
#include <string_view>
#include <utility>

namespace rouse {

struct [[nodiscard]] Error {
    int code = 0;             // an errno value; 0 means success
    const char* action = "";  // a literal: "connect to", "lock", "read"
    std::string_view subject; // lives as long as the process: settings, environ or a literal
    const char* cure = "";    // a literal: what the owner can do about it, or empty

    explicit operator bool() const { return code != 0; }
};

class Text;

// The sentence, with `subject` in the place of the error's own: a page has no paths in it.
void say(const Error& error, std::string_view subject, Text& out);

// What errno `code` means, in a few words; "error N" is not attempted: an unknown code is "unknown error".
const char* reason(int code);

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
