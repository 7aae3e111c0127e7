#include "ctl/listening.h"

#include "buffer.h"
#include "fd.h"
#include "io.h"
#include "listener.h"

#include <fcntl.h>
#include <string.h>

namespace rouse {

namespace {

// The messages of sock_diag(7) and netlink(7), as in listener.cc.
constexpr int netlink_sock_diag = 4;
constexpr uint16_t sock_diag_by_family = 20;
constexpr uint16_t netlink_done = 3;
constexpr uint16_t flags_dump = 0x301; // NLM_F_REQUEST | NLM_F_DUMP
constexpr uint32_t state_listen = 10;
constexpr uint32_t show_name = 1, show_vfs = 2, show_uid = 64;
enum Attribute { Name = 0, Vfs = 1, Uid = 7 };

struct Header { // nlmsghdr
    uint32_t length;
    uint16_t type;
    uint16_t flags;
    uint32_t sequence;
    uint32_t port;
};

struct Query { // unix_diag_req
    Header header;
    uint8_t family;
    uint8_t protocol;
    uint16_t pad;
    uint32_t states;
    uint32_t inode;
    uint32_t show;
    uint32_t cookie[2];
};

struct Reply { // unix_diag_msg
    Header header;
    uint8_t family;
    uint8_t type;
    uint8_t state;
    uint8_t pad;
    uint32_t inode;
    uint32_t cookie[2];
};

struct AttributeHeader { // nlattr
    uint16_t length;
    uint16_t type;
};

struct Seen {
    std::string_view name;
    uint32_t file_inode = 0;
    uint32_t uid = 0;
    bool has_uid = false;
};

size_t aligned(size_t size) {
    return (size + 3) & ~size_t{3};
}

Seen read_attributes(const char* at, const char* end) {
    Seen seen;
    for (AttributeHeader header; end - at >= static_cast<ptrdiff_t>(sizeof header); at += aligned(header.length)) {
        memcpy(&header, at, sizeof header);
        if (header.length < sizeof header || header.length > end - at)
            break;
        std::string_view value(at + sizeof header, header.length - sizeof header);
        if (header.type == Name) {
            seen.name = value;
        } else if (header.type == Vfs && value.size() >= sizeof seen.file_inode) {
            memcpy(&seen.file_inode, value.data(), sizeof seen.file_inode);
        } else if (header.type == Uid && value.size() >= sizeof seen.uid) {
            memcpy(&seen.uid, value.data(), sizeof seen.uid);
            seen.has_uid = true;
        }
    }
    return seen;
}

std::string_view last_name(std::string_view path) {
    return part(path, path.rfind('/') + 1);
}

// By the file's inode and the last part of its name: what stands in front may be a link.
bool is_at(const Seen& seen, const Address& address, ino_t file) {
    std::string_view name = seen.name;
    if (address.family == Address::Family::Abstract)
        return !name.empty() && name[0] == '\0' && part(name, 1) == part(address.text, 1);
    while (name.ends_with('\0'))
        name.remove_suffix(1);
    return seen.file_inode == static_cast<uint32_t>(file) && last_name(name) == last_name(address.text);
}

// False when the kernel does not tell.
bool ask(const Address& address, ino_t file, Listening& found) {
    Query query = {};
    query.header = {sizeof query, sock_diag_by_family, flags_dump, 0, 0};
    query.family = AF_UNIX;
    query.states = 1u << state_listen;
    query.show = show_name | show_vfs | show_uid;
    query.cookie[0] = query.cookie[1] = UINT32_MAX;
    Fd netlink(sys::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, netlink_sock_diag));
    if (!netlink.is_open() || sys::send(netlink.number(), &query, sizeof query, 0) < 0)
        return false;
    alignas(Header) static char bytes[32768];
    for (;;) {
        ssize_t size = uninterrupted([&] { return sys::recv(netlink.number(), bytes, sizeof bytes, MSG_DONTWAIT); });
        if (size < static_cast<ssize_t>(sizeof(Header)))
            return false;
        Reply reply;
        for (char* at = bytes; bytes + size - at >= static_cast<ptrdiff_t>(sizeof(Header));
             at += aligned(reply.header.length)) {
            memcpy(&reply.header, at, sizeof reply.header);
            if (reply.header.type == netlink_done)
                return true;
            if (reply.header.type != sock_diag_by_family || reply.header.length < sizeof reply ||
                reply.header.length > bytes + size - at)
                return false;
            memcpy(&reply, at, sizeof reply);
            Seen seen = read_attributes(at + sizeof reply, at + reply.header.length);
            if (is_at(seen, address, file))
                found = {true, seen.has_uid, seen.uid, reply.inode};
        }
    }
}

} // namespace

Listening who_listens(const Address& address) {
    Listening found;
    if (!address.is_unix()) {
        for (const sockaddr_storage* name : {&address.bytes, &address.other})
            if (name->ss_family != 0 && !found.somebody)
                if (TcpListener one = find_tcp_listener(*name); one.known == TcpListener::Known::Somebody)
                    found = {true, true, one.uid, one.inode};
        return found;
    }
    struct stat status = {};
    bool is_path = address.family == Address::Family::Path;
    if (is_path && (sys::stat(AT_FDCWD, address.path(), status) < 0 || !S_ISSOCK(status.st_mode)))
        return found; // a server whose socket was taken away is not reached any more
    if (!ask(address, status.st_ino, found))
        found.somebody = find_unix_listeners(address.text, &found.inode, 1) > 0;
    if (found.somebody && !found.uid_is_known && is_path) {
        found.uid_is_known = true;
        found.uid = status.st_uid;
    }
    return found;
}

} // namespace rouse
