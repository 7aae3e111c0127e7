#include "ctl/commands.h"
#include "ctl/key.h"
#include "io.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr size_t longest_form = 4096; // bytes of a body that are looked at
constexpr int silence = 10'000;       // milliseconds

constexpr std::string_view not_found = "Status: 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                       "Cache-Control: no-store\r\n\r\nNot Found\n";
constexpr std::string_view found = "Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n";

std::string_view variable(char** environment, std::string_view name) {
    for (; *environment != nullptr; ++environment)
        if (std::string_view entry = *environment; entry.starts_with(name) && part(entry, name.size(), 1) == "=")
            return part(entry, name.size() + 1);
    return {};
}

// What the doctor's own file names: `app` and `key`, paths from its folder.
struct Names {
    char app[4352];
    char key[4352];
};

bool read_names(const AppFile& file, Names& names) {
    std::string_view rest = file.text, line;
    std::string_view folder = part(file.path, 0, file.path.rfind('/') + 1);
    if (rest.starts_with("\xEF\xBB\xBF"))
        rest.remove_prefix(3);
    while (take_line(rest, line)) {
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        for (size_t at = 0; at < line.size(); ++at) // a comment, where the app file may have one
            if (line[at] == '#' && (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t'))
                line = part(line, 0, at);
        size_t equals = line.find('=');
        std::string_view name = trim(part(line, 0, equals)), value = trim(part(line, equals));
        value = trim(part(value, 1));
        char* place = name == "app" ? names.app : name == "key" ? names.key : nullptr;
        if (place == nullptr || value.empty())
            continue;
        Text path(place, sizeof names.app);
        if (value[0] != '/')
            path.add(folder);
        path.add(value).c_str();
    }
    return names.app[0] != '\0' && names.key[0] != '\0';
}

// Nobody but its owner may read or write it, and the owner is us or root.
int read_key_file(const char* path, Key& key) {
    Fd file(sys::open(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status;
    int result = file.is_open() ? sys::fstat(file.number(), status) : file.number();
    if (result < 0)
        return result;
    if (!S_ISREG(status.st_mode) || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0 ||
        (status.st_uid != sys::effective_uid() && status.st_uid != 0))
        return -EPERM;
    static char text[1024];
    ssize_t size = read_full(file.number(), text, sizeof text);
    if (size < 0)
        return static_cast<int>(size);
    read_key({text, static_cast<size_t>(size)}, key);
    return key.size > 0 ? 0 : -EINVAL;
}

// The whole body is taken off the web server's hands, whatever the method and however long: one that cannot write it
// does not read our answer. The first bytes are the form.
std::string_view read_body(char** environment) {
    static char form[longest_form], rest[32768];
    uint64_t left = 0;
    std::string_view length = variable(environment, "CONTENT_LENGTH");
    if (length.empty() && !variable(environment, "HTTP_TRANSFER_ENCODING").empty())
        left = UINT64_MAX; // de-chunked, to end of file
    else
        parse_decimal(length, left);
    size_t got = 0; // of the form
    while (left > 0) {
        bool of_form = got < sizeof form;
        size_t room = of_form ? sizeof form - got : sizeof rest;
        if (wait_for(0, POLLIN, Deadline::in(silence)) <= 0)
            break;
        ssize_t size = uninterrupted(
            [&] { return sys::read(0, of_form ? form + got : rest, room < left ? room : static_cast<size_t>(left)); });
        if (size <= 0)
            break;
        got += of_form ? static_cast<size_t>(size) : 0;
        left -= static_cast<uint64_t>(size);
    }
    return {form, got};
}

AppFile file;
Names names;
Site site;

// Why there is no key, for the web server's error log: whoever asks gets no word of it.
bool is_set_up(Key& key) {
    static char sentence_bytes[4608];
    Text sentence(sentence_bytes);
    read_app_file(file);
    if (file.error) {
        say(file.error, file.error.subject, sentence);
    } else if (!read_names(file, names)) {
        sentence.add("cannot find `app = PATH` and `key = PATH` in ").add(file.path);
    } else if (int result = read_key_file(names.key, key); result < 0) {
        say({-result, "use the key in\0Write at least 16 characters into it, and let nobody else read it (chmod 600).",
             ""},
            names.key, sentence);
    } else {
        return true;
    }
    LogLine line(Event::Answered);
    line.add("status", 404).quote("error", sentence.view()).write_to({});
    return false;
}

void diagnose(Text& out) {
    static char complaint_bytes[1024], tail[16384];
    Text complaint(complaint_bytes);
    read_site(names.app, site);
    out.add(found);
    if (site.is_usable() && status({site, out, complaint}) == Exit::Unknown)
        out.add(complaint.view()).add('\n');
    out.add("\nCheck\n\n");
    check({site, out, complaint});
    if (!site.is_usable())
        return;
    out.add("\nLog\n\n").add(last_log_lines(site.settings.log, tail, sizeof tail));
}

} // namespace

Exit doctor(char** environment) {
    static Key key, given;
    bool set_up = is_set_up(key);
    read_form(read_body(environment), given);
    bool is_post = variable(environment, "REQUEST_METHOD") == "POST";
    bool is_right = are_equal(key, given);
    static char out_bytes[131072];
    Text out(out_bytes);
    if (set_up && is_right && is_post)
        diagnose(out);
    else
        out.add(not_found);
    return write_all(1, out.view()) < 0 ? Exit::Unknown : Exit::Well;
}

} // namespace rouse
