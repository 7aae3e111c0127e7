#include "app_file.h"

#include "fd.h"
#include "io.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

// True for the program: then there is neither text nor error.
bool read_file(AppFile& file, Text& path, Words cure) {
    file.path = path.view();
    if (path.overflowed()) {
        file.error = {ENAMETOOLONG, "find\0Move it to a folder with a shorter path."_words, "the app file"};
        return false;
    }
    // O_NONBLOCK: a FIFO there must not hold the request up.
    Fd opened(sys::open(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status;
    file.descriptor = opened.number();
    int result = opened.is_open() ? sys::fstat(opened.number(), status) : opened.number();
    if (result < 0) {
        file.error = {-result, cure, file.path.data()};
        return false;
    }
    file.owner = status.st_uid;
    // As far as it reaches: one call less than to its end.
    size_t most = sizeof file.text_storage;
    if (S_ISREG(status.st_mode) && static_cast<size_t>(status.st_size) < most)
        most = static_cast<size_t>(status.st_size);
    ssize_t size = read_full(opened.number(), file.text_storage, most);
    if (size < 0) {
        file.error = {static_cast<int>(-size), cure, file.path.data()};
        return false;
    }
    std::string_view text(file.text_storage, static_cast<size_t>(size));
    if (begins_with(text, "\177ELF"sv))
        return true; // who may write to it is not what decides the settings
    file.text = text;
    if (others_can_write(status))
        file.error = {EPERM, "trust\0Others can write to it: take that right away (chmod go-w)."_words,
                      file.path.data()};
    else if (text.size() == AppFile::max_size)
        file.error = {EFBIG, "read\0Settings take at most 64 KiB."_words, file.path.data()};
    return false;
}

} // namespace

void read_app_file(AppFile& file) {
    read_app_file(sys::executed_path(), file);
}

void read_app_file(const char* executed, AppFile& file) {
    Text path(file.path_storage);
    file.path = path.view(); // empty, but not null: the page names it
    if (executed == nullptr || *executed == '\0') {
        file.error = {ENOENT, "find\0The kernel does not say what was executed."_words, "the app file"};
        return;
    }
    if (*executed != '/') { // as suexec gives it: from the working directory at start
        static char folder[4096];
        if (ssize_t size = sys::getcwd(folder, sizeof folder); size > 1 && *folder == '/') {
            path.add({folder, static_cast<size_t>(size) - 1});
            if (size > 2) // not "/"
                path.add('/');
        }
        if (executed[0] == '.' && executed[1] == '/')
            executed += 2;
    }
    path.add(executed);
    if (!read_file(file, path, "read\0Let the web server's user read it (chmod 755)."_words))
        return;
    path.add(".conf");
    read_file(file, path,
              "read\0rouse was run as a program: put its settings into the file of that name beside it."_words);
}

} // namespace rouse
