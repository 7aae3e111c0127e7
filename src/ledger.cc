#include "ledger.h"

#include "buffer.h"
#include "fd.h"
#include "fingerprint.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

namespace rouse {

namespace {

constexpr uint64_t format = 2;         // where the sum begins: another format has another
constexpr int longest_window = 60'000; // milliseconds

static_assert(offsetof(Ledger, answered) == 224, "the file has no gaps");

int write_at(int folder, const void* bytes, size_t size, off_t offset) {
    Fd file(sys::open(folder, "ledger", O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (!file.is_open())
        return file.number();
    ssize_t written = sys::pwrite(file.number(), bytes, size, offset); // a regular file: no EINTR
    if (written < 0)
        return static_cast<int>(written);
    return static_cast<size_t>(written) == size ? 0 : -ENOSPC;
}

} // namespace

uint64_t sum_of(const Ledger& ledger) {
    return see(&ledger.outcome, offsetof(Ledger, answered) - offsetof(Ledger, outcome), format);
}

void set_reason(Ledger& ledger, std::string_view sentence) {
    char* end = ledger.reason;
    for (char one : part(sentence, 0, sizeof ledger.reason - 1))
        *end++ = one < ' ' || one > '~' ? '?' : one;
    *end = '\0';
}

uint64_t this_boot() {
    static char storage[64];
    std::string_view id;
    read_small_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", storage, sizeof storage, id);
    return see(id.data(), id.size());
}

void read_ledger(int folder, Ledger& ledger) {
    Fd file(sys::open(folder, "ledger", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    ledger.answered = 0;
    ssize_t size = read_full(file.number(), reinterpret_cast<char*>(&ledger), sizeof ledger); // not open: -EBADF
    if (size < ssize_t{offsetof(Ledger, answered)} || ledger.sum != sum_of(ledger))
        ledger = {};
    if (ledger.answered != ledger.number)
        ledger.answered = 0;
}

int write_ledger(int folder, Ledger& ledger) {
    ledger.sum = sum_of(ledger);
    return write_at(folder, &ledger, offsetof(Ledger, answered), 0);
}

int write_answered(int folder, int64_t number) {
    return write_at(folder, &number, sizeof number, offsetof(Ledger, answered));
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
