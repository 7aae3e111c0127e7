// This file knows the other side in the kernel in memory: web server, server, and processes beside ours.
#include "fake_kernel.h"

#include "address.h"

#include <doctest/doctest.h>
#include <fcntl.h>

namespace fake {

std::string Peer::take() {
    std::string all;
    std::swap(all, from_program->bytes);
    return all;
}

void Peer::close() {
    if (open == nullptr)
        to_program->ended = from_program->unread = true;
    open.reset(); // by the rules of Open: unread bytes make it a reset
}

void Peer::reset() {
    to_program->reset = to_program->ended = from_program->unread = true;
    open.reset();
}

Peer as_mod_cgi() {
    Peer peer;
    OpenFile input = make_open(Open::Type::Pipe, O_RDONLY), output = make_open(Open::Type::Pipe, O_WRONLY),
             errors = make_open(Open::Type::Pipe, O_WRONLY);
    input->in = peer.to_program = make_stream();
    output->out = peer.from_program = make_stream();
    errors->out = make_stream();
    auto& descriptors = kernel->process().descriptors;
    descriptors[0] = {input};
    descriptors[1] = {output};
    descriptors[2] = {errors};
    return peer;
}

Peer as_mod_cgid() {
    auto [program, web_server] = make_connection();
    auto& descriptors = kernel->process().descriptors;
    as_mod_cgi();
    descriptors[0] = descriptors[1] = {program};
    return {web_server->in, web_server->out, web_server};
}

Server bind(const std::string& name) {
    OpenFile socket = make_open(Open::Type::Socket, O_RDWR);
    socket->name = name;
    rouse::Address address;
    REQUIRE(!rouse::parse_address(name, address));
    if (address.family == rouse::Address::Family::Path) {
        File node = put(name, "", 0755);
        node->kind = Node::Kind::Socket;
        node->bound = socket;
        socket->family = AF_UNIX;
    } else if (address.family == rouse::Address::Family::Abstract) {
        kernel->abstract[name.substr(1)] = socket;
        socket->family = AF_UNIX;
    } else {
        sockaddr_in inet4;
        memcpy(&inet4, &address.bytes, sizeof inet4); // the port is at the same place for IPv6
        socket->family = address.bytes.ss_family;
        socket->port = (inet4.sin_port & 0xff) << 8 | inet4.sin_port >> 8;
        kernel->ports[{socket->family, socket->port}] = socket;
    }
    return {socket};
}

Server listen(const std::string& name, size_t backlog, uid_t uid) {
    Server server = bind(name);
    server.listener->type = Open::Type::Listening;
    server.listener->backlog = backlog;
    server.listener->uid = uid;
    return server;
}

Peer Server::accept() {
    REQUIRE(has_caller());
    OpenFile open = listener->queue.front();
    listener->queue.erase(listener->queue.begin());
    return {open->in, open->out, open};
}

Peer connected(int& fd, bool blocking) {
    auto [program, server] = make_connection();
    program->flags |= blocking ? 0 : O_NONBLOCK;
    fd = install(kernel->process(), program, true);
    return {server->in, server->out, server};
}

void Process::end(int wait_status) {
    alive = false;
    status = wait_status;
    descriptors.clear();
    if (parent == kernel->current)
        raise(SIGCHLD);
}

void raise(int number) {
    kernel->pending_signals.insert(number);
}

Process& add_process(pid_t pid, uid_t uid) {
    auto process = std::make_shared<Process>();
    process->pid = pid;
    process->uid = uid;
    process->start = 6000 + static_cast<uint64_t>(pid);
    kernel->processes[pid] = process;
    return *process;
}

void give(Process& process, int fd, const OpenFile& open) {
    process.descriptors[fd] = {open};
}

OpenFile open_by(Process& process, int fd, const std::string& path) {
    File node = find(path);
    if (node == nullptr)
        node = put(path, "", 0600);
    OpenFile open = make_open(Open::Type::File, O_RDWR);
    open->node = node;
    give(process, fd, open);
    return open;
}

bool lock(const OpenFile& open) {
    OpenFile holder = open->node->locked.lock();
    if (holder != nullptr && holder != open)
        return false;
    open->node->locked = open;
    return true;
}

} // namespace fake
