#include "settings.h"

#include "cgi_request.h"

namespace rouse {
namespace {

enum class Key : uint8_t {
    Socket,
    Start,
    Run,
    Directory,
    Wait,
    StartTimeout,
    ResponseTimeout,
    StopTimeout,
    MaxSpool,
    PeerUid,
    ScriptName,
    Errors,
    Log,
    Unknown, // behind the keys, so that it counts them
};

constexpr size_t key_count = static_cast<size_t>(Key::Unknown);

constexpr std::string_view key_names[key_count] = {
    "socket",       "start",     "run",      "directory",   "wait",   "start-timeout", "response-timeout",
    "stop-timeout", "max-spool", "peer-uid", "script-name", "errors", "log",
};

std::string_view name_of(Key key) {
    return key_names[static_cast<size_t>(key)];
}

Key find_key(std::string_view name) {
    for (size_t at = 0; at < key_count; at++)
        if (key_names[at] == name)
            return static_cast<Key>(at);
    return Key::Unknown;
}

// What the lines of the app file say, before anything is made of it.
struct Entry {
    std::string_view value;
    unsigned line = 0; // 0: not set
};

struct Entries {
    Entry of[key_count];
    const Entry& operator[](Key key) const { return of[static_cast<size_t>(key)]; }
    Entry& operator[](Key key) { return of[static_cast<size_t>(key)]; }
    bool has(Key key) const { return (*this)[key].line != 0; }
};

SettingsError fault_of(Key key, const Entries& entries, const char* fault, const char* cure) {
    return {entries[key].line, name_of(key), fault, cure};
}

// Whether a key may stand in an error: a text that is no key could be a password on a line of its own.
bool is_quotable(std::string_view name) {
    for (char one : name)
        if (!((one >= 'a' && one <= 'z') || (one >= '0' && one <= '9') || one == '-'))
            return false;
    return !name.empty() && name.size() <= 32;
}

bool is_control(char one) {
    auto byte = static_cast<unsigned char>(one);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

// A `#` at the start of the text or behind a blank begins a comment; inside a word it is part of the word.
std::string_view without_comment(std::string_view text) {
    for (size_t at = 0; at < text.size(); at++)
        if (text[at] == '#' && (at == 0 || text[at - 1] == ' ' || text[at - 1] == '\t'))
            return part(text, 0, at);
    return text;
}

SettingsError read_line(std::string_view line, unsigned number, Entries& entries) {
    for (char one : line)
        if (is_control(one))
            return {number,
                    {},
                    "there is a control character in this line",
                    "save the file as plain text (ASCII or UTF-8) and upload it in text mode"};
    line = trim(without_comment(line));
    if (line.empty())
        return {};

    size_t equals = line.find('=');
    if (equals == line.npos)
        return {number, {}, "this line is no setting", "write it as key = value, or put # in front of it"};
    std::string_view name = trim(part(line, 0, equals));
    std::string_view value = trim(part(line, equals + 1));

    Key key = find_key(name);
    if (key == Key::Unknown)
        return {number, is_quotable(name) ? name : std::string_view{}, "there is no such key",
                "keys are socket, start, run, directory, wait, start-timeout, response-timeout, stop-timeout, "
                "max-spool, peer-uid, script-name, errors and log"};
    if (entries.has(key))
        return {number, name_of(key), "the key is given twice", "keep one of the two lines"};
    if (value.empty() && key != Key::ScriptName)
        return {number, name_of(key), "there is no value behind the key", "write a value, or remove the line"};
    entries[key] = {value, number};
    return {};
}

SettingsError read_lines(std::string_view text, Entries& entries) {
    if (text.starts_with("\xEF\xBB\xBF")) // a BOM, as some editors put it
        text.remove_prefix(3);
    for (unsigned number = 1; !text.empty(); number++) {
        size_t end = text.find('\n');
        std::string_view line = part(text, 0, end);
        text = part(text, end == text.npos ? text.size() : end + 1);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (SettingsError error = read_line(line, number, entries))
            return error;
    }
    return {};
}

// Puts `pieces` together in the arena with a NUL behind; what does not fit leaves the arena overflowed.
std::string_view keep(Text& arena, std::string_view first, std::string_view second = {}, std::string_view third = {}) {
    size_t begin = arena.size();
    arena.add(first).add(second).add(third);
    size_t end = arena.size();
    arena.add('\0');
    return part(arena.view(), begin, end - begin);
}

std::string_view keep_path(Text& arena, std::string_view folder, std::string_view path) {
    if (path.starts_with('/'))
        return keep(arena, path);
    return keep(arena, folder, folder == "/" ? "" : "/", path);
}

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
        uint64_t weight = 100;
        uint64_t rest = 0;
        for (char digit : digits) {
            if (digit < '0' || digit > '9')
                return false;
            auto number = static_cast<uint64_t>(digit - '0');
            sum += number * weight;
            rest |= weight == 0 ? number : 0;
            weight /= 10;
        }
        if (digits.empty())
            return false;
        sum += rest != 0;
    }
    if (sum > 2'147'483'000)
        return false;
    milliseconds = static_cast<int>(sum);
    return true;
}

// Bytes, or powers of 1024 with k, M, G or KiB, MiB, GiB (in any case) behind the number.
bool parse_bytes(std::string_view text, uint64_t& bytes) {
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9')
        digits++;
    uint64_t number = 0;
    if (!parse_decimal(part(text, 0, digits), number))
        return false;
    std::string_view unit = trim(part(text, digits));
    unsigned shift = 0;
    if (equals_ignoring_case(unit, "k") || equals_ignoring_case(unit, "kib"))
        shift = 10;
    else if (equals_ignoring_case(unit, "m") || equals_ignoring_case(unit, "mib"))
        shift = 20;
    else if (equals_ignoring_case(unit, "g") || equals_ignoring_case(unit, "gib"))
        shift = 30;
    else if (!unit.empty())
        return false;
    if (number > (uint64_t{INT64_MAX} >> shift))
        return false;
    bytes = number << shift;
    return true;
}

SettingsError read_times(const Entries& entries, Settings& settings) {
    struct Time {
        Key key;
        int* milliseconds;
    };
    const Time times[] = {
        {Key::Wait, &settings.wait},
        {Key::StartTimeout, &settings.start_timeout},
        {Key::ResponseTimeout, &settings.response_timeout},
        {Key::StopTimeout, &settings.stop_timeout},
    };
    for (const Time& time : times)
        if (entries.has(time.key) && !parse_seconds(entries[time.key].value, *time.milliseconds))
            return fault_of(time.key, entries, "this is no time in seconds",
                            "write a number from 0 to 2147483, such as 25 or 0.5, without a unit");
    if (settings.start_timeout == 0)
        return fault_of(Key::StartTimeout, entries, "a launch that may take no time never succeeds",
                        "write the seconds that the server may need to come up, such as 90");
    return {};
}

SettingsError read_values(const Entries& entries, Settings& settings) {
    if (SettingsError error = read_times(entries, settings))
        return error;
    if (entries.has(Key::MaxSpool) && !parse_bytes(entries[Key::MaxSpool].value, settings.max_spool))
        return fault_of(Key::MaxSpool, entries, "this is no size in bytes",
                        "write a number, or one with k, M or G behind it, such as 512M");
    if (entries.has(Key::PeerUid)) {
        uint64_t uid = 0;
        if (!parse_decimal(entries[Key::PeerUid].value, uid) || uid >= UINT32_MAX) // 2^32 - 1 is no uid
            return fault_of(Key::PeerUid, entries, "this is no user id",
                            "write the number that `id -u` prints for the server's user, not a name");
        settings.has_peer_uid = true;
        settings.peer_uid = static_cast<uid_t>(uid);
    }
    if (entries.has(Key::Errors)) {
        std::string_view value = entries[Key::Errors].value;
        if (value != "show" && value != "hide")
            return fault_of(Key::Errors, entries, "this is neither show nor hide",
                            "write errors = hide or errors = show");
        settings.show_errors = value == "show";
    }
    return {};
}

SettingsError read_script_name(const Entries& entries, Text& arena, Settings& settings) {
    if (!entries.has(Key::ScriptName))
        return {};
    std::string_view value = entries[Key::ScriptName].value;
    if (!value.empty() && value[0] != '/')
        return fault_of(Key::ScriptName, entries, "the name does not begin with a slash",
                        "write the path of the URL, such as /shop, or nothing behind the = for the top");
    if (value.size() > CgiRequest::max_script_name)
        return fault_of(Key::ScriptName, entries, "the name is over 1024 bytes", "write a shorter path");
    settings.has_script_name = true;
    settings.script_name = keep(arena, value);
    return {};
}

SettingsError read_start(const Entries& entries, Text& arena, Settings& settings) {
    std::string_view rest = entries[Key::Start].value;
    while (!rest.empty()) {
        if (settings.start_count == Settings::max_arguments)
            return fault_of(Key::Start, entries, "there are over 63 arguments",
                            "write a start script that has the arguments in it, and name the script here");
        size_t end = rest.find_first_of(" \t");
        std::string_view word = part(rest, 0, end);
        bool is_program = settings.start_count == 0;
        settings.start[settings.start_count++] =
            (is_program ? keep_path(arena, settings.folder, word) : keep(arena, word)).data();
        rest = trim(part(rest, word.size()));
    }
    return {};
}

// What looks like a port or a host is one, so that `socket = 4000` does not become a file of that name.
bool looks_like_tcp(std::string_view text) {
    return text.find('/') == text.npos && (text.find(':') != text.npos || text[0] == '[' || text == "localhost" ||
                                           text.find_first_not_of("0123456789.") == text.npos);
}

SettingsError read_socket(const Entries& entries, Text& arena, Settings& settings) {
    settings.socket_is_default = !entries.has(Key::Socket);
    std::string_view text;
    if (settings.socket_is_default) {
        text = keep(arena, settings.node_run, "/sock");
    } else {
        std::string_view value = entries[Key::Socket].value;
        text = value[0] == '@' || looks_like_tcp(value) ? keep(arena, value) : keep_path(arena, settings.folder, value);
    }
    if (arena.overflowed())
        return {}; // said once, by the caller

    switch (parse_address(text, settings.socket)) {
    case AddressError::None:
        return {};
    case AddressError::Empty:
        return fault_of(Key::Socket, entries, "there is no name behind the @", "write a name, such as @shop");
    case AddressError::PathTooLong:
        if (settings.socket_is_default)
            return fault_of(Key::Run, entries, "the socket in the run directory gets a path of over 107 bytes",
                            "set `run` to a shorter path, or set `socket` to a short path instead");
        return fault_of(Key::Socket, entries, "the socket's path is over 107 bytes, which no socket can have",
                        "write a shorter path");
    case AddressError::BadPort:
        return fault_of(Key::Socket, entries, "there is no port from 1 to 65535 behind the host",
                        "write host:port, such as 127.0.0.1:4000, or ./name for a socket in the file system");
    case AddressError::BadHost:
        return fault_of(Key::Socket, entries, "the host is no address and not localhost; no names are looked up",
                        "write an address such as 127.0.0.1:4000 or [::1]:4000");
    }
    return {};
}

// uname(2) promises nothing about the bytes of a node's name, and it becomes the name of a folder.
std::string_view keep_node_run(Text& arena, std::string_view run, std::string_view node) {
    size_t begin = arena.size();
    arena.add(run).add(run == "/" ? "" : "/").add(node.empty() || node[0] == '.' ? "_" : "");
    for (char one : node)
        arena.add(one == '/' ? '_' : one);
    size_t end = arena.size();
    arena.add('\0');
    return part(arena.view(), begin, end - begin);
}

SettingsError read_paths(const Entries& entries, std::string_view node, Text& arena, Settings& settings) {
    bool socket_is_set = entries.has(Key::Socket);
    if (!socket_is_set && !entries.has(Key::Run))
        return {0, entries.has(Key::Start) ? name_of(Key::Run) : name_of(Key::Socket),
                "nothing says where the server listens",
                "set `run` to a folder that rouse may make, or `socket` to the address of the server"};

    if (entries.has(Key::Run)) {
        std::string_view value = entries[Key::Run].value;
        while (value.size() > 1 && value.ends_with('/'))
            value.remove_suffix(1);
        settings.run = keep_path(arena, settings.folder, value);
        settings.node_run = keep_node_run(arena, settings.run, node);
    }
    if (SettingsError error = read_socket(entries, arena, settings))
        return error;
    if (socket_is_set && settings.socket.family == Address::Family::Path) {
        if (entries.has(Key::Run))
            return fault_of(Key::Run, entries, "`run` cannot be set when `socket` is a path",
                            "remove one of the two lines: beside the socket the run directory is SOCKET.run");
        settings.socket_names_run = true;
        settings.run = keep(arena, settings.socket.text, ".run");
        settings.node_run = keep_node_run(arena, settings.run, node);
    }
    if (settings.run.empty() && entries.has(Key::Start))
        return fault_of(Key::Start, entries, "a server that is started needs a run directory",
                        "set `run` to a folder that rouse may make, such as run = run");

    settings.directory = entries.has(Key::Directory) ? keep_path(arena, settings.folder, entries[Key::Directory].value)
                                                     : settings.folder;
    if (entries.has(Key::Log))
        settings.log = keep_path(arena, settings.folder, entries[Key::Log].value);
    else if (!settings.run.empty())
        settings.log = keep(arena, settings.node_run, "/log");
    return {};
}

} // namespace

SettingsError parse_settings(std::string_view text, std::string_view app, std::string_view node, Settings& settings) {
    Text arena(settings.arena, sizeof settings.arena);
    settings.app = app;
    size_t slash = app.rfind('/');
    settings.folder = keep(arena, part(app, 0, slash == 0 ? 1 : slash == app.npos ? 0 : slash));

    Entries entries;
    if (SettingsError error = read_lines(text, entries))
        return error;
    if (SettingsError error = read_values(entries, settings))
        return error;
    if (SettingsError error = read_script_name(entries, arena, settings))
        return error;
    if (SettingsError error = read_start(entries, arena, settings))
        return error;
    if (SettingsError error = read_paths(entries, node, arena, settings))
        return error;
    if (arena.overflowed())
        return {0, {}, "paths and arguments are over 16,000 bytes together", "write shorter paths"};
    return {};
}

} // namespace rouse
