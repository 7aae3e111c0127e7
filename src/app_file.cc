#include "app_file.h"

#include "fd.h"
#include "io.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

// The file at `file.path`, or at `path` when that is not empty. True for the program: then there is neither text nor error.
bool read_file(AppFile& file, Text& path, Words cure) {
    if (path.overflowed()) {
        file.error = {ENAMETOOLONG, "find\0Move it to a folder with a shorter path."_words, "the app file"};
        return false;
    }
    if (path.size() > 0)
        file.path = {path.c_str(), path.size()};
    // O_NONBLOCK: a FIFO there must not hold the request up.
    Fd opened(sys::open(AT_FDCWD, file.path.data(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
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
    char* text = file.text_storage + sizeof file.text_storage - most;
    ssize_t size = read_full(opened.number(), text, most);
    if (size < 0) {
        file.error = {static_cast<int>(-size), cure, file.path.data()};
        return false;
    }
    std::string_view read(text, static_cast<size_t>(size));
    if (begins_with(read, "\177ELF"sv))
        return true; // who may write to it is not what decides the settings
    file.text = read;
    if (others_can_write(status))
        file.error = {EPERM, "trust\0Others can write to it: take that right away (chmod go-w)."_words,
                      file.path.data()};
    else if (read.size() == AppFile::max_size)
        file.error = {EFBIG, "read\0Settings take at most 64 KiB."_words, file.path.data()};
    opened.release(); // the exit closes it, in a request one call less
    return false;
}

} // namespace

void read_app_file(AppFile& file) {
    read_app_file(sys::executed_path(), file);
}

void read_app_file(const char* executed, AppFile& file) {
    file.path = ""sv; // not null: the page names it
    if (executed == nullptr || *executed == '\0') {
        file.error = {ENOENT, "find\0The kernel does not say what was executed."_words, "the app file"};
        return;
    }
    Text path(file.path_storage);
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
    if (path.size() > 0)
        path.add(executed);
    file.path = text_of(executed); // which lives as long as the process: mostly there is nothing to copy
    if (!read_file(file, path, "read\0Let the web server's user read it (chmod 755)."_words))
        return;
    if (path.size() == 0)
        path.add(executed);
    path.add(".conf");
    read_file(file, path,
              "read\0rouse was run as a program: put its settings into the file of that name beside it."_words);
}

} // namespace rouse
