// This file knows the beginning of a program as the kernel reads it (execve(2), "Interpreter scripts").
#pragma once

#include <stddef.h>
#include <string_view>

namespace rouse {

struct FirstLine {
    bool is_binary = false;       // ELF
    bool has_mark = false;        // a byte order mark, which hides what is behind it from the kernel
    bool has_interpreter = false; // a #! line, behind a mark or not
    bool ends_in_cr = false;
    size_t size = 0;              // of the line, without its end
    std::string_view interpreter; // what the kernel would run: with a CR when nothing stands between
};

// Kernels before 5.1 read so much of the line and leave the rest out without a word.
constexpr size_t longest_first_line = 127;

FirstLine read_first_line(std::string_view text);

} // namespace rouse
