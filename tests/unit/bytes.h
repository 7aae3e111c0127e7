// This file knows how tests hold bytes.
#pragma once

#include <memory>
#include <random>
#include <string.h>
#include <string>
#include <string_view>

// A copy on the heap, exactly as long as the text, so that the sanitizer sees whoever reads past its end.
class Exact {
public:
    explicit Exact(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
        if (!text.empty())
            memcpy(bytes_.get(), text.data(), text.size());
    }
    std::string_view view() const { return {bytes_.get(), size_}; }
    char* data() { return bytes_.get(); }
    size_t size() const { return size_; }

private:
    std::unique_ptr<char[]> bytes_;
    size_t size_;
};

// A text with NULs in it, from a literal.
template <size_t Size> std::string bytes(const char (&literal)[Size]) {
    return {literal, Size - 1};
}

inline std::string repeated(size_t times, std::string_view text) {
    std::string sum;
    for (size_t at = 0; at < times; at++)
        sum += text;
    return sum;
}

// The same numbers in every run: a failure found once is found again.
class Dice {
public:
    explicit Dice(unsigned seed) : engine_(seed) {}
    size_t below(size_t limit) { return engine_() % limit; }
    char byte() { return static_cast<char>(engine_()); }
    // A text of up to `longest` pieces, each one of `words` or a byte of any value.
    template <size_t Count> std::string text(size_t longest, const std::string_view (&words)[Count]) {
        std::string sum;
        for (size_t left = below(longest + 1); left > 0; left--) {
            if (below(4) == 0)
                sum += byte();
            else
                sum += words[below(Count)];
        }
        return sum;
    }

private:
    std::mt19937 engine_;
};
