// This file knows the lines of the app file: which of our keys are set, to what text, and where.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string_view>

namespace rouse {

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
    None, // behind the keys, so that it counts them
};

std::string_view name_of(Key key);

// What is wrong with the app file, for its owner: the line (1 is the first; 0: the file as a whole), the key
// (one of ours or empty; an unknown key is quoted only when it is [a-z0-9-]{1,32}), the fault and the cure.
struct SettingsError {
    unsigned line = 0;
    std::string_view key;
    const char* fault = nullptr; // null: no error
    const char* cure = "";

    explicit operator bool() const { return fault != nullptr; }
};

struct SettingLines {
    struct Entry {
        std::string_view value; // as it stands in the text
        unsigned line = 0;      // 0: not set
    };
    Entry entries[static_cast<size_t>(Key::None)];

    bool has(Key key) const { return entries[static_cast<size_t>(key)].line != 0; }
    std::string_view value(Key key) const { return entries[static_cast<size_t>(key)].value; }
    unsigned line(Key key) const { return entries[static_cast<size_t>(key)].line; }
};

// A line is `key = value`; blanks around both do not count. A `#` at the start of a line or behind a blank begins a
// comment, inside a word it belongs to the word. A #! line, a BOM and CRLF are tolerated. False: `error` says why.
bool read_setting_lines(std::string_view text, SettingLines& lines, SettingsError& error);

} // namespace rouse
