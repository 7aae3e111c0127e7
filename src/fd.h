// This file knows the ownership of one descriptor. A parameter `Fd` takes it, `const Fd&` or `int` borrows it.
#pragma once

#include "sys.h"

#include <errno.h>

namespace rouse {

// 0 is "none", so that an Fd is made of zeros: standard input is never owned, and always open (see main).
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

    bool is_open() const { return number_ > 0; }
    bool operator!() const = delete; // "!fd" is the natural slip where is_open() is meant
    // The descriptor; or the -errno that it was made from; or -EBADF, which every call answers with EBADF.
    int number() const { return number_ == 0 ? -EBADF : number_; }

    int release() {
        int number = number_;
        number_ = 0;
        return number;
    }

    // The result of close is ignored on purpose: the number is free whatever it answers, and what was written
    // through the descriptor was checked when it was written.
    void reset(int number = 0) {
        if (number_ > 0)
            sys::close(number_);
        number_ = number;
    }

private:
    int number_ = 0;
};

} // namespace rouse
