// This file knows the textual form of the address of a server: a unix or a TCP socket on this machine.
#pragma once

#include <netinet/in.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>

namespace rouse {

struct Address {
    enum class Family {
        None,
        Path,      // a unix socket in the file system
        Abstract,  // a unix socket in Linux's abstract namespace, written @name
        Inet4,     // 127.0.0.1:4000, any dotted quad
        Inet6,     // [::1]:4000
        Localhost, // localhost:4000: 127.0.0.1, then ::1; `other` holds the second
    };

    Family family = Family::None;
    std::string_view text; // as connect and the server write it: an absolute path, @name, host:port
    sockaddr_storage bytes = {};
    socklen_t size = 0;
    sockaddr_storage other = {}; // Localhost only
    socklen_t other_size = 0;

    // Family::Path: the path with a NUL behind it.
    const char* path() const { return reinterpret_cast<const sockaddr_un*>(&bytes)->sun_path; }
    bool is_unix() const { return family == Family::Path || family == Family::Abstract; }
};

enum class AddressError {
    None,
    Empty,
    PathTooLong, // over 107 bytes: unix(7), sun_path with its NUL
    BadPort,     // not 1 to 65535
    BadHost,     // not an address and not localhost: no other names are looked up
};

// `text` must be an absolute path, @name or host:port, and must outlive the address.
AddressError parse_address(std::string_view text, Address& address);

} // namespace rouse
