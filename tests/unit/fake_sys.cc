// The door: what src/sys.cc answers, answered by the kernel in memory.
#include "fake_kernel.h"

#include <algorithm>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/un.h>
#include <sys/wait.h>

namespace rouse::sys {

namespace {

using namespace fake;

OpenFile at(int fd) {
    auto& descriptors = kernel->process().descriptors;
    auto found = descriptors.find(fd);
    return found == descriptors.end() ? nullptr : found->second.open;
}

// Where a relative path begins.
File folder_of(int folder, int& error) {
    error = 0;
    if (folder == AT_FDCWD)
        return kernel->working_folder;
    OpenFile open = at(folder);
    if (open == nullptr)
        error = -EBADF;
    else if (open->node->kind != Node::Kind::Folder)
        error = -ENOTDIR;
    return error == 0 ? open->node : nullptr;
}

File look_up(int folder, const char* path, bool follow, int& error, File* parent = nullptr,
             std::string* name = nullptr) {
    File from = *path == '/' ? kernel->root : folder_of(folder, error);
    if (from == nullptr)
        return nullptr;
    return resolve(from, path, follow, error, parent, name);
}

void describe(const Node& node, struct stat& status) {
    status = {};
    mode_t kind = 0;
    switch (node.kind) {
    case Node::Kind::Regular:
        kind = S_IFREG;
        break;
    case Node::Kind::Folder:
        kind = S_IFDIR;
        break;
    case Node::Kind::Link:
        kind = S_IFLNK;
        break;
    case Node::Kind::Socket:
        kind = S_IFSOCK;
        break;
    case Node::Kind::Pipe:
        kind = S_IFIFO;
        break;
    case Node::Kind::Null:
    case Node::Kind::Other:
        kind = S_IFCHR;
        break;
    }
    status.st_mode = kind | node.mode;
    status.st_uid = node.uid;
    status.st_gid = node.gid;
    status.st_dev = 7;
    status.st_ino = node.number;
    status.st_size = static_cast<off_t>(node.content.size() + node.target.size()); // who has one has no other
    status.st_ctim.tv_sec = status.st_mtim.tv_sec = node.changed;
}

bool may_wait(const Open& open) {
    return (open.flags & O_NONBLOCK) == 0;
}

ssize_t file_write(Open& open, const char* bytes, size_t size, int64_t offset) {
    if (open.node->kind == Node::Kind::Null)
        return static_cast<ssize_t>(size);
    std::string& content = open.node->content;
    if (content.size() < static_cast<size_t>(offset) + size)
        content.resize(static_cast<size_t>(offset) + size);
    content.replace(static_cast<size_t>(offset), size, bytes, size);
    open.node->changed = kernel->now;
    return static_cast<ssize_t>(size);
}

ssize_t file_read(const Open& open, char* bytes, size_t size, int64_t offset) {
    if (open.node->kind == Node::Kind::Folder)
        return -EISDIR;
    const std::string& content = open.node->content;
    if (static_cast<size_t>(offset) >= content.size())
        return 0;
    size = std::min(size, content.size() - static_cast<size_t>(offset));
    memcpy(bytes, content.data() + offset, size);
    return static_cast<ssize_t>(size);
}

bool writes(const Open& open) {
    return (open.flags & O_ACCMODE) != O_RDONLY;
}
bool reads(const Open& open) {
    return (open.flags & O_ACCMODE) != O_WRONLY;
}

} // namespace

// --- Files ---

int open(int folder, const char* path, int flags, mode_t mode) {
    if (int fault = injected("open", path))
        return fault;
    int error = 0;
    File parent;
    std::string name;
    File node = look_up(folder, path, (flags & O_NOFOLLOW) == 0, error, &parent, &name);
    if (node == nullptr) {
        if (error != -ENOENT || (flags & O_CREAT) == 0 || parent == nullptr)
            return error;
        node = make_node(Node::Kind::Regular, mode);
        parent->entries[name] = node;
    } else if ((flags & O_CREAT) && (flags & O_EXCL)) {
        return -EEXIST;
    }
    bool is_folder = node->kind == Node::Kind::Folder;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        if (!is_folder)
            return -ENOTDIR;
        node = make_node(Node::Kind::Regular, mode);
        is_folder = false;
        flags &= ~O_TMPFILE;
    }
    if (node->kind == Node::Kind::Link)
        return -ELOOP;
    if (node->kind == Node::Kind::Socket)
        return -ENXIO;
    if ((flags & O_DIRECTORY) && !is_folder)
        return -ENOTDIR;
    if (is_folder && (flags & O_ACCMODE) != O_RDONLY)
        return -EISDIR;
    OpenFile file = make_open(Open::Type::File, flags & ~(O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_TRUNC));
    file->node = node;
    return install(kernel->process(), file, (flags & O_CLOEXEC) != 0);
}

