#include "fake_kernel.h"

#include "address.h"

#include <algorithm>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>

namespace fake {

Kernel* kernel = nullptr;

namespace {

struct Fault {
    std::string call;
    int error;
    When when;
    size_t seen = 0;
    bool done = false;
};

std::vector<Fault> faults;
std::set<std::string> interrupted_next; // calls that moved half before EINTR

void end_stream(const std::shared_ptr<Stream>& stream, bool reset) {
    if (stream == nullptr)
        return;
    stream->ended = true;
    stream->reset |= reset;
}

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

void Process::end(int wait_status) {
    alive = false;
    status = wait_status;
    descriptors.clear();
    if (parent == kernel->current)
        raise(SIGCHLD);
}

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

int injected(const char* call, std::string_view path) {
    kernel->calls[call]++;
    std::string_view name = call;
    if (++kernel->all_calls > kernel->most_calls && name != "close") // which destructors call
        throw Spinning{call};
    if (!interrupted_next.empty() && interrupted_next.erase(call) > 0)
        return -EINTR;
    for (Fault& fault : faults) {
        if (fault.call != call || (fault.done && !fault.when.for_ever) ||
            (!fault.when.path.empty() && path.find(fault.when.path) == path.npos))
            continue;
        if (++fault.seen < fault.when.nth)
            continue;
        fault.done = true;
        kernel->last_fault = fault.error;
        return -fault.error;
    }
    return 0;
}

int injected(const char* call, size_t& size) {
    if (auto limit = kernel->short_counts.find(call); limit != kernel->short_counts.end())
        size = std::min(size, limit->second);
    bool is_second_half = interrupted_next.count(call) > 0;
    int fault = injected(call);
    if (fault == -EINTR && size > 1 && !is_second_half) {
        size /= 2;
        interrupted_next.insert(call);
        return 0;
    }
    return fault;
}

Waited wait_until(const char* call, const std::function<bool()>& holds, int milliseconds, bool by_alarm) {
    int64_t deadline = milliseconds < 0 ? INT64_MAX : kernel->now + milliseconds;
    for (;;) {
        if (holds())
            return Waited::Holds;
        if (++kernel->all_calls > kernel->most_calls)
            throw Spinning{call};
        bool moved = false;
        if (milliseconds != 0)
            for (auto& one : kernel->idle)
                moved = one() || moved;
        if (moved)
            continue;
        bool alarm_is_let_through = by_alarm && kernel->alarm_at >= 0 &&
                                    (kernel->blocked & rouse::sys::only(SIGALRM)) == 0 &&
                                    kernel->actions.count(SIGALRM) > 0;
        int64_t alarm = alarm_is_let_through ? std::max(kernel->alarm_at, kernel->now) : INT64_MAX;
        int64_t event = kernel->events.empty() ? INT64_MAX : std::max(kernel->events.begin()->first, kernel->now);
        if (event == INT64_MAX && alarm == INT64_MAX && deadline == INT64_MAX)
            throw Stuck{call};
        if (event <= deadline && event <= alarm) {
            auto what = std::move(kernel->events.begin()->second);
            kernel->events.erase(kernel->events.begin());
            kernel->now = event;
            what();
        } else if (alarm <= deadline) {
            kernel->now = alarm;
            kernel->alarm_at = kernel->alarm_every > 0 ? alarm + kernel->alarm_every : -1;
            if (kernel->lost_alarms == 0)
                return Waited::Interrupted;
            kernel->lost_alarms--;
        } else {
            kernel->now = deadline;
            return holds() ? Waited::Holds : Waited::Over;
        }
    }
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

// --- What tests use ---

void reset() {
    static std::unique_ptr<Kernel> present;
    faults.clear();
    interrupted_next.clear();
    kernel = nullptr; // what is freed now closes nothing
    present = std::make_unique<Kernel>();
    kernel = present.get();
    kernel->blocked = 0;
    kernel->root = make_node(Node::Kind::Folder, 0755);
    kernel->root->uid = 0;
    kernel->working_folder = kernel->root;
    kernel->processes[1] = std::make_shared<Process>();
    kernel->processes[1]->pid = 1;
    kernel->processes[100] = std::make_shared<Process>();
    kernel->process().pid = 100;
    kernel->process().uid = kernel->uid;
    kernel->process().start = 5000;
    put_folder("/tmp", 01777);
    put_folder("/dev");
    kernel->root->entries["dev"]->entries["null"] = make_node(Node::Kind::Null, 0666);
    put_folder("/home");
    put_folder("/home/me");
    as_mod_cgi().end();
}

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

void fail(const std::string& call, int error, When when) {
    faults.push_back({call, error, when});
}

bool any_fault_left() {
    return std::any_of(faults.begin(), faults.end(), [](const Fault& fault) { return !fault.done; });
}

size_t count(const std::string& call) {
    return kernel->calls[call];
}

void in(int64_t milliseconds, std::function<void()> what) {
    kernel->events.emplace(kernel->now + milliseconds, std::move(what));
}

std::set<int> descriptors() {
    std::set<int> numbers;
    for (auto& [number, descriptor] : kernel->process().descriptors)
        numbers.insert(number);
    return numbers;
}

void raise(int number) {
    kernel->pending_signals.insert(number);
}

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
