// This file knows how to read a text file line by line (or a NUL-separated one entry by entry), whatever its size, in a fixed array.
#pragma once

#include "fd.h"

#include <string_view>

namespace rouse {

// One at a time: they share the array.
class LineReader {
public:
    // A file that cannot be opened reads as empty: what is read so (/proc, /etc/passwd) may be absent.
    explicit LineReader(const char* path, char end = '\n');

    // The next line without its end, valid until the next call; false at the end. A line longer than the
    // array comes cut.
    bool next(std::string_view& line);

private:
    bool fill();

    char separator_;
    Fd file_;
    size_t start_ = 0; // bytes[start_, end_) is read and not yet handed out
    size_t end_ = 0;
    bool cut_ = false; // the line that was handed out last goes on
};

// The word of `line` that stands at `index` (0 is the first), empty when there are fewer.
std::string_view word_of(std::string_view line, size_t index, char separator);
std::string_view word_of(std::string_view line, size_t index); // of those with blanks between them

} // namespace rouse
