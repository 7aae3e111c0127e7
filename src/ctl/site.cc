#include "ctl/site.h"

#include "lines.h"
#include "run_folder.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

// The folder's own path, without links and dots, as suexec's getcwd(3) makes it: the server is known by this path.
const char* whole_path(const char* name) {
    static char path_bytes[8192];
    Text path(path_bytes);
    std::string_view given = name;
    if (given.empty() || given[0] == '/')
        return name;
    static char folder_bytes[4096];
    Text folder(folder_bytes);
    size_t slash = given.rfind('/');
    if (slash != std::string_view::npos && sys::chdir(folder.add(part(given, 0, slash)).c_str()) < 0)
        return name; // reading it will say why
    static char here[4096];
    ssize_t size = sys::getcwd(here, sizeof here);
    if (size <= 1 || here[0] != '/')
        return name;
    path.add({here, static_cast<size_t>(size) - 1});
    if (size > 2)
        path.add('/');
    path.add(part(given, slash + 1)); // npos + 1 is 0
    return path.c_str();
}

} // namespace

void read_site(const char* name, Site& site) {
    site.rule = {sys::effective_uid(), false, 0};
    read_app_file(whole_path(name), site.app);
    if (site.app.error)
        return;
    static char node[256];
    sys::node_name(node, sizeof node);
    site.error = parse_settings(site.app.text, site.app.path, node, site.settings);
    site.rule.has_peer = site.settings.has_peer_uid;
    site.rule.peer = site.settings.peer_uid;
}

void say_what_is_wrong(const Site& site, Text& out) {
    if (site.app.error) {
        say(site.app.error, site.app.error.subject, out);
        return;
    }
    out.add("The settings in ").add(site.app.name()).add(" are wrong");
    if (site.error.line > 0)
        out.add(", line ").add_number(site.error.line);
    if (!site.error.key.empty())
        out.add(", ").add(site.error.key);
    out.add(": ").add(site.error.fault).add('.');
}

bool is_of_another_user(const Site& site, Text& out) {
    const Settings& settings = site.settings;
    if (settings.run.empty())
        return false;
    struct stat status = {};
    bool is_there = sys::stat(AT_FDCWD, settings.node_run.data(), status, AT_SYMLINK_NOFOLLOW) == 0 ||
                    sys::stat(AT_FDCWD, settings.run.data(), status, AT_SYMLINK_NOFOLLOW) == 0;
    // Nothing was launched yet: only root would make a run directory that the web server's user could not use.
    if (!is_there)
        status.st_uid = site.rule.own == 0 ? site.app.owner : site.rule.own;
    if (status.st_uid == site.rule.own)
        return false;
    out.add("cannot look after ").add(site.app.path).add(": ").add(is_there ? "its run directory" : "it");
    out.add(" belongs to ");
    add_user(status.st_uid, out);
    out.add(", and this is ");
    add_user(site.rule.own, out);
    out.add(". Run rousectl as that user, with sudo -u '#").add_number(status.st_uid).add("' say.");
    return true;
}

Result<Fd> open_existing_folder(const Settings& settings) {
    Fd folder(sys::open(AT_FDCWD, settings.node_run.data(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder.is_open())
        return Error{-folder.number(), "open the folder\0Whose is it? Run rousectl as that user."_words,
                     settings.node_run.data()};
    return Result<Fd>(std::move(folder));
}

Error judge_owner(const Ledger& ledger, const Settings& settings) {
    if (ledger.number == 0 || ledger.socket == name_of_socket(settings))
        return {};
    return {EBUSY, "use the run directory\0It is another socket's: set a `run` of its own, or remove its ledger."_words,
            settings.run.data()};
}

void add_user(uid_t uid, Text& out) {
    LineReader passwd("/etc/passwd"); // name:password:uid:gid:comment:home:shell
    for (std::string_view line; passwd.next(line);)
        if (uint64_t number = 0; parse_decimal(word_of(line, 2, ':'), number) && number == uid) {
            out.add(word_of(line, 0, ':')).add(" (uid ").add_number(uid).add(')');
            return;
        }
    out.add("uid ").add_number(uid);
}

} // namespace rouse
