#include "settings.h"

#include "cgi_request.h"

#include <stddef.h>
#include <string.h>

namespace rouse {
namespace {

// The keys as they stand in `no_such_key`: one text for the owner and for us.
enum Key {
    Wait,
    StartTimeout,
    ResponseTimeout,
    StopTimeout,
    Directory,
    Log,
    Run,
    RestartOn,
    PageFile,
    MaxSpool,
    MaxWaiting,
    PeerUid,
    ScriptName,
    Start,
    Socket,
    Errors,
    Protocol,
    TrustForwarded,
};
constexpr char no_such_key[] = "there is no such key. The keys are wait start-timeout response-timeout stop-timeout "
                               "directory log run restart-on page max-spool max-waiting peer-uid script-name start "
                               "socket errors protocol trust-forwarded";
constexpr const char* keys = no_such_key + std::string_view(no_such_key).find("wait");

bool is_blank(char one) {
    return one == ' ' || one == '\t';
}

// Whether a key may stand in an error: a text that is no key could be a password on a line of its own.
bool is_quotable(std::string_view name) {
    for (char one : name)
        if (!((one >= 'a' && one <= 'z') || (one >= '0' && one <= '9') || one == '-'))
            return false;
    return name.size() <= 32;
}

// Seconds with an optional fraction as milliseconds, or -1. What lies between two milliseconds is rounded up: 0.0001
// must not become 0, which can mean "never".
int parse_seconds(std::string_view text) {
    size_t point = find(text, '.');
    uint64_t seconds = 0;
    if (!parse_decimal(part(text, 0, point), seconds) || seconds > 999'999 || ends_with(text, '.'))
        return -1;
    unsigned sum = static_cast<unsigned>(seconds) * 1000;
    unsigned place = 100;
    unsigned rest = 0;
    while (point < text.size() && ++point < text.size()) {
        unsigned digit = static_cast<unsigned>(text[point]) - '0';
        if (digit > 9)
            return -1;
        sum += digit * place;
        if (place == 0)
            rest |= digit;
        place /= 10;
    }
    return static_cast<int>(sum + (rest != 0));
}

bool parse_size(std::string_view text, uint64_t& bytes) {
    size_t digits = 0;
    while (digits < text.size() && static_cast<unsigned>(text[digits]) - '0' <= 9)
        digits++;
    int unit = index_of(trim(behind(text, digits)), " k M G  KiB MiB GiB  K m g"); // none is the first of each four
    unsigned shift = (static_cast<unsigned>(unit) & 3) * 10;
    uint64_t number = 0;
    if (unit < 0 || !parse_decimal(front(text, digits), number) || number >> (63 - shift) != 0)
        return false;
    bytes = number << shift;
    return true;
}

// What looks like a port or a host is one, so that `socket = 4000` does not become a file of that name.
bool is_path(std::string_view text) {
    if (text[0] == '@' || index_of(text, "localhost") == 0)
        return false;
    bool other = false;
    bool colon = false;
    for (char one : text) {
        if (one == '/')
            return true;
        other |= static_cast<unsigned>(one) - '.' > 11; // . / and the digits
        colon |= one == ':';
    }
    return other && !colon;
}

// Makes the settings of the lines, one after another. Each step answers what is wrong, or null.
class Making {
public:
    Making(std::string_view app, Settings& settings, SettingsError& error)
        : settings_(settings), error_(error), arena_(settings.arena, sizeof settings.arena) {
        settings.app = app;
        size_t size = find_last(app, '/') + 1;
        folder_ = front(app, size);
        settings.folder = join({}, front(app, size > 1 ? size - 1 : size));
    }

    Phrase take_line(std::string_view line) {
        if (has_control(line))
            return "there is a control character in this line. Save the file as plain text"_phrase;
        for (size_t at = 0; at < line.size(); at++)
            if (line[at] == '#' && (at == 0 || is_blank(line[at - 1])))
                line = front(line, at);
        line = trim(line);
        if (line.empty())
            return {};
        size_t equals = find(line, '=');
        if (equals == line.npos)
            return "this line is no setting. Write it as key = value, or put # in front of it"_phrase;
        std::string_view name = trim(front(line, equals));
        if (is_quotable(name))
            error_.key = name;
        int key = index_of(name, keys);
        if (key < 0)
            return Phrase{no_such_key};
        if ((seen_ >> key & 1) != 0)
            return "the key is given twice. Remove one"_phrase;
        seen_ |= 1u << key;
        std::string_view value = trim(behind(line, equals + 1));
        if (value.empty() && key != ScriptName)
            return "there is no value behind the key. Write one, or remove the line"_phrase;
        if (Phrase fault = take_value(key, value))
            return fault;
        if (settings_.socket.family == Address::Family::Path && !settings_.run.empty())
            return "`run` and a `socket` that is a path exclude each other. Remove one: the run directory is "
                   "SOCKET.run"_phrase;
        error_.key = {};
        return {};
    }

    Phrase finish(std::string_view node) {
        if (settings_.socket.family == Address::Family::Path) {
            settings_.socket_names_run = true;
            settings_.run = join(settings_.socket.text, ".run"sv);
        }
        settings_.socket_is_default = settings_.socket.family == Address::Family::None;
        if (settings_.directory.empty())
            settings_.directory = settings_.folder;
        if (!settings_.run.empty()) {
            settings_.node_run = keep_node(node);
            settings_.hung = join(settings_.node_run, "/hung"sv);
            if (settings_.log.empty())
                settings_.log = join(settings_.node_run, "/log"sv);
        } else if (settings_.socket_is_default || settings_.start_count > 0) {
            return "a run directory is missing. Set `run` to a folder that rouse may make (without `start`, `socket` "
                   "is "
                   "enough)"_phrase;
        }
        Phrase fault;
        if (settings_.socket_is_default)
            fault = parse_address(join(settings_.node_run, "/sock"sv), settings_.socket);
        return arena_.overflowed() ? "the paths are over 16,000 bytes together. Write shorter ones"_phrase : fault;
    }

private:
    // What was added to the arena since it was last asked, with a NUL behind it. What did not fit is missing there,
    // and the arena says so at the end.
    std::string_view join(std::string_view first, std::string_view second) {
        arena_.add(first).add(second);
        std::string_view kept = behind(arena_.view(), kept_);
        arena_.add('\0');
        kept_ = arena_.size();
        return kept;
    }

    // A path counts from the folder of the app file.
    std::string_view keep(std::string_view value, bool is_path) {
        return join(front(folder_, is_path && value[0] != '/' ? folder_.size() : 0), value);
    }

    // uname(2) promises nothing about the bytes of a node's name, and it becomes the name of a folder.
    std::string_view keep_node(std::string_view node) {
        arena_.add(settings_.run).add(node.empty() || node[0] == '.' ? "/_" : "/");
        for (char one : node)
            arena_.add(one == '/' ? '_' : one);
        return join({}, {});
    }

    Phrase take_value(int key, std::string_view value) {
        if (key <= StopTimeout) {
            int time = parse_seconds(value);
            if (time < (key == StartTimeout))
                return "this is no time that can be. Write seconds, such as 25 or 0.5, at most 999999"_phrase;
            static_assert(offsetof(Settings, stop_timeout) - offsetof(Settings, wait) == StopTimeout * sizeof time);
            put(offsetof(Settings, wait) + static_cast<size_t>(key) * sizeof time, time);
        } else if (key <= PageFile) {
            while (value.size() > 1 && ends_with(value, '/'))
                value.remove_suffix(1);
            static_assert(offsetof(Settings, page) - offsetof(Settings, directory) ==
                          (PageFile - Directory) * sizeof value);
            put(offsetof(Settings, directory) + static_cast<size_t>(key - Directory) * sizeof value, keep(value, true));
        } else if (key == MaxSpool) {
            if (!parse_size(value, settings_.max_spool))
                return "this is no size. Write bytes, such as 100000 or 512M"_phrase;
        } else if (key == PeerUid || key == MaxWaiting) {
            uint64_t number = 0;
            if (!parse_decimal(value, number) || number >= UINT32_MAX) // 2^32 - 1 is no uid
                return key == PeerUid ? "this is no user id. Write the number that `id -u` prints for it"_phrase
                                      : "this is no number of requests. Write one such as 50, or 0 for no limit"_phrase;
            settings_.has_peer_uid |= key == PeerUid;
            (key == PeerUid ? settings_.peer_uid : settings_.max_waiting) = static_cast<unsigned>(number);
        } else if (key >= Errors) {
            constexpr size_t words = std::string_view("this is neither. Write ").size();
            const char* fault = key == Errors     ? "this is neither. Write hide or show"
                                : key == Protocol ? "this is neither. Write scgi or http"
                                                  : "this is neither. Write no or yes";
            int word = index_of(value, fault + words); // the second of the three is "or"
            if (word != 0 && word != 2)
                return Phrase{fault};
            static_assert(offsetof(Settings, trust_forwarded) - offsetof(Settings, show_errors) ==
                          TrustForwarded - Errors);
            put(offsetof(Settings, show_errors) + static_cast<size_t>(key - Errors), word != 0);
        } else if (key == ScriptName) {
            if ((!value.empty() && value[0] != '/') || value.size() > CgiRequest::max_script_name)
                return "this is no path of a URL. Write one such as /shop, or nothing"_phrase;
            settings_.has_script_name = true;
            settings_.script_name = keep(value, false);
        } else if (key == Socket) {
            return parse_address(keep(value, is_path(value)), settings_.socket);
        } else {
            return take_start(value);
        }
        return {};
    }

    template <class T> void put(size_t offset, T value) {
        memcpy(reinterpret_cast<char*>(&settings_) + offset, &value, sizeof value);
    }

    Phrase take_start(std::string_view words) {
        while (!words.empty()) {
            if (settings_.start_count == Settings::max_arguments)
                return "there are over 63 arguments. Put them into a script"_phrase;
            size_t size = 0;
            while (size < words.size() && !is_blank(words[size]))
                size++;
            std::string_view word = front(words, size);
            word = keep(word, settings_.start_count == 0);
            settings_.start[settings_.start_count++] = word.data();
            words = trim(behind(words, size));
        }
        return {};
    }

    Settings& settings_;
    SettingsError& error_;
    Text arena_;
    std::string_view folder_; // with its slash
    size_t kept_ = 0;         // the arena's size when it was last asked
    unsigned seen_ = 0;       // a bit for each key
};

} // namespace

SettingsError parse_settings(std::string_view text, std::string_view app, std::string_view node, Settings& settings) {
    settings.wait = 25'000;
    settings.start_timeout = 90'000;
    settings.response_timeout = 45'000; // below Apache's Timeout
    settings.stop_timeout = 10'000;
    settings.max_spool = uint64_t{1} << 30;
    SettingsError error;
    Making making(app, settings, error);
    if (begins_with(text, "\xEF\xBB\xBF"sv)) // a BOM, as some editors put it
        text = behind(text, 3);
    while (!text.empty() && !error) {
        error.line++;
        size_t size = find(text, '\n');
        std::string_view line = part(text, 0, size);
        text = part(text, line.size() + 1);
        if (ends_with(line, '\r'))
            line.remove_suffix(1);
        error.fault = making.take_line(line);
    }
    if (!error) {
        error.line = 0;
        error.fault = making.finish(node);
    }
    if (error) {
        settings.log = {};
        settings.has_script_name = false;
    }
    return error;
}

} // namespace rouse
