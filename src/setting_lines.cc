#include "setting_lines.h"

#include "buffer.h"

namespace rouse {
namespace {

constexpr std::string_view names[] = {
    "socket",       "start",     "run",      "directory",   "wait",   "start-timeout", "response-timeout",
    "stop-timeout", "max-spool", "peer-uid", "script-name", "errors", "log",
};
static_assert(sizeof names / sizeof names[0] == static_cast<size_t>(Key::None));

// Whether a key may stand in an error: a text that is no key could be a password on a line of its own.
bool is_quotable(std::string_view name) {
    for (char one : name)
        if (!((one >= 'a' && one <= 'z') || (one >= '0' && one <= '9') || one == '-'))
            return false;
    return name.size() <= 32;
}

// Up to a comment: a `#` at the start of the text or behind a blank. Null data when there is a control character.
std::string_view without_comment(std::string_view line) {
    size_t end = line.size();
    char before = ' ';
    for (size_t at = 0; at < line.size(); at++) {
        auto byte = static_cast<unsigned char>(line[at]);
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return {};
        if (byte == '#' && (before == ' ' || before == '\t') && at < end)
            end = at;
        before = line[at];
    }
    return part(line, 0, end);
}

bool read_line(std::string_view line, SettingLines& lines, SettingsError& error) {
    auto fail = [&error](const char* fault, const char* cure) {
        error.fault = fault;
        error.cure = cure;
        return false;
    };
    line = without_comment(line);
    if (line.data() == nullptr)
        return fail("there is a control character in this line",
                    "save the file as plain text (ASCII or UTF-8) and upload it in text mode");
    line = trim(line);
    if (line.empty())
        return true;

    size_t equals = line.find('=');
    if (equals == line.npos)
        return fail("this line is no setting", "write it as key = value, or put # in front of it");
    std::string_view name = trim(part(line, 0, equals));
    if (is_quotable(name))
        error.key = name;

    size_t key = 0;
    while (key < sizeof names / sizeof names[0] && names[key] != name)
        key++;
    if (key == sizeof names / sizeof names[0])
        return fail("there is no such key",
                    "keys are socket, start, run, directory, wait, start-timeout, response-timeout, stop-timeout, "
                    "max-spool, peer-uid, script-name, errors and log");
    SettingLines::Entry& entry = lines.entries[key];
    if (entry.line != 0)
        return fail("the key is given twice", "keep one of the two lines");
    entry.value = trim(part(line, equals + 1));
    entry.line = error.line;
    if (entry.value.empty() && key != static_cast<size_t>(Key::ScriptName))
        return fail("there is no value behind the key", "write a value, or remove the line");
    error.key = {};
    return true;
}

} // namespace

std::string_view name_of(Key key) {
    return names[static_cast<size_t>(key)];
}

bool read_setting_lines(std::string_view text, SettingLines& lines, SettingsError& error) {
    if (text.starts_with("\xEF\xBB\xBF")) // a BOM, as some editors put it
        text.remove_prefix(3);
    while (!text.empty()) {
        error.line++;
        size_t end = text.find('\n');
        std::string_view line = part(text, 0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (!read_line(line, lines, error))
            return false;
    }
    error.line = 0;
    return true;
}

} // namespace rouse
