#include "fingerprint.h"

#include "sys.h"

#include <fcntl.h>

namespace rouse {

namespace {

// FNV-1a, a number at a time: any change must show, nothing more.
void mix_in(const char* path, uint64_t& sum) {
    struct stat status = {};
    sys::stat(AT_FDCWD, path, status);
    const uint64_t values[] = {status.st_ino,
                               static_cast<uint64_t>(status.st_size),
                               static_cast<uint64_t>(status.st_mtim.tv_sec),
                               static_cast<uint64_t>(status.st_mtim.tv_nsec),
                               static_cast<uint64_t>(status.st_ctim.tv_sec),
                               static_cast<uint64_t>(status.st_ctim.tv_nsec)};
    for (uint64_t value : values)
        sum = (sum ^ value) * 1099511628211u;
    sum &= INT64_MAX;
}

} // namespace

int64_t fingerprint_of(const Settings& settings) {
    uint64_t sum = 14695981039346656037u;
    mix_in(settings.app.data(), sum);
    mix_in(settings.start[0], sum);
    if (!settings.restart_on.empty())
        mix_in(settings.restart_on.data(), sum);
    return static_cast<int64_t>(sum);
}

} // namespace rouse
