// This file knows what descriptors lead to in the kernel in memory: open files, pipes and connections full of bytes.
#include "fake_kernel.h"

#include <algorithm>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

namespace fake {

namespace {

void end_stream(const std::shared_ptr<Stream>& stream, bool reset) {
    if (stream == nullptr)
        return;
    stream->ended = true;
    stream->reset |= reset;
}

} // namespace

Open::~Open() {
    if (kernel == nullptr)
        return;
    bool unread = in != nullptr && !in->bytes.empty();
    end_stream(out, type == Type::Connected && (unread || !lingers));
    if (in != nullptr)
        in->unread = true;
    for (const OpenFile& waiting : queue) // whoever was not accepted is reset
        end_stream(waiting->out, true);
}

OpenFile make_open(Open::Type type, int flags) {
    auto open = std::make_shared<Open>();
    open->type = type;
    open->flags = flags;
    open->node = make_node(type == Open::Type::Pipe ? Node::Kind::Pipe : Node::Kind::Socket, 0777);
    open->uid = kernel->uid;
    return open;
}

int install(Process& process, const OpenFile& open, bool close_on_exec, int lowest) {
    int number = lowest;
    while (process.descriptors.count(number) > 0)
        number++;
    if (number >= kernel->descriptor_limit)
        return -EMFILE;
    process.descriptors[number] = {open, close_on_exec};
    return number;
}

OpenFile at(int fd) {
    auto& descriptors = kernel->process().descriptors;
    auto found = descriptors.find(fd);
    return found == descriptors.end() ? nullptr : found->second.open;
}

bool may_wait(const Open& open) {
    return (open.flags & O_NONBLOCK) == 0;
}

std::set<int> descriptors() {
    std::set<int> numbers;
    for (auto& [number, descriptor] : kernel->process().descriptors)
        numbers.insert(number);
    return numbers;
}

short ready(const Open& open, short events) {
    bool readable = false, writable = false, hung_up = false, broken = false;
    switch (open.type) {
    case Open::Type::File:
    case Open::Type::Netlink:
        readable = writable = true;
        break;
    case Open::Type::Pipe:
        if (open.in != nullptr) {
            readable = !open.in->bytes.empty();
            hung_up = open.in->ended;
        }
        if (open.out != nullptr) {
            writable = open.out->bytes.size() + 4096 <= open.out->capacity;
            broken = open.out->unread;
        }
        break;
    case Open::Type::Connected:
        readable = !open.in->bytes.empty() || open.in->ended;
        writable = open.out->bytes.size() < open.out->capacity || open.out->unread;
        hung_up = open.in->ended && open.out->unread;
        broken = open.in->reset && open.in->bytes.empty();
        break;
    case Open::Type::Socket:
        writable = !open.connecting;
        hung_up = !open.connecting;
        broken = open.pending_error != 0;
        break;
    case Open::Type::Listening:
        readable = !open.queue.empty();
        break;
    case Open::Type::Packets:
        readable = !open.messages_in->empty() || open.packets_peer.expired();
        writable = true;
        hung_up = open.packets_peer.expired();
        break;
    case Open::Type::Process:
        readable = !kernel->processes.at(open.pid)->alive;
        break;
    }
    short found = 0;
    found |= readable && (events & POLLIN) ? POLLIN : 0;
    found |= writable && (events & POLLOUT) ? POLLOUT : 0;
    found |= hung_up ? POLLHUP : 0;
    found |= broken ? POLLERR : 0;
    return found;
}

ssize_t read_from(Open& open, char* bytes, size_t size, bool wait, const char* call) {
    if (open.in == nullptr)
        return open.type == Open::Type::Socket ? -ENOTCONN : -EBADF;
    Stream& stream = *open.in;
    auto has_some = [&] { return !stream.bytes.empty() || stream.ended; };
    if (!has_some() && !wait)
        return -EAGAIN;
    wait_until(call, has_some, -1);
    if (stream.bytes.empty()) {
        bool reset = stream.reset;
        stream.reset = false; // a reset is told once
        return reset ? -ECONNRESET : 0;
    }
    size = std::min(size, stream.bytes.size());
    memcpy(bytes, stream.bytes.data(), size);
    stream.bytes.erase(0, size);
    return static_cast<ssize_t>(size);
}

ssize_t write_to(Open& open, const char* bytes, size_t size, bool wait, const char* call) {
    if (open.out == nullptr)
        return open.type == Open::Type::Socket ? -ENOTCONN : -EBADF;
    Stream& stream = *open.out;
    size_t done = 0;
    while (done < size || size == 0) {
        if (stream.unread)
            return done > 0 ? static_cast<ssize_t>(done) : -EPIPE;
        size_t room = stream.capacity > stream.bytes.size() ? stream.capacity - stream.bytes.size() : 0;
        // pipe(7): up to PIPE_BUF bytes go whole or not at all.
        if (open.type == Open::Type::Pipe && size <= 4096 && room < size)
            room = 0;
        if (room == 0 && !wait)
            return done > 0 ? static_cast<ssize_t>(done) : -EAGAIN;
        if (room == 0) {
            size_t needed = open.type == Open::Type::Pipe ? std::min<size_t>(size - done, 4096) : 1;
            wait_until(
                call, [&] { return stream.unread || stream.bytes.size() + needed <= stream.capacity; }, -1);
            continue;
        }
        size_t some = std::min(room, size - done);
        stream.bytes.append(bytes + done, some);
        done += some;
        if (size == 0)
            break;
    }
    return static_cast<ssize_t>(done);
}

std::shared_ptr<Stream> make_stream() {
    auto stream = std::make_shared<Stream>();
    stream->capacity = kernel->capacity;
    return stream;
}

std::pair<OpenFile, OpenFile> make_connection() {
    OpenFile one = make_open(Open::Type::Connected, O_RDWR), other = make_open(Open::Type::Connected, O_RDWR);
    one->in = other->out = make_stream();
    one->out = other->in = make_stream();
    return {one, other};
}

} // namespace fake
