#include "process.h"

#include "error.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

namespace rouse {

namespace {

constexpr rlim_t descriptors_wanted = 4096; // enough for a server; more makes programs that close them all slow
constexpr int lowest_alive = 4;             // 3 is where LISTEN_FDS begins (sd_listen_fds(3))

void default_signals() {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < _NSIG; ++number)
        sys::sigaction(number, action); // KILL, STOP and the libc's own refuse, rightly
    sigset_t none;
    sigemptyset(&none);
    sys::set_signal_mask(SIG_SETMASK, none);
}

// A web server's limits for one CGI request (RLimitCPU and the like) are not meant for a server, P3.
void raise_limits() {
    constexpr int raised[] = {RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NPROC, RLIMIT_NOFILE};
    for (int resource : raised) {
        rlimit limit;
        if (sys::getrlimit(resource, limit) < 0)
            continue;
        rlim_t wanted = limit.rlim_max;
        if (resource == RLIMIT_NOFILE && wanted > descriptors_wanted)
            wanted = descriptors_wanted;
        if (limit.rlim_cur < wanted) {
            limit.rlim_cur = wanted;
            sys::setrlimit(resource, limit);
        }
    }
}

[[noreturn]] void become(const Settings& settings, const char* const* environment, int alive, int trouble_pipe) {
    ExecTrouble trouble;
    sys::setsid();
    sys::duplicate(alive, lowest_alive); // not close-on-exec: this copy lives as long as the tree
    raise_limits();
    int result = sys::chdir(settings.directory.data());
    if (result < 0) {
        trouble.at_folder = true;
    } else {
        default_signals(); // last: from here on whatever is sent to the tree ends it
        result = sys::execve(settings.start[0], settings.start, environment);
    }
    trouble.code = -result;
    sys::write(trouble_pipe, &trouble, sizeof trouble); // smaller than PIPE_BUF: whole or not at all
    sys::exit(127);
}

// What the first line of the script says, when execve found its interpreter missing.
void explain_missing_interpreter(const char* path, Text& out) {
    char line[256];
    Fd script(sys::open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    ssize_t size = script.is_open() ? read_full(script.number(), line, sizeof line) : -1;
    if (size < 0) {
        out.add("there is no such file. Put the start script there, or mend the setting `start`.");
        return;
    }
    std::string_view first(line, static_cast<size_t>(size));
    first = part(first, 0, first.find('\n'));
    if (!first.empty() && first.back() == '\r')
        out.add("its first line ends in a carriage return. Save it with unix line ends (LF, not CRLF).");
    else
        out.add("the interpreter that its first line names does not exist. Mend the #! line.");
}

} // namespace

void close_all_but(const int* kept, size_t count) {
    unsigned first = 3;
    for (;;) { // the ranges between the kept ones, in ascending order
        unsigned next = UINT32_MAX;
        for (size_t index = 0; index < count; ++index) {
            unsigned number = static_cast<unsigned>(kept[index]);
            if (number >= first && number < next)
                next = number;
        }
        if (next > first && sys::close_range(first, next - 1) < 0) { // Linux before 5.9
            rlimit limit = {};
            sys::getrlimit(RLIMIT_NOFILE, limit);
            unsigned last = limit.rlim_cur < 65536 ? static_cast<unsigned>(limit.rlim_cur) : 65536;
            for (unsigned number = first; number < next && number < last; ++number)
                sys::close(static_cast<int>(number));
        }
        if (next == UINT32_MAX)
            return;
        first = next + 1;
    }
}

void replace_standard_descriptors(std::string_view log) {
    Fd null(sys::open(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.is_open()) // a bare chroot: anything that is neither the web server's nor can be written
        null.reset(sys::open(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Fd file(log.empty() ? -1
                        : sys::open(AT_FDCWD, log.data(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    int output = file.is_open() ? file.number() : null.number();
    sys::duplicate_to(null.number(), 0);
    sys::duplicate_to(output, 1);
    sys::duplicate_to(output, 2);
}

LaunchEnvironment::LaunchEnvironment(const Settings& settings, const CgiRequest& request, const char* reason,
                                     std::string_view launch) {
    add("PATH", request.path.empty() ? "/usr/local/bin:/usr/bin:/bin" : request.path);
    if (!request.lang.empty())
        add("LANG", request.lang);
    if (!request.tz.empty())
        add("TZ", request.tz);
    add_identity(settings, request);
    add("ROUSE_SOCKET", settings.socket.text);
    add("ROUSE_APP", settings.app);
    add("ROUSE_REASON", reason);
    add("ROUSE_LAUNCH", launch);
}

void LaunchEnvironment::add(const char* name, std::string_view value) {
    size_t start = text_.size();
    text_.add(name).add('=').add(value).add('\0');
    if (!text_.overflowed() && count_ + 1 < sizeof entries_ / sizeof entries_[0])
        entries_[count_++] = text_.view().data() + start;
}

void LaunchEnvironment::add_identity(const Settings& settings, const CgiRequest& request) {
    uint64_t own = sys::effective_uid();
    LineReader passwd("/etc/passwd"); // name:password:uid:gid:comment:home:shell
    std::string_view line;
    uint64_t uid = UINT64_MAX;
    while (passwd.next(line))
        if (parse_decimal(word_of(line, 2, ':'), uid) && uid == own)
            break;
    std::string_view name, home, shell;
    if (uid == own)
        name = word_of(line, 0, ':'), home = word_of(line, 5, ':'), shell = word_of(line, 6, ':');
    static char owned_bytes[4096];
    Text owned(owned_bytes);
    if (request.home.empty() && home.empty()) {
        // The highest folder above the app file that is ours.
        home = settings.folder;
        for (std::string_view folder = settings.folder; !folder.empty();) {
            struct stat status;
            owned.clear();
            owned.add(folder);
            if (sys::stat(AT_FDCWD, owned.c_str(), status) < 0 || status.st_uid != own)
                break;
            home = folder;
            folder = part(folder, 0, folder.rfind('/'));
        }
    }
    if (!request.home.empty() || !home.empty())
        add("HOME", request.home.empty() ? home : request.home);
    std::string_view user = request.user.empty() ? name : request.user;
    if (!user.empty())
        add("USER", user);
    if (!request.logname.empty() || !user.empty())
        add("LOGNAME", request.logname.empty() ? user : request.logname);
    if (!request.shell.empty() || !shell.empty())
        add("SHELL", request.shell.empty() ? shell : request.shell);
}

Started start_program(const Settings& settings, const char* const* environment, int alive, const int* close_first,
                      size_t close_count) {
    Started started;
    int ends[2] = {-1, -1};
    int result = sys::pipe(ends, O_CLOEXEC | O_NONBLOCK);
    if (result < 0) {
        started.pid = result;
        return started;
    }
    Fd trouble(ends[0]), child_end(ends[1]);
    pid_t pid = sys::fork();
    if (pid == 0) {
        for (size_t index = 0; index < close_count; ++index)
            sys::close(close_first[index]);
        become(settings, environment, alive, child_end.number());
    }
    started.pid = pid;
    started.trouble = std::move(trouble);
    return started;
}

void explain(const ExecTrouble& trouble, const Settings& settings, Text& out) {
    if (trouble.at_folder) {
        out.add("cannot change to the folder ").add(settings.directory).add(": ").add(reason(trouble.code));
        return;
    }
    out.add("cannot run ").add(settings.start[0]).add(": ");
    switch (trouble.code) {
    case ENOENT:
        explain_missing_interpreter(settings.start[0], out);
        break;
    case EACCES:
        out.add("permission denied. Make it executable (chmod 755), and the folders above it, and see that its file "
                "system is not mounted noexec.");
        break;
    case ENOEXEC:
        out.add("it is no program and has no #! line. Begin it with #!/bin/sh, say.");
        break;
    default:
        out.add(reason(trouble.code));
    }
}

} // namespace rouse
