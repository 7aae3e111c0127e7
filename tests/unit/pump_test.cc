#include "pump.h"
#include "world.h"

using namespace rouse;
using Step = Pump::Step;

namespace {

enum class End { Pipe, Connection, File, Appended };

// What is pumped from: it feeds `content` in pieces whenever the program waits, then ends.
struct Source {
    Source(End kind, std::string content) : content_(std::move(content)) {
        if (kind == End::File) {
            fake::put("/tmp/source", content_);
            fd = sys::open(AT_FDCWD, "/tmp/source", O_RDONLY | O_CLOEXEC);
            return;
        }
        if (kind == End::Connection) {
            peer_ = fake::connected(fd);
        } else {
            peer_ = fake::as_mod_cgi();
            fd = 0;
        }
        fake::kernel->idle.push_back([this] { return feed(); });
    }
    bool feed() {
        if (peer_.to_program->ended || peer_.to_program->bytes.size() > fake::kernel->capacity)
            return false;
        size_t size = std::min<size_t>(content_.size() - fed_, fake::kernel->capacity / 2);
        peer_.send(std::string_view(content_).substr(fed_, size));
        fed_ += size;
        if (size == 0)
            peer_.end();
        return true;
    }
    int fd = -1;

private:
    std::string content_;
    size_t fed_ = 0;
    fake::Peer peer_;
};

// What is pumped to: it takes what came whenever the program waits.
struct Sink {
    explicit Sink(End kind) {
        if (kind == End::File || kind == End::Appended) {
            fd = sys::open(AT_FDCWD, "/tmp/sink", O_WRONLY | O_CREAT | O_CLOEXEC | (kind == End::File ? 0 : O_APPEND),
                           0600);
            return;
        }
        peer = kind == End::Connection ? fake::connected(fd) : fake::as_mod_cgi();
        fd = kind == End::Connection ? fd : 1;
        fake::kernel->idle.push_back([this] {
            std::string some = peer.take();
            got_ += some;
            return !some.empty();
        });
    }
    std::string got() {
        if (peer.from_program != nullptr)
            got_ += peer.take();
        return peer.from_program != nullptr ? got_ : fake::content("/tmp/sink");
    }
    int fd = -1;
    fake::Peer peer;

private:
    std::string got_;
};

// Pumps to the end as relay does it: after each step that waits, poll for that side.
Step pump_all(Pump& pump, int from, int to, bool may_block, uint64_t limit = UINT64_MAX) {
    for (;;) {
        if (limit != UINT64_MAX && pump.given() == limit)
            return Step::Ended;
        Step step = pump.move(limit - pump.taken(), may_block);
        pollfd wanted = {step == Step::AwaitInput ? from : to,
                         static_cast<short>(step == Step::AwaitInput ? POLLIN : POLLOUT), 0};
        switch (step) {
        case Step::Moved:
            break;
        case Step::AwaitInput:
        case Step::AwaitOutput:
            if (int count = sys::poll(&wanted, 1, -1); count < 0 && count != -EINTR)
                return Step::Moved; // the driver's own fault
            break;
        case Step::Ended:
        case Step::InputFailed:
        case Step::OutputFailed:
            return step;
        }
    }
}

std::string numbered(size_t size) {
    std::string content;
    for (size_t number = 0; content.size() < size; number++)
        content += std::to_string(number) + " ";
    return content.substr(0, size);
}

} // namespace

