#include "pump.h"

#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

namespace rouse {

namespace {

constexpr int pipe_size = 1 << 20;     // pipe(7): /proc/sys/fs/pipe-max-size lets everybody have this much
constexpr uint64_t large = 256 * 1024; // worth a larger pipe
constexpr size_t always_fits = 4096;   // pipe(7): after POLLOUT a pipe takes PIPE_BUF bytes without blocking
constexpr unsigned splice_flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

char memories[2][65536]; // by direction

size_t at_most(uint64_t limit, size_t most) {
    return limit < most ? static_cast<size_t>(limit) : most;
}

} // namespace

ssize_t Outlet::write_some(std::string_view bytes, bool may_block) {
    if (may_block)
        return uninterrupted([&] { return sys::write(fd_, bytes.data(), bytes.size()); });
    if (!is_no_socket_) {
        ssize_t count =
            uninterrupted([&] { return sys::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
        if (count != -ENOTSOCK)
            return count;
        is_no_socket_ = true;
    }
    int count = is_ready(fd_, POLLOUT);
    if (count <= 0)
        return count == 0 ? -EAGAIN : count;
    return uninterrupted([&] { return sys::write(fd_, bytes.data(), at_most(bytes.size(), always_fits)); });
}

[[gnu::noinline]] void Pump::begin(int from, int to, Direction direction) {
    from_ = from;
    outlet_ = Outlet(to);
    direction_ = direction;
    way_ = Way::Direct;
    pipe_refused_ = source_ended_ = false;
    taken_ = given_ = in_pipe_ = 0;
    start_ = end_ = 0;
    pipe_in_.reset(); // with whatever was left in it
    pipe_out_.reset();
}

Pump::Step Pump::fail(Step step, ssize_t result) {
    code_ = static_cast<int>(-result);
    return step;
}

Pump::Step Pump::move_direct(uint64_t limit, bool may_block) {
    // A full pipe is waited for within the call, where that is allowed: half as many calls as with poll(2) for each time that the
    // web server has taken something. Whether the source blocks is its own affair (its O_NONBLOCK).
    unsigned flags = may_block ? SPLICE_F_MOVE : splice_flags;
    ssize_t count = uninterrupted([&] { return sys::splice(from_, outlet_.fd(), at_most(limit, pipe_size), flags); });
    if (count > 0) {
        // A pipe of the web server's: grown once, when it is sure to pay (from or to, whichever is the pipe).
        if (given_ < large && given_ + static_cast<uint64_t>(count) >= large)
            expect_much(direction_ == Direction::ToServer ? from_ : outlet_.fd());
        taken_ += static_cast<uint64_t>(count);
        given_ += static_cast<uint64_t>(count);
        return Step::Moved;
    }
    if (count == 0)
        return Step::Ended;
    if (count == -EAGAIN) // one for two descriptors: the source is asked, for to guess wrong would spin
        return is_ready(from_, POLLIN) != 0 ? Step::AwaitOutput : Step::AwaitInput;
    if (count == -EINVAL) {
        way_ = Way::Pipe;
        return Step::Moved; // nothing yet: the caller comes again
    }
    bool server_failed = count == -ECONNRESET || count == -ETIMEDOUT;
    bool sink_failed = count == -EPIPE || server_failed == (direction_ == Direction::ToServer);
    return fail(sink_failed ? Step::OutputFailed : Step::InputFailed, count);
}

// What is refused here makes it slower, nothing else.
void Pump::expect_much(int pipe) {
    sys::set_pipe_size(pipe, pipe_size);
    // Our turn on the processor may wait for the end of somebody else's, so that whoever sends or takes the next bytes is not
    // interrupted for each of them (sched(7)): more is moved at once. The share of the processor stays. A child would inherit
    // it (SCHED_RESET_ON_FORK is about other policies), so it is for answers: behind them nobody starts a server any more. And a
    // filter might not refuse the call but kill who makes it.
    if (direction_ == Direction::FromServer && !sys::is_filtered())
        sys::set_scheduling(SCHED_BATCH);
}

bool Pump::open_pipe() {
    if (pipe_in_.is_open())
        return true;
    int ends[2];
    if (pipe_refused_ || sys::pipe(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    pipe_out_.reset(ends[0]);
    pipe_in_.reset(ends[1]);
    expect_much(ends[1]);
    return true;
}

Pump::Step Pump::move_through_pipe(uint64_t limit) {
    if (limit > 0 && !source_ended_ && in_pipe_ == 0) { // or a failure would be told before all is given
        ssize_t count = uninterrupted(
            [&] { return sys::splice(from_, pipe_in_.number(), at_most(limit, pipe_size), splice_flags); });
        if (count > 0) {
            taken_ += static_cast<uint64_t>(count);
            in_pipe_ += static_cast<uint64_t>(count);
        } else if (count == 0) {
            source_ended_ = true;
        } else if (count == -EINVAL) {
            pipe_refused_ = true;
            way_ = Way::Memory;
            return Step::Moved;
        } else if (count != -EAGAIN) {
            return fail(Step::InputFailed, count);
        }
    }
    if (in_pipe_ == 0)
        return source_ended_ ? Step::Ended : Step::AwaitInput;
    ssize_t count = uninterrupted(
        [&] { return sys::splice(pipe_out_.number(), outlet_.fd(), static_cast<size_t>(in_pipe_), SPLICE_F_MOVE); });
    if (count > 0) {
        in_pipe_ -= static_cast<uint64_t>(count);
        given_ += static_cast<uint64_t>(count);
        return Step::Moved;
    }
    if (count == -EAGAIN)
        return Step::AwaitOutput;
    if (count == -EINVAL) { // an O_APPEND file, say: what is in the pipe goes on through memory
        pipe_refused_ = true;
        way_ = Way::Memory;
        return Step::Moved;
    }
    return fail(Step::OutputFailed, count == 0 ? -EIO : count);
}

Pump::Step Pump::move_through_memory(uint64_t limit, bool may_block) {
    auto& memory = memories[direction_ == Direction::ToServer];
    if (start_ == end_) {
        ssize_t count = 0;
        if (in_pipe_ > 0) {
            count = read_some(pipe_out_.number(), memory, sizeof memory);
            if (count > 0)
                in_pipe_ -= static_cast<uint64_t>(count);
        } else if (source_ended_) {
            return Step::Ended;
        } else if (limit == 0) {
            return Step::AwaitInput;
        } else {
            if (is_ready(from_, POLLIN) == 0) // the source may be a descriptor that blocks
                return Step::AwaitInput;
            count = read_some(from_, memory, at_most(limit, sizeof memory));
            if (count > 0)
                taken_ += static_cast<uint64_t>(count);
        }
        if (count == 0) {
            source_ended_ = true;
            return Step::Ended;
        }
        if (count < 0)
            return count == -EAGAIN ? Step::AwaitInput : fail(Step::InputFailed, count);
        start_ = 0;
        end_ = static_cast<size_t>(count);
    }
    ssize_t count = outlet_.write_some({memory + start_, end_ - start_}, may_block);
    if (count == -EAGAIN)
        return Step::AwaitOutput;
    if (count < 0)
        return fail(Step::OutputFailed, count);
    start_ += static_cast<size_t>(count);
    given_ += static_cast<uint64_t>(count);
    return Step::Moved;
}

Pump::Step Pump::move(uint64_t limit, bool may_block) {
    if (way_ == Way::Direct)
        return move_direct(limit, may_block);
    // From here on either of the two others, whichever suits while nothing is under way. A pipe to a socket
    // that blocks would block: splice(2) asks the open file, not the call, whether it may.
    if (in_pipe_ == 0 && start_ == end_ && !pipe_refused_) {
        bool sink_may_be_spliced_to = may_block || direction_ == Direction::ToServer;
        way_ = sink_may_be_spliced_to && open_pipe() ? Way::Pipe : Way::Memory;
    }
    return way_ == Way::Pipe ? move_through_pipe(limit) : move_through_memory(limit, may_block);
}

} // namespace rouse
