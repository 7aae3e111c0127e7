// This file knows the door to the kernel in memory: descriptors, and bytes that are moved between them.
#include "fake_kernel.h"

#include <algorithm>
#include <errno.h>
#include <fcntl.h>

namespace rouse::sys {

using namespace fake;

// --- Descriptors ---

int duplicate(int fd, int lowest) {
    if (int fault = injected("duplicate"))
        return fault;
    OpenFile open = at(fd);
    return open == nullptr ? -EBADF : install(kernel->process(), open, false, lowest);
}

int duplicate_to(int fd, int number) {
    if (int fault = injected("duplicate_to"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    kernel->process().descriptors[number] = {open, false};
    return number;
}

int close_range(unsigned first, unsigned last) {
    if (int fault = injected("close_range"))
        return fault;
    auto& descriptors = kernel->process().descriptors;
    for (auto one = descriptors.begin(); one != descriptors.end();) {
        auto number = static_cast<unsigned>(one->first);
        one = number >= first && number <= last ? descriptors.erase(one) : std::next(one);
    }
    return 0;
}

int pipe(int ends[2], int flags) {
    if (int fault = injected("pipe"))
        return fault;
    OpenFile reading = make_open(Open::Type::Pipe, O_RDONLY | (flags & O_NONBLOCK));
    OpenFile writing = make_open(Open::Type::Pipe, O_WRONLY | (flags & O_NONBLOCK));
    reading->in = writing->out = make_stream();
    ends[0] = install(kernel->process(), reading, (flags & O_CLOEXEC) != 0);
    if (ends[0] < 0)
        return -EMFILE;
    ends[1] = install(kernel->process(), writing, (flags & O_CLOEXEC) != 0);
    if (ends[1] >= 0)
        return 0;
    kernel->process().descriptors.erase(ends[0]);
    return -EMFILE;
}

int set_pipe_size(int fd, int bytes) {
    if (int fault = injected("set_pipe_size"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr || open->type != Open::Type::Pipe)
        return -EBADF;
    (open->in != nullptr ? open->in : open->out)->capacity = static_cast<size_t>(bytes);
    return bytes;
}

int get_status_flags(int fd) {
    if (int fault = injected("get_status_flags"))
        return fault;
    OpenFile open = at(fd);
    return open == nullptr ? -EBADF : open->flags;
}

int set_status_flags(int fd, int flags) {
    if (int fault = injected("set_status_flags"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    open->flags = (open->flags & O_ACCMODE) | (flags & ~O_ACCMODE);
    return 0;
}

// --- Moving bytes ---

ssize_t splice(int from, int to, size_t size, unsigned flags) {
    if (int fault = injected("splice", size))
        return fault;
    OpenFile source = at(from), sink = at(to);
    if (source == nullptr || sink == nullptr)
        return -EBADF;
    bool has_pipe = source->type == Open::Type::Pipe || sink->type == Open::Type::Pipe;
    if (!has_pipe || (sink->flags & O_APPEND))
        return -EINVAL;
    bool waits = (flags & SPLICE_F_NONBLOCK) == 0;
    // SPLICE_F_NONBLOCK is about the pipe; a socket waits as its own flags say.
    bool waits_in = source->type == Open::Type::Pipe ? waits && may_wait(*source) : may_wait(*source);
    bool waits_out = sink->type == Open::Type::Pipe ? waits && may_wait(*sink) : may_wait(*sink);
    if (sink->out != nullptr) {
        if (sink->out->unread)
            return -EPIPE;
        auto has_room = [&] { return sink->out->bytes.size() < sink->out->capacity || sink->out->unread; };
        if (!has_room() && !waits_out)
            return -EAGAIN;
        wait_until("splice", has_room, -1);
        size = std::min(size, sink->out->capacity - sink->out->bytes.size());
    }
    std::string bytes(
        std::min(size, source->in != nullptr ? source->in->bytes.size() + 1 : source->node->content.size()), '\0');
    size = bytes.size();
    ssize_t count = source->type == Open::Type::File ? file_read(*source, bytes.data(), size, source->offset)
                                                     : read_from(*source, bytes.data(), size, waits_in, "splice");
    if (count <= 0)
        return count;
    if (source->type == Open::Type::File)
        source->offset += count;
    if (sink->type == Open::Type::File) {
        file_write(*sink, bytes.data(), static_cast<size_t>(count), sink->offset);
        sink->offset += count;
    } else {
        sink->out->bytes.append(bytes, 0, static_cast<size_t>(count));
    }
    return count;
}

ssize_t sendfile(int to, int from, off_t offset, size_t size) {
    if (int fault = injected("sendfile", size))
        return fault;
    OpenFile source = at(from), sink = at(to);
    if (source == nullptr || sink == nullptr)
        return -EBADF;
    std::string bytes(std::min(size, source->node->content.size()), '\0');
    ssize_t count = file_read(*source, bytes.data(), bytes.size(), offset);
    return count <= 0 ? count : write_to(*sink, bytes.data(), static_cast<size_t>(count), may_wait(*sink), "sendfile");
}

int poll(pollfd* descriptors, nfds_t count, int milliseconds) {
    if (int fault = injected("poll"))
        return fault;
    auto any_ready = [&] {
        int found = 0;
        for (nfds_t index = 0; index < count; index++) {
            pollfd& one = descriptors[index];
            OpenFile open = one.fd < 0 ? nullptr : at(one.fd);
            one.revents = one.fd < 0 ? 0 : open == nullptr ? POLLNVAL : ready(*open, one.events);
            found += one.revents != 0;
        }
        return found;
    };
    wait_until(
        "poll", [&] { return any_ready() > 0; }, milliseconds);
    return any_ready();
}

} // namespace rouse::sys
