#include "listener.h"

#include "buffer.h"
#include "fd.h"
#include "io.h"
#include "lines.h"

#include <errno.h>

namespace rouse {

namespace {

// The messages of sock_diag(7) and netlink(7). musl's headers come without the kernel's, so they stand here.
constexpr int netlink_sock_diag = 4;
constexpr uint16_t sock_diag_by_family = 20;
constexpr uint16_t netlink_error = 2;
constexpr uint16_t flag_request = 1;
constexpr uint8_t tcp_state_listen = 10;

struct NetlinkHeader {
    uint32_t length;
    uint16_t type;
    uint16_t flags;
    uint32_t sequence;
    uint32_t port;
};

struct SocketName { // inet_diag_sockid: ports and addresses in network byte order
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t source[4];
    uint32_t destination[4];
    uint32_t interface;
    uint32_t cookie[2];
};

struct Query { // inet_diag_req_v2
    NetlinkHeader header;
    uint8_t family;
    uint8_t protocol;
    uint8_t extensions;
    uint8_t pad;
    uint32_t states;
    SocketName name;
};

struct Reply { // inet_diag_msg
    NetlinkHeader header;
    uint8_t family;
    uint8_t state;
    uint8_t timer;
    uint8_t retransmits;
    SocketName name;
    uint32_t expires;
    uint32_t receive_queue;
    uint32_t send_queue;
    uint32_t uid;
    uint32_t inode;
};

static_assert(sizeof(Query) == 72 && sizeof(Reply) == 88);

} // namespace

TcpListener find_tcp_listener(const sockaddr_storage& name) {
    TcpListener listener;
    Query query = {};
    query.header.length = sizeof query;
    query.header.type = sock_diag_by_family;
    query.header.flags = flag_request;
    query.family = static_cast<uint8_t>(name.ss_family);
    query.protocol = IPPROTO_TCP;
    query.states = 1u << tcp_state_listen;
    query.name.cookie[0] = query.name.cookie[1] = UINT32_MAX; // INET_DIAG_NOCOOKIE
    // No destination: the look-up finds no connection, and so the listener.
    const auto& inet4 = reinterpret_cast<const sockaddr_in&>(name);
    const auto& inet6 = reinterpret_cast<const sockaddr_in6&>(name);
    query.name.source_port = inet4.sin_port; // at the same place in both
    if (name.ss_family == AF_INET)
        query.name.source[0] = inet4.sin_addr.s_addr;
    else
        memcpy(query.name.source, &inet6.sin6_addr, sizeof query.name.source);

    Fd netlink(sys::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, netlink_sock_diag));
    if (!netlink.is_open() || sys::send(netlink.number(), &query, sizeof query, 0) < 0)
        return listener;
    static struct {
        Reply reply;
        char rest[512];
    } answer;
    // The kernel answers a query without a dump before send returns: a read that would wait has no answer.
    ssize_t size = receive_some(netlink.number(), &answer, sizeof answer);
    int32_t code; // of an error: behind the header
    if (size < static_cast<ssize_t>(sizeof(NetlinkHeader) + sizeof code))
        return listener;
    if (answer.reply.header.type == netlink_error) {
        memcpy(&code, &answer.reply.family, sizeof code);
        if (code == -ENOENT)
            listener.known = TcpListener::Known::Nobody;
        return listener;
    }
    if (answer.reply.header.type == sock_diag_by_family && size >= static_cast<ssize_t>(sizeof(Reply)) &&
        answer.reply.state == tcp_state_listen) {
        listener.known = TcpListener::Known::Somebody;
        listener.uid = answer.reply.uid;
        listener.inode = answer.reply.inode;
    }
    return listener;
}

size_t find_unix_listeners(std::string_view name, ino_t* inodes, size_t capacity) {
    LineReader lines("/proc/net/unix");
    size_t count = 0;
    name = word_of(name, 0);
    // Num RefCount Protocol Flags Type St Inode Path; St 01 is unconnected: bound, listening or not.
    for (std::string_view line; count < capacity && lines.next(line);) {
        uint64_t inode = 0;
        if (word_of(line, 7) == name && word_of(line, 5) == "01"sv && parse_decimal(word_of(line, 6), inode))
            inodes[count++] = inode;
    }
    return count;
}

} // namespace rouse
