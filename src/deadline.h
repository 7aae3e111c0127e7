// This file knows a moment on the boot clock and the milliseconds left.
//
// The boot clock (CLOCK_BOOTTIME) rather than the monotonic one: it is the ledger's clock too, and for whoever waits at
// the other end the time of a machine that slept has passed.
#pragma once

#include "sys.h"

namespace rouse {

inline int64_t boot_now() {
    return sys::clock_milliseconds(CLOCK_BOOTTIME);
}

class Deadline {
public:
    Deadline() = default; // not begun
    // The clock is read rounded down: without the one more it could be over before its time, which poll(2) never is.
    static Deadline in(int milliseconds) { return Deadline(boot_now() + milliseconds + 1); }
    static Deadline at(int64_t moment) { return Deadline(moment); }

    bool begun() const { return moment_ != 0; }
    int64_t moment() const { return moment_; }

    // Milliseconds left, 0 when it is over: what poll(2) takes.
    int left() const {
        int64_t left = moment_ - boot_now();
        return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : static_cast<int>(left);
    }

private:
    explicit Deadline(int64_t moment) : moment_(moment) {}
    int64_t moment_ = 0;
};

} // namespace rouse
