// This file knows how to write all of something and read some, past EINTR, and how to wait by a deadline.
#pragma once

#include "deadline.h"
#include "sys.h"

#include <errno.h>
#include <string_view>

namespace rouse {

// Repeats `call` while it answers -EINTR. Not for close (sys.h) and not for flock (locks.h).
template <class Call> auto uninterrupted(Call call) -> decltype(call()) {
    for (;;) {
        auto result = call();
        if (result != -EINTR)
            return result;
    }
}

// Writes all of `bytes`; 0, or -errno after a part. A descriptor that does not block is waited for.
int write_all(int fd, std::string_view bytes);

// What read(2), and recv(2) without waiting, answer.
ssize_t read_some(int fd, void* bytes, size_t size);
ssize_t receive_some(int socket, void* bytes, size_t size);

// Reads until `size` bytes, the end of the file or an error; how many, or -errno.
ssize_t read_full(int fd, char* bytes, size_t size);

// Whether one of `events` (poll(2)) comes on one descriptor within the milliseconds: 1, 0 or -errno.
int is_ready(int fd, short events, int milliseconds = 0);

// The same, by a deadline: the events that came, 0 when it is over, or -errno.
int wait_for(int fd, short events, Deadline deadline);

// The whole of a small file, NUL-terminated in `storage`; false when it cannot be opened, read or is longer.
bool read_small_file(int folder, const char* path, char* storage, size_t capacity, std::string_view& text);

} // namespace rouse
