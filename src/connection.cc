#include "connection.h"

#include "io.h"
#include "listener.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr int tcp_patience = 50; // milliseconds that a port of this machine has to answer: accept or refuse

// Socket options and the credentials of unix(7): struct ucred hides behind _GNU_SOURCE in some libcs.
struct Credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

// Every connect(2) that failed, as the caller will speak of it (C1).
[[gnu::noinline]] Connection failed_connect(int code, const Address& address) {
    Reach reach = Reach::Wrong;
    switch (code) {
    case ENOENT:
    case ECONNREFUSED:
        reach = Reach::Down;
        break;
    case EAGAIN: // of a TCP socket: no entry left in the routing cache, or no local port (connect(2))
        reach = address.is_unix() ? Reach::Busy : Reach::Shortage;
        break;
    case EINPROGRESS:
    case ETIMEDOUT:
        reach = Reach::Busy;
        break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
        reach = Reach::Shortage;
    }
    return {reach, Fd(), {code, "connect to\0" "Mend `socket`, or what is at its path.", address.text.data()}};
}

// A TCP connection to itself (simultaneous open on a port of the ephemeral range) is not a server. It is
// reset, not closed: a port in TIME_WAIT would keep the real server from binding it.
bool is_connected_to_itself(int socket, const sockaddr_storage& peer) {
    sockaddr_storage own = {};
    socklen_t size = sizeof own;
    if (sys::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) < 0)
        return false;
    in_port_t own_port = 0, peer_port = 0; // at the same place in sockaddr_in and sockaddr_in6
    memcpy(&own_port, reinterpret_cast<char*>(&own) + offsetof(sockaddr_in, sin_port), sizeof own_port);
    memcpy(&peer_port, reinterpret_cast<const char*>(&peer) + offsetof(sockaddr_in, sin_port), sizeof peer_port);
    if (own_port != peer_port)
        return false;
    linger reset = {1, 0};
    sys::setsockopt(socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return true;
}

Connection connect_tcp(const Address& address, const sockaddr_storage& name, socklen_t size, const Deadline& deadline) {
    Fd socket(sys::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) // a kernel without IPv6: nobody can listen there
        return failed_connect(socket.number() == -EAFNOSUPPORT ? ECONNREFUSED : -socket.number(), address);
    int result = sys::connect(socket.number(), reinterpret_cast<const sockaddr*>(&name), size);
    if (result == -EINTR)
        result = -EINPROGRESS; // connect(2): it goes on without us
    if (result == -EINPROGRESS) {
        // A refusal on the loopback comes a moment after connect(2), not with it: it must not pass for busy (C1).
        int events = wait_for(socket.number(), POLLOUT, deadline.begun() ? deadline : Deadline::in(tcp_patience));
        int code = 0;
        socklen_t code_size = sizeof code;
        if (events > 0 && sys::getsockopt(socket.number(), SOL_SOCKET, SO_ERROR, &code, &code_size) == 0)
            result = -code;
    }
    if (result < 0)
        return failed_connect(-result, address);
    if (is_connected_to_itself(socket.number(), name))
        return failed_connect(ECONNREFUSED, address);
    return {Reach::Connected, std::move(socket), {}};
}

Connection connect_unix(const Address& address, const Deadline& deadline) {
    bool waits = deadline.begun();
    Fd socket(sys::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0));
    if (!socket.is_open())
        return failed_connect(-socket.number(), address);
    for (;;) {
        if (waits) {
            // poll(2) cannot wait for room in a unix backlog; a connect that blocks can, up to SO_SNDTIMEO.
            int left = deadline.left();
            if (left == 0)
                return failed_connect(EAGAIN, address);
            timeval limit = {left / 1000, left % 1000 * 1000};
            sys::setsockopt(socket.number(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        }
        int result = sys::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address.bytes), address.size);
        if (result == -EINTR)
            continue; // for a unix socket nothing was begun: it is simply tried again
        if (result < 0)
            return failed_connect(-result, address);
        if (waits)
            sys::set_status_flags(socket.number(), O_RDWR | O_NONBLOCK);
        return {Reach::Connected, std::move(socket), {}};
    }
}

Connection connect_to(const Address& address, const PeerRule& rule, const Deadline& deadline) {
    Connection connection = address.is_unix() ? connect_unix(address, deadline)
                                              : connect_tcp(address, address.bytes, address.size, deadline);
    if (connection.reach == Reach::Down && address.family == Address::Family::Localhost)
        connection = connect_tcp(address, address.other, address.other_size, deadline);
    if (connection.reach != Reach::Connected)
        return connection;
    return adopt_connection(std::move(connection.socket), address, rule);
}

} // namespace

Connection adopt_connection(Fd socket, const Address& address, const PeerRule& rule) {
    bool allowed = true;
    if (address.is_unix()) {
        Credentials peer = {};
        socklen_t size = sizeof peer;
        int result = sys::getsockopt(socket.number(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
        allowed = result == 0 && rule.allows(peer.uid);
    } else {
        sockaddr_storage name = {};
        socklen_t size = sizeof name;
        bool second = address.family == Address::Family::Localhost &&
                      sys::getsockname(socket.number(), reinterpret_cast<sockaddr*>(&name), &size) == 0 &&
                      name.ss_family == AF_INET6;
        TcpListener listener = find_tcp_listener(second ? address.other : address.bytes);
        allowed = listener.known != TcpListener::Known::Somebody || rule.allows(listener.uid);
    }
    if (!allowed)
        return {Reach::Foreign, Fd(), {EPERM, "trust\0" "Another user's server answers: choose another `socket`, or set `peer-uid`.",
                                       address.text.data()}};
    return {Reach::Connected, std::move(socket), {}};
}

Connection connect_now(const Address& address, const PeerRule& rule) {
    return connect_to(address, rule, Deadline());
}

Connection connect_until(const Address& address, const PeerRule& rule, const Deadline& deadline) {
    return connect_to(address, rule, deadline);
}

bool nothing_in_the_way(const Address& address, uid_t own, Error& error) {
    struct stat status;
    if (address.family != Address::Family::Path)
        return true;
    int result = sys::stat(AT_FDCWD, address.path(), status, AT_SYMLINK_NOFOLLOW);
    if (result == -ENOENT)
        return true;
    int code = result < 0 ? -result : !S_ISSOCK(status.st_mode) ? EEXIST : status.st_uid != own ? EPERM : 0;
    error = {code, "make a socket at\0" "What is there is no socket of ours: move it away, or mend `socket`.",
             address.text.data()};
    return code == 0;
}

} // namespace rouse
