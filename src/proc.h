// This file knows what proc(5) says of one process.
#pragma once

#include <stdint.h>
#include <string_view>
#include <sys/types.h>

namespace rouse {

// "/proc/PID" and what is to stand behind it; valid until the next call.
const char* proc_path(pid_t pid, const char* rest);

// What /proc/PID/stat says behind the name: " ", the state, and field 4 on. Empty when there is no such process; valid until
// the next call.
std::string_view proc_stat(pid_t pid);

// When `pid` started (field 22, in clock ticks), 0 when there is no such process: with the number it names one process for ever.
uint64_t start_time_of(pid_t pid);

} // namespace rouse
