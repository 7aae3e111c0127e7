// This file knows who listens at the address of a server, without a connection: a server never sees one without a
// request (L7).
#pragma once

#include "address.h"

#include <sys/types.h>

namespace rouse {

struct Listening {
    bool somebody = false;
    bool uid_is_known = false;
    uid_t uid = 0;
    ino_t inode = 0; // of the socket, as in /proc/PID/fd ("socket:[inode]")
};

// For a path the kernel is asked which socket lies there (sock_diag(7)), so that neither a link in the path nor a socket
// whose name was taken away misleads; a kernel that does not tell is asked by name.
Listening who_listens(const Address& address);

} // namespace rouse
