// This file knows whether the app file, the start script or `restart-on` changed since a launch: a failure of what was mended is no
// reason to wait (B3).
#pragma once

#include "settings.h"

#include <stdint.h>

namespace rouse {

// FNV-1a, a number at a time: any change of what was seen must show, nothing more.
constexpr uint64_t nothing_seen = 14695981039346656037u;
inline void see(int64_t value, uint64_t& sum) {
    sum = (sum ^ static_cast<uint64_t>(value)) * 1099511628211u;
}

// Not negative; another number when either was written, replaced, or its mode was changed.
int64_t fingerprint_of(const Settings& settings);

} // namespace rouse
