// This file knows what the parts of the kernel in memory, and its door (fake_sys_*.cc), need of each other.
#pragma once

#include "fake_sys.h"

namespace fake {

// What a descriptor of the current process leads to; null when it is none.
OpenFile at(int fd);
bool may_wait(const Open& open); // it is not O_NONBLOCK

// The node at `path`, from the folder `from`; an error as -errno in `error`. `parent` and `name`, when not null, get
// the folder of the last part, also when that part itself is not there.
File resolve(const File& from, std::string path, bool follow_last, int& error, File* parent = nullptr,
             std::string* name = nullptr);
// The same, from the folder that descriptor `folder` (or AT_FDCWD) leads to.
File look_up(int folder, const char* path, bool follow, int& error, File* parent = nullptr,
             std::string* name = nullptr);
ssize_t file_write(Open& open, const char* bytes, size_t size, int64_t offset);
ssize_t file_read(const Open& open, char* bytes, size_t size, int64_t offset);

File make_node(Node::Kind kind, mode_t mode);
OpenFile make_open(Open::Type type, int flags);
int install(Process& process, const OpenFile& open, bool close_on_exec, int lowest = 0); // the number, or -EMFILE

// Counts the call, and answers the fault that was arranged for it: -errno, or 0.
int injected(const char* call, std::string_view path = {});
// The same for a call that moves `size` bytes: with EINTR half of them is moved first, so `size` becomes less and
// the fault comes with the next call.
int injected(const char* call, size_t& size);

// Waits until `holds`, at most `milliseconds` (-1: for ever): whether it holds. -EINTR for an alarm that is let through.
enum class Waited { Holds, Over, Interrupted };
Waited wait_until(const char* call, const std::function<bool()>& holds, int milliseconds, bool by_alarm = false);

short ready(const Open& open, short events); // poll(2)
ssize_t read_from(Open& open, char* bytes, size_t size, bool wait, const char* call);
ssize_t write_to(Open& open, const char* bytes, size_t size, bool wait, const char* call);
std::shared_ptr<Stream> make_stream();
std::pair<OpenFile, OpenFile> make_connection();

} // namespace fake
