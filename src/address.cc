#include "address.h"

#include "buffer.h"

#include <stddef.h>
#include <string.h>

namespace rouse {
namespace {

// sockaddr_in and sockaddr_in6 begin alike: the family, the port in network order. What is not set is 0.
unsigned char* set_inet(sockaddr_storage& bytes, sa_family_t family, uint64_t port) {
    static_assert(offsetof(sockaddr_in, sin_port) == 2 && offsetof(sockaddr_in6, sin6_port) == 2);
    auto* at = reinterpret_cast<unsigned char*>(&bytes);
    bytes.ss_family = family;
    at[2] = static_cast<unsigned char>(port >> 8);
    at[3] = static_cast<unsigned char>(port);
    return at;
}

[[gnu::noinline]] socklen_t set_inet6_loopback(sockaddr_storage& bytes, uint64_t port) {
    set_inet(bytes, AF_INET6, port)[offsetof(sockaddr_in6, sin6_addr) + 15] = 1;
    return sizeof(sockaddr_in6);
}

// Four decimal numbers to 255 without a zero in front: 010 is 8 for some and 10 for others.
// inet_pton would bring 4 kB with it.
bool parse_inet4(std::string_view text, unsigned char* host) {
    constexpr unsigned none = 256;
    unsigned number = none;
    int count = 0;
    for (size_t at = 0; at <= text.size(); at++) {
        if (at == text.size() || text[at] == '.') {
            if (number == none || count == 4)
                return false;
            host[count++] = static_cast<unsigned char>(number);
            number = none;
            continue;
        }
        unsigned digit = static_cast<unsigned>(text[at]) - '0';
        if (digit > 9 || number == 0)
            return false;
        number = number == none ? digit : number * 10 + digit;
        if (number > 255)
            return false;
    }
    return count == 4;
}

Phrase parse_tcp(std::string_view text, Address& address) {
    size_t colon = find_last(text, ':');
    uint64_t port = 0;
    if (colon == text.npos || !parse_decimal(behind(text, colon + 1), port) || port - 1 >= 65535)
        return "there is no port from 1 to 65535. Write host:port, such as 127.0.0.1:4000, or ./name for a file"_phrase;
    std::string_view host = front(text, colon);
    int name = index_of(host, "[::1] localhost");
    if (name == 0) {
        address.size = set_inet6_loopback(address.bytes, port);
        address.family = Address::Family::Inet6;
        return {};
    }
    bool is_localhost = name > 0;
    if (!parse_inet4(is_localhost ? "127.0.0.1"sv : host,
                     set_inet(address.bytes, AF_INET, port) + offsetof(sockaddr_in, sin_addr)))
        return "this is no host that rouse knows. Write 127.0.0.1:4000, [::1]:4000 or localhost:4000"_phrase;
    address.size = sizeof(sockaddr_in);
    address.family = Address::Family::Inet4;
    if (is_localhost) {
        address.other_size = set_inet6_loopback(address.other, port);
        address.family = Address::Family::Localhost;
    }
    return {};
}

} // namespace

Phrase parse_address(std::string_view text, Address& address) {
    address = {};
    address.text = text;
    bool is_path = begins_with(text, '/');
    if (!is_path && !begins_with(text, '@'))
        return parse_tcp(text, address);

    // unix(7): a path counts its NUL, an abstract name is what follows a NUL and has none at its end.
    auto* socket = reinterpret_cast<sockaddr_un*>(&address.bytes);
    size_t size = text.size() + is_path;
    if (size > sizeof socket->sun_path)
        return "the socket's path is over 107 bytes. Shorten it, or `run`"_phrase;
    if (text.size() < 2)
        return "there is no name. Write one, such as @shop"_phrase;
    socket->sun_family = AF_UNIX;
    memcpy(socket->sun_path, text.data(), text.size());
    if (!is_path)
        socket->sun_path[0] = '\0';
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    address.family = is_path ? Address::Family::Path : Address::Family::Abstract;
    return {};
}

} // namespace rouse
