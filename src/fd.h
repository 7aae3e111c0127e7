// This file knows the ownership of one descriptor. A parameter `Fd` takes it, `const Fd&` or `int` borrows it.
#pragma once

#include "sys.h"

#include <errno.h>

namespace rouse {

// Kept so that -EBADF, which stands for "none", is 0: an Fd is made of zeros, and its number is there without a question.
class Fd {
public:
    Fd() = default;
    explicit Fd(int number) : folded_(number ^ none) {}
    Fd(Fd&& other) noexcept : folded_(other.folded_) { other.folded_ = 0; }
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other)
            reset(other.release());
        return *this;
    }
    ~Fd() { reset(); }

    bool is_open() const { return number() >= 0; }
    bool operator!() const = delete; // "!fd" is the natural slip where is_open() is meant
    // The descriptor; or the -errno that it was made from; or -EBADF, which every call answers with EBADF.
    int number() const { return folded_ ^ none; }

    int release() {
        int released = number();
        folded_ = 0;
        return released;
    }

    // The result of close is ignored on purpose: the number is free whatever it answers, and what was written
    // through the descriptor was checked when it was written.
    void reset(int number) {
        if (is_open())
            sys::close(this->number());
        folded_ = number ^ none;
    }
    [[gnu::noinline]] void reset() { reset(none); }

private:
    static constexpr int none = -EBADF;

    int folded_ = 0;
};

} // namespace rouse
