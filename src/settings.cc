#include "settings.h"

#include "cgi_request.h"

namespace rouse {
namespace {

// Seconds with an optional fraction as milliseconds, at most 2,147,483 s. What lies between two milliseconds
// is rounded up: 0.0001 must not become 0, which can mean "never".
bool parse_seconds(std::string_view text, int& milliseconds) {
    size_t dot = text.find('.');
    uint64_t seconds = 0;
    if (!parse_decimal(part(text, 0, dot), seconds) || seconds > 2'147'483)
        return false;
    uint64_t sum = seconds * 1000;
    if (dot != text.npos) {
        std::string_view digits = part(text, dot + 1);
        if (digits.empty())
            return false;
        uint64_t weight = 100;
        bool is_rest = false;
        for (char digit : digits) {
            if (digit < '0' || digit > '9')
                return false;
            sum += static_cast<uint64_t>(digit - '0') * weight;
            is_rest |= weight == 0 && digit != '0';
            weight /= 10;
        }
        sum += is_rest;
    }
    if (sum > 2'147'483'000)
        return false;
    milliseconds = static_cast<int>(sum);
    return true;
}

// Bytes, or powers of 1024 with k, M, G or KiB, MiB, GiB (in any case) behind the number.
bool parse_bytes(std::string_view text, uint64_t& bytes) {
    size_t digits = text.find_first_not_of("0123456789");
    uint64_t number = 0;
    if (!parse_decimal(part(text, 0, digits), number))
        return false;
    std::string_view unit = trim(part(text, digits));
    unsigned shift = 0;
    if (!unit.empty()) {
        char letter = unit[0] | 0x20;
        shift = letter == 'k' ? 10 : letter == 'm' ? 20 : letter == 'g' ? 30 : 0;
        if (shift == 0 || (unit.size() > 1 && !equals_ignoring_case(part(unit, 1), "ib")))
            return false;
    }
    if (number > (uint64_t{INT64_MAX} >> shift))
        return false;
    bytes = number << shift;
    return true;
}

// What looks like a port or a host is one, so that `socket = 4000` does not become a file of that name.
bool looks_like_tcp(std::string_view text) {
    return text.find('/') == text.npos && (text.find(':') != text.npos || text[0] == '[' || text == "localhost" ||
                                           text.find_first_not_of("0123456789.") == text.npos);
}

// Makes the settings of the lines, one after another. A step that fails says so in `error` and answers false.
class Making {
public:
    Making(const SettingLines& lines, Settings& settings, SettingsError& error)
        : lines_(lines), settings_(settings), error_(error), arena_(settings.arena, sizeof settings.arena) {}

    void keep_folder(std::string_view app) {
        size_t slash = app.rfind('/');
        settings_.app = app;
        settings_.folder = keep(part(app, 0, slash == 0 ? 1 : slash == app.npos ? 0 : slash));
    }

    bool make(std::string_view node) {
        if (!read_times() || !read_values() || !read_start() || !read_run(node) || !read_socket(node))
            return false;
        read_directory_and_log();
        if (!arena_.overflowed())
            return true;
        settings_.log = {}; // the fault is to be logged, and not under half a name
        return fail(Key::None, "paths and arguments are over 16,000 bytes together", "write shorter paths");
    }

private:
    bool fail(Key key, const char* fault, const char* cure) {
        error_.fault = fault;
        error_.cure = cure;
        if (key != Key::None) {
            error_.key = name_of(key);
            error_.line = lines_.line(key);
        }
        return false;
    }

    // The text with a NUL behind it in the arena; one that does not fit leaves the arena overflowed.
    std::string_view keep(std::string_view first, std::string_view second = {}) {
        size_t begin = arena_.size();
        arena_.add(first).add(second).add('\0');
        return part(arena_.view(), begin, first.size() + second.size());
    }

    std::string_view keep_path(std::string_view path) {
        if (path.starts_with('/'))
            return keep(path);
        size_t begin = arena_.size();
        arena_.add(settings_.folder).add(settings_.folder == "/" ? "" : "/");
        size_t size = arena_.size() - begin + path.size();
        keep(path);
        return part(arena_.view(), begin, size);
    }

    bool read_times() {
        struct Time {
            Key key;
            int* milliseconds;
        };
        const Time times[] = {
            {Key::Wait, &settings_.wait},
            {Key::StartTimeout, &settings_.start_timeout},
            {Key::ResponseTimeout, &settings_.response_timeout},
            {Key::StopTimeout, &settings_.stop_timeout},
        };
        for (const Time& time : times)
            if (lines_.has(time.key) && !parse_seconds(lines_.value(time.key), *time.milliseconds))
                return fail(time.key, "this is no time in seconds",
                            "write a number from 0 to 2147483, such as 25 or 0.5, without a unit");
        return settings_.start_timeout != 0 ||
               fail(Key::StartTimeout, "a launch that may take no time never succeeds",
                    "write the seconds that the server may need to come up, such as 90");
    }

    bool read_values() {
        if (lines_.has(Key::MaxSpool) && !parse_bytes(lines_.value(Key::MaxSpool), settings_.max_spool))
            return fail(Key::MaxSpool, "this is no size in bytes",
                        "write a number, or one with k, M or G behind it, such as 512M");
        settings_.has_peer_uid = lines_.has(Key::PeerUid);
        if (settings_.has_peer_uid) {
            uint64_t uid = 0;
            if (!parse_decimal(lines_.value(Key::PeerUid), uid) || uid >= UINT32_MAX) // 2^32 - 1 is no uid
                return fail(Key::PeerUid, "this is no user id",
                            "write the number that `id -u` prints for the server's user, not a name");
            settings_.peer_uid = static_cast<uid_t>(uid);
        }
        settings_.show_errors = lines_.value(Key::Errors) == "show";
        if (lines_.has(Key::Errors) && !settings_.show_errors && lines_.value(Key::Errors) != "hide")
            return fail(Key::Errors, "this is neither show nor hide", "write errors = hide or errors = show");

        settings_.has_script_name = lines_.has(Key::ScriptName);
        std::string_view name = lines_.value(Key::ScriptName);
        if (!name.empty() && name[0] != '/')
            return fail(Key::ScriptName, "the name does not begin with a slash",
                        "write the path of the URL, such as /shop, or nothing behind the = for the top");
        if (name.size() > CgiRequest::max_script_name)
            return fail(Key::ScriptName, "the name is over 1024 bytes", "write a shorter path");
        settings_.script_name = keep(name);
        return true;
    }

    bool read_start() {
        std::string_view rest = lines_.value(Key::Start);
        while (!rest.empty()) {
            if (settings_.start_count == Settings::max_arguments)
                return fail(Key::Start, "there are over 63 arguments",
                            "write a start script that has the arguments in it, and name the script here");
            std::string_view word = part(rest, 0, rest.find_first_of(" \t"));
            rest = trim(part(rest, word.size()));
            std::string_view kept = settings_.start_count == 0 ? keep_path(word) : keep(word);
            settings_.start[settings_.start_count++] = kept.data();
        }
        return true;
    }

    // uname(2) promises nothing about the bytes of a node's name, and it becomes the name of a folder.
    void set_run(std::string_view run, std::string_view node) {
        settings_.run = run;
        size_t begin = arena_.size();
        arena_.add(run == "/" ? "" : run).add('/').add(node.empty() || node[0] == '.' ? "_" : "");
        for (char one : node)
            arena_.add(one == '/' ? '_' : one);
        size_t size = arena_.size() - begin;
        arena_.add('\0');
        settings_.node_run = part(arena_.view(), begin, size);
    }

    bool read_run(std::string_view node) {
        std::string_view run = lines_.value(Key::Run);
        if (run.empty())
            return lines_.has(Key::Socket) ||
                   fail(lines_.has(Key::Start) ? Key::Run : Key::Socket, "nothing says where the server listens",
                        "set `run` to a folder that rouse may make, or `socket` to the address of the server");
        while (run.size() > 1 && run.ends_with('/'))
            run.remove_suffix(1);
        set_run(keep_path(run), node);
        return true;
    }

    bool read_socket(std::string_view node) {
        std::string_view text = lines_.value(Key::Socket);
        settings_.socket_is_default = text.empty();
        if (settings_.socket_is_default)
            text = keep(settings_.node_run, "/sock");
        else
            text = text[0] == '@' || looks_like_tcp(text) ? keep(text) : keep_path(text);
        if (arena_.overflowed())
            return true; // said once, at the end
        if (!read_address(text))
            return false;

        bool is_path = settings_.socket.family == Address::Family::Path;
        settings_.socket_names_run = is_path && !settings_.socket_is_default;
        if (settings_.socket_names_run) {
            if (lines_.has(Key::Run))
                return fail(Key::Run, "`run` cannot be set when `socket` is a path",
                            "remove one of the two lines: beside the socket the run directory is SOCKET.run");
            set_run(keep(text, ".run"), node);
        }
        return !settings_.run.empty() || settings_.start_count == 0 ||
               fail(Key::Start, "a server that is started needs a run directory",
                    "set `run` to a folder that rouse may make, such as run = run");
    }

    bool read_address(std::string_view text) {
        switch (parse_address(text, settings_.socket)) {
        case AddressError::None:
            break;
        case AddressError::Empty:
            return fail(Key::Socket, "there is no name behind the @", "write a name, such as @shop");
        case AddressError::PathTooLong:
            return settings_.socket_is_default
                       ? fail(Key::Run, "the socket in the run directory gets a path of over 107 bytes",
                              "set `run` to a shorter path, or set `socket` to a short path instead")
                       : fail(Key::Socket, "the socket's path is over 107 bytes, which no socket can have",
                              "write a shorter path");
        case AddressError::BadPort:
            return fail(Key::Socket, "there is no port from 1 to 65535 behind the host",
                        "write host:port, such as 127.0.0.1:4000, or ./name for a socket in the file system");
        case AddressError::BadHost:
            return fail(Key::Socket, "the host is no address and not localhost; no names are looked up",
                        "write an address such as 127.0.0.1:4000 or [::1]:4000");
        }
        return true;
    }

    void read_directory_and_log() {
        settings_.directory = lines_.has(Key::Directory) ? keep_path(lines_.value(Key::Directory)) : settings_.folder;
        if (lines_.has(Key::Log))
            settings_.log = keep_path(lines_.value(Key::Log));
        else if (!settings_.run.empty())
            settings_.log = keep(settings_.node_run, "/log");
    }

    const SettingLines& lines_;
    Settings& settings_;
    SettingsError& error_;
    Text arena_;
};

} // namespace

SettingsError parse_settings(std::string_view text, std::string_view app, std::string_view node, Settings& settings) {
    SettingsError error;
    SettingLines lines;
    Making making(lines, settings, error);
    making.keep_folder(app);
    if (read_setting_lines(text, lines, error))
        making.make(node);
    return error;
}

} // namespace rouse
