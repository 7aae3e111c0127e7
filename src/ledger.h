// This file knows the record of the newest launch, and when the next is allowed (B1 to B3).
//
// A record of fixed size, written in place with one write, so that a full disk does not stop it; and behind it `answered`,
// written with another. The first is written under start.lock, the second without a lock: it is heeded only when it is the
// newest launch. A checksum stands in front: whatever is unreadable, and every other format, counts as empty. Times are
// milliseconds of the boot clock beside the boot id, so neither the wall clock nor the record of an earlier boot matters.
#pragma once

#include <stdint.h>
#include <string_view>
#include <sys/types.h>

namespace rouse {

struct Ledger {
    enum class Outcome : char { None, Starting, Ready, Failed, Killed, Stopped };

    uint64_t sum = 0; // of everything down to `answered`
    Outcome outcome = Outcome::None;
    char unused[7] = {};  // no byte of the file is left to chance
    int64_t number = 0;   // of the newest launch; 0: there was none
    int64_t started = 0;  // when the launch began
    int64_t changed = 0;  // when it came to its outcome
    int64_t guardian = 0; // who carries it out, and its start time (proc(5), stat, field 22)
    int64_t guardian_start = 0;
    int64_t failures = 0;     // failed launches in a row, 0 after one whose server worked
    int64_t killed = 0;       // launches in a row that somebody else ended (P5)
    int64_t early = 0;        // servers in a row that went down within 10 s of ready without an answer (B2)
    uint64_t fingerprint = 0; // of the app file and the start script, when the launch began
    uint64_t boot = 0;        // see this_boot
    uint64_t socket = 0;      // whose ledger this is: see run_folder.h
    char reason[120] = "";    // in words, for the owner: see set_reason
    int64_t answered = 0;     // the launch whose server has answered a request

    bool is_failure() const { return outcome == Outcome::Failed; }
};

uint64_t sum_of(const Ledger& ledger);

// Cut to what fits; what is not printable ASCII becomes a question mark.
void set_reason(Ledger& ledger, std::string_view sentence);

// A number for /proc/sys/kernel/random/boot_id; without /proc every boot is the same.
uint64_t this_boot();

// `folder` is the node's folder. A ledger that is not there or not readable is an empty one.
void read_ledger(int folder, Ledger& ledger);
int write_ledger(int folder, Ledger& ledger);   // 0 or -errno
int write_answered(int folder, int64_t number); // 0 or -errno

// What a record means at this moment: one of another boot keeps its number only; a server that worked clears the
// counts; one that went down early is counted, and is a failure from the second in a row on.
// To be asked only when the server was just found down, under start.lock.
struct Moment {
    uint64_t boot = 0;
    int64_t now = 0;
    uint64_t fingerprint = 0;
};
void judge(Ledger& ledger, const Moment& moment);

// Milliseconds until the next launch may begin, 0: now. The window is 1, 2, 4 ... 60 s after a failure, and is
// over at once when the app file or the start script changed.
int back_off_left(const Ledger& ledger, const Moment& moment);

constexpr int64_t early_within = 10'000; // milliseconds from ready: see Ledger::early
constexpr int64_t early_tolerated = 1;   // in a row; the next counts as failed
constexpr int64_t killed_tolerated = 4;  // in a row; the fifth counts as failed

} // namespace rouse
