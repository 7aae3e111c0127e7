// This file knows how to move bytes from one descriptor to another without touching them where the kernel can.
//
// splice(2) needs a pipe at one end and refuses socket to socket and O_APPEND files, so there are three ways:
// direct, through a pipe of our own, through memory. The first that works is found by trying: no fstat.
#pragma once

#include "fd.h"

#include <stdint.h>
#include <string_view>

namespace rouse {

// Standard output, written so that it does not block while the other direction still has work to do.
// O_NONBLOCK would do that too, but it belongs to the open file and would change it for the web server.
class Outlet {
public:
    Outlet() = default;
    explicit Outlet(int fd) : fd_(fd) {}

    // Writes some of `bytes`: how many, -EAGAIN when poll(2) for POLLOUT is due, or -errno.
    ssize_t write_some(std::string_view bytes, bool may_block);
    int fd() const { return fd_; }

private:
    int fd_ = 0;
    bool is_no_socket_ = false; // send(2) said ENOTSOCK
};

class Pump {
public:
    Pump() = default;
    Pump(const Pump&) = delete;
    Pump& operator=(const Pump&) = delete;

    enum class Direction { ToServer, FromServer };
    enum class Step : char {
        Moved,       // `taken` and `given` say how much
        AwaitInput,  // the source has nothing for now
        AwaitOutput, // the sink takes nothing for now
        Ended,       // end of file at the source, and all that was taken is given
        InputFailed, // `code` says how; what was taken before may be lost
        OutputFailed,
    };

    // Begins anew, between two other descriptors. There is memory for one pump in each direction at a time.
    void begin(int from, int to, Direction direction);

    // Takes at most `limit` more bytes from the source. Whatever was taken is given before Ended.
    // `may_block`: the sink may be written with calls that block, nothing else waits (the source is never waited for).
    Step move(uint64_t limit, bool may_block);

    uint64_t taken() const { return taken_; } // bytes read from the source so far
    uint64_t given() const { return given_; } // bytes accepted by the sink so far
    int code() const { return code_; }        // errno of the failure

private:
    enum class Way : char { Direct, Pipe, Memory };

    Step move_direct(uint64_t limit, bool may_block);
    Step move_through_pipe(uint64_t limit);
    Step move_through_memory(uint64_t limit, bool may_block);
    Step fail(Step step, ssize_t result);
    void expect_much(int pipe);
    bool open_pipe();

    int from_ = 0;
    Outlet outlet_;
    Direction direction_ = Direction::ToServer;
    Way way_ = Way::Direct;
    bool pipe_refused_ = false; // the sink cannot be spliced to, or no pipe could be made
    bool source_ended_ = false;
    uint64_t taken_ = 0;
    uint64_t given_ = 0;
    int code_ = 0;
    Fd pipe_in_, pipe_out_;
    uint64_t in_pipe_ = 0;       // bytes in our pipe
    size_t start_ = 0, end_ = 0; // of the memory, what is read but not yet written
};

} // namespace rouse
