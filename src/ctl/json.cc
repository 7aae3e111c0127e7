#include "ctl/json.h"

namespace rouse {

namespace {

// How many bytes the UTF-8 character at the start of `text` has; 0 when it is none (RFC 3629, 4).
size_t utf8_size(std::string_view text) {
    auto at = [&](size_t index) { return index < text.size() ? static_cast<unsigned char>(text[index]) : 0u; };
    unsigned first = at(0);
    size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    for (size_t index = 1; index < size; ++index)
        if ((at(index) & 0xc0) != 0x80)
            return 0;
    bool too_long = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
    bool no_character = (first == 0xed && at(1) > 0x9f) || (first == 0xf4 && at(1) > 0x8f);
    return too_long || no_character ? 0 : size;
}

} // namespace

void add_json(std::string_view text, Text& out) {
    out.add('"');
    while (!text.empty()) {
        size_t size = utf8_size(text);
        auto byte = static_cast<unsigned char>(text[0]);
        if (size == 0 || byte < 0x20 || byte == 0x7f)
            out.add("\\u00").add_hex(byte, 2);
        else if (byte == '"' || byte == '\\')
            out.add('\\').add(text[0]);
        else
            out.add(part(text, 0, size));
        text.remove_prefix(size == 0 ? 1 : size);
    }
    out.add('"');
}

} // namespace rouse
