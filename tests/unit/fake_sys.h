// This file knows a kernel in memory, which unit tests link in place of src/sys.cc (fake_sys_*.cc are its door).
//
// It behaves like one: descriptors are the lowest free numbers and may run out, a lock lives as long as its last copy,
// a pipe that is full takes no more, a close that fails closes all the same, and a write that is interrupted has written
// half before. Time is a number: waiting moves it on to whatever was arranged to happen next. A call that would wait for
// ever throws Stuck; a program that calls without end throws Spinning. Objects of src are then not unwound: all that is
// theirs belongs to the fake, and reset() frees it.
#pragma once

#include "sys.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fake {

// What ends the program under test instead of an answer.
struct Exited {
    int status;
};
struct Executed {
    std::string path;
    std::vector<std::string> arguments, environment;
};
struct Stuck {
    std::string call;
};
struct Spinning {
    std::string call;
};

struct Open;
using OpenFile = std::shared_ptr<Open>;

// A file, or whatever else has an inode.
struct Node {
    enum class Kind { Regular, Folder, Link, Socket, Pipe, Null, Other };
    Kind kind = Kind::Regular;
    mode_t mode = 0644;
    uid_t uid = 0;
    gid_t gid = 0;
    ino_t number = 0;
    int64_t changed = 0;                                  // clock
    std::string content;                                  // Regular
    std::map<std::string, std::shared_ptr<Node>> entries; // Folder
    std::string target;                                   // Link
    std::shared_ptr<Node> behind;                         // Link of /proc/PID/fd: leads here whatever its name says
    std::weak_ptr<Open> bound;                            // Socket in the file system: who was bound to it
    std::weak_ptr<Open> locked;                           // by flock
    std::set<int64_t> locked_bytes;                       // by another process
};
using File = std::shared_ptr<Node>;

// Bytes on their way in one direction.
struct Stream {
    std::string bytes;
    size_t capacity = 65536;
    bool ended = false;  // nobody writes any more
    bool reset = false;  // and what was not read is followed by ECONNRESET
    bool unread = false; // nobody reads any more
};

struct Message {
    std::string bytes;
    std::vector<OpenFile> descriptors;
};

// An open file description: what descriptors of several processes can share.
struct Open {
    enum class Type { File, Pipe, Socket, Connected, Listening, Packets, Netlink, Process };
    Type type = Type::File;
    int flags = 0; // access mode and status flags, as open(2) takes them
    int64_t offset = 0;
    File node;
    std::shared_ptr<Stream> in, out;
    std::shared_ptr<std::vector<Message>> messages_in, messages_out;
    std::weak_ptr<Open> packets_peer;
    std::string name; // Listening: where
    uid_t uid = 0;    // Listening: whose; Connected: of the peer
    size_t backlog = 0;
    std::vector<OpenFile> queue; // Listening: connections not yet accepted (the server's ends)
    int family = 0, port = 0, peer_port = 0, pending_error = 0;
    bool connecting = false; // TCP: the handshake is not over
    int send_timeout = -1;   // milliseconds, -1: none
    bool lingers = true;     // SO_LINGER with 0 seconds makes it false: close resets
    pid_t pid = 0;           // Process
    std::string answer;      // Netlink: to the last query
    ~Open();
};

struct Descriptor {
    OpenFile open;
    bool close_on_exec = false;
};

struct Process {
    pid_t pid = 0, parent = 0;
    uid_t uid = 0;
    uint64_t start = 0;      // ticks, proc(5)
    std::string environment; // NAME=VALUE, NUL ...
    std::map<int, Descriptor> descriptors;
    bool alive = true, reaped = false;
    int scheduling = 0;                           // its policy
    int status = 0;                               // as waitpid gives it
    std::vector<int> signals;                     // that were sent to it
    std::function<void(Process&, int)> on_signal; // default: TERM and KILL end it

    void end(int wait_status); // closes everything, tells the parent
};

