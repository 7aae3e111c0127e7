#include "ctl/failure.h"

#include "lines.h"

namespace rouse {

namespace {

constexpr size_t after_time = 25; // "2026-11-22T19:13:02.123Z "

// What stands behind "name=" in an event: a word, or a sentence in double quotes.
std::string_view value_of(std::string_view line, std::string_view name) {
    for (size_t at = 0; at + name.size() < line.size(); ++at)
        if (line[at] == ' ' && part(line, at + 1, name.size()) == name && part(line, at + 1 + name.size(), 1) == "=") {
            std::string_view value = part(line, at + 2 + name.size());
            return value.starts_with('"') ? word_of(value, 1, '"') : word_of(value, 0);
        }
    return {};
}

// signal(7), the numbers of most architectures from 1 on; empty: no name.
constexpr char signals[] =
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP "
    "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

std::string_view meaning_of_status(uint64_t number) {
    switch (number) {
    case 126:
        return "a program was found that cannot be run";
    case 127:
        return "a program was not found";
    case 137:
        return "a program of its was killed: too much memory?";
    case 143:
        return "a program of its was ended by TERM";
    default:
        return {};
    }
}

} // namespace

bool is_event(std::string_view line) {
    constexpr std::string_view shape = "0000-00-00T00:00:00.000Z ";
    static_assert(shape.size() == after_time);
    if (line.size() <= after_time)
        return false;
    for (size_t at = 0; at < after_time; ++at)
        if (shape[at] == '0' ? line[at] < '0' || line[at] > '9' : line[at] != shape[at])
            return false;
    return true;
}

bool take_line(std::string_view& text, std::string_view& line) {
    if (text.empty())
        return false;
    line = part(text, 0, text.find('\n'));
    text = part(text, line.size() + 1);
    return true;
}

Failure last_failure(std::string_view log) {
    Failure failure;
    std::string_view rest = log, line;
    const char* begin = log.data(); // of what the newest launch printed
    while (take_line(rest, line)) {
        if (!is_event(line))
            continue;
        std::string_view event = word_of(line, 1);
        if (event == "launch")
            begin = rest.data();
        if (event != "failed" && event != "killed")
            continue;
        failure = {part(line, 0, after_time - 1),
                   value_of(line, "launch"),
                   value_of(line, "error"),
                   {begin, static_cast<size_t>(line.data() - begin)}};
        begin = rest.data();
    }
    return failure;
}

std::string_view last_printed(std::string_view text, size_t count) {
    size_t lines = 0;
    std::string_view rest = text, line;
    while (take_line(rest, line))
        lines += !is_event(line);
    while (lines > count && take_line(text, line))
        lines -= !is_event(line);
    return text;
}

void add_in_words(std::string_view sentence, Text& out) {
    out.add(sentence);
    size_t digits = 0;
    while (digits < sentence.size() && static_cast<unsigned>(sentence[sentence.size() - 1 - digits]) - '0' <= 9)
        ++digits;
    uint64_t number = 0;
    std::string_view before = part(sentence, 0, sentence.size() - digits);
    if (!parse_decimal(part(sentence, before.size()), number))
        return;
    std::string_view meaning = before.ends_with("exit status ")            ? meaning_of_status(number)
                               : before.ends_with("signal ") && number > 0 ? word_of(signals, number - 1)
                                                                           : std::string_view();
    if (!meaning.empty())
        out.add(" (").add(meaning).add(')');
}

} // namespace rouse
