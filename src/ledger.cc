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
constexpr std::string_view outcomes[] = {"none", "starting", "ready", "failed", "killed", "stopped"};

// FNV-1a, 32 bits: against noise and half-written lines, not against an enemy, who cannot write here.
uint32_t checksum(std::string_view text) {
    uint32_t sum = 2166136261u;
    for (char one : text)
        sum = (sum ^ static_cast<unsigned char>(one)) * 16777619u;
    return sum;
}

// Pads the line with blanks, then the checksum and the newline, to `width` bytes from `start`.
void close_line(Text& out, size_t start, size_t width) {
    while (out.size() - start < width - 10)
        out.add(' ');
    uint32_t sum = checksum(part(out.view(), start, width - 10));
    out.add(' ').add_hex(sum, 8).add('\n');
}

// The words of a line, whose checksum is right; empty otherwise.
std::string_view open_line(std::string_view text, size_t width) {
    if (text.size() < width || text[width - 1] != '\n')
        return {};
    static char sum_bytes[16];
    Text sum(sum_bytes);
    sum.add_hex(checksum(part(text, 0, width - 10)), 8);
    if (part(text, width - 9, 8) != sum.view())
        return {};
    return part(text, 0, width - 10);
}

uint64_t number_at(std::string_view line, size_t index) {
    uint64_t number = 0;
    parse_decimal(word_of(line, index), number);
    return number;
}

template <size_t Size> void copy(char (&to)[Size], std::string_view text) {
    text = part(text, 0, Size - 1);
    memcpy(to, text.data(), text.size());
    to[text.size()] = '\0';
}

// A name without blanks; "-" when empty.
void add_word(Text& out, const char* text) {
    out.add(' ').add(*text != '\0' ? std::string_view(text) : "-");
}

int write_at(int folder, std::string_view bytes, off_t offset) {
    Fd file(sys::open(folder, "ledger", O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (!file.is_open())
        return file.number();
    ssize_t written =
        uninterrupted([&] { return sys::pwrite(file.number(), bytes.data(), bytes.size(), offset); });
    if (written < 0)
        return static_cast<int>(written);
    return static_cast<size_t>(written) == bytes.size() ? 0 : -ENOSPC;
}

} // namespace

void set_reason(Ledger& ledger, std::string_view sentence) {
    copy(ledger.reason, sentence);
    for (char* one = ledger.reason; *one != '\0'; ++one)
        if (*one < ' ' || *one > '~' || *one == '"')
            *one = '?';
}

void render_ledger(const Ledger& ledger, Text& out) {
    size_t start = out.size();
    out.add(format).add(' ').add_number(ledger.number, 12).add(' ').add(outcomes[static_cast<int>(ledger.outcome)]);
    add_word(out, ledger.boot);
    out.add(' ').add_number(static_cast<uint64_t>(ledger.started)).add(' ');
    out.add_number(static_cast<uint64_t>(ledger.changed)).add(' ');
    out.add_number(static_cast<uint64_t>(ledger.guardian)).add(' ').add_number(ledger.guardian_start).add(' ');
    out.add_number(ledger.failures).add(' ').add_number(ledger.killed).add(' ').add_number(ledger.early).add(' ');
    out.add_number(ledger.fingerprint);
    add_word(out, ledger.socket);
    out.add(" \"").add(ledger.reason).add('"');
    close_line(out, start, launch_width);
}

Ledger parse_ledger(std::string_view text) {
    Ledger ledger;
    std::string_view line = open_line(text, launch_width);
    if (word_of(line, 0) != format)
        return ledger;
    std::string_view outcome = word_of(line, 2);
    bool known = false;
    for (size_t index = 0; index < sizeof outcomes / sizeof outcomes[0]; ++index)
        if (outcome == outcomes[index]) {
            ledger.outcome = static_cast<Ledger::Outcome>(index);
            known = true;
        }
    if (!known)
        return {};
    ledger.number = number_at(line, 1);
    copy(ledger.boot, word_of(line, 3));
    ledger.started = static_cast<int64_t>(number_at(line, 4));
    ledger.changed = static_cast<int64_t>(number_at(line, 5));
    ledger.guardian = static_cast<pid_t>(number_at(line, 6));
    ledger.guardian_start = number_at(line, 7);
    ledger.failures = number_at(line, 8);
    ledger.killed = number_at(line, 9);
    ledger.early = number_at(line, 10);
    ledger.fingerprint = number_at(line, 11);
    copy(ledger.socket, word_of(line, 12));
    size_t quote = line.find('"');
    if (quote != std::string_view::npos)
        copy(ledger.reason, word_of(part(line, quote + 1), 0, '"'));
    std::string_view answered = open_line(part(text, launch_width), answered_width);
    if (word_of(answered, 0) == "answered" && number_at(answered, 1) == ledger.number)
        ledger.answered = ledger.number;
    return ledger;
}

Ledger read_ledger(int folder) {
    char text[launch_width + answered_width];
    Fd file(sys::open(folder, "ledger", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.is_open())
        return {};
    ssize_t size = read_full(file.number(), text, sizeof text);
    return parse_ledger({text, size > 0 ? static_cast<size_t>(size) : 0});
}

int write_ledger(int folder, const Ledger& ledger) {
    static char line_bytes[launch_width + 1];
    Text line(line_bytes);
    render_ledger(ledger, line);
    return write_at(folder, line.view(), 0);
}

int write_answered(int folder, uint64_t number) {
    static char line_bytes[answered_width + 1];
    Text line(line_bytes);
    line.add("answered ").add_number(number, 12);
    close_line(line, 0, answered_width);
    return write_at(folder, line.view(), launch_width);
}

Ledger judged(const Ledger& older, const Moment& moment) {
    Ledger ledger = older;
    if (older.boot != moment.boot || older.changed > moment.now) { // before a reboot, or noise: only the number stays
        bool stopped = older.outcome == Ledger::Outcome::Stopped;
        ledger.outcome = stopped ? Ledger::Outcome::Stopped : Ledger::Outcome::None;
        ledger.failures = ledger.killed = ledger.early = 0;
        return ledger;
    }
    if (older.outcome != Ledger::Outcome::Ready)
        return ledger;
    bool worked = older.answered == older.number || moment.now - older.changed >= early_within;
    if (worked) {
        ledger.failures = ledger.killed = ledger.early = 0;
    } else if (++ledger.early > early_tolerated) {
        ledger.outcome = Ledger::Outcome::Failed;
        ledger.changed = moment.now;
        ++ledger.failures;
        set_reason(ledger, "it went down within 10 s of listening without an answer, twice in a row");
    }
    return ledger;
}

int back_off_left(const Ledger& ledger, const Moment& moment) {
    if (!ledger.is_failure() || ledger.failures == 0 || ledger.boot != moment.boot ||
        ledger.fingerprint != moment.fingerprint)
        return 0;
    int64_t window = ledger.failures <= 6 ? int64_t{1000} << (ledger.failures - 1) : 60'000;
    if (window > 60'000)
        window = 60'000;
    int64_t age = moment.now - ledger.changed;
    return age < 0 || age >= window ? 0 : static_cast<int>(window - age);
}

} // namespace rouse
