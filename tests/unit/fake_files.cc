// This file knows the files of the kernel in memory: nodes, the paths that lead to them, and /proc.
#include "fake_kernel.h"

#include <algorithm>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

namespace fake {

namespace {

std::string decimal(int64_t number) {
    return std::to_string(number);
}

File file_with(std::string content) {
    File one = make_node(Node::Kind::Regular, 0444);
    one->content = std::move(content);
    return one;
}

std::string unix_sockets() {
    std::string lines = "Num       RefCount Protocol Flags    Type St Inode Path\n";
    auto list = [&](const std::weak_ptr<Open>& weak) {
        if (auto open = weak.lock())
            lines += "0000000000000000: 00000002 00000000 00010000 0001 01 " + decimal(open->node->number) + " " +
                     open->name + "\n";
    };
    std::function<void(const File&)> walk = [&](const File& node) {
        list(node->bound);
        for (auto& [name, entry] : node->entries)
            walk(entry);
    };
    walk(kernel->root);
    for (auto& [name, open] : kernel->abstract)
        list(open);
    return lines;
}

File folder_of(const Process& process) {
    File one = make_node(Node::Kind::Folder, 0555), fd = make_node(Node::Kind::Folder, 0500);
    one->uid = process.uid;
    one->entries["stat"] = file_with(decimal(process.pid) + " (a) name) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 " +
                                     decimal(static_cast<int64_t>(process.start)) + " 0 0\n");
    one->entries["environ"] = file_with(process.alive ? process.environment : "");
    for (auto& [number, descriptor] : process.descriptors) {
        File link = make_node(Node::Kind::Link, 0777);
        link->target = "(the open file itself)";
        link->behind = descriptor.open->node;
        fd->entries[decimal(number)] = link;
    }
    one->entries["fd"] = fd;
    return one;
}

// /proc as it is at this moment, as far as the path `rest` in it needs.
File proc(const std::string& rest) {
    File folder = make_node(Node::Kind::Folder, 0555);
    folder->uid = 0;
    std::string first = rest.substr(0, rest.find('/'));
    if (first == "net") {
        File net = folder->entries["net"] = make_node(Node::Kind::Folder, 0555);
        net->entries["unix"] = file_with(unix_sockets());
    } else if (first == "sys") {
        File at = folder;
        for (std::string name : {"sys", "kernel", "random"})
            at = at->entries[name] = make_node(Node::Kind::Folder, 0555);
        at->entries["boot_id"] = file_with("01234567-89ab-cdef-0123-456789abcdef\n");
    } else {
        for (auto& [pid, process] : kernel->processes)
            if (!process->reaped && (first.empty() || decimal(pid) == first))
                folder->entries[decimal(pid)] =
                    first.empty() ? make_node(Node::Kind::Folder, 0555) : folder_of(*process);
    }
    return folder;
}

} // namespace

File make_node(Node::Kind kind, mode_t mode) {
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->mode = mode;
    node->uid = kernel->uid;
    node->gid = kernel->gid;
    node->number = kernel->next_inode++;
    node->changed = kernel->now;
    return node;
}

File resolve(const File& from, std::string path, bool follow_last, int& error, File* parent, std::string* name) {
    error = 0;
    File at = path.empty() || path[0] != '/' ? from : kernel->root;
    int links = 0;
    if (path.empty()) {
        error = -ENOENT;
        return nullptr;
    }
    for (size_t begin = 0;;) {
        while (begin < path.size() && path[begin] == '/')
            begin++;
        size_t end = std::min(path.find('/', begin), path.size());
        std::string one = path.substr(begin, end - begin);
        bool is_last = path.find_first_not_of('/', end) == path.npos;
        if (one.empty())
            return at;
        if (at->kind != Node::Kind::Folder) {
            error = -ENOTDIR;
            return nullptr;
        }
        if (is_last && parent != nullptr) {
            *parent = at;
            *name = one;
        }
        File next;
        if (one == "." || one == "..") // no test needs to go up: both stay
            next = at;
        else if (at == kernel->root && one == "proc")
            next = proc(path.substr(std::min(end + 1, path.size())));
        else if (auto found = at->entries.find(one); found != at->entries.end())
            next = found->second;
        if (next == nullptr) {
            error = -ENOENT;
            return nullptr;
        }
        if (next->kind == Node::Kind::Link && (!is_last || follow_last)) {
            if (++links > 40) {
                error = -ELOOP;
                return nullptr;
            }
            if (next->behind != nullptr) {
                next = next->behind;
            } else {
                path = next->target + path.substr(end);
                begin = 0;
                if (path[0] == '/')
                    at = kernel->root;
                continue;
            }
        }
        at = next;
        begin = end;
        if (is_last)
            return at;
    }
}

namespace {

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

} // namespace

File look_up(int folder, const char* path, bool follow, int& error, File* parent, std::string* name) {
    File from = *path == '/' ? kernel->root : folder_of(folder, error);
    if (from == nullptr)
        return nullptr;
    return resolve(from, path, follow, error, parent, name);
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

// --- What tests use ---

File put_folder(const std::string& path, mode_t mode) {
    File parent;
    std::string name;
    int error = 0;
    File found = resolve(kernel->root, path, true, error, &parent, &name);
    if (found != nullptr)
        return found;
    return parent->entries[name] = make_node(Node::Kind::Folder, mode);
}

File put(const std::string& path, std::string text, mode_t mode) {
    File parent;
    std::string name;
    int error = 0;
    resolve(kernel->root, path, true, error, &parent, &name);
    REQUIRE_MESSAGE(parent != nullptr, path);
    File file = make_node(Node::Kind::Regular, mode);
    file->content = std::move(text);
    return parent->entries[name] = file;
}

File find(const std::string& path) {
    int error = 0;
    return resolve(kernel->root, path, true, error);
}

bool exists(const std::string& path) {
    int error = 0;
    return resolve(kernel->root, path, false, error) != nullptr;
}

std::string content(const std::string& path) {
    File file = find(path);
    return file == nullptr ? "" : file->content;
}

} // namespace fake
