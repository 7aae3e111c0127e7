#include "log.h"

#include "fd.h"
#include "io.h"
#include "lines.h"

#include <fcntl.h>

namespace rouse {

namespace {

constexpr off_t rotate_above = 1 << 20; // bytes
constexpr size_t longest_path = 4096;

constexpr std::string_view event_names = "page cut launch adopted ready failed killed stopping stopped"; // as in Event

// ISO 8601 in UTC, year by year and month by month: a log line is rare. Until 2106, as seconds of 32 bits last.
void add_time(Text& text, uint64_t milliseconds) {
    static constexpr uint16_t units[] = {24, 60, 60, 1000};
    uint64_t days = milliseconds; // what is left of them
    unsigned parts[7] = {1970};
    for (size_t index = 6; index > 2; --index) {
        parts[index] = static_cast<unsigned>(days % units[index - 3]);
        days /= units[index - 3];
    }
    unsigned &year = parts[0], &month = parts[1], length;
    for (;; days -= length) {
        // 31 30 31 30 31 30 31, 31 30 31 30 31
        length = ++month == 2 ? 28 + (year % 4 == 0 && year != 2100) : 30 + ((month + month / 8) & 1);
        if (days < length)
            break;
        if (month == 12)
            month = 0, ++year;
    }
    parts[2] = static_cast<unsigned>(days) + 1;
    for (size_t index = 0; index < 7; ++index)
        text.add_number(parts[index], index == 6 ? 3 : 2).add("--T::.Z"[index]);
}

char line_bytes[1024]; // longer lines are cut: a line stays one write

} // namespace

LogLine::LogLine(Event event) : line_(line_bytes) {
    add_time(line_, static_cast<uint64_t>(sys::clock_milliseconds(CLOCK_REALTIME)));
    line_.add(' ').add(word_of(event_names, static_cast<size_t>(event)));
}

Text& LogLine::key(const char* name) {
    return line_.add(' ').add(name).add('=');
}

LogLine& LogLine::add(const char* name, std::string_view value) {
    key(name).add_escaped(value);
    return *this;
}

LogLine& LogLine::add(const char* name, uint64_t value) {
    key(name).add_number(value);
    return *this;
}

LogLine& LogLine::quote(const char* name, std::string_view sentence) {
    key(name).add_quoted(sentence);
    return *this;
}

void LogLine::write_to(std::string_view path) {
    line_.add('\n');
    if (line_.overflowed()) // what did not fit was left out; the end of the line must not be
        line_.replace_last('\n');
    if (!path.empty()) {
        Fd log(sys::open(AT_FDCWD, path.data(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                         0600));
        if (log.is_open() && sys::write(log.number(), line_.view().data(), line_.size()) > 0)
            return;
    }
    pollfd ready = {2, POLLOUT, 0}; // a full pipe that nobody reads must not hold the request up
    if (sys::poll(&ready, 1, 0) > 0 && (ready.revents & POLLOUT) != 0)
        sys::write(2, line_.view().data(), line_.size()); // the last resort: its result changes nothing
}

void rotate_log(std::string_view path) {
    static char old_bytes[longest_path];
    Text old(old_bytes);
    old.add(path).add(".1");
    struct stat status;
    if (!path.empty() && sys::stat(AT_FDCWD, path.data(), status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size > rotate_above)
        sys::rename(AT_FDCWD, path.data(), old.c_str());
}

std::string_view last_log_lines(std::string_view path, char* storage, size_t capacity) {
    if (path.empty())
        return {};
    Fd log(sys::open(AT_FDCWD, path.data(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status;
    if (!log.is_open() || sys::fstat(log.number(), status) < 0)
        return {};
    off_t room = static_cast<off_t>(capacity);
    off_t first = status.st_size > room ? status.st_size - room : 0;
    ssize_t size = uninterrupted([&] { return sys::pread(log.number(), storage, capacity, first); });
    std::string_view text(storage, size > 0 ? static_cast<size_t>(size) : 0);
    if (first > 0)
        text = behind(text, find(text, '\n') + 1); // npos + 1 is 0: one long line stays as it is
    return text;
}

} // namespace rouse
