// This file knows the door to the kernel in memory: sockets.
#include "fake_kernel.h"

#include <algorithm>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

namespace rouse::sys {

namespace {

using namespace fake;

int find_unix_listener(const sockaddr* address, socklen_t size, OpenFile& listener) {
    auto* name = reinterpret_cast<const sockaddr_un*>(address);
    if (name->sun_path[0] == '\0') {
        size_t length = size - offsetof(sockaddr_un, sun_path) - 1;
        auto found = kernel->abstract.find(std::string(name->sun_path + 1, length));
        listener = found == kernel->abstract.end() ? nullptr : found->second.lock();
        return listener == nullptr ? -ECONNREFUSED : 0;
    }
    int error = 0;
    File node = look_up(AT_FDCWD, name->sun_path, true, error);
    if (node == nullptr)
        return error;
    listener = node->kind == Node::Kind::Socket ? node->bound.lock() : nullptr;
    return listener == nullptr ? -ECONNREFUSED : 0;
}

// Accepts into the listener's queue; `open` becomes the connection.
int join(const OpenFile& open, const OpenFile& listener) {
    if (listener->type != Open::Type::Listening)
        return -ECONNREFUSED;
    auto has_room = [&] { return listener->queue.size() <= listener->backlog; };
    if (!has_room() && !may_wait(*open))
        return -EAGAIN;
    if (!has_room() && wait_until("connect", has_room, open->send_timeout) != Waited::Holds)
        return -EAGAIN;
    auto [program, server] = make_connection();
    open->type = Open::Type::Connected;
    open->in = program->in;
    open->out = program->out;
    open->uid = listener->uid;
    open->peer_port = listener->port;
    program->in = program->out = nullptr;
    listener->queue.push_back(server);
    return 0;
}

} // namespace

int socket(int family, int type, int) {
    if (int fault = injected("socket"))
        return fault;
    OpenFile open = make_open(family == AF_NETLINK ? Open::Type::Netlink : Open::Type::Socket,
                              O_RDWR | (type & SOCK_NONBLOCK ? O_NONBLOCK : 0));
    open->family = family;
    return install(kernel->process(), open, (type & SOCK_CLOEXEC) != 0);
}

int socketpair(int type, int ends[2]) {
    if (int fault = injected("socketpair"))
        return fault;
    OpenFile one = make_open(Open::Type::Packets, O_RDWR), other = make_open(Open::Type::Packets, O_RDWR);
    one->messages_in = other->messages_out = std::make_shared<std::vector<Message>>();
    one->messages_out = other->messages_in = std::make_shared<std::vector<Message>>();
    one->packets_peer = other;
    other->packets_peer = one;
    ends[0] = install(kernel->process(), one, (type & SOCK_CLOEXEC) != 0);
    if (ends[0] < 0)
        return -EMFILE;
    ends[1] = install(kernel->process(), other, (type & SOCK_CLOEXEC) != 0);
    if (ends[1] >= 0)
        return 0;
    kernel->process().descriptors.erase(ends[0]);
    return -EMFILE;
}

int connect(int fd, const sockaddr* address, socklen_t size) {
    if (int fault = injected("connect"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if (open->type == Open::Type::Connected)
        return -EISCONN;
    if (address->sa_family == AF_UNIX) {
        OpenFile listener;
        int error = find_unix_listener(address, size, listener);
        return error < 0 ? error : join(open, listener);
    }
    auto* inet4 = reinterpret_cast<const sockaddr_in*>(address);
    auto found = kernel->ports.find({address->sa_family, ntohs(inet4->sin_port)});
    OpenFile listener = found == kernel->ports.end() ? nullptr : found->second.lock();
    open->connecting = true;
    if (kernel->tcp_answers) // a moment later, as on the loopback
        fake::in(1, [weak = std::weak_ptr<Open>(open), weak_listener = std::weak_ptr<Open>(listener)] {
            OpenFile caller = weak.lock(), called = weak_listener.lock();
            if (caller == nullptr)
                return;
            caller->connecting = false;
            caller->pending_error = called == nullptr ? ECONNREFUSED : -join(caller, called);
        });
    return -EINPROGRESS;
}

int bind(int, const sockaddr*, socklen_t) {
    return injected("bind");
}

namespace {

int answer_name(const Open& open, int port, sockaddr* address, socklen_t* size) {
    sockaddr_in6 name = {}; // sockaddr_in begins like it
    name.sin6_family = static_cast<sa_family_t>(open.family);
    name.sin6_port = htons(static_cast<uint16_t>(port));
    memcpy(address, &name, std::min<size_t>(*size, sizeof name));
    *size = open.family == AF_INET ? sizeof(sockaddr_in) : sizeof name;
    return 0;
}

} // namespace

int getsockname(int fd, sockaddr* address, socklen_t* size) {
    if (int fault = injected("getsockname"))
        return fault;
    OpenFile open = at(fd);
    return open == nullptr ? -EBADF : answer_name(*open, open->port != 0 ? open->port : 33333, address, size);
}

int getpeername(int fd, sockaddr* address, socklen_t* size) {
    if (int fault = injected("getpeername"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr || open->type != Open::Type::Connected)
        return open == nullptr ? -EBADF : -ENOTCONN;
    return answer_name(*open, open->peer_port, address, size);
}

int getsockopt(int fd, int, int name, void* value, socklen_t* size) {
    if (int fault = injected("getsockopt"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if (name == SO_ERROR) {
        memcpy(value, &open->pending_error, sizeof(int));
        open->pending_error = 0;
        *size = sizeof(int);
    } else if (name == SO_PEERCRED) {
        uint32_t credentials[3] = {4321, open->uid, kernel->gid};
        memcpy(value, credentials, sizeof credentials);
        *size = sizeof credentials;
    }
    return 0;
}

int setsockopt(int fd, int, int name, const void* value, socklen_t) {
    if (int fault = injected("setsockopt"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if (name == SO_SNDTIMEO) {
        timeval limit;
        memcpy(&limit, value, sizeof limit);
        open->send_timeout = static_cast<int>(limit.tv_sec * 1000 + limit.tv_usec / 1000);
    } else if (name == SO_LINGER) {
        open->lingers = false;
    }
    return 0;
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
    if (int fault = injected("send", size))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if (open->type == Open::Type::Netlink) { // sock_diag: who listens on the port
        struct {
            uint32_t length = 88, type_and_flags = 20, sequence = 0, port = 0;
            uint8_t family = 0, state = 10, timer = 0, retransmits = 0;
            uint8_t name[48] = {};
            uint32_t rest[3] = {}, uid = 0, inode = 0;
        } found;
        auto* query = static_cast<const uint8_t*>(bytes);
        auto listener = kernel->ports.find({query[16], query[24] << 8 | query[25]});
        OpenFile open_listener = listener == kernel->ports.end() ? nullptr : listener->second.lock();
        if (kernel->netlink_error != 0 || open_listener == nullptr || open_listener->type != Open::Type::Listening) {
            int32_t refusal[9] = {36, 2, 0, 0, kernel->netlink_error != 0 ? -kernel->netlink_error : -ENOENT};
            open->answer.assign(reinterpret_cast<char*>(refusal), sizeof refusal);
        } else {
            found.uid = open_listener->uid;
            found.inode = static_cast<uint32_t>(open_listener->node->number);
            open->answer.assign(reinterpret_cast<char*>(&found), sizeof found);
        }
        return kernel->netlink_tells ? static_cast<ssize_t>(size) : -EPERM;
    }
    if (open->type == Open::Type::Pipe || open->type == Open::Type::File)
        return -ENOTSOCK;
    return write_to(*open, static_cast<const char*>(bytes), size, may_wait(*open) && (flags & MSG_DONTWAIT) == 0,
                    "send");
}

ssize_t recv(int fd, void* bytes, size_t size, int flags) {
    if (int fault = injected("recv", size))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if (open->type == Open::Type::Netlink) {
        if (open->answer.empty())
            return -EAGAIN;
        size = std::min(size, open->answer.size());
        memcpy(bytes, open->answer.data(), size);
        open->answer.clear();
        return static_cast<ssize_t>(size);
    }
    if (open->type == Open::Type::Pipe || open->type == Open::Type::File)
        return -ENOTSOCK;
    return read_from(*open, static_cast<char*>(bytes), size, may_wait(*open) && (flags & MSG_DONTWAIT) == 0, "recv");
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    std::string bytes;
    for (size_t index = 0; index < message->msg_iovlen; index++)
        bytes.append(static_cast<const char*>(message->msg_iov[index].iov_base), message->msg_iov[index].iov_len);
    size_t size = bytes.size();
    OpenFile open = at(fd);
    bool whole_or_not = open != nullptr && open->type == Open::Type::Packets;
    if (int fault = whole_or_not ? injected("sendmsg") : injected("sendmsg", size))
        return fault;
    if (open == nullptr)
        return -EBADF;
    if (!whole_or_not)
        return write_to(*open, bytes.data(), size, may_wait(*open) && (flags & MSG_DONTWAIT) == 0, "sendmsg");
    if (open->packets_peer.expired())
        return -EPIPE;
    Message packet = {bytes, {}};
    for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr;
         header = CMSG_NXTHDR(const_cast<msghdr*>(message), header))
        if (header->cmsg_type == SCM_RIGHTS) {
            int number = -1;
            memcpy(&number, CMSG_DATA(header), sizeof number);
            if (at(number) == nullptr)
                return -EBADF;
            packet.descriptors.push_back(at(number));
        }
    open->messages_out->push_back(packet);
    return static_cast<ssize_t>(size);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
    if (int fault = injected("recvmsg"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if (open->type != Open::Type::Packets)
        return -EOPNOTSUPP;
    auto has_some = [&] { return !open->messages_in->empty() || open->packets_peer.expired(); };
    if (!has_some() && (!may_wait(*open) || (flags & MSG_DONTWAIT)))
        return -EAGAIN;
    wait_until("recvmsg", has_some, -1);
    cmsghdr* header = CMSG_FIRSTHDR(message);
    size_t room = message->msg_controllen;
    message->msg_controllen = 0;
    if (open->messages_in->empty())
        return 0;
    Message packet = open->messages_in->front();
    open->messages_in->erase(open->messages_in->begin());
    size_t size = std::min(packet.bytes.size(), message->msg_iov[0].iov_len);
    memcpy(message->msg_iov[0].iov_base, packet.bytes.data(), size);
    if (!packet.descriptors.empty() && room >= CMSG_SPACE(sizeof(int))) {
        int number = install(kernel->process(), packet.descriptors[0], (flags & MSG_CMSG_CLOEXEC) != 0);
        if (number >= 0) { // recvmsg(2): no room for it leaves it out and says MSG_CTRUNC
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &number, sizeof number);
            message->msg_controllen = CMSG_SPACE(sizeof(int));
        } else {
            message->msg_flags |= MSG_CTRUNC;
        }
    }
    return static_cast<ssize_t>(size);
}

} // namespace rouse::sys
