#include "run_folder.h"

#include "fingerprint.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

// For Apache 2.4 and 2.2.
constexpr char deny_all[] = "<IfModule mod_authz_core.c>\nRequire all denied\n</IfModule>\n"
                            "<IfModule !mod_authz_core.c>\nDeny from all\n</IfModule>\n";

// Opens the folder `name` in `parent`, making it when it is not there. `made` says so. False: `error` says why not.
bool open_or_make(int parent, const char* name, const char* path, Fd& folder, bool& made, Error& error) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct stat status;
    made = false;
    folder.reset(sys::open(parent, name, flags));
    if (folder.number() == -ENOENT) {
        int result = sys::mkdir(parent, name, 0700);
        made = result == 0;
        folder.reset(result < 0 && result != -EEXIST ? result // EEXIST: another bridge was faster
                                                     : sys::open(parent, name, flags));
    }
    int result = folder.is_open() ? sys::fstat(folder.number(), status) : folder.number();
    error = {-result, "open the folder\0Make it yourself (mode 700), or choose another `run`."_words, path};
    if (result < 0)
        return false;
    error.code = EPERM;
    error.words = "trust the folder\0It is another user's: choose another `run`."_words;
    if (status.st_uid != sys::effective_uid() && status.st_uid != 0)
        return false;
    error.words = "trust the folder\0Others can write there: take that away (chmod go-w)."_words;
    if (others_can_write(status))
        return false;
    return true;
}

} // namespace

bool open_node_folder(const Settings& settings, Fd& folder, Error& error) {
    bool made = false;
    Fd parent;
    if (!open_or_make(AT_FDCWD, settings.run.data(), settings.run.data(), parent, made, error))
        return false;
    if (made) { // without it a run directory inside the document root would be served; as well as can be
        Fd file(sys::open(parent.number(), ".htaccess", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
        if (file.is_open() && write_all(file.number(), {deny_all, sizeof deny_all - 1}) < 0)
            sys::unlink(parent.number(), ".htaccess");
    }
    const char* node = settings.node_run.data() + settings.run.size() + 1;
    return open_or_make(parent.number(), node, settings.node_run.data(), folder, made, error);
}

uint64_t name_of_socket(const Settings& settings) {
    std::string_view name = settings.socket.text;
    if (settings.socket_is_default)
        name = "sock"sv;
    else if (settings.socket_names_run)
        name = "beside"sv;
    return see(name.data(), name.size());
}

[[gnu::noinline]] void stamp_ledger(Ledger& ledger, const Settings& settings, uint64_t boot) {
    ledger.socket = name_of_socket(settings);
    ledger.boot = boot;
}

bool start_script_is_trusted(const Settings& settings, uid_t owner_of_app, Error& error) {
    struct stat status;
    if (sys::stat(AT_FDCWD, settings.start[0], status) < 0)
        return true;
    error = {EPERM, "trust the start script\0It is another user's: make a copy of your own."_words, settings.start[0]};
    if (status.st_uid != sys::effective_uid() && status.st_uid != 0 && status.st_uid != owner_of_app)
        return false;
    error.words = "trust the start script\0Others can write to it: take that away (chmod go-w)."_words;
    if (S_ISREG(status.st_mode) && others_can_write(status))
        return false;
    return true;
}

} // namespace rouse
