#include "lines.h"

#include "buffer.h"
#include "io.h"

#include <fcntl.h>

namespace rouse {

namespace {

char bytes[4096];

} // namespace

LineReader::LineReader(const char* path, char end)
    : separator_(end), file_(sys::open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC)) {}

bool LineReader::fill() {
    if (start_ > 0) {
        memmove(bytes, bytes + start_, end_ - start_);
        end_ -= start_;
        start_ = 0;
    }
    if (!file_.is_open() || end_ == sizeof bytes)
        return false;
    ssize_t count = read_some(file_.number(), bytes + end_, sizeof bytes - end_);
    if (count <= 0)
        return false;
    end_ += static_cast<size_t>(count);
    return true;
}

bool LineReader::next(std::string_view& line) {
    for (;;) {
        std::string_view rest(bytes + start_, end_ - start_);
        size_t newline = find(rest, separator_);
        if (newline == std::string_view::npos) {
            if (fill())
                continue;
            rest = {bytes + start_, end_ - start_}; // fill moved it
            if (rest.empty())
                return false;
        }
        bool whole = newline != std::string_view::npos;
        line = whole ? front(rest, newline) : rest;
        start_ += whole ? newline + 1 : rest.size();
        bool was_cut = cut_;
        cut_ = !whole;
        if (!was_cut)
            return true;
    }
}

[[gnu::noinline]] std::string_view word_of(std::string_view line, size_t index, char separator) {
    for (;;) {
        if (separator == ' ') // columns are padded with several blanks; fields of passwd(5) may be empty
            while (begins_with(line, ' '))
                line = behind(line, 1);
        size_t end = find(line, separator);
        if (end == std::string_view::npos)
            end = line.size();
        if (index == 0)
            return front(line, end);
        if (end == line.size())
            return {};
        line = behind(line, end + 1);
        --index;
    }
}

[[gnu::noinline]] std::string_view word_of(std::string_view line, size_t index) {
    return word_of(line, index, ' ');
}

} // namespace rouse
