// This file knows how to reach an address: connected, down, busy, or why neither (C1, C2, X2).
#pragma once

#include "address.h"
#include "deadline.h"
#include "error.h"
#include "fd.h"

namespace rouse {

enum class Reach : char {
    Connected,
    Down,     // ENOENT, ECONNREFUSED: nobody listens. Only this may lead to a launch
    Busy,     // unix backlog full, or a TCP connect without an answer: somebody lives there
    Shortage, // descriptors, memory, buffers or ports have run out: passes by itself
    Foreign,  // somebody else's server listens: nothing was sent
    Wrong,    // anything else: the settings or the file system are to be mended, nothing is removed
};

struct Connection {
    Reach reach = Reach::Connected;
    Fd socket; // Connected: a stream socket that does not block
    Error error;
};

// Who may listen on the address: ourselves, root, and the uid that `peer-uid` names.
struct PeerRule {
    uid_t own = 0;
    bool has_peer = false;
    uid_t peer = 0;

    bool allows(uid_t uid) const { return uid == own || uid == 0 || (has_peer && uid == peer); }
};

// What passes by itself; every other error is for the owner to mend.
bool is_shortage(int code);

// connect(2); while the address is busy it waits until `deadline`. Without one (not begun) a full unix backlog, or a TCP
// handshake that is not over at once, is Busy.
void connect_until(const Address& address, const PeerRule& rule, Deadline deadline, Connection& connection);

// For a connection whose socket came from elsewhere (the guardian's): Connected, or Foreign.
void adopt_connection(const Address& address, const PeerRule& rule, Connection& connection);

// ECONNREFUSED on a path says nothing about what is there, and ENOENT nothing about a dangling link: a plain
// file, a folder and a link answer so too. True: nothing, or a socket of ours; else `error` says what is in
// the way. Asked once the address was found down, never on the warm path.
bool nothing_in_the_way(const Address& address, uid_t own, Error& error);

} // namespace rouse
