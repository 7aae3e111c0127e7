#include "run_folder.h"

#include "io.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr std::string_view deny_all = "# This directory is private: nobody has business here over the web.\n"
                                      "<IfModule mod_authz_core.c>\n  Require all denied\n</IfModule>\n"
                                      "<IfModule !mod_authz_core.c>\n  Deny from all\n</IfModule>\n";

Error refusal(const struct stat& status, std::string_view path) {
    uid_t own = sys::effective_uid();
    if (status.st_uid != own && status.st_uid != 0)
        return {EPERM, "trust the folder", path, "It belongs to another user: choose another `run`."};
    if (others_can_write(status))
        return {EPERM, "trust the folder", path, "Others can write there: take that right away (chmod go-w)."};
    return {};
}

// Opens the folder `name` in `parent`, making it when it is not there. `made` says so.
Result<Fd> open_or_make(int parent, const char* name, std::string_view path, bool& made) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    made = false;
    Fd folder(sys::open(parent, name, flags));
    if (folder.number() == -ENOENT) {
        int result = sys::mkdir(parent, name, 0700);
        if (result < 0 && result != -EEXIST) // EEXIST: another bridge was faster
            return Error{-result, "make the folder", path, "Make it yourself (mode 700), or choose another `run`."};
        made = result == 0;
        folder.reset(sys::open(parent, name, flags));
    }
    if (!folder.is_open())
        return Error{-folder.number(), "open the folder", path, "It must be a folder of ours: choose another `run`."};
    struct stat status;
    if (int result = sys::fstat(folder.number(), status); result < 0)
        return Error{-result, "look at the folder", path};
    if (Error error = refusal(status, path))
        return error;
    return Result<Fd>(std::move(folder));
}

} // namespace

Result<Fd> open_node_folder(const Settings& settings) {
    bool made = false;
    Result<Fd> folder = open_or_make(AT_FDCWD, settings.run.data(), settings.run, made);
    if (!folder.ok())
        return folder;
    if (made) { // without it a run directory inside the document root would be served; as well as can be
        Fd file(sys::open(folder.value().number(), ".htaccess", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          0644));
        if (file.is_open() && write_all(file.number(), deny_all) < 0)
            sys::unlink(folder.value().number(), ".htaccess");
    }
    const char* node = settings.node_run.data() + settings.run.size() + 1;
    return open_or_make(folder.value().number(), node, settings.node_run, made);
}

void name_of_socket(const Settings& settings, Text& out) {
    if (settings.socket_is_default)
        out.add("sock");
    else if (settings.socket_names_run)
        out.add("beside");
    else
        out.add_escaped(settings.socket.text);
}

Error check_start_script(const Settings& settings, uid_t owner_of_app) {
    std::string_view path(settings.start[0]);
    struct stat status;
    if (sys::stat(AT_FDCWD, settings.start[0], status) < 0)
        return {};
    uid_t own = sys::effective_uid();
    if (status.st_uid != own && status.st_uid != 0 && status.st_uid != owner_of_app)
        return {EPERM, "trust the start script", path, "It belongs to another user: make a copy of your own."};
    if (S_ISREG(status.st_mode) && others_can_write(status))
        return {EPERM, "trust the start script", path, "Others can write to it: take that right away (chmod go-w)."};
    return {};
}

} // namespace rouse
