// This file knows who listens on an address, as the kernel tells it: sock_diag(7) for a TCP port of this
// machine, /proc/net/unix for a unix socket.
#pragma once

#include "address.h"

#include <stdint.h>
#include <sys/types.h>

namespace rouse {

struct TcpListener {
    enum class Known : char { Unknown, Nobody, Somebody }; // Unknown: the kernel does not tell, or not a local address
    Known known = Known::Unknown;
    uid_t uid = 0;      // Somebody: the owner of the listening socket
    uint32_t inode = 0; // Somebody: its inode, as in /proc/PID/fd ("socket:[inode]")
};

// One query and one answer about the TCP socket that listens at `name` (sockaddr_in or sockaddr_in6), or at the
// wildcard address of its port.
TcpListener find_tcp_listener(const sockaddr_storage& name);

// The inodes of the unix sockets that are bound to `name` (a path or @name) and are listening or about to: not of the
// connections that a listener has accepted, which carry its name too. Answers how many there are, at most `capacity`. A name
// with a blank in it is compared up to the blank: a neighbour more may be found, never one less.
size_t find_unix_listeners(std::string_view name, ino_t* inodes, size_t capacity);

} // namespace rouse
