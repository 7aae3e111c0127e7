#include "fields.h"

#include "buffer.h"

namespace rouse {
namespace {

char lower(char one) {
    return one >= 'A' && one <= 'Z' ? static_cast<char>(one | 0x20) : one;
}

} // namespace

// Letters, digits and !#$%&'*+-.^_`|~, a bit for each.
[[gnu::noinline]] bool is_token(std::string_view text) {
    static constexpr uint32_t bits[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff};
    for (char one : text) {
        auto byte = static_cast<unsigned char>(one);
        if ((bits[byte / 32] >> byte % 32 & 1) == 0)
            return false;
    }
    return !text.empty();
}

[[gnu::noinline]] bool is_listed(std::string_view name, std::string_view list) {
    size_t same = 0; // bytes of the present word that are those of the name; npos: the word is another one
    for (size_t at = 0; at <= list.size(); at++) {
        char one = at < list.size() ? list[at] : ',';
        if (one == ',' || one == ' ' || one == '\t') {
            if (same == name.size())
                return true;
            same = 0;
        } else if (one == '\n' && same != name.npos) {
            return true;
        } else if (same < name.size() && lower(one) == lower(name[same])) {
            same++;
        } else {
            same = name.npos;
        }
    }
    return false;
}

[[gnu::noinline]] bool is_hop_by_hop(std::string_view name, std::string_view connection) {
    return is_listed(name, "connection keep-alive te trailer transfer-encoding upgrade proxy-\n"sv) ||
           is_listed(name, connection);
}

} // namespace rouse
