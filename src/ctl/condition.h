// This file knows how the server of a site is: what the kernel says of it now, and what the ledger and the log remember.
#pragma once

#include "ctl/failure.h"
#include "ctl/listening.h"
#include "ctl/site.h"
#include "ledger.h"

namespace rouse {

// The exit status of every command.
enum class Exit {
    Well = 0,
    Not = 1,
    Usage = 2,
    Pending = 3, // starting, or backing off
    Unknown = 4, // cannot tell
};

struct Condition {
    static constexpr size_t most_processes = 64;

    enum class State { Unknown, Up, Foreign, Starting, BackingOff, Stopped, Down };

    State state = State::Unknown;
    Error error;                  // Unknown
    bool is_ours = false;         // Up: rouse started it
    bool hangs = false;           // Up: nobody was answered, several times in a row (W2)
    bool is_of_this_boot = false; // what the ledger says
    int retry_after = 0;          // BackingOff: milliseconds
    int64_t uptime = 0;           // seconds that the oldest process has lived
    size_t process_count = 0;
    Listening listening;
    Ledger ledger;
    Failure failure;
    uint64_t boot = 0;
    pid_t processes[most_processes] = {};
    char log[65536] = {}; // the end of it

    std::string_view why() const; // the newest launch failed: whole, as in the log, or what the ledger has room for
    Exit exit() const;
    const char* name() const; // of the state, one word
};

// `site` is usable, `condition` as it was made: of zeros, in memory that costs nothing in the file.
void look_at(const Site& site, Condition& condition);

// How it is, for a person: the first line says it, the others what belongs to it.
void describe(const Site& site, const Condition& condition, Text& out);

// The same for a program: one object.
void describe_in_json(const Site& site, const Condition& condition, Text& out);

} // namespace rouse