TEST_CASE("whatever the two ends are, all bytes come through, in constant memory [S1][S4]") {
    std::string content = numbered(700'000);
    for (End from : {End::Pipe, End::Connection, End::File}) {
        for (End to : {End::Pipe, End::Connection, End::File, End::Appended}) {
            for (bool may_block : {false, true}) {
                CAPTURE(static_cast<int>(from));
                CAPTURE(static_cast<int>(to));
                CAPTURE(may_block);
                World world;
                {
                    auto pump = std::make_unique<Pump>();
                    Sink sink(to);
                    Source source(from, content);
                    if (from == End::Pipe && to == End::Pipe) // both made descriptors 0 and 1 anew
                        fake::kernel->process().descriptors[1].open->out = sink.peer.from_program;
                    world.expect_no_more_than_now();
                    auto direction = from == End::Connection ? Pump::Direction::FromServer : Pump::Direction::ToServer;
                    pump->begin(source.fd, sink.fd, direction);
                    CHECK(pump_all(*pump, source.fd, sink.fd, may_block) == Step::Ended);
                    CHECK(sink.got() == content);
                    CHECK(pump->taken() == content.size());
                    CHECK(pump->given() == content.size());
                }
                world.check_nothing_leaked();
            }
        }
    }
}

TEST_CASE("no byte more than the limit is taken from the source [F3]") {
    std::string content = numbered(300'000);
    for (End from : {End::Pipe, End::Connection, End::File}) {
        for (size_t limit : {1, 4096, 100'000, 299'999}) {
            CAPTURE(static_cast<int>(from));
            CAPTURE(limit);
            World world;
            auto pump = std::make_unique<Pump>();
            Sink sink(End::Connection);
            Source source(from, content);
            pump->begin(source.fd, sink.fd, Pump::Direction::ToServer);
            CHECK(pump_all(*pump, source.fd, sink.fd, true, limit) == Step::Ended);
            CHECK(pump->taken() == limit);
            CHECK(sink.got() == content.substr(0, limit));
        }
    }
}

TEST_CASE("a pump that begins anew has forgotten the descriptors before") {
    World world;
    auto pump = std::make_unique<Pump>();
    Sink first(End::Connection), second(End::Connection);
    Source source(End::Connection, numbered(1000));
    pump->begin(source.fd, first.fd, Pump::Direction::ToServer);
    source.feed();
    while (pump->given() == 0)
        pump->move(100, true);
    pump->begin(source.fd, second.fd, Pump::Direction::ToServer);
    CHECK(pump->taken() == 0);
    CHECK(pump_all(*pump, source.fd, second.fd, true) == Step::Ended);
    CHECK(first.got() + second.got() == numbered(1000));
}

TEST_CASE("which side failed is told apart [S5][W1]") {
    World world;
    auto pump = std::make_unique<Pump>();
    Sink sink(End::Pipe);
    Source source(End::Connection, numbered(10));
    pump->begin(source.fd, sink.fd, Pump::Direction::FromServer);
    sink.peer.close();
    source.feed();
    CHECK(pump_all(*pump, source.fd, sink.fd, true) == Step::OutputFailed);
    CHECK(pump->code() == EPIPE);

    int fd = -1;
    fake::Peer server = fake::connected(fd);
    server.reset();
    Sink other(End::Pipe);
    pump->begin(fd, other.fd, Pump::Direction::FromServer);
    CHECK(pump_all(*pump, fd, other.fd, true) == Step::InputFailed);
    CHECK(pump->code() == ECONNRESET);
}

TEST_CASE("an Outlet writes without blocking, whatever it is, and leaves the open file as it was [S1]") {
    World world;
    fake::Peer pipe = fake::as_mod_cgi();
    Outlet outlet(1);
    std::string much(70'000, 'x');
    size_t sum = 0;
    ssize_t count;
    while ((count = outlet.write_some(much, false)) > 0)
        sum += static_cast<size_t>(count);
    CHECK(count == -EAGAIN);
    CHECK(sum > 32'768);
    CHECK(pipe.take().size() == sum);
    CHECK((fake::kernel->process().descriptors[1].open->flags & O_NONBLOCK) == 0);

    fake::Peer socket = fake::as_mod_cgid();
    Outlet other(1);
    sum = 0;
    while ((count = other.write_some(much, false)) > 0)
        sum += static_cast<size_t>(count);
    CHECK(count == -EAGAIN);
    CHECK(socket.take().size() == sum);
    CHECK((fake::kernel->process().descriptors[1].open->flags & O_NONBLOCK) == 0);
    socket.close();
    CHECK(other.write_some("x", false) == -EPIPE);
}

TEST_CASE("whatever fails, what came out is a beginning of what went in, and Ended means all of it [S1][S4]") {
    std::string content = numbered(20'000);
    for (End from : {End::Pipe, End::Connection}) {
        for (End to : {End::Pipe, End::Connection, End::Appended}) {
            if (from == to)
                continue;
            for (bool may_block : {false, true}) {
                fail_each({"splice", "read", "write", "send", "poll", "pipe", "set_pipe_size"}, [&](World& world) {
                    fake::kernel->capacity = 8192;
                    auto pump = std::make_unique<Pump>();
                    Sink sink(to);
                    if (sink.fd < 0)
                        return;
                    Source source(from, content);
                    if (to == End::Pipe)
                        fake::kernel->process().descriptors[1].open->out = sink.peer.from_program;
                    world.expect_no_more_than_now();
                    auto direction = from == End::Connection ? Pump::Direction::FromServer : Pump::Direction::ToServer;
                    pump->begin(source.fd, sink.fd, direction);
                    Step step = pump_all(*pump, source.fd, sink.fd, may_block);
                    std::string got = sink.got();
                    bool is_beginning = got == content.substr(0, got.size());
                    CHECK(is_beginning);
                    CHECK(pump->given() == got.size());
                    if (step == Step::Ended)
                        CHECK(got.size() == content.size());
                    else if (step != Step::Moved)
                        CHECK(pump->code() > 0);
                });
            }
        }
    }
}
