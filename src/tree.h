// This file knows how to find everything that a launch started, and how to stop it with certainty.
//
// No pid is trusted that this scan does not confirm: a lock table, SO_PEERCRED or a file may name the dead, and
// a number may have gone to somebody else. A process belongs to the tree when it is ours and holds alive.lock,
// or the socket that listens on our address, or carries our ROUSE_LAUNCH.
#pragma once

#include "address.h"
#include "buffer.h"

#include <string_view>
#include <sys/types.h>

namespace rouse {

struct TreeMark {
    dev_t device = 0; // of alive.lock
    ino_t inode = 0;
    std::string_view launch;          // how ROUSE_LAUNCH ends for every launch of this run directory: see mark_of
    const Address* address = nullptr; // null: who only listens there is not looked for
    ino_t socket = 0;                 // one more that listens there, known otherwise than by the address; 0: none
};

// ROUSE_LAUNCH is NUMBER "@" device ":" inode of alive.lock: it names the run directory, not only the launch.
void add_launch_mark(dev_t device, ino_t inode, Text& out);

// The pids of the tree; answers how many there are, at most `capacity`.
size_t find_tree(const TreeMark& mark, pid_t* pids, size_t capacity);

// TERM to all of the tree, and after `stop_timeout` milliseconds KILL, until a scan finds none: true. False
// when some are left 2 s after KILL.
bool stop_tree(const TreeMark& mark, int stop_timeout);

// KILL to `pid`, if it is ours and the process that started at `start`.
void end_process(pid_t pid, uint64_t start);

} // namespace rouse
