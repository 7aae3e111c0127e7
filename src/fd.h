// This file knows the ownership of one descriptor. A parameter `Fd` takes it, `const Fd&` or `int` borrows it.
#pragma once

#include "sys.h"

namespace rouse {

class Fd {
public:
    Fd() = default;
    explicit Fd(int number) : number_(number) {}
    Fd(Fd&& other) noexcept : number_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other)
            reset(other.release());
        return *this;
    }
    ~Fd() { reset(); }

    bool is_open() const { return number_ >= 0; }
    bool operator!() const = delete; // "!fd" would call descriptor 0 closed
    int number() const { return number_; }

    int release() {
        int number = number_;
        number_ = -1;
        return number;
    }

    // The result of close is ignored on purpose: the number is free whatever it answers, and what was written
    // through the descriptor was checked when it was written.
    void reset(int number = -1) {
        if (number_ >= 0)
            sys::close(number_);
        number_ = number;
    }

private:
    int number_ = -1;
};

} // namespace rouse
