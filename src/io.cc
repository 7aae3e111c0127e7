#include "io.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

int write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t written = sys::write(fd, bytes.data(), bytes.size());
        if (written == -EINTR)
            continue;
        if (written == -EAGAIN) {
            is_ready(fd, POLLOUT, -1); // an error shows at the next write
            continue;
        }
        if (written < 0)
            return static_cast<int>(written);
        bytes.remove_prefix(static_cast<size_t>(written));
    }
    return 0;
}

ssize_t read_some(int fd, void* bytes, size_t size) {
    return uninterrupted([&] { return sys::read(fd, bytes, size); });
}

ssize_t receive_some(int socket, void* bytes, size_t size) {
    return uninterrupted([&] { return sys::recv(socket, bytes, size, MSG_DONTWAIT); });
}

ssize_t read_full(int fd, char* bytes, size_t size) {
    size_t got = 0;
    while (got < size) {
        ssize_t count = read_some(fd, bytes + got, size - got);
        if (count < 0)
            return count;
        if (count == 0)
            break;
        got += static_cast<size_t>(count);
    }
    return static_cast<ssize_t>(got);
}

int is_ready(int fd, short events, int milliseconds) {
    return uninterrupted([&] {
        pollfd ready = {fd, events, 0};
        return sys::poll(&ready, 1, milliseconds);
    });
}

int wait_for(int fd, short events, Deadline deadline) {
    for (;;) {
        pollfd ready = {fd, events, 0};
        int count = sys::poll(&ready, 1, deadline.left());
        if (count > 0)
            return ready.revents;
        if (count != -EINTR)
            return count;
    }
}

bool read_small_file(int folder, const char* path, char* storage, size_t capacity, std::string_view& text) {
    Fd file(sys::open(folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.is_open())
        return false;
    ssize_t size = read_full(file.number(), storage, capacity);
    if (size < 0 || static_cast<size_t>(size) >= capacity)
        return false;
    storage[size] = '\0';
    text = {storage, static_cast<size_t>(size)};
    return true;
}

} // namespace rouse
