#include "ctl/findings.h"
#include "ctl/first_line.h"
#include "io.h"
#include "run_folder.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

// A file that is to be run, and what to do when it is not there.
struct Program {
    std::string_view what; // "the app file"
    const char* path;
    std::string_view cure;
};

Text& fault(const Program& program, Findings& findings) {
    return findings.fault().add(program.what).add(' ').add(program.path);
}

// Whether the kernel would run the file, as far as its mode and its file system go.
bool is_executable(const Program& program, Findings& findings) {
    Fd file(sys::open(AT_FDCWD, program.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status = {};
    int result = file.is_open() ? sys::fstat(file.number(), status) : file.number();
    bool own = status.st_uid == sys::effective_uid();
    if (result == -ENOENT || result == -ENOTDIR)
        fault(program, findings).add(" does not exist. ").add(program.cure);
    else if (result < 0)
        fault(program, findings).add(" cannot be read: ").add(reason(-result)).add(". Let us read it (chmod 755).");
    else if (!S_ISREG(status.st_mode))
        fault(program, findings).add(" is no plain file. ").add(program.cure);
    else if ((status.st_mode & (own ? S_IXUSR : S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
        fault(program, findings).add(" is not executable. Make it so (chmod 755).");
    else if (sys::is_noexec(file.number()))
        fault(program, findings).add(" is on a file system that is mounted noexec. Move it to another.");
    else
        return true;
    return false;
}

// The #! line, and the program that it names.
void check_first_line(const Program& program, std::string_view text, const Program& interpreter, Findings& findings) {
    FirstLine first = read_first_line(text);
    if (first.is_binary)
        return;
    if (!first.has_interpreter) {
        fault(program, findings).add(" has no #! line. Make it the first: #! and the path of what reads the file.");
        return;
    }
    if (first.has_mark) {
        fault(program, findings).add(" begins with a byte order mark, which hides its #! line. Save it without BOM.");
        return;
    }
    if (first.size > longest_first_line) {
        fault(program, findings)
            .add(" has a #! line of ")
            .add_number(first.size)
            .add(" bytes, and kernels before 5.1 cut it after 127. Shorten the path, or link to it.");
        return;
    }
    if (first.interpreter.ends_with('\r')) {
        fault(program, findings)
            .add(" ends its #! line with CR LF, and the kernel takes the CR for a part of the name. Save it with unix "
                 "line ends (LF), or put \" -\" behind the path.");
        return;
    }
    static char path_bytes[4096];
    Text path(path_bytes);
    path.add(first.interpreter);
    if (first.interpreter.empty() || first.interpreter[0] != '/')
        fault(program, findings).add(" names no absolute path in its #! line. Write it from / on.");
    else
        is_executable({interpreter.what, path.c_str(), interpreter.cure}, findings);
}

void check_owner(const Program& program, Findings& findings) {
    struct stat status;
    uid_t own = sys::effective_uid();
    if (sys::stat(AT_FDCWD, program.path, status) < 0)
        return;
    if (status.st_uid != own) {
        Text& text = fault(program, findings).add(" belongs to ");
        add_user(status.st_uid, text);
        text.add(", and this is ");
        add_user(own, text);
        text.add(
            ": suexec refuses it. Give it to whoever the server is to run as (chown), or run rousectl as its owner.");
    }
    if ((status.st_mode & (S_ISUID | S_ISGID)) != 0)
        fault(program, findings).add(" is setuid or setgid: suexec refuses it. Take that away (chmod 755).");
    if (sys::stat(AT_FDCWD, program.path, status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
        findings.note().add(program.path).add(" is a symbolic link, which suexec refuses; a copy it does not.");
}

// suexec(8): the folder of the program must not be writable for others.
void check_folder(const Site& site, Findings& findings) {
    struct stat status;
    if (sys::stat(AT_FDCWD, site.settings.folder.data(), status) == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        findings.fault()
            .add("the app file's folder ")
            .add(site.settings.folder)
            .add(" can be written by others: they could replace the app file, and suexec refuses it. Take that away "
                 "(chmod go-w).");
}

} // namespace

void check_app_file(const Site& site, Findings& findings) {
    const AppFile& app = site.app;
    if (app.error && app.text.empty() && app.error.code != EPERM) {
        say(app.error, app.error.subject, findings.fault());
        return;
    }
    // The program that was asked for: its text is the settings, but for a link or copy of rouse itself.
    static char path_bytes[4352];
    Text path(path_bytes);
    bool is_conf = app.path.ends_with(".conf");
    path.add(is_conf ? part(app.path, 0, app.path.size() - 5) : app.path);
    Program program = {"the app file", path.c_str(), "Name the file that is the CGI program."};
    if (is_executable(program, findings) && !is_conf)
        check_first_line(program, app.text,
                         {"the rouse that the app file's #! line names,", nullptr, "Put it there, or mend the line."},
                         findings);
    if (app.error)
        say(app.error, app.error.subject, findings.fault());
    check_owner(program, findings);
    if (!app.error)
        check_folder(site, findings);
}

void check_start_script_file(const Site& site, Findings& findings) {
    const Settings& settings = site.settings;
    if (settings.start_count == 0)
        return;
    Program program = {"the start script", settings.start[0], "Put it there, or mend `start`."};
    static char text_bytes[4096];
    std::string_view text;
    if (is_executable(program, findings)) {
        Fd file(sys::open(AT_FDCWD, program.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        ssize_t size = read_full(file.number(), text_bytes, sizeof text_bytes);
        text = {text_bytes, size > 0 ? static_cast<size_t>(size) : 0};
        check_first_line(
            program, text,
            {"the interpreter that the start script's #! line names,", nullptr, "Install it, or mend the line."},
            findings);
    }
    if (Error refusal; !start_script_is_trusted(settings, site.app.owner, refusal))
        say(refusal, refusal.subject, findings.fault());
    struct stat status;
    int result = sys::stat(AT_FDCWD, settings.directory.data(), status);
    if (result < 0 || !S_ISDIR(status.st_mode))
        findings.fault()
            .add("the working directory ")
            .add(settings.directory)
            .add(" is no folder. Make it, or mend `directory`.");
}

} // namespace rouse
