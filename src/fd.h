// This file knows the ownership of one descriptor. A parameter `Fd` takes it, `const Fd&` or `int` borrows it.
#pragma once

#include "sys.h"

#include <errno.h>

namespace rouse {

// Kept as one more than the number, so that an Fd is made of zeros: -1 stands for "none".
class Fd {
public:
    Fd() = default;
    explicit Fd(int number) : kept_(number + 1) {}
    Fd(Fd&& other) noexcept : kept_(other.kept_) { other.kept_ = 0; }
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other)
            reset(other.release());
        return *this;
    }
    ~Fd() { reset(); }

    bool is_open() const { return number() >= 0; }
    bool operator!() const = delete; // "!fd" is the natural slip where is_open() is meant
    // The descriptor; or the -errno that it was made from; or -1, which every call answers with EBADF.
    int number() const { return kept_ - 1; }

    int release() {
        int released = number();
        kept_ = 0;
        return released;
    }

    // The result of close is ignored on purpose: the number is free whatever it answers, and what was written
    // through the descriptor was checked when it was written.
    void reset(int number) {
        if (is_open())
            sys::close(this->number());
        kept_ = number + 1;
    }
    [[gnu::noinline]] void reset() { reset(-1); }

private:
    int kept_ = 0;
};

} // namespace rouse
