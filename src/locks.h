// This file knows start.lock and alive.lock: flock(2) on files that are made once and never unlinked.
//
// Only exclusive locks, and never LOCK_UN: a lock ends when its last copy is closed, so it cannot outlive its
// holders and cannot be given up for somebody else's copy. Shared waiters that then try exclusive spin.
#pragma once

#include "deadline.h"
#include "error.h"
#include "fd.h"

namespace rouse {

constexpr const char* start_lock = "start.lock"; // a launch is under way
constexpr const char* alive_lock = "alive.lock"; // something that a launch started still lives

enum class Held : char {
    Error, // see Hold::error
    No,    // somebody else holds it
    Yes,
};

struct Hold {
    Held held = Held::Error;
    Fd lock; // Yes; also No: the open file, close-on-exec
    Error error;
};

// Tries to lock `name` in `folder`, without waiting.
void try_lock(int folder, const char* name, Hold& hold);

// The same, waiting until `deadline`. Waiters sleep in flock(2) itself and come through one after another; an
// alarm interrupts it. Returns No when the deadline is over.
void wait_for_lock(int folder, const char* name, Deadline deadline, Hold& hold);

// Whether `lock` is still the file at `name`: a cleaner or a deploy may have replaced it.
bool is_current(int folder, const char* name, int lock);

} // namespace rouse
