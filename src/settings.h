// This file knows the app file as one immutable value.
//
// A line is `key = value`; blanks around both do not count. A `#` at the start of a line or behind a blank begins
// a comment, inside a word it belongs to the word. A #! line, a BOM and CRLF are tolerated. A `socket` without a
// slash that has a colon, or only digits and dots, is host:port; ./name is a path in any case. Times are seconds
// with an optional fraction, rounded up to the millisecond. Sizes are bytes, with k, M, G (or KiB, MiB, GiB) behind
// them for powers of 1024.
//
// `Settings` points into `app` and into its own arena, so it does not move, and both live as long as the
// process. Every text but `app` has a NUL behind it. No value of a setting ever stands in an error.
#pragma once

#include "address.h"
#include "buffer.h"

#include <stdint.h>
#include <string_view>
#include <sys/types.h>

namespace rouse {

struct Settings {
    static constexpr size_t max_arguments = 64; // words in `start`, the program among them

    // The small first: near fields make small code. All zero until parse_settings has set the defaults, so that
    // settings can lie in memory that costs nothing in the file.
    int wait = 0;             // milliseconds, 0 to 10^9, as the next three; the keys are in seconds
    int start_timeout = 0;    // never 0 in what parse_settings made
    int response_timeout = 0; // of silence from the server before output has begun; 0: never
    int stop_timeout = 0;
    unsigned max_waiting = 0; // bridges that may wait at once; 0: any number
    uid_t peer_uid = 0;
    bool has_peer_uid = false;
    bool has_script_name = false;
    bool show_errors = false;       // the three choices, in the order of their keys
    bool speaks_http = false;       // the server does, instead of SCGI
    bool trust_forwarded = false;   // somebody in front of the web server sets X-Forwarded-*
    bool socket_is_default = false; // `socket` was not set: it is node_run "/sock"
    bool socket_names_run = false;  // `socket` is a path and run is SOCKET.run
    size_t start_count = 0;         // words in `start`; 0: rouse only forwards
    std::string_view node_run;      // run "/" node: where locks, ledger, log and by default sock are
    std::string_view directory;     // working directory of the start script
    std::string_view log;           // absolute path of the log; empty: there is none, events go to standard error
    std::string_view run;           // absolute path of the run directory; empty: there is none, only forwarding
    std::string_view restart_on;    // absolute path of a file; empty: there is none
    std::string_view page;          // absolute path of an HTML file; empty: there is none
    std::string_view hung;          // node_run "/hung": see health.h
    std::string_view app;           // absolute path of the app file
    std::string_view folder;        // the folder that it is in, without a slash at the end (but "/")
    std::string_view script_name;   // may be empty; without NUL and control bytes
    uint64_t max_spool = 0;         // bytes
    Address socket;                 // where the server listens

    const char* start[max_arguments + 1] = {}; // argv of the start script, null-terminated; start[0] absolute
    char arena[16384] = {};                    // paths that had to be put together
};

// What is wrong with the app file, for its owner: the line (1 is the first; 0: the file as a whole), the key
// (one of ours or empty; an unknown key is quoted only when it is [a-z0-9-]{1,32}), and the fault with its cure.
struct SettingsError {
    unsigned line = 0;
    std::string_view key;
    Phrase fault; // "WHAT IS WRONG. THE CURE"; none: no error

    explicit operator bool() const { return bool(fault); }
};

// `text` is the whole app file, `app` its absolute path, `node` this machine's name. On an error `settings` is partly
// filled: only `app` and `folder` may be used, and neither log nor script name is set.
SettingsError parse_settings(std::string_view text, std::string_view app, std::string_view node, Settings& settings);

} // namespace rouse
