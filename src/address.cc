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

socklen_t set_inet4(sockaddr_storage& bytes, const uint8_t (&host)[4], uint16_t port) {
    sockaddr_in socket = {};
    socket.sin_family = AF_INET;
    socket.sin_port = htons(port);
    memcpy(&socket.sin_addr, host, sizeof host);
    memcpy(&bytes, &socket, sizeof socket);
    return sizeof socket;
}

socklen_t set_inet6(sockaddr_storage& bytes, const uint8_t (&host)[16], uint16_t port) {
    sockaddr_in6 socket = {};
    socket.sin6_family = AF_INET6;
    socket.sin6_port = htons(port);
    memcpy(&socket.sin6_addr, host, sizeof host);
    memcpy(&bytes, &socket, sizeof socket);
    return sizeof socket;
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

// RFC 4291, section 2.2: groups of one to four hexadecimal digits, one `::`, the last 32 bits perhaps dotted.
bool parse_inet6(std::string_view text, uint8_t (&host)[16]) {
    size_t filled = 0;
    size_t gap = SIZE_MAX; // where `::` stands
    if (part(text, 0, 2) == "::") {
        gap = 0;
        text = part(text, 2);
    }
    while (!text.empty()) {
        size_t end = text.find(':');
        std::string_view group = part(text, 0, end);
        if (group.find('.') != group.npos) {
            if (end != text.npos || filled > 12 || !parse_inet4(group, host + filled))
                return false;
            filled += 4;
            break;
        }
        if (group.empty() || group.size() > 4 || filled > 14)
            return false;
        unsigned number = 0;
        for (char one : group) {
            int digit = hex_digit(one);
            if (digit < 0)
                return false;
            number = number * 16 + static_cast<unsigned>(digit);
        }
        host[filled++] = static_cast<uint8_t>(number >> 8);
        host[filled++] = static_cast<uint8_t>(number);
        if (end == text.npos)
            break;
        text = part(text, end + 1);
        if (text.empty())
            return false; // a single colon at the end
        if (text[0] == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = filled;
            text = part(text, 1);
        }
    }
    if (gap == SIZE_MAX)
        return filled == sizeof host;
    if (filled > 14)
        return false; // `::` stands for one group at least
    memmove(host + sizeof host - (filled - gap), host + gap, filled - gap);
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
        address.size = set_inet4(address.bytes, inet4, port);
        address.other_size = set_inet6(address.other, inet6, port);
        address.family = Address::Family::Localhost;
    } else if (host.size() > 2 && host[0] == '[' && parse_inet6(part(host, 1, host.size() - 2), inet6)) {
        address.size = set_inet6(address.bytes, inet6, port);
        address.family = Address::Family::Inet6;
    } else if (parse_inet4(host, inet4)) {
        address.size = set_inet4(address.bytes, inet4, port);
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
