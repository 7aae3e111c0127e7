#include "buffer.h"

namespace rouse {

void a_piece_is_made_of_two(); // never defined: what the compiler names when one is not

namespace {

// The two that each piece is made of, where byte_of_piece finds them.
struct Halves {
    char left, right;
};
struct PieceTable {
    Halves halves[128 + pieces_below] = {};
};

consteval bool is_piece(std::string_view text, size_t before, char& byte) {
    byte = text[0];
    if (text.size() == 1)
        return true;
    for (size_t index = 0; index < before; index++)
        if (pieces[index] == text) {
            byte = byte_of_piece(index);
            return true;
        }
    return false;
}

consteval PieceTable make_table() {
    PieceTable table;
    for (size_t index = 0; index < piece_count; index++) {
        std::string_view piece = pieces[index];
        Halves halves = {};
        size_t size = piece.size() - 1;
        while (size > 0 && !(is_piece({piece.data(), size}, index, halves.left) &&
                             is_piece({piece.data() + size, piece.size() - size}, index, halves.right)))
            size--;
        if (size == 0)
            a_piece_is_made_of_two();
        table.halves[byte_of_piece(index) + 128] = halves;
    }
    return table;
}

constexpr PieceTable table = make_table();

} // namespace

// Called from everywhere and never on the warm path: one copy of each is worth kilobytes.

[[gnu::noinline]] Text& Text::add(const char* bytes, size_t size) {
    if (size >= capacity_ - size_) {
        overflowed_ = true;
        return *this;
    }
    if (size > 0) // memcpy from a null pointer is undefined even for 0 bytes
        memcpy(bytes_ + size_, bytes, size);
    size_ += static_cast<uint32_t>(size);
    return *this;
}

[[gnu::noinline]] Text& Text::add(const char* text) {
    return add(text, strlen(text));
}

[[gnu::noinline]] Text& Text::add(char one) {
    return add(&one, 1);
}

[[gnu::noinline]] void Text::add_packed(signed char one) {
    Halves halves = one < pieces_below ? table.halves[one + 128] : Halves();
    if (halves.left == '\0') {
        add(static_cast<char>(one));
        return;
    }
    add_packed(static_cast<signed char>(halves.left));
    add_packed(static_cast<signed char>(halves.right));
}

[[gnu::noinline]] Text& Text::add(Phrase phrase) {
    while (*phrase.packed != '\0')
        add_packed(static_cast<signed char>(*phrase.packed++));
    return *this;
}

[[gnu::noinline]] Text& Text::fill_places(const char* form, uintptr_t first, uintptr_t second, uintptr_t third,
                                          uintptr_t fourth) {
    const uintptr_t values[] = {first, second, third, fourth};
    const uintptr_t* next = values;
    for (; *form != '\0'; form++) {
        if (*form < OfText) {
            add_packed(static_cast<signed char>(*form));
            continue;
        }
        uintptr_t value = *next++;
        if (*form == OfText)
            add(*reinterpret_cast<const std::string_view*>(value));
        else if (*form == OfString)
            add(reinterpret_cast<const char*>(value));
        else if (*form == OfPhrase)
            add(Phrase{reinterpret_cast<const char*>(value)});
        else
            add_number(value);
    }
    return *this;
}

[[gnu::noinline]] Text& Text::add_in_base(uint64_t number, unsigned base, size_t width) {
    char digits[20]; // 2^64 - 1 has 20 decimal digits
    size_t first = sizeof digits;
    while (first > 0 && (number != 0 || sizeof digits - first < width)) {
        digits[--first] = "0123456789abcdef"[number % base];
        number /= base;
    }
    return add(digits + first, sizeof digits - first);
}

[[gnu::noinline]] Text& Text::add_number(uint64_t number) {
    return add_in_base(number, 10, 1);
}

[[gnu::noinline]] Text& Text::add_escaped(std::string_view text) {
    for (char one : text) {
        auto byte = static_cast<unsigned char>(one);
        if (byte > 0x20 && byte < 0x7f && byte != '\\')
            add(one);
        else
            add("\\x").add_hex(byte, 2);
    }
    return *this;
}

[[gnu::noinline]] Text& Text::add_quoted(std::string_view text) {
    add('"');
    for (char one : text) {
        if (one == ' ')
            add(one);
        else if (one == '"')
            add("\\x22");
        else
            add_escaped({&one, 1});
    }
    return add('"');
}

[[gnu::noinline]] std::string_view text_of(const char* string) {
    return {string, strlen(string)};
}

[[gnu::noinline]] bool equals_ignoring_case(std::string_view text, const char* lower) {
    for (char one : text) {
        if (one >= 'A' && one <= 'Z')
            one = static_cast<char>(one | 0x20);
        if (*lower == '\0' || one != *lower++)
            return false;
    }
    return *lower == '\0';
}

[[gnu::noinline]] bool has_control(std::string_view text) {
    for (char one : text)
        if (static_cast<unsigned char>(one) < 0x20 ? one != '\t' : one == 0x7f)
            return true;
    return false;
}

[[gnu::noinline]] std::string_view trim(std::string_view text) {
    const char* begin = text.data();
    const char* end = begin + text.size();
    while (begin < end && (*begin == ' ' || *begin == '\t'))
        begin++;
    while (begin < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return {begin, static_cast<size_t>(end - begin)};
}

[[gnu::noinline]] bool begins_with(std::string_view text, std::string_view beginning) {
    return part(text, 0, beginning.size()) == beginning;
}

[[gnu::noinline]] bool begins_with(const char* string, const char* beginning) {
    while (*beginning != '\0')
        if (*string++ != *beginning++) // at the end of `string` at the latest
            return false;
    return true;
}

[[gnu::noinline]] bool is_same(const char* one, const char* other) {
    while (*one == *other++)
        if (*one++ == '\0')
            return true;
    return false;
}

[[gnu::noinline]] size_t find(std::string_view text, char one) {
    const char* at = text.data();
    for (const char* end = at + text.size(); at != end; at++)
        if (*at == one)
            return static_cast<size_t>(at - text.data());
    return text.npos;
}

[[gnu::noinline]] size_t find_last(std::string_view text, char one) {
    size_t at = text.size();
    while (at-- > 0 && text[at] != one)
        ;
    return at; // npos in front of the first
}

[[gnu::noinline]] int index_of(std::string_view word, const char* words) {
    for (int index = 0;; index++) {
        size_t same = 0;
        while (same < word.size() && words[same] == word[same] && words[same] != ' ')
            same++;
        words += same;
        if (same == word.size() && (*words == ' ' || *words == '\0'))
            return index;
        char one;
        do
            one = *words++;
        while (one > ' ');
        if (one == '\0')
            return -1;
    }
}

[[gnu::noinline]] bool parse_decimal(std::string_view text, uint64_t& number) {
    if (text.empty())
        return false;
    uint64_t sum = 0;
    for (char digit : text) {
        if (digit < '0' || digit > '9')
            return false;
        if (__builtin_mul_overflow(sum, uint64_t{10}, &sum))
            return false;
        if (__builtin_add_overflow(sum, static_cast<uint64_t>(digit - '0'), &sum))
            return false;
    }
    number = sum;
    return true;
}

} // namespace rouse
