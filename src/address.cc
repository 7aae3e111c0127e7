#include "address.h"

#include "buffer.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

namespace rouse {
namespace {

constexpr size_t max_path = sizeof(sockaddr_un::sun_path) - 1; // 107, its NUL beside it

void set_unix(Address& address, std::string_view name, size_t zeros_before, size_t zeros_behind) {
    sockaddr_un socket = {};
    socket.sun_family = AF_UNIX;
    memcpy(socket.sun_path + zeros_before, name.data(), name.size());
    memcpy(&address.bytes, &socket, sizeof socket);
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + zeros_before + name.size() + zeros_behind);
}

// sockaddr_in and sockaddr_in6 begin alike: the family, the port; the host comes at an offset of its own.
socklen_t set_inet(sockaddr_storage& bytes, sa_family_t family, uint16_t port, const uint8_t* host) {
    bool is_inet4 = family == AF_INET;
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    bytes.ss_family = family;
    uint16_t in_order = htons(port);
    char* at = reinterpret_cast<char*>(&bytes);
    memcpy(at + offsetof(sockaddr_in, sin_port), &in_order, sizeof in_order);
    memcpy(at + (is_inet4 ? offsetof(sockaddr_in, sin_addr) : offsetof(sockaddr_in6, sin6_addr)), host,
           is_inet4 ? 4 : 16);
    return is_inet4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

// Four decimal numbers to 255 without a zero in front: 010 is 8 for some and 10 for others.
// inet_pton would bring 4 kB with it.
bool parse_inet4(std::string_view text, uint8_t* host) {
    for (int index = 0; index < 4; index++) {
        size_t end = index < 3 ? text.find('.') : text.size();
        uint64_t number = 0;
        std::string_view digits = part(text, 0, end);
        if (end > 3 || !parse_decimal(digits, number) || number > 255 || (digits[0] == '0' && digits.size() > 1))
            return false;
        host[index] = static_cast<uint8_t>(number);
        text = part(text, end + 1);
    }
    return true;
}

// RFC 4291, section 2.2, without its dotted form: groups of one to four hexadecimal digits, one `::`.
bool parse_inet6(std::string_view text, uint8_t (&host)[16]) {
    size_t filled = 0;
    size_t gap = SIZE_MAX; // where `::` stands
    bool is_first = true;
    for (; !text.empty(); is_first = false) {
        if (gap == SIZE_MAX && text.starts_with("::")) {
            gap = filled;
            text.remove_prefix(2);
        } else if (!is_first) {
            if (text[0] != ':')
                return false;
            text.remove_prefix(1);
        }
        unsigned number = 0;
        size_t digits = 0;
        for (; digits < 4 && digits < text.size() && hex_digit(text[digits]) >= 0; digits++)
            number = number * 16 + static_cast<unsigned>(hex_digit(text[digits]));
        if (digits == 0 && text.empty() && gap == filled)
            break; // `::` at the end
        if (digits == 0 || filled == sizeof host)
            return false;
        host[filled++] = static_cast<uint8_t>(number >> 8);
        host[filled++] = static_cast<uint8_t>(number);
        text.remove_prefix(digits);
    }
    if (gap == SIZE_MAX)
        return filled == sizeof host;
    if (filled == sizeof host)
        return false; // `::` stands for one group at least
    size_t behind = filled - gap;
    memmove(host + sizeof host - behind, host + gap, behind);
    memset(host + gap, 0, sizeof host - filled);
    return true;
}

AddressError parse_tcp(std::string_view text, Address& address) {
    size_t colon = text.rfind(':');
    if (text[0] == '[') { // the colons inside the brackets are the host's
        size_t bracket = text.find(']');
        colon = bracket == text.npos || part(text, bracket + 1, 1) != ":" ? text.npos : bracket + 1;
    }
    uint64_t number = 0;
    if (colon == text.npos || !parse_decimal(part(text, colon + 1), number) || number < 1 || number > 65535)
        return AddressError::BadPort;
    auto port = static_cast<uint16_t>(number);
    std::string_view host = part(text, 0, colon);

    uint8_t inet4[4] = {127, 0, 0, 1};
    uint8_t inet6[16] = {};
    if (host == "localhost") {
        inet6[15] = 1;
        address.size = set_inet(address.bytes, AF_INET, port, inet4);
        address.other_size = set_inet(address.other, AF_INET6, port, inet6);
        address.family = Address::Family::Localhost;
    } else if (host.size() > 2 && host[0] == '[' && parse_inet6(part(host, 1, host.size() - 2), inet6)) {
        address.size = set_inet(address.bytes, AF_INET6, port, inet6);
        address.family = Address::Family::Inet6;
    } else if (parse_inet4(host, inet4)) {
        address.size = set_inet(address.bytes, AF_INET, port, inet4);
        address.family = Address::Family::Inet4;
    } else {
        return AddressError::BadHost;
    }
    return AddressError::None;
}

} // namespace

AddressError parse_address(std::string_view text, Address& address) {
    address = {};
    if (text.empty() || text == "@")
        return AddressError::Empty;
    address.text = text;
    if (text[0] != '/' && text[0] != '@')
        return parse_tcp(text, address);

    bool is_path = text[0] == '/';
    std::string_view name = part(text, is_path ? 0 : 1);
    if (name.size() > max_path)
        return AddressError::PathTooLong;
    // unix(7): a path counts its NUL, an abstract name is what follows a NUL and has none at its end.
    set_unix(address, name, is_path ? 0 : 1, is_path ? 1 : 0);
    address.family = is_path ? Address::Family::Path : Address::Family::Abstract;
    return AddressError::None;
}

} // namespace rouse
