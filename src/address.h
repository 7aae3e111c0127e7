// This file knows the textual form of the address of a server: a unix or a TCP socket on this machine.
#pragma once

#include "phrase.h"

#include <netinet/in.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>

namespace rouse {

struct Address {
    enum class Family : char {
        None,
        Path,      // a unix socket in the file system
        Abstract,  // a unix socket in Linux's abstract namespace, written @name
        Inet4,     // 127.0.0.1:4000, any dotted quad
        Inet6,     // [::1]:4000, and no other
        Localhost, // localhost:4000: 127.0.0.1, then ::1; `other` holds the second
    };

    Family family = Family::None;
    socklen_t size = 0;
    socklen_t other_size = 0;
    std::string_view text; // as connect and the server write it: an absolute path, @name, host:port
    sockaddr_storage bytes = {};
    sockaddr_storage other = {}; // Localhost only

    // Family::Path: the path with a NUL behind it.
    const char* path() const { return reinterpret_cast<const sockaddr_un*>(&bytes)->sun_path; }
    bool is_unix() const { return family == Family::Path || family == Family::Abstract; }
};

// `text` must be an absolute path, @name or host:port, and must outlive the address. Answers what is wrong and the
// cure, or nothing. No names but localhost are known, and no literal of IPv6 but [::1].
Phrase parse_address(std::string_view text, Address& address);

} // namespace rouse
