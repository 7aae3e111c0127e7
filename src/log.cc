#include "log.h"

#include "fd.h"
#include "io.h"

#include <fcntl.h>

namespace rouse {

namespace {

constexpr off_t rotate_above = 1 << 20; // bytes
constexpr size_t longest_path = 4096;

const char* name_of(Event event) {
    switch (event) {
    case Event::Answered:
        return "page";
    case Event::Cut:
        return "cut";
    case Event::Launch:
        return "launch";
    case Event::Adopted:
        return "adopted";
    case Event::Ready:
        return "ready";
    case Event::Failed:
        return "failed";
    case Event::Killed:
        return "killed";
    case Event::Stopping:
        return "stopping";
    }
    return "";
}

// The calendar of ISO 8601 from days since 1970-01-01, by the 400-year cycle of 146,097 days that begins on a
// first of March: the leap day is then the last of its year and needs no case of its own.
void add_date(Text& text, uint64_t days) {
    days += 719468; // from 0000-03-01 to 1970-01-01
    uint64_t cycle = days / 146097, day_of_cycle = days % 146097;
    uint64_t year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    uint64_t day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    uint64_t month_from_march = (5 * day_of_year + 2) / 153;
    uint64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint64_t year = year_of_cycle + cycle * 400 + (month <= 2 ? 1 : 0);
    text.add_number(year, 4).add('-').add_number(month, 2).add('-').add_number(day, 2);
}

char line_bytes[1024]; // longer lines are cut: a line stays one write

} // namespace

LogLine::LogLine(Event event) : line_(line_bytes) {
    uint64_t now = static_cast<uint64_t>(sys::clock_milliseconds(CLOCK_REALTIME));
    uint64_t seconds = now / 1000;
    add_date(line_, seconds / 86400);
    line_.add('T').add_number(seconds / 3600 % 24, 2).add(':').add_number(seconds / 60 % 60, 2).add(':');
    line_.add_number(seconds % 60, 2).add('.').add_number(now % 1000, 3).add("Z ").add(name_of(event));
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
        Fd log(sys::open(AT_FDCWD, path.data(),
                         O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
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
        text = part(text, text.find('\n') + 1); // npos + 1 is 0: one long line stays as it is
    return text;
}

} // namespace rouse
