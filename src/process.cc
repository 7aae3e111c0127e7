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
        sys::sigaction(number, action); // KILL and STOP refuse, rightly
    sys::set_signal_mask(SIG_SETMASK, 0);
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
Phrase missing_interpreter(const char* path) {
    LineReader script(path);
    std::string_view first;
    if (!script.next(first))
        return "there is no such file. Put it there, or mend `start`."_phrase;
    return ends_with(first, '\r') ? "its first line ends in a carriage return. Save it with unix line ends (LF)."_phrase
                                  : "the interpreter that its #! line names does not exist. Mend the line."_phrase;
}

} // namespace

void close_all_but(const int (&kept)[3]) {
    unsigned first = 3;
    while (first != 0) { // the ranges between the kept ones, in ascending order
        unsigned next = UINT32_MAX;
        for (int one : kept) {
            unsigned number = static_cast<unsigned>(one);
            if (number >= first && number < next)
                next = number;
        }
        if (next > first && sys::close_range(first, next - 1) < 0) { // Linux before 5.9
            rlimit limit = {};
            sys::getrlimit(RLIMIT_NOFILE, limit);
            for (unsigned number = first; number < next && number < limit.rlim_cur && number < 65536; ++number)
                sys::close(static_cast<int>(number));
        }
        first = next + 1; // 0 behind the last
    }
}

void replace_standard_descriptors(std::string_view log, int folder) {
    Fd null(sys::open(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
    // Not blocking, but only while it is opened: nobody may read at the other end of a FIFO.
    constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    Fd file(sys::open(AT_FDCWD, log.data(), flags, 0600));
    if (file.is_open())
        sys::set_status_flags(file.number(), O_APPEND);
    int input = null.is_open() ? null.number() : folder;
    int output = file.is_open() ? file.number() : input;
    sys::duplicate_to(input, 0);
    sys::duplicate_to(output, 1);
    sys::duplicate_to(output, 2);
}

// Nothing when there is no value.
void LaunchEnvironment::add(std::string_view name, std::string_view value) {
    Text text(text_ + used_, sizeof text_ - used_);
    text.add(name).add('=').add(value).add('\0');
    if (value.empty() || text.overflowed())
        return;
    entries_[count_++] = text_ + used_;
    used_ += text.size();
}

void LaunchEnvironment::make(const Settings& settings, const CgiRequest& request, std::string_view reason,
                             std::string_view launch) {
    // What we have, as it lies in the request, and what is there otherwise.
    enum { Path, Home, User, Logname, Shell, Lang, Tz, Count };
    static_assert(offsetof(CgiRequest, tz) - offsetof(CgiRequest, path) == Tz * sizeof(std::string_view));
    std::string_view otherwise[Count];
    otherwise[Path] = "/usr/local/bin:/usr/bin:/bin"sv;
    std::string_view line;
    uint64_t own = sys::effective_uid();
    LineReader passwd("/etc/passwd"); // name:password:uid:gid:comment:home:shell
    while (passwd.next(line)) {
        uint64_t uid = 0;
        if (!parse_decimal(word_of(line, 2, ':'), uid) || uid != own)
            continue;
        static constexpr struct { uint8_t variable, field; } known[] = {{User, 0}, {Home, 5}, {Shell, 6}};
        for (auto one : known)
            otherwise[one.variable] = word_of(line, one.field, ':');
        break;
    }
    // Else the highest folder above the app file that is ours.
    struct stat status;
    static char folder_bytes[4096];
    Text folder(folder_bytes);
    folder.add(settings.folder);
    while (otherwise[User].empty() && begins_with(folder.view(), '/') &&
           sys::stat(AT_FDCWD, folder.c_str(), status) == 0 && status.st_uid == own) {
        otherwise[Home] = front(settings.folder, folder.size());
        folder.cut(find_last(folder.view(), '/'));
    }
    otherwise[Logname] = request.user.empty() ? otherwise[User] : request.user;
    count_ = used_ = 0;
    const std::string_view* ours = &request.path;
    for (size_t index = 0; index < Count; index++)
        add(word_of("PATH HOME USER LOGNAME SHELL LANG TZ"sv, index),
            ours[index].empty() ? otherwise[index] : ours[index]);
    add("ROUSE_SOCKET"sv, settings.socket.text);
    add("ROUSE_APP"sv, settings.app);
    add("ROUSE_REASON"sv, reason);
    add("ROUSE_LAUNCH"sv, launch);
    entries_[count_] = nullptr;
}

pid_t start_program(const Settings& settings, const char* const* environment, int alive, const int (&close_first)[3],
                    Fd& trouble) {
    int ends[2];
    int result = sys::pipe(ends, O_CLOEXEC | O_NONBLOCK);
    if (result < 0)
        return result;
    trouble.reset(ends[0]);
    Fd child_end(ends[1]);
    pid_t pid = sys::fork();
    if (pid == 0) {
        for (int number : close_first)
            sys::close(number);
        become(settings, environment, alive, child_end.number());
    }
    return pid;
}

void explain(const ExecTrouble& trouble, const Settings& settings, Text& out) {
    out.fill<"cannot % %: ">(trouble.at_folder ? "change to" : "run",
                             trouble.at_folder ? settings.directory.data() : settings.start[0]);
    Phrase words = reason(trouble.code);
    if (!trouble.at_folder && trouble.code == ENOENT)
        words = missing_interpreter(settings.start[0]);
    if (!trouble.at_folder && trouble.code == EACCES)
        words = "permission denied. Make it executable (chmod 755); its file system may not be mounted noexec."_phrase;
    if (!trouble.at_folder && trouble.code == ENOEXEC)
        words = "it has no #! line. Begin it with #!/bin/sh, say."_phrase;
    out.add(words);
}

} // namespace rouse
