// This file knows one line for one event: "2026-11-22T19:13:02.123Z EVENT key=value ...", UTC, one write each.
//
// Bytes outside printable ASCII stand as \xHH: a client cannot forge a line (X1). A log that cannot be
// written never fails a request: the line then goes to standard error, and if nobody reads there, nowhere.
#pragma once

#include "buffer.h"

#include <stdint.h>
#include <string_view>

namespace rouse {

enum class Event {
    Answered, // "page": rouse answered itself: status, incident, error
    Cut,      // a response ended early after output had begun
    Launch,   // a launch began: number, reason, version
    Adopted,  // a launch whose guardian was killed is watched on
    Ready,    // the server listens
    Failed,   // a launch failed: error
    Killed,   // a launch was ended by somebody else
    Stopping, // TERM was sent to what an earlier launch left
    Stopped,  // the owner stopped the server
};

// One at a time: the line is put together in one place.
class LogLine {
public:
    explicit LogLine(Event event);

    LogLine& add(const char* key, std::string_view value); // key=value
    LogLine& add(const char* key, uint64_t value);
    LogLine& quote(const char* key, std::string_view sentence); // key="sentence"
    Text& text() { return line_; }

    // Appends the line to the log at `path` (with a NUL behind it), which is made if it is not there (mode 0600, O_NOFOLLOW).
    // An empty path: standard error.
    void write_to(std::string_view path);

private:
    Text& key(const char* name);

    Text line_;
};

// Over 1 MiB the log at `path` is renamed to `path`.1, replacing the one before.
void rotate_log(std::string_view path);

// The last bytes of the log, from the beginning of a line: at most what fits `storage`.
std::string_view last_log_lines(std::string_view path, char* storage, size_t capacity);

} // namespace rouse
