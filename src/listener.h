// This file knows who listens on an address, as the kernel tells it: sock_diag(7) for a TCP port of this
// machine, /proc/net/unix for a unix socket.
#pragma once

#include "address.h"
#include "buffer.h"
#include "lines.h"

#include <stdint.h>
#include <sys/types.h>

namespace rouse {

struct TcpListener {
    enum class Known { Unknown, Nobody, Somebody }; // Unknown: the kernel does not tell, or not a local address
    Known known = Known::Unknown;
    uid_t uid = 0;      // Somebody: the owner of the listening socket
    uint32_t inode = 0; // Somebody: its inode, as in /proc/PID/fd ("socket:[inode]")
};

// One query and one answer about the TCP socket that listens at `name` (sockaddr_in or sockaddr_in6), or at the
// wildcard address of its port.
TcpListener find_tcp_listener(const sockaddr_storage& name);

// Calls `found(inode)` for each unix socket that is bound to `name` (a path or @name) and is listening or
// about to: not for the connections that a listener has accepted, which carry its name too. A name with a
// blank in it is compared up to the blank: a neighbour more may be found, never one less.
template <class Found> void each_unix_listener(std::string_view name, Found found) {
    LineReader lines("/proc/net/unix");
    // Num RefCount Protocol Flags Type St Inode Path; St 01 is unconnected: bound, listening or not.
    for (std::string_view line; lines.next(line);) {
        uint64_t inode = 0;
        if (word_of(line, 5) == "01" && word_of(line, 7) == word_of(name, 0) && parse_decimal(word_of(line, 6), inode))
            found(inode);
    }
}

} // namespace rouse
