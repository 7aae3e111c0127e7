#include "ctl/first_line.h"

#include "buffer.h"

namespace rouse {

FirstLine read_first_line(std::string_view text) {
    FirstLine first;
    first.is_binary = text.starts_with("\177ELF");
    if (first.is_binary)
        return first;
    first.has_mark = text.starts_with("\xEF\xBB\xBF");
    if (first.has_mark)
        text.remove_prefix(3);
    first.has_interpreter = text.starts_with("#!");
    std::string_view line = part(text, 0, text.find('\n'));
    first.size = line.size();
    first.ends_in_cr = line.ends_with('\r');
    if (!first.has_interpreter)
        return first;
    line = trim(part(line, 2));
    first.interpreter = part(line, 0, line.find_first_of(" \t"));
    return first;
}

} // namespace rouse
