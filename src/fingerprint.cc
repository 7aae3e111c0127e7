#include "fingerprint.h"

#include "sys.h"

#include <fcntl.h>

namespace rouse {

namespace {

void see_file(const char* path, uint64_t& sum) {
    struct stat status = {};
    sys::stat(AT_FDCWD, path, status);
    see(static_cast<int64_t>(status.st_ino), sum);
    for (int64_t value :
         {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec})
        see(value, sum);
    sum &= INT64_MAX;
}

} // namespace

int64_t fingerprint_of(const Settings& settings) {
    uint64_t sum = nothing_seen;
    see_file(settings.app.data(), sum);
    see_file(settings.start[0], sum);
    if (!settings.restart_on.empty())
        see_file(settings.restart_on.data(), sum);
    return static_cast<int64_t>(sum);
}

} // namespace rouse
