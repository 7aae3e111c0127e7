// This file knows who else can write to a file or folder (X3).
#pragma once

#include "sys.h"

namespace rouse {

// Whether others than the owner can write to what `status` describes: the group counts unless it is our own
// primary one, which on most hosts has one member.
inline bool others_can_write(const struct stat& status) {
    mode_t others = S_IWOTH | (status.st_gid == sys::effective_gid() ? 0 : S_IWGRP);
    return (status.st_mode & others) != 0;
}

} // namespace rouse
