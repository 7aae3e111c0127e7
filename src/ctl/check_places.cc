#include "ctl/findings.h"
#include "ctl/served.h"
#include "io.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

namespace rouse {

namespace {

constexpr int unnamed_file = 020000000 | O_DIRECTORY; // O_TMPFILE, which musl hides: gone when it is closed

// A file of which nothing is left, in `folder`.
Fd open_probe(const char* folder, int& result) {
    Fd probe(sys::open(AT_FDCWD, folder, unnamed_file | O_RDWR | O_CLOEXEC, 0600));
    if (probe.number() != -EOPNOTSUPP && probe.number() != -EISDIR) {
        result = probe.is_open() ? 0 : probe.number();
        return probe;
    }
    static char path_bytes[4352]; // NFS and others have no files without a name
    Text path(path_bytes);
    path.add(folder).add("/.rousectl.").add_number(static_cast<uint64_t>(sys::getpid()));
    probe.reset(sys::open(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    result = probe.is_open() ? 0 : probe.number();
    if (probe.is_open())
        sys::unlink(AT_FDCWD, path.c_str());
    return probe;
}

constexpr std::string_view is_full = "Make room there: delete files, or ask for more space.";

// What locks, ledger and log need of the file system.
void check_file_system(const char* folder, const char* what, Findings& findings) {
    auto fault = [&]() -> Text& { return findings.fault().add("the file system of ").add(what).add(' ').add(folder); };
    int result = 0;
    Fd probe = open_probe(folder, result);
    if (result == 0) {
        static char block[4096];
        int written = write_all(probe.number(), {block, sizeof block});
        int locked = sys::flock(probe.number(), LOCK_EX | LOCK_NB);
        if (locked < 0)
            fault()
                .add(" cannot lock files (flock): ")
                .add(reason(-locked))
                .add(". Set `run` to a folder on a disk of this machine.");
        result = written;
    }
    if (result == -ENOSPC)
        fault().add(" is full: ").add(reason(ENOSPC)).add(". ").add(is_full);
    else if (result == -EDQUOT)
        fault().add(" takes no more of us: ").add(reason(EDQUOT)).add(". ").add(is_full);
    else if (result < 0)
        findings.fault()
            .add("no file can be made in ")
            .add(what)
            .add(' ')
            .add(folder)
            .add(": ")
            .add(reason(-result))
            .add(". Make it writable for its owner (chmod u+rwx), or choose another `run`.");
    Fd opened(sys::open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.is_open() && sys::is_noexec(opened.number()))
        fault().add(" is mounted noexec: what lies beside the socket cannot be run. Set `run` to a folder on another.");
}

// False: nothing more can be said about it.
bool check_folder(const char* path, const char* what, Findings& findings) {
    auto fault = [&]() -> Text& { return findings.fault().add(what).add(' ').add(path); };
    struct stat status;
    int result = sys::stat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
    if (result < 0) {
        fault()
            .add(" cannot be reached: ")
            .add(reason(-result))
            .add(". Let its user enter the folders above (chmod u+x).");
    } else if (!S_ISDIR(status.st_mode)) {
        fault().add(" is no folder. Move away what is there, or choose another `run`.");
    } else if (status.st_uid != sys::effective_uid() && status.st_uid != 0) {
        Text& text = fault().add(" belongs to ");
        add_user(status.st_uid, text);
        text.add(", and rouse trusts only its own. Choose another `run`, or run rousectl as that user.");
    } else if (others_can_write(status)) {
        fault().add(" can be written by others. Take that away (chmod 700).");
    } else {
        return true;
    }
    return false;
}

// Whether an .htaccess in the folder, or between it and the root of what is served, denies everything.
bool is_denied(std::string_view folder, std::string_view root) {
    static char path_bytes[4352], text_bytes[8192];
    Text path(path_bytes);
    for (std::string_view at = folder; is_inside(at, root); at = part(at, 0, at.rfind('/'))) {
        path.clear();
        path.add(at).add("/.htaccess");
        std::string_view text;
        if (read_small_file(AT_FDCWD, path.c_str(), text_bytes, sizeof text_bytes, text) && denies_all(text))
            return true;
        if (at.rfind('/') == std::string_view::npos)
            break;
    }
    return false;
}

// Where the folder is, links resolved; the text when that cannot be found out.
std::string_view real_path(std::string_view folder, char* storage, size_t capacity) {
    ssize_t size = sys::chdir(folder.data()) < 0 ? 0 : sys::getcwd(storage, capacity);
    return size > 1 && storage[0] == '/' ? std::string_view(storage, static_cast<size_t>(size) - 1) : folder;
}

void check_served(const Settings& settings, Findings& findings) {
    static char run_bytes[4352], folder_bytes[4352], real_run[4096], real_folder[4096];
    Text run(run_bytes), folder(folder_bytes);
    add_plain(settings.run, run);
    add_plain(settings.folder, folder);
    // As it is written and as it is: either way may lead a visitor there.
    const std::string_view ways[2][2] = {{run.view(), folder.view()},
                                         {real_path(settings.run, real_run, sizeof real_run),
                                          real_path(settings.folder, real_folder, sizeof real_folder)}};
    for (const auto& way : ways) {
        std::string_view root = served_root(way[1]);
        if (!is_inside(way[0], root) || is_denied(way[0], root))
            continue;
        findings.fault()
            .add("the run directory ")
            .add(way[0])
            .add(" may be served to visitors: it lies in ")
            .add(root)
            .add(". Put an .htaccess with \"Require all denied\" into it, or move it.");
        return;
    }
}

} // namespace

void check_run_folder(const Site& site, Findings& findings) {
    const Settings& settings = site.settings;
    if (settings.run.empty())
        return;
    constexpr const char* run = "the run directory";
    const char* path = settings.run.data();
    struct stat status;
    if (sys::stat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW) == -ENOENT) {
        static char above_bytes[4352];
        Text above(above_bytes);
        std::string_view name = settings.run;
        above.add(part(name, 0, name.rfind('/') > 0 ? name.rfind('/') : 1));
        int result = sys::stat(AT_FDCWD, above.c_str(), status);
        if (result < 0 || !S_ISDIR(status.st_mode))
            findings.fault()
                .add("the run directory ")
                .add(path)
                .add(" is missing, and so is the folder above it. Make that folder, or choose another `run`.");
        else
            check_file_system(above.c_str(), "the folder above the run directory,", findings);
        return;
    }
    if (!check_folder(path, run, findings))
        return;
    const char* place = path;
    if (sys::stat(AT_FDCWD, settings.node_run.data(), status, AT_SYMLINK_NOFOLLOW) != -ENOENT) {
        if (!check_folder(settings.node_run.data(), "this node's folder in the run directory,", findings))
            return;
        place = settings.node_run.data();
    }
    check_file_system(place, run, findings);
    check_served(settings, findings);
}

void check_socket(const Site& site, const Condition& condition, Findings& findings) {
    const Settings& settings = site.settings;
    const Address& address = settings.socket;
    for (std::string_view temporary : {"/tmp/", "/var/tmp/", "/dev/shm/"}) {
        bool socket_is_there = address.text.starts_with(temporary);
        if (!socket_is_there && !settings.run.starts_with(temporary))
            continue;
        findings.fault()
            .add(socket_is_there ? "the socket " : "the run directory ")
            .add(socket_is_there ? address.text : settings.run)
            .add(" lies in ")
            .add(temporary)
            .add(": the web server may have one of its own (PrivateTmp), and old files there are removed. Choose a "
                 "folder in your home.");
    }
    const Listening& listening = condition.listening;
    struct stat status;
    if (address.family == Address::Family::Path &&
        sys::stat(AT_FDCWD, address.path(), status, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISSOCK(status.st_mode)) {
            findings.fault()
                .add("there is something at the socket's path ")
                .add(address.text)
                .add(" that is no socket. Move it away, or mend `socket`.");
            return;
        }
        if (!site.rule.allows(status.st_uid) && !listening.somebody) {
            Text& text = findings.fault().add("the socket ").add(address.text).add(" belongs to ");
            add_user(status.st_uid, text);
            text.add(". Let that user remove it, or choose another `socket`.");
            return;
        }
    }
    if (condition.state == Condition::State::Foreign) {
        Text& text = findings.fault().add(address.text).add(" is held by a server of ");
        add_user(listening.uid, text);
        text.add(". Choose another `socket`, or set `peer-uid` if it is meant.");
    } else if (condition.state == Condition::State::Up && !condition.is_ours && settings.start_count > 0) {
        Text& text = findings.fault().add("a server is up at ").add(address.text).add(" that rouse did not start");
        if (condition.process_count > 0)
            text.add(" (process ").add_number(static_cast<uint64_t>(condition.processes[0])).add(')');
        text.add(". Stop it, and the next request starts one.");
    }
}

} // namespace rouse