int close(int fd) {
    int fault = injected("close");
    auto& descriptors = kernel->process().descriptors;
    auto found = descriptors.find(fd);
    if (found == descriptors.end())
        return -EBADF;
    kernel->closed.push_back(fd);
    OpenFile open = found->second.open;
    descriptors.erase(found); // also when the answer is an error (close(2))
    return fault;
}

ssize_t read(int fd, void* bytes, size_t size) {
    if (int fault = injected("read", size))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr || !reads(*open))
        return -EBADF;
    if (open->type != Open::Type::File)
        return read_from(*open, static_cast<char*>(bytes), size, may_wait(*open), "read");
    ssize_t count = file_read(*open, static_cast<char*>(bytes), size, open->offset);
    open->offset += std::max<ssize_t>(count, 0);
    return count;
}

ssize_t write(int fd, const void* bytes, size_t size) {
    if (int fault = injected("write", size))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr || !writes(*open))
        return -EBADF;
    if (open->type != Open::Type::File)
        return write_to(*open, static_cast<const char*>(bytes), size, may_wait(*open), "write");
    if (open->flags & O_APPEND)
        open->offset = static_cast<int64_t>(open->node->content.size());
    ssize_t count = file_write(*open, static_cast<const char*>(bytes), size, open->offset);
    open->offset += std::max<ssize_t>(count, 0);
    return count;
}

ssize_t last_write(int fd, const void* bytes, size_t size) {
    return write(fd, bytes, size);
}

ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
    if (int fault = injected("pread", size))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr || !reads(*open))
        return -EBADF;
    return open->type == Open::Type::File ? file_read(*open, static_cast<char*>(bytes), size, offset) : -ESPIPE;
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
    if (int fault = injected("pwrite", size))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr || !writes(*open))
        return -EBADF;
    return open->type == Open::Type::File ? file_write(*open, static_cast<const char*>(bytes), size, offset) : -ESPIPE;
}

