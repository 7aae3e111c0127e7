#include "connection.h"

#include "buffer.h"
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

in_port_t port_of(const sockaddr_storage& name) { // at the same place in sockaddr_in and sockaddr_in6
    return reinterpret_cast<const sockaddr_in*>(&name)->sin_port;
}

// A TCP connection to itself (simultaneous open on a port of the ephemeral range) is not a server. It is
// reset, not closed: a port in TIME_WAIT would keep the real server from binding it.
bool is_connected_to_itself(int socket, const sockaddr_storage& peer) {
    static sockaddr_storage own;
    socklen_t size = sizeof own;
    sys::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size);
    if (port_of(own) != port_of(peer))
        return false;
    linger reset = {1, 0};
    sys::setsockopt(socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return true;
}

// 0 or -errno; `socket` is then connected, and does not block.
int connect_tcp(const sockaddr_storage& name, socklen_t size, Deadline deadline, Fd& socket) {
    socket.reset(sys::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) // a kernel without IPv6: nobody can listen there
        return socket.number() == -EAFNOSUPPORT ? -ECONNREFUSED : socket.number();
    int result = sys::connect(socket.number(), reinterpret_cast<const sockaddr*>(&name), size);
    if (result == -EINPROGRESS || result == -EINTR) { // connect(2): it goes on without us
        // A refusal on the loopback comes a moment after connect(2), not with it: it must not pass for busy (C1).
        int events = wait_for(socket.number(), POLLOUT, deadline.begun() ? deadline : Deadline::in(tcp_patience));
        int code = EINPROGRESS;
        socklen_t code_size = sizeof code;
        if (events > 0)
            sys::getsockopt(socket.number(), SOL_SOCKET, SO_ERROR, &code, &code_size);
        result = -code;
    }
    return result == 0 && is_connected_to_itself(socket.number(), name) ? -ECONNREFUSED : result;
}

int connect_unix(const Address& address, Deadline deadline, Fd& socket) {
    bool waits = deadline.begun();
    socket.reset(sys::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0));
    int result = socket.is_open() ? -EINTR : socket.number();
    while (result == -EINTR) { // for a unix socket nothing was begun: it is simply tried again
        if (waits) {
            // poll(2) cannot wait for room in a unix backlog; a connect that blocks can, up to SO_SNDTIMEO.
            int left = deadline.left();
            if (left == 0)
                return -EAGAIN;
            timeval limit = {left / 1000, left % 1000 * 1000};
            sys::setsockopt(socket.number(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        }
        result = sys::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address.bytes), address.size);
    }
    if (waits && result == 0)
        sys::set_status_flags(socket.number(), O_RDWR | O_NONBLOCK);
    return result;
}

} // namespace

bool is_shortage(int code) {
    constexpr char shortages[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EAGAIN, ENOSPC, EDQUOT, ENOLCK};
    return find({shortages, sizeof shortages}, static_cast<char>(code)) != std::string_view::npos;
}

void adopt_connection(const Address& address, const PeerRule& rule, Connection& connection) {
    int socket = connection.socket.number();
    bool allowed;
    if (address.is_unix()) {
        Credentials peer = {};
        socklen_t size = sizeof peer;
        int result = sys::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size);
        allowed = result == 0 && rule.allows(peer.uid);
    } else {
        static sockaddr_storage name;
        socklen_t size = sizeof name;
        sys::getpeername(socket, reinterpret_cast<sockaddr*>(&name), &size);
        TcpListener listener = find_tcp_listener(name);
        allowed = listener.known != TcpListener::Known::Somebody || rule.allows(listener.uid);
    }
    connection.reach = Reach::Connected;
    if (allowed)
        return;
    connection.reach = Reach::Foreign;
    connection.socket.reset();
    connection.error = {EPERM,
                        "trust\0Another user's server answers: choose another `socket`, or set `peer-uid`."_words,
                        address.text.data()};
}

void connect_until(const Address& address, const PeerRule& rule, Deadline deadline, Connection& connection) {
    Fd& socket = connection.socket;
    int code;
    int tries = 0;
    do { // ECONNRESET: a port's listener was closed while we stood in its backlog; what is there now?
        code = -(address.is_unix() ? connect_unix(address, deadline, socket)
                                   : connect_tcp(address.bytes, address.size, deadline, socket));
        if (code == ECONNREFUSED && address.family == Address::Family::Localhost)
            code = -connect_tcp(address.other, address.other_size, deadline, socket);
    } while (code == ECONNRESET && ++tries < 3);
    if (code == 0) {
        adopt_connection(address, rule, connection);
        return;
    }
    socket.reset();
    Reach reach = is_shortage(code) ? Reach::Shortage : Reach::Wrong;
    if (code == ENOENT || code == ECONNREFUSED)
        reach = Reach::Down;
    // ECONNRESET time after time: somebody listened each time. EAGAIN of a TCP socket: no entry left in the routing cache, or
    // no local port (connect(2)).
    if (code == EINPROGRESS || code == ETIMEDOUT || code == ECONNRESET || (code == EAGAIN && address.is_unix()))
        reach = Reach::Busy;
    Words words = "connect to\0"_words; // what passes by itself, and a server that is down, need no mending
    if (reach == Reach::Wrong)
        words = "connect to\0Mend `socket`, or what is at its path."_words;
    connection.reach = reach;
    connection.error = {code, words, address.text.data()};
}

bool nothing_in_the_way(const Address& address, uid_t own, Error& error) {
    struct stat status;
    if (address.family != Address::Family::Path)
        return true;
    int result = sys::stat(AT_FDCWD, address.path(), status, AT_SYMLINK_NOFOLLOW);
    if (result == -ENOENT)
        return true;
    int code = result < 0 ? -result : !S_ISSOCK(status.st_mode) ? EEXIST : status.st_uid != own ? EPERM : 0;
    error = {code, "make a socket at\0What is there is no socket of ours: move it away, or mend `socket`."_words,
             address.text.data()};
    return code == 0;
}

} // namespace rouse
