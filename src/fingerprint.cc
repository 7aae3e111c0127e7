#include "fingerprint.h"

#include "sys.h"

#include <fcntl.h>
#include <stddef.h>

namespace rouse {

namespace {

void see_file(const char* path, uint64_t& sum) {
    struct stat status;
    if (sys::stat(AT_FDCWD, path, status) < 0)
        return;
    sum = see(&status.st_ino, sizeof status.st_ino, sum);
    sum = see(&status.st_size, sizeof status.st_size, sum);
    sum = see(&status.st_mtim, sizeof status.st_mtim + sizeof status.st_ctim, sum);
    static_assert(offsetof(struct stat, st_ctim) == offsetof(struct stat, st_mtim) + sizeof(timespec));
}

} // namespace

uint64_t see(const void* bytes, size_t size, uint64_t sum) {
    for (const auto* byte = static_cast<const unsigned char*>(bytes); size > 0; size--)
        sum = (sum ^ *byte++) * 1099511628211u;
    return sum;
}

uint64_t fingerprint_of(const Settings& settings) {
    uint64_t sum = nothing_seen;
    see_file(settings.app.data(), sum);
    see_file(settings.start[0], sum);
    if (!settings.restart_on.empty())
        see_file(settings.restart_on.data(), sum);
    return sum;
}

} // namespace rouse
