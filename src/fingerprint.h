// This file knows whether the app file, the start script or `restart-on` changed since a launch: a failure of what was mended is no
// reason to wait (B3).
#pragma once

#include "settings.h"

#include <stdint.h>

namespace rouse {

// FNV-1a: any change of what was seen must show, nothing more.
constexpr uint64_t nothing_seen = 14695981039346656037u;
uint64_t see(const void* bytes, size_t size, uint64_t sum = nothing_seen);

// Another number when either was written, replaced, or its mode was changed.
uint64_t fingerprint_of(const Settings& settings);

} // namespace rouse
