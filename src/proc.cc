#include "proc.h"

#include "buffer.h"
#include "io.h"
#include "lines.h"

#include <fcntl.h>

namespace rouse {

const char* proc_path(pid_t pid, const char* rest) {
    static char path_bytes[64];
    Text path(path_bytes);
    path.add("/proc/").add_number(static_cast<uint64_t>(pid)).add(rest);
    return path.c_str();
}

std::string_view proc_stat(pid_t pid) {
    static char storage[1024];
    std::string_view text;
    if (read_small_file(AT_FDCWD, proc_path(pid, "/stat"), storage, sizeof storage, text))
        text = part(text, find_last(text, ')') + 1); // the name in parentheses may hold anything
    return text;
}

uint64_t start_time_of(pid_t pid) {
    uint64_t ticks = 0;
    parse_decimal(word_of(proc_stat(pid), 19), ticks); // the first behind the name is 3
    return ticks;
}

} // namespace rouse
