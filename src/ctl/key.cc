#include "ctl/key.h"

#include "buffer.h"

namespace rouse {

namespace {

bool is_space(char one) {
    return one == ' ' || one == '\t' || one == '\r' || one == '\n';
}

} // namespace

void read_key(std::string_view text, Key& key) {
    key = {};
    while (!text.empty() && is_space(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_space(text.back()))
        text.remove_suffix(1);
    if (text.size() < Key::least || text.size() > Key::room || text.find('\0') != std::string_view::npos)
        return;
    key.size = text.size();
    memcpy(key.bytes, text.data(), text.size());
}

void read_form(std::string_view form, Key& key) {
    key = {};
    while (!form.empty() && !form.starts_with("key="))
        form = part(form, part(form, 0, form.find('&')).size() + 1);
    form = part(form, 4);
    form = part(form, 0, form.find('&'));
    static char decoded_bytes[Key::room + 2];
    Text decoded(decoded_bytes);
    for (size_t at = 0; at < form.size(); ++at) {
        if (form[at] == '%' && at + 2 < form.size()) {
            int high = hex_digit(form[at + 1]), low = hex_digit(form[at + 2]);
            if (high >= 0 && low >= 0) {
                decoded.add(static_cast<char>(high * 16 + low));
                at += 2;
                continue;
            }
        }
        decoded.add(form[at] == '+' ? ' ' : form[at]);
    }
    if (!decoded.overflowed())
        read_key(decoded.view(), key);
}

// A volatile sum: the compiler may not leave the loop when the answer is known.
bool are_equal(const Key& one, const Key& other) {
    volatile unsigned difference = static_cast<unsigned>(one.size ^ other.size);
    for (size_t at = 0; at < Key::room; ++at)
        difference = difference | static_cast<unsigned>(one.bytes[at] ^ other.bytes[at]);
    difference = difference | static_cast<unsigned>(one.size == 0);
    return difference == 0;
}

} // namespace rouse
