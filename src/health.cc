#include "health.h"

#include "fingerprint.h"
#include "io.h"
#include "locks.h"

#include <fcntl.h>

namespace rouse {

namespace {

constexpr const char* hung = "hung";
constexpr const char* touched = "touched";
constexpr const char* touched_next = "touched.new";
constexpr size_t note_size = 16; // hexadecimal digits

// For who is served: the node's folder is not open.
const char* path_of_touched(const Settings& settings) {
    static char path_bytes[8192];
    Text path(path_bytes);
    return path.add(settings.node_run).add('/').add(touched).c_str();
}

// How `restart-on` is: the sum of its inode and its time of modification, which are 0 when it is not there. A link is followed: a
// deploy may swap one. False when the kernel does not say: then nothing has changed.
bool render_note(const Settings& settings, Text& note) {
    struct stat status = {};
    int result = sys::stat(AT_FDCWD, settings.restart_on.data(), status);
    if (result < 0 && result != -ENOENT && result != -ENOTDIR)
        return false;
    uint64_t sum = see(&status.st_ino, sizeof status.st_ino);
    sum = see(&status.st_mtim, sizeof status.st_mtim, sum);
    note.add_hex(sum, note_size);
    return true;
}

} // namespace

Fd suspect_server(int folder, bool busy) {
    Fd suspicion(sys::open(folder, hung,
                           O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (busy ? 0 : O_CREAT), 0600));
    struct stat status;
    if (busy && (sys::fstat(suspicion.number(), status) < 0 || status.st_size == 0))
        suspicion.reset();
    return suspicion;
}

bool count_silence(int folder, const Fd& suspicion) {
    if (!suspicion.is_open() || !is_current(folder, hung, suspicion.number()))
        return false;
    struct stat status; // on a full disk a file may still grow by a hole
    if (sys::write(suspicion.number(), ".", 1) < 0 && sys::fstat(suspicion.number(), status) == 0)
        sys::set_size(suspicion.number(), status.st_size + 1); // not counted: the next one is
    return is_hung(folder);
}

bool is_hung(int folder) {
    struct stat status;
    // Only a file has bytes that we wrote: the size of a link, or of a folder, is no count, and would be one for ever.
    return sys::stat(folder, hung, status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           status.st_size >= most_silences;
}

void forget_silences(const Settings& settings) {
    sys::unlink(AT_FDCWD, settings.hung.data()); // ENOENT, nearly always
}

Touch look_for_touch(const Settings& settings) {
    char now_bytes[note_size + 1], noted[note_size];
    Text now(now_bytes);
    if (settings.restart_on.empty() || !render_note(settings, now))
        return Touch::None;
    ssize_t size = sys::readlink(AT_FDCWD, path_of_touched(settings), noted, sizeof noted);
    if (size < 0)
        return size == -ENOENT ? Touch::FirstLook : Touch::None;
    return now.view() == std::string_view(noted, static_cast<size_t>(size)) ? Touch::None : Touch::Touched;
}

void note_touch(const Settings& settings, int folder, Noting noting) {
    char now_bytes[note_size + 1];
    Text now(now_bytes);
    if (settings.restart_on.empty() || !render_note(settings, now))
        return;
    if (noting == Noting::FirstLook) {
        sys::symlink(now.c_str(), folder, touched); // EEXIST: a launch was faster, and knows better
        return;
    }
    sys::unlink(folder, touched_next);
    if (sys::symlink(now.c_str(), folder, touched_next) < 0 || sys::rename(folder, touched_next, touched) < 0)
        sys::unlink(folder, touched);
}

} // namespace rouse
