// This file knows the door to the kernel in memory: what src/sys.cc answers about files.
#include "fake_kernel.h"

#include <algorithm>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

namespace rouse::sys {

namespace {

using namespace fake;

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

bool writes(const Open& open) {
    return (open.flags & O_ACCMODE) != O_RDONLY;
}
bool reads(const Open& open) {
    return (open.flags & O_ACCMODE) != O_WRONLY;
}

} // namespace

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

} // namespace rouse::sys
