// This file knows a fixed array that fills, refuses to overflow, and is read as text.
//
// Nothing in rouse allocates: what may grow has a bound that is written down, and a text that did
// not fit says so (`overflowed`) instead of being silently shorter.
#pragma once

#include "phrase.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <string_view>
#include <type_traits>

namespace rouse {

using namespace std::string_view_literals; // "..."sv knows its length; that of "..." would be counted when it runs

// Text written into an array that somebody else owns. One byte is kept for the NUL of c_str().
//
// The array is best a `static` one where the text is made: it costs no byte of the file, and keeps the stack so
// small that its variables are near. Nothing in rouse is called again while it is running.
class Text {
public:
    Text(char* storage, size_t capacity) : bytes_(storage), capacity_(static_cast<uint32_t>(capacity) & 0x7fffffff) {}
    template <size_t Capacity> explicit Text(char (&storage)[Capacity]) : Text(storage, Capacity) {}
    Text(const Text&) = delete;
    Text& operator=(const Text&) = delete;

    // All of `text` or nothing of it.
    Text& add(std::string_view text) { return add(text.data(), text.size()); }
    Text& add(const char* text);
    Text& add(const char* bytes, size_t size);
    Text& add(char one);
    Text& add(Phrase phrase); // as much of it as there is room for

    // The form with each value in the place of a %: text.fill<"cannot %: %">(action, subject). One call is half the size of
    // several that add. Values are texts, strings, phrases and unsigned numbers, at most four.
    template <Literal form, class... Values> Text& fill(const Values&... values) {
        constexpr char kinds[] = {place_of<Values>..., '\0'};
        return fill_places(kept<with_places<form>({kinds, sizeof...(values)})>.bytes, word_of(values)...);
    }

    // Decimal, padded on the left with zeros to `width` digits (1 to 20).
    Text& add_number(uint64_t number, size_t width) { return add_in_base(number, 10, width); }
    Text& add_number(uint64_t number);

    // Lower-case hexadecimal, padded on the left with zeros to `width` digits (1 to 16).
    Text& add_hex(uint64_t number, size_t width = 1) { return add_in_base(number, 16, width); }

    // Bytes outside printable ASCII, and the backslash, as \xHH: nothing a stranger sent can forge a line.
    Text& add_escaped(std::string_view text);

    // The same between double quotes, blanks as they are: for sentences.
    Text& add_quoted(std::string_view text);

    // For a text that overflowed and must end so all the same.
    void replace_last(char one) { bytes_[size_ - 1] = one; }

    void clear() { size_ = 0, overflowed_ = 0; }
    void cut(size_t size) { size_ = static_cast<uint32_t>(size); } // back to one that it had
    bool overflowed() const { return overflowed_; }
    size_t size() const { return size_; }
    size_t room() const { return capacity_ - size_ - 1; }
    std::string_view view() const { return {bytes_, size_}; }
    const char* c_str() {
        bytes_[size_] = '\0';
        return bytes_;
    }

private:
    template <class Value>
    static constexpr char place_of = std::is_integral_v<Value>                 ? OfNumber
                                     : std::is_same_v<Value, std::string_view> ? OfText
                                     : std::is_same_v<Value, Phrase>           ? OfPhrase
                                                                               : OfString;
    static uintptr_t word_of(const std::string_view& text) { return reinterpret_cast<uintptr_t>(&text); }
    static uintptr_t word_of(const char* text) { return reinterpret_cast<uintptr_t>(text); }
    static uintptr_t word_of(Phrase phrase) { return reinterpret_cast<uintptr_t>(phrase.packed); }
    static uintptr_t word_of(uint64_t number) { return number; }

    Text& fill_places(const char* form, uintptr_t first = 0, uintptr_t second = 0, uintptr_t third = 0,
                      uintptr_t fourth = 0);
    void add_packed(signed char one);
    Text& add_in_base(uint64_t number, unsigned base, size_t width);

    char* bytes_;
    uint32_t capacity_ : 31; // no text has 4 GiB, and two numbers at once are cheaper to set
    uint32_t overflowed_ : 1 = 0;
    uint32_t size_ = 0;
};

// The same, with its own array.
template <size_t Capacity> class TextBuffer : public Text {
public:
    TextBuffer() : Text(storage_, Capacity) {}

private:
    char storage_[Capacity];
};

// A string as a text. std::string_view's own constructor is not inlined either, and is told where to put it.
std::string_view text_of(const char* string);

// The part of `text` from `first`, at most `count` bytes; std::string_view::substr throws, this clamps.
inline std::string_view part(std::string_view text, size_t first, size_t count = SIZE_MAX) {
    if (first > text.size())
        first = text.size();
    if (count > text.size() - first)
        count = text.size() - first;
    return {text.data() + first, count};
}

// The same where `size` is known to be no more than the text has.
inline std::string_view front(std::string_view text, size_t size) {
    return {text.data(), size};
}
inline std::string_view behind(std::string_view text, size_t size) {
    return {text.data() + size, text.size() - size};
}

// Without the blanks (space, TAB) at both ends.
std::string_view trim(std::string_view text);

// Like the members of std::string_view. Those are not inlined, and are told where a text stands: it must be in memory.
[[gnu::always_inline]] inline bool begins_with(std::string_view text, char one) {
    return !text.empty() && text.front() == one;
}
[[gnu::always_inline]] inline bool ends_with(std::string_view text, char one) {
    return !text.empty() && text.back() == one;
}
bool begins_with(std::string_view text, std::string_view beginning);
// Of strings. The C library's strncmp is five times as large, its strcmp twice.
bool begins_with(const char* string, const char* beginning);
bool is_same(const char* one, const char* other);

// ASCII only, whatever the locale: names and tokens of HTTP. `lower` is written in lower case.
bool equals_ignoring_case(std::string_view text, const char* lower);

// The value of a hexadecimal digit, -1 when it is none.
inline int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    auto lower = static_cast<char>(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Whether there is a control character but TAB.
bool has_control(std::string_view text);

// Where the first `one` stands, npos when it does not. The C library's memchr, behind std::string_view::find, is six times
// as large, and faster only in lines that are longer than ours.
size_t find(std::string_view text, char one);
size_t find_last(std::string_view text, char one);

// Where `word` stands in `words`, which have one blank between them; -1 when it does not.
int index_of(std::string_view word, const char* words);

// A decimal number without sign, blanks or anything behind it; false when it is none or over 2^64 - 1.
bool parse_decimal(std::string_view text, uint64_t& number);

} // namespace rouse
