// This file knows the app file as one immutable value.
//
// A line is `key = value`; blanks around both do not count. A `#` at the start of a line or behind a blank begins
// a comment, inside a word it belongs to the word. A `socket` without a slash that has a colon, or only digits
// and dots, is host:port; ./name is a path in any case. Times are seconds with an optional fraction, rounded up
// to the millisecond. Sizes are bytes, with k, M, G (or KiB, MiB, GiB) behind them for powers of 1024.
//
// `Settings` points into `app` and into its own arena, so it does not move, and both live as long as the
// process. Every text but `app` has a NUL behind it. No value of a setting ever stands in an error.
#pragma once

#include "address.h"
#include "setting_lines.h"
#include "buffer.h"

#include <stdint.h>
#include <string_view>
#include <sys/types.h>

namespace rouse {

struct Settings {
    static constexpr size_t max_arguments = 64; // words in `start`, the program among them

    std::string_view app;           // absolute path of the app file
    std::string_view folder;        // the folder that it is in, without a slash at the end (but "/")
    Address socket;                 // where the server listens
    std::string_view run;           // absolute path of the run directory; empty: there is none, only forwarding
    std::string_view node_run;      // run "/" node: where locks, ledger, log and by default sock are
    std::string_view directory;     // working directory of the start script
    std::string_view log;           // absolute path of the log; empty: there is none, events go to standard error
    bool socket_is_default = false; // `socket` was not set: it is node_run "/sock"
    bool socket_names_run = false;  // `socket` is a path and run is SOCKET.run

    const char* start[max_arguments + 1] = {}; // argv of the start script, null-terminated; start[0] absolute
    size_t start_count = 0;                    // 0: rouse only forwards

    // Milliseconds, 0 to 2^31 - 1. See the app file's keys: seconds there, fractions allowed.
    int wait = 25'000;
    int start_timeout = 90'000;
    int response_timeout = 45'000; // 0: never
    int stop_timeout = 10'000;

    uint64_t max_spool = uint64_t{1} << 30; // bytes
    bool has_peer_uid = false;
    uid_t peer_uid = 0;
    bool has_script_name = false;
    std::string_view script_name; // may be empty; without NUL and control bytes
    bool show_errors = false;

    char arena[16384]; // paths that had to be put together
};

// `text` is the whole app file (a #! line, a BOM, CRLF are tolerated), `app` its absolute path, `node` this
// machine's name. On an error `settings` is partly filled and only `app` and `folder` may be used.
SettingsError parse_settings(std::string_view text, std::string_view app, std::string_view node, Settings& settings);

} // namespace rouse
