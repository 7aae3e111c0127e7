// This file knows whether the app file, the start script or `restart-on` changed since a launch: a failure of what was mended is no
// reason to wait (B3).
#pragma once

#include "settings.h"

namespace rouse {

// Not negative; another number when either was written, replaced, or its mode was changed.
int64_t fingerprint_of(const Settings& settings);

} // namespace rouse
