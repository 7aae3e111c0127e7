// This file knows the last failure that a log tells of, and how it is said in words.
#pragma once

#include "buffer.h"

#include <string_view>

namespace rouse {

struct Failure {
    std::string_view when;     // as it stands in the log; empty: there was none
    std::string_view launch;   // its number
    std::string_view sentence; // why
    std::string_view printed;  // all that came between the launch and its failure, events among it
};

// `log` is the end of a log, from the beginning of a line. What is quoted is part of it.
Failure last_failure(std::string_view log);

// Whether a line of the log is rouse's own; the others were printed by the start script or the server.
bool is_event(std::string_view line);

// Takes the first line, without its end, off `text`; false when nothing is left.
bool take_line(std::string_view& text, std::string_view& line);

// Where the last `count` lines of `text` that are no events begin.
std::string_view last_printed(std::string_view text, size_t count);

// The sentence with what its number means: "signal 9" becomes "signal 9 (KILL)".
void add_in_words(std::string_view sentence, Text& out);

} // namespace rouse