int fstat(int fd, struct stat& status) {
    if (int fault = injected("fstat"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    describe(*open->node, status);
    return 0;
}

int stat(int folder, const char* path, struct stat& status, int flags) {
    if (int fault = injected("stat", path))
        return fault;
    int error = 0;
    File node = look_up(folder, path, (flags & AT_SYMLINK_NOFOLLOW) == 0, error);
    if (node == nullptr)
        return error;
    describe(*node, status);
    return 0;
}

int mkdir(int folder, const char* path, mode_t mode) {
    if (int fault = injected("mkdir", path))
        return fault;
    int error = 0;
    File parent;
    std::string name;
    if (look_up(folder, path, false, error, &parent, &name) != nullptr)
        return -EEXIST;
    if (error != -ENOENT || parent == nullptr)
        return error;
    parent->entries[name] = make_node(Node::Kind::Folder, mode);
    return 0;
}

int unlink(int folder, const char* path) {
    if (int fault = injected("unlink", path))
        return fault;
    int error = 0;
    File parent;
    std::string name;
    File node = look_up(folder, path, false, error, &parent, &name);
    if (node == nullptr)
        return error;
    if (node->kind == Node::Kind::Folder)
        return -EISDIR;
    parent->entries.erase(name);
    return 0;
}

int rename(int folder, const char* from, const char* to) {
    if (int fault = injected("rename", from))
        return fault;
    int error = 0;
    File parent, new_parent;
    std::string name, new_name;
    File node = look_up(folder, from, false, error, &parent, &name);
    if (node == nullptr)
        return error;
    look_up(folder, to, false, error, &new_parent, &new_name);
    if (new_parent == nullptr)
        return error;
    parent->entries.erase(name);
    new_parent->entries[new_name] = node;
    return 0;
}

int symlink(const char* target, int folder, const char* path) {
    if (int fault = injected("symlink", path))
        return fault;
    int error = 0;
    File parent;
    std::string name;
    if (look_up(folder, path, false, error, &parent, &name) != nullptr)
        return -EEXIST;
    if (error != -ENOENT || parent == nullptr)
        return error;
    File link = make_node(Node::Kind::Link, 0777);
    link->target = target;
    parent->entries[name] = link;
    return 0;
}

ssize_t readlink(int folder, const char* path, char* target, size_t size) {
    if (int fault = injected("readlink", path))
        return fault;
    int error = 0;
    File node = look_up(folder, path, false, error);
    if (node == nullptr)
        return error;
    if (node->kind != Node::Kind::Link)
        return -EINVAL;
    size = std::min(size, node->target.size());
    memcpy(target, node->target.data(), size);
    return static_cast<ssize_t>(size);
}

ssize_t getdents(int fd, void* entries, size_t size) {
    if (int fault = injected("getdents"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if (open->node->kind != Node::Kind::Folder)
        return -ENOTDIR;
    std::vector<std::string> names = {".", ".."};
    for (auto& [name, node] : open->node->entries)
        names.push_back(name);
    size_t used = 0;
    auto* bytes = static_cast<char*>(entries);
    for (; static_cast<size_t>(open->offset) < names.size(); open->offset++) {
        const std::string& name = names[static_cast<size_t>(open->offset)];
        size_t length = (offsetof(dirent, d_name) + name.size() + 1 + 7) / 8 * 8;
        if (used + length > size)
            break;
        auto* entry = reinterpret_cast<dirent*>(bytes + used);
        memset(static_cast<void*>(entry), 0, length);
        entry->d_ino = 1;
        entry->d_reclen = static_cast<unsigned short>(length);
        memcpy(entry->d_name, name.c_str(), name.size() + 1);
        used += length;
    }
    return static_cast<ssize_t>(used);
}

ssize_t getcwd(char* path, size_t size) {
    if (int fault = injected("getcwd"))
        return fault;
    if (size < 9)
        return -ERANGE;
    memcpy(path, "/home/me", 9);
    return 9;
}

int chdir(const char* path) {
    if (int fault = injected("chdir", path))
        return fault;
    int error = 0;
    File node = look_up(AT_FDCWD, path, true, error);
    if (node == nullptr)
        return error;
    if (node->kind != Node::Kind::Folder)
        return -ENOTDIR;
    kernel->working_folder = node;
    return 0;
}

int flock(int fd, int operation) {
    if (int fault = injected("flock"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    if ((operation & LOCK_EX) == 0)
        return -EINVAL; // shared locks and LOCK_UN are used nowhere
    auto is_free = [&] { return lock(open); };
    if (is_free())
        return 0;
    if (operation & LOCK_NB)
        return -EWOULDBLOCK;
    return wait_until("flock", is_free, -1, true) == Waited::Holds ? 0 : -EINTR;
}

int set_size(int fd, off_t size) {
    if (int fault = injected("set_size"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr || !writes(*open))
        return -EBADF;
    open->node->content.resize(static_cast<size_t>(size));
    return 0;
}

int lock_byte(int fd, off_t offset) {
    if (int fault = injected("lock_byte"))
        return fault;
    OpenFile open = at(fd);
    if (open == nullptr)
        return -EBADF;
    return open->node->locked_bytes.count(offset) > 0 ? -EAGAIN : 0;
}

int memory_file() {
    if (int fault = injected("memory_file"))
        return fault;
    OpenFile file = make_open(Open::Type::File, O_RDWR);
    file->node = make_node(Node::Kind::Regular, 0777);
    return install(kernel->process(), file, true);
}

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

// --- Sockets ---

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

namespace {

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

// --- Processes and signals ---

pid_t fork() {
    if (int fault = injected("fork"))
        return fault;
    pid_t pid = kernel->processes.rbegin()->first + 1;
    Process& child = add_process(pid, kernel->uid);
    child.parent = kernel->current;
    child.descriptors = kernel->process().descriptors;
    if (kernel->follow_child) {
        kernel->current = pid;
        kernel->pending_signals.clear();
        return 0;
    }
    if (kernel->on_fork)
        kernel->on_fork(child);
    return pid;
}

int execve(const char* path, const char* const* argv, const char* const* environment) {
    if (int fault = injected("execve", path))
        return fault;
    int error = 0;
    File node = look_up(AT_FDCWD, path, true, error);
    if (node == nullptr)
        return error;
    if (node->kind != Node::Kind::Regular || (node->mode & 0111) == 0)
        return -EACCES;
    if (node->content.substr(0, 2) != "#!")
        return -ENOEXEC;
    Executed executed = {path, {}, {}};
    for (; *argv != nullptr; argv++)
        executed.arguments.push_back(*argv);
    for (; *environment != nullptr; environment++)
        executed.environment.push_back(*environment);
    auto& descriptors = kernel->process().descriptors;
    for (auto one = descriptors.begin(); one != descriptors.end();)
        one = one->second.close_on_exec ? descriptors.erase(one) : std::next(one);
    throw executed;
}

void exit(int status) {
    kernel->calls["exit"]++;
    kernel->process().end(status << 8);
    throw Exited{status};
}

pid_t getpid() {
    return kernel->current;
}

pid_t setsid() {
    if (int fault = injected("setsid"))
        return fault;
    return kernel->current;
}

pid_t wait(pid_t pid, int* status, int options) {
    if (int fault = injected("wait"))
        return fault;
    auto found = kernel->processes.find(pid);
    if (found == kernel->processes.end() || found->second->reaped)
        return -ECHILD;
    if (found->second->alive && (options & WNOHANG))
        return 0;
    wait_until(
        "wait", [&] { return !found->second->alive; }, -1);
    found->second->reaped = true;
    if (status != nullptr)
        *status = found->second->status;
    return pid;
}

namespace {

int deliver(pid_t pid, int number) {
    auto found = kernel->processes.find(pid);
    if (found == kernel->processes.end() || found->second->reaped)
        return -ESRCH;
    Process& process = *found->second;
    if (!process.alive)
        return 0; // a zombie takes it and nothing happens
    if (process.uid != kernel->uid)
        return -EPERM;
    process.signals.push_back(number);
    if (number == SIGKILL)
        process.end(SIGKILL);
    else if (process.on_signal)
        process.on_signal(process, number);
    else
        process.end(number);
    return 0;
}

} // namespace

int pidfd_open(pid_t pid) {
    if (int fault = injected("pidfd_open"))
        return fault;
    auto found = kernel->processes.find(pid);
    if (found == kernel->processes.end() || found->second->reaped)
        return -ESRCH;
    OpenFile open = make_open(Open::Type::Process, O_RDWR);
    open->pid = pid;
    return install(kernel->process(), open, true);
}

int pidfd_send_signal(int pidfd, int number) {
    if (int fault = injected("pidfd_send_signal"))
        return fault;
    OpenFile open = at(pidfd);
    return open == nullptr ? -EBADF : deliver(open->pid, number);
}

int kill(pid_t pid, int number) {
    if (int fault = injected("kill"))
        return fault;
    return pid <= 1 ? -EPERM : deliver(pid, number);
}

int sigaction(int number, const struct sigaction& action) {
    if (int fault = injected("sigaction"))
        return fault;
    if (number == SIGKILL || number == SIGSTOP)
        return -EINVAL;
    kernel->actions[number] = action;
    return 0;
}

int set_signal_mask(int how, SignalSet set) {
    if (int fault = injected("set_signal_mask"))
        return fault;
    SignalSet before = how == SIG_SETMASK ? 0 : kernel->blocked;
    kernel->blocked = how == SIG_UNBLOCK ? before & ~set : before | set;
    return 0;
}

int sigtimedwait(SignalSet set, const timespec& timeout) {
    if (int fault = injected("sigtimedwait"))
        return fault;
    int found = 0;
    auto is_pending = [&] {
        for (int number : kernel->pending_signals)
            if ((set & only(number)) != 0)
                found = number;
        return found != 0;
    };
    wait_until("sigtimedwait", is_pending, static_cast<int>(timeout.tv_sec * 1000 + timeout.tv_nsec / 1'000'000));
    kernel->pending_signals.erase(found);
    return found != 0 ? found : -EAGAIN;
}

int setitimer_real(int first_milliseconds, int every_milliseconds) {
    if (int fault = injected("setitimer"))
        return fault;
    kernel->alarm_at = first_milliseconds > 0 ? kernel->now + first_milliseconds : -1;
    kernel->alarm_every = every_milliseconds;
    return 0;
}

int getrlimit(int resource, rlimit& limit) {
    if (int fault = injected("getrlimit"))
        return fault;
    auto found = kernel->limits.find(resource);
    limit = found == kernel->limits.end() ? rlimit{RLIM_INFINITY, RLIM_INFINITY} : found->second;
    return 0;
}

int setrlimit(int resource, const rlimit& limit) {
    if (int fault = injected("setrlimit"))
        return fault;
    kernel->limits[resource] = limit;
    return 0;
}

// --- Clocks, names, identity ---

int64_t clock_milliseconds(clockid_t clock) {
    injected("clock");
    return clock == CLOCK_REALTIME ? kernel->now + 1'700'000'000'000 : kernel->now;
}

int nanosleep(int milliseconds) {
    if (int fault = injected("nanosleep"))
        return fault;
    kernel->slept += milliseconds;
    wait_until(
        "nanosleep", [] { return false; }, milliseconds);
    return 0;
}

int node_name(char* name, size_t size) {
    if (int fault = injected("node_name"))
        return fault;
    if (kernel->node.size() >= size)
        return -ENAMETOOLONG;
    memcpy(name, kernel->node.c_str(), kernel->node.size() + 1);
    return 0;
}

uid_t effective_uid() {
    return kernel->uid;
}
gid_t effective_gid() {
    return kernel->gid;
}
const char* executed_path() {
    return kernel->executed.c_str();
}

int random(void* bytes, size_t size) {
    if (int fault = injected("random"))
        return fault;
    for (size_t at = 0; at < size; at++)
        static_cast<unsigned char*>(bytes)[at] =
            static_cast<unsigned char>(kernel->chance = kernel->chance * 1103515245 + 12345);
    return static_cast<int>(size);
}

} // namespace rouse::sys
