// This file knows how a key is asked for and compared, so that neither an answer nor its time tells anything about it.
#pragma once

#include <string_view>

namespace rouse {

// Behind a shorter text are zeros: a comparison looks at all of it, always.
struct Key {
    static constexpr size_t room = 256;
    static constexpr size_t least = 16; // bytes: a shorter one could be guessed

    char bytes[room] = {};
    size_t size = 0; // 0: there is none, or none that can be used
};

// A key as its owner wrote it: without blanks and line ends around it; refused when too short, too long, or with a NUL.
void read_key(std::string_view text, Key& key);

// The value of `key` in a form (application/x-www-form-urlencoded). One that does not fit is none.
void read_form(std::string_view form, Key& key);

// In a time that depends on neither: whether both are the same, and there is one.
bool are_equal(const Key& one, const Key& other);

} // namespace rouse