// The whole world. One at a time; reset() makes a new one.
struct Kernel {
    File root;
    File working_folder;
    std::map<pid_t, std::shared_ptr<Process>> processes;
    pid_t current = 100;
    uid_t uid = 1000;
    gid_t gid = 1000;
    int descriptor_limit = 256;
    int64_t now = 1'000'000; // milliseconds of the boot clock
    std::string node = "n1";
    bool filtered = false; // by seccomp(2)
    std::string executed = "/home/me/app.cgi";
    std::map<std::string, std::weak_ptr<Open>> abstract;      // names without the @
    std::map<std::pair<int, int>, std::weak_ptr<Open>> ports; // family and port
    bool tcp_answers = true;                                  // false: a handshake never ends
    bool netlink_tells = true;
    int netlink_error = 0; // what the answer to a query says instead
    std::multimap<int64_t, std::function<void()>> events;
    std::vector<std::function<bool()>> idle; // called when a call would wait; true: something happened
    std::function<void(Process& child)> on_fork;
    bool follow_child = false; // of the next fork; else the parent goes on
    std::set<int> pending_signals;
    uint64_t blocked;
    std::map<int, struct sigaction> actions;
    std::map<int, rlimit> limits;
    int64_t alarm_at = -1, alarm_every = 0;
    int lost_alarms = 0; // so many come just before the call goes to sleep, and interrupt nothing
    std::map<std::string, size_t> short_counts; // call: at most so many bytes each time
    std::vector<int> closed;                    // numbers, in order
    std::map<std::string, size_t> calls;
    size_t all_calls = 0;
    size_t most_calls = 200'000; // then the program spins
    size_t capacity = 65536;     // of pipes and connections made from now on
    int last_fault = 0;          // errno of the fault that came last
    ino_t next_inode = 1000;
    unsigned chance = 1;
    int64_t slept = 0; // milliseconds of nanosleep

    Process& process() { return *processes.at(current); }
};
extern Kernel* kernel;

// A new world: /tmp, /dev/null, /proc, /home/me (ours); descriptor 0 an empty pipe that has ended, 1 and 2 pipes.
void reset();

// --- Files ---
File put(const std::string& path, std::string content = "", mode_t mode = 0644); // owned by us
File put_folder(const std::string& path, mode_t mode = 0755);
File find(const std::string& path); // null when there is none; follows links
bool exists(const std::string& path);
std::string content(const std::string& path);

// --- Faults: (which call, which errno, on the Nth, once or for ever, perhaps only for a path that contains a text) ---
struct When {
    size_t nth = 1;
    bool for_ever = false;
    std::string path = "";
};
void fail(const std::string& call, int error, When when = {});
bool any_fault_left(); // that was arranged and has not come to pass
size_t count(const std::string& call);

// --- Time ---
void in(int64_t milliseconds, std::function<void()> what);

// --- Descriptors ---
std::set<int> descriptors(); // of the current process
void raise(int number);      // a signal for the current process

// --- The other side ---
// One end of a pipe or of a connection that the test holds in its hand.
struct Peer {
    std::shared_ptr<Stream> from_program, to_program;
    OpenFile open;      // of a connection: the server's end
    std::string take(); // all that came and was not taken yet
    void send(std::string_view bytes) const { to_program->bytes += bytes; }
    void end() const { to_program->ended = true; } // no more comes
    void close();                                  // a reset when something is unread, as the kernel does
    void reset();
};

// Standard input and output as mod_cgi makes them (pipes), or mod_cgid (one socket for both).
Peer as_mod_cgi();
Peer as_mod_cgid();

// A server. `name` is a path, @name, or host:port as parse_address reads it.
struct Server {
    OpenFile listener;
    bool has_caller() const { return !listener->queue.empty(); }
    Peer accept();
    void close() { listener.reset(); } // a path keeps its dead socket
};
Server listen(const std::string& name, size_t backlog = 16, uid_t uid = 1000);
Server bind(const std::string& name);           // bound, not yet listening
Peer connected(int& fd, bool blocking = false); // a connection of the program's, and its other end

// A process beside ours, with files open.
Process& add_process(pid_t pid, uid_t uid = 1000);
void give(Process& process, int fd, const OpenFile& open);
OpenFile open_by(Process& process, int fd, const std::string& path); // for reading and writing
bool lock(const OpenFile& open);                                     // flock, exclusive, without waiting

} // namespace fake
