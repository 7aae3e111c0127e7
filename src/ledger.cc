#include "ledger.h"

#include "fd.h"
#include "io.h"
#include "lines.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr std::string_view format = "rouse-ledger-1"; // the first word: another format is another word
constexpr size_t launch_width = 512;                  // bytes, the newline included
constexpr size_t answered_width = 64;
constexpr size_t sum_width = 10; // of them for a blank, the checksum and the newline
constexpr std::string_view outcomes = "none starting ready failed killed stopped";
constexpr int outcome_count = 6;
constexpr int longest_window = 60'000; // milliseconds

// The numbers of a launch, in the order of the line: words 4 and on.
constexpr int64_t Ledger::*numbers[] = {&Ledger::number,   &Ledger::started,        &Ledger::changed,
                                        &Ledger::guardian, &Ledger::guardian_start, &Ledger::failures,
                                        &Ledger::killed,   &Ledger::early,          &Ledger::fingerprint};
constexpr size_t first_number = 4;

// FNV-1a, 32 bits: against noise and half-written lines, not against an enemy, who cannot write here.
uint32_t checksum(std::string_view text) {
    uint32_t sum = 2166136261u;
    for (char one : text)
        sum = (sum ^ static_cast<unsigned char>(one)) * 16777619u;
    return sum;
}

// Pads the line with blanks, then the checksum and the newline, to `width` bytes.
void close_line(Text& line, size_t width) {
    while (line.size() < width - sum_width)
        line.add(' ');
    uint32_t sum = checksum(line.view());
    line.add(' ').add_hex(sum, 8).add('\n');
}

// What stands in the line, when its checksum is right; empty otherwise.
std::string_view open_line(std::string_view text, size_t width) {
    std::string_view line = part(text, 0, width - sum_width);
    char storage[16];
    Text sum(storage);
    sum.add(' ').add_hex(checksum(line), 8).add('\n');
    return part(text, line.size(), sum_width) == sum.view() ? line : std::string_view();
}

int64_t number_at(std::string_view line, size_t index) {
    uint64_t number = 0;
    parse_decimal(word_of(line, index), number);
    return static_cast<int64_t>(number & INT64_MAX);
}

void copy(char* to, size_t size, std::string_view text) {
    text = part(text, 0, size - 1);
    memcpy(to, text.data(), text.size());
    to[text.size()] = '\0';
}

int write_at(int folder, std::string_view bytes, off_t offset) {
    Fd file(sys::open(folder, "ledger", O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (!file.is_open())
        return file.number();
    ssize_t written = sys::pwrite(file.number(), bytes.data(), bytes.size(), offset); // a regular file: no EINTR
    if (written < 0)
        return static_cast<int>(written);
    return static_cast<size_t>(written) == bytes.size() ? 0 : -ENOSPC;
}

} // namespace

void set_reason(Ledger& ledger, std::string_view sentence) {
    copy(ledger.reason, sizeof ledger.reason, sentence);
    for (char* one = ledger.reason; *one != '\0'; ++one)
        if (*one < ' ' || *one > '~' || *one == '"')
            *one = '?';
}

void render_ledger(const Ledger& ledger, Text& out) {
    out.add(format).add(' ').add(word_of(outcomes, static_cast<size_t>(ledger.outcome)));
    out.add(' ').add(ledger.boot).add(' ').add(ledger.socket);
    for (auto number : numbers)
        out.add(' ').add_number(static_cast<uint64_t>(ledger.*number));
    out.add(" \"").add(ledger.reason).add('"');
    close_line(out, launch_width);
}

void parse_ledger(std::string_view text, Ledger& ledger) {
    ledger = {};
    std::string_view line = open_line(text, launch_width);
    int outcome = outcome_count;
    while (--outcome > 0 && word_of(line, 1) != word_of(outcomes, static_cast<size_t>(outcome)))
        ;
    if (word_of(line, 0) != format)
        return;
    ledger.outcome = static_cast<Ledger::Outcome>(outcome);
    copy(ledger.boot, sizeof ledger.boot, word_of(line, 2));
    copy(ledger.socket, sizeof ledger.socket, word_of(line, 3));
    size_t index = first_number;
    for (auto number : numbers)
        ledger.*number = number_at(line, index++);
    copy(ledger.reason, sizeof ledger.reason, word_of(line, 1, '"'));
    line = open_line(part(text, launch_width), answered_width);
    if (word_of(line, 0) == "answered"sv && number_at(line, 1) == ledger.number)
        ledger.answered = ledger.number;
}

void read_ledger(int folder, Ledger& ledger) {
    static char text[launch_width + answered_width];
    Fd file(sys::open(folder, "ledger", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    ssize_t size = read_full(file.number(), text, sizeof text); // of a file that is not open: -EBADF
    parse_ledger({text, size > 0 ? static_cast<size_t>(size) : 0}, ledger);
}

int write_ledger(int folder, const Ledger& ledger) {
    static char line_bytes[launch_width + 1];
    Text line(line_bytes);
    render_ledger(ledger, line);
    return write_at(folder, line.view(), 0);
}

int write_answered(int folder, int64_t number) {
    static char line_bytes[answered_width + 1];
    Text line(line_bytes);
    line.add("answered ").add_number(static_cast<uint64_t>(number));
    close_line(line, answered_width);
    return write_at(folder, line.view(), launch_width);
}

void judge(Ledger& ledger, const Moment& moment) {
    if (ledger.boot != moment.boot || ledger.changed > moment.now) { // before a reboot, or noise
        if (ledger.outcome != Ledger::Outcome::Stopped)
            ledger.outcome = Ledger::Outcome::None;
    } else if (ledger.outcome != Ledger::Outcome::Ready) {
        return;
    } else if (ledger.answered != ledger.number && moment.now - ledger.changed < early_within) {
        if (++ledger.early <= early_tolerated)
            return;
        ledger.outcome = Ledger::Outcome::Failed;
        ledger.changed = moment.now;
        ++ledger.failures;
        Text(ledger.reason).add("it went down at once, without an answer, twice in a row"_phrase).c_str();
        return;
    }
    ledger.failures = ledger.killed = ledger.early = 0;
}

int back_off_left(const Ledger& ledger, const Moment& moment) {
    if (!ledger.is_failure() || ledger.failures == 0 || ledger.boot != moment.boot ||
        ledger.fingerprint != moment.fingerprint)
        return 0;
    int window = ledger.failures <= 6 ? 1000 << (ledger.failures - 1) : longest_window;
    int64_t age = moment.now - ledger.changed;
    return age < 0 || age >= window ? 0 : window - static_cast<int>(age);
}

} // namespace rouse
