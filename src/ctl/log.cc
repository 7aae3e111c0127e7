#include "ctl/commands.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

// 0 or -errno; of reading, or of writing to standard output.
int copy(const char* path) {
    static char bytes[32768];
    Fd file(sys::open(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.is_open())
        return file.number();
    for (;;) {
        ssize_t size = uninterrupted([&] { return sys::read(file.number(), bytes, sizeof bytes); });
        if (size <= 0)
            return static_cast<int>(size);
        if (int result = write_all(1, {bytes, static_cast<size_t>(size)}); result < 0)
            return result;
    }
}

} // namespace

// What was put aside first: the oldest line is the first.
Exit log(const Order& order) {
    const Settings& settings = order.site.settings;
    if (settings.log.empty()) {
        order.complaint.add("there is no log: without `run` and `log`, events go to the web server's error log.");
        return Exit::Not;
    }
    static char old_bytes[4096];
    Text old(old_bytes);
    int put_aside = copy(old.add(settings.log).add(".1").c_str());
    int result = copy(settings.log.data());
    if (result < 0 && !(result == -ENOENT && put_aside == 0)) {
        say({-result, "read the log\0It is made by the first launch, and readable for the server's user.", ""},
            settings.log.data(), order.complaint);
        return result == -ENOENT ? Exit::Not : Exit::Unknown;
    }
    return Exit::Well;
}

} // namespace rouse
