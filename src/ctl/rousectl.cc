// The owner's tool: a command and an app file in, words and an exit status out. Run by a web server it is the doctor
// page and nothing else: argv is then made from the query of a stranger.
#include "ctl/commands.h"
#include "io.h"
#include "start.h"

#include <fcntl.h>

namespace rouse {

namespace {

constexpr std::string_view help = "usage: rousectl COMMAND APP.CGI\n"
                                  "\n"
                                  "  check    what the kernel, suexec and rouse will object to, with the cure\n"
                                  "  status   up, starting, backing off, stopped or down; processes, last failure\n"
                                  "           (--json: the same for a program)\n"
                                  "  start    bring the server up now, also after stop\n"
                                  "  stop     stop it; requests get 503 until start\n"
                                  "  restart  stop it and bring it up; requests wait meanwhile\n"
                                  "  log      the whole log, what was put aside first\n"
                                  "\n"
                                  "APP.CGI is the app file: the CGI program with the settings in it.\n"
                                  "\n"
                                  "exit status: 0 well, 1 not, 2 usage, 3 starting or backing off, 4 cannot tell\n"
                                  "\n"
                                  "Run by a web server, rousectl is a page for the owner: see README.md.\n";

constexpr struct {
    std::string_view name;
    Exit (*run)(const Order& order);
} commands[] = {{"check", check}, {"status", status},   {"start", start},
                {"stop", stop},   {"restart", restart}, {"log", log}};

Site site;

// A closed 0, 1 or 2 would be the number of the next file that is opened.
void fill_standard_descriptors() {
    int number = 0;
    while ((number = sys::open(AT_FDCWD, "/", O_PATH | O_CLOEXEC)) >= 0 && number <= 2)
        ;
    if (number > 2)
        sys::close(number);
}

bool is_run_by_web_server(char** environment) {
    for (; *environment != nullptr; ++environment)
        for (std::string_view name : {"GATEWAY_INTERFACE=", "REQUEST_METHOD="})
            if (std::string_view(*environment).starts_with(name))
                return true;
    return false;
}

Exit usage(std::string_view complaint) {
    static char bytes[256];
    Text text(bytes);
    text.add("rousectl: ").add(complaint).add("; see rousectl --help\n");
    write_all(2, text.view());
    return Exit::Usage;
}

Exit carry_out(Exit (*command)(const Order&), const char* app, bool json) {
    static char out_bytes[131072], complaint_bytes[8192], whole_bytes[8448];
    Text out(out_bytes), complaint(complaint_bytes), whole(whole_bytes);
    read_site(app, site);
    Exit exit = Exit::Unknown;
    if (command == check || site.is_usable())
        exit = command({site, out, complaint, json});
    else
        say_what_is_wrong(site, complaint);
    if (complaint.size() > 0)
        whole.add("rousectl: ").add(complaint.view()).add('\n');
    bool written = write_all(1, out.view()) >= 0;
    write_all(2, whole.view());
    return written ? exit : Exit::Unknown;
}

Exit obey(char** arguments) {
    const char* app = nullptr;
    std::string_view name;
    bool json = false;
    // execve(2) may give no argument at all, not even the program's name.
    for (char** one = arguments; *one != nullptr && *++one != nullptr;) {
        std::string_view word = *one;
        if (word == "--help" || word == "-h")
            return write_all(1, help) < 0 ? Exit::Unknown : Exit::Well;
        if (word == "--version")
            return write_all(1, "rousectl " ROUSE_VERSION "\n") < 0 ? Exit::Unknown : Exit::Well;
        if (word == "--json")
            json = true;
        else if (word.starts_with('-'))
            return usage("there is no such option");
        else if (name.empty())
            name = word;
        else if (app == nullptr)
            app = *one;
        else
            return usage("there are too many words");
    }
    if (name.empty())
        return usage("a command is missing");
    for (const auto& command : commands)
        if (command.name == name) {
            if (json && command.run != status)
                return usage("only status has --json");
            return app == nullptr ? usage("the app file is missing") : carry_out(command.run, app, json);
        }
    return usage("there is no such command");
}

} // namespace

} // namespace rouse

int rouse::run(char** arguments, char** environment) {
    fill_standard_descriptors();
    return static_cast<int>(is_run_by_web_server(environment) ? doctor(environment) : obey(arguments));
}
