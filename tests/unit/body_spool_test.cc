#include "body_spool.h"
#include "world.h"

using namespace rouse;
using Step = Pump::Step;

namespace {

CgiRequest with_length(uint64_t length) {
    CgiRequest request;
    request.body = length > 0 ? CgiRequest::Body::Length : CgiRequest::Body::None;
    request.length = length;
    return request;
}

CgiRequest until_end() {
    CgiRequest request;
    request.body = CgiRequest::Body::UntilEnd;
    return request;
}

// Sends all of the body to a new server, as the relay does it: what the server got.
std::string send_all(RequestBody& body, Step& step) {
    int fd = -1;
    fake::Peer server = fake::connected(fd);
    Fd connection(fd);
    std::string got;
    size_t place = fake::kernel->idle.size();
    fake::kernel->idle.push_back([&] {
        std::string some = server.take();
        got += some;
        return !some.empty();
    });
    for (;;) {
        step = body.send_some(fd);
        if (step != Step::Moved && step != Step::AwaitInput && step != Step::AwaitOutput)
            break;
        pollfd wanted = {step == Step::AwaitInput ? body.input() : fd,
                         static_cast<short>(step == Step::AwaitInput ? POLLIN : POLLOUT), 0};
        if (int count = step == Step::Moved ? 1 : sys::poll(&wanted, 1, -1); count < 0 && count != -EINTR)
            break;
    }
    fake::kernel->idle.resize(place);
    return got + server.take();
}

std::string numbered(size_t size) {
    std::string content;
    for (size_t number = 0; content.size() < size; number++)
        content += std::to_string(number) + " ";
    return content.substr(0, size);
}

// Feeds standard input piece by piece whenever somebody waits, and ends it.
void feed(fake::Peer web_server, std::string content, bool then_end = true) {
    auto fed = std::make_shared<size_t>(0);
    fake::kernel->idle.push_back([=]() mutable {
        if (web_server.to_program->ended || web_server.to_program->bytes.size() >= fake::kernel->capacity)
            return false;
        size_t size = std::min<size_t>(content.size() - *fed, 5000);
        web_server.send(std::string_view(content).substr(*fed, size));
        *fed += size;
        if (size == 0 && then_end)
            web_server.end();
        return size > 0 || then_end;
    });
}

} // namespace

TEST_CASE("a request without a body does not touch standard input [F3]") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    RequestBody body;
    body.begin(with_length(0), 0, 100, "/tmp");
    CHECK(body.length_known());
    CHECK(body.length() == 0);
    CHECK(body.is_drained());
    CHECK(body.spool_all() == Spooling::Whole);
    Step step;
    CHECK(send_all(body, step).empty());
    CHECK(step == Step::Ended);
    body.drain(1000);
    CHECK(fake::count("read") + fake::count("poll") + fake::count("open") + fake::count("splice") == 0);
}

TEST_CASE("exactly CONTENT_LENGTH bytes are read and sent, whether standard input ends or not [F3]") {
    std::string content = numbered(100'000);
    for (bool ends : {false, true}) {
        for (size_t spooled_first : {size_t{0}, size_t{1}, size_t{30'000}, content.size()}) {
            CAPTURE(spooled_first);
            World world;
            fake::Peer web_server = fake::as_mod_cgi();
            feed(web_server, content + "not of the body", ends);
            auto body = std::make_unique<RequestBody>();
            body->begin(with_length(content.size()), 0, 1 << 20, "/tmp");
            if (spooled_first > 0) {
                web_server.to_program->bytes = content.substr(0, spooled_first); // at once
                fake::kernel->idle.clear();
                feed(web_server, content.substr(spooled_first) + "not of the body", ends);
                while (body->spool_some() == Spooling::More && !web_server.to_program->bytes.empty()) {
                }
            }
            Step step;
            CHECK(send_all(*body, step) == content);
            CHECK(step == Step::Ended);
            CHECK(body->is_drained());
        }
    }
}

TEST_CASE("a spooled body is held whole, goes to one server after another, and leaves no name [F3][W1]") {
    World world;
    std::string content = numbered(200'000);
    {
        fake::Peer web_server = fake::as_mod_cgi();
        feed(web_server, content);
        auto body = std::make_unique<RequestBody>();
        body->begin(with_length(content.size()), 0, 1 << 20, "/tmp");
        CHECK(body->spool_all() == Spooling::Whole);
        CHECK(body->spool_all() == Spooling::Whole);
        for (int round = 0; round < 3; round++) {
            Step step;
            CHECK(send_all(*body, step) == content);
            CHECK(step == Step::Ended);
            CHECK(body->can_be_sent_again());
            body->rewind();
        }
        CHECK(fake::find("/tmp")->entries.empty());
    }
    world.check_nothing_leaked();
}

TEST_CASE("what went from standard input to a server cannot be sent again [W1]") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    web_server.send("0123456789");
    auto body = std::make_unique<RequestBody>();
    body->begin(with_length(20), 0, 100, "/tmp");
    CHECK(body->can_be_sent_again());
    int fd = -1;
    fake::Peer server = fake::connected(fd);
    while (server.from_program->bytes.empty())
        body->send_some(fd);
    CHECK_FALSE(body->can_be_sent_again());
}

TEST_CASE("a body without a length is spooled to its end and then has one [F4]") {
    for (size_t size : {size_t{0}, size_t{1}, size_t{70'000}}) {
        World world;
        std::string content = numbered(size);
        fake::Peer web_server = fake::as_mod_cgi();
        feed(web_server, content);
        auto body = std::make_unique<RequestBody>();
        body->begin(until_end(), 0, 1 << 20, "/tmp");
        CHECK_FALSE(body->length_known());
        CHECK(body->spool_all() == Spooling::Whole);
        CHECK(body->length_known());
        CHECK(body->length() == size);
        Step step;
        CHECK(send_all(*body, step) == content);
    }
}

TEST_CASE("a body that ends early is never passed off as whole [F3]") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    feed(web_server, "12345");
    auto spooled = std::make_unique<RequestBody>(), streamed = std::make_unique<RequestBody>();
    spooled->begin(with_length(6), 0, 100, "/tmp");
    CHECK(spooled->spool_all() == Spooling::Short);
    CHECK(spooled->is_drained());

    web_server = fake::as_mod_cgi();
    fake::kernel->idle.clear();
    feed(web_server, "12345");
    streamed->begin(with_length(6), 0, 100, "/tmp");
    Step step;
    CHECK(send_all(*streamed, step) == "12345");
    CHECK(step == Step::InputFailed);
}

TEST_CASE("standard input that fails is no end: what came is not the whole body [F3][F4]") {
    for (int error : {EIO, ECONNRESET, ETIMEDOUT, EBADF}) {
        World world;
        fake::Peer web_server = fake::as_mod_cgi();
        web_server.send("12345");
        fake::fail("read", error, {2, true});
        auto body = std::make_unique<RequestBody>();
        body->begin(until_end(), 0, 100, "/tmp");
        fake::in(1, [] {});
        web_server.end();
        CHECK(body->spool_all() == Spooling::Short);
    }
}

TEST_CASE("a body over max-spool is not held [S4]") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    feed(web_server, numbered(1000));
    auto body = std::make_unique<RequestBody>();
    body->begin(with_length(1000), 0, 999, "/tmp");
    CHECK(body->spool_some() == Spooling::TooLarge);
    CHECK(fake::count("open") == 0); // known before anything is read
    CHECK(fake::count("read") == 0);
    body->begin(until_end(), 0, 999, "/tmp");
    CHECK(body->spool_all() == Spooling::TooLarge);

    auto fits = std::make_unique<RequestBody>();
    web_server = fake::as_mod_cgi();
    fake::kernel->idle.clear();
    feed(web_server, numbered(1000));
    fits->begin(until_end(), 0, 1000, "/tmp");
    CHECK(fits->spool_all() == Spooling::Whole);
}

TEST_CASE("a body is held in the run directory, else in /tmp, else in memory, else not") {
    struct {
        int in_folder, in_tmp, in_memory;
        Spooling expected;
    } const cases[] = {
        {0, 0, 0, Spooling::Whole},
        {ENOENT, 0, 0, Spooling::Whole},
        {ENOSPC, 0, 0, Spooling::Whole},
        {EOPNOTSUPP, EOPNOTSUPP, 0, Spooling::Whole},
        {EISDIR, EISDIR, 0, Spooling::Whole},
        {EACCES, EACCES, 0, Spooling::Failed},
        {EOPNOTSUPP, EOPNOTSUPP, ENFILE, Spooling::Failed},
    };
    for (auto& one : cases) {
        World world;
        fake::put_folder("/home/me/run");
        fake::Peer web_server = fake::as_mod_cgi();
        feed(web_server, "12345");
        if (one.in_folder != 0)
            fake::fail("open", one.in_folder, {1, true, "/home"});
        if (one.in_tmp != 0)
            fake::fail("open", one.in_tmp, {1, true, "/tmp"});
        if (one.in_memory != 0)
            fake::fail("memory_file", one.in_memory);
        RequestBody body;
        body.begin(with_length(5), 0, 100, "/home/me/run");
        CHECK(body.spool_all() == one.expected);
        CHECK((body.error().code != 0) == (one.expected == Spooling::Failed));
        Step step;
        if (one.expected == Spooling::Whole)
            CHECK(send_all(body, step) == "12345");
    }
}

TEST_CASE("what the web server still has to write is read, as long as it comes [S3]") {
    World world;
    fake::Peer web_server = fake::as_mod_cgi();
    RequestBody body;
    body.begin(with_length(300), 0, 1000, nullptr);
    for (int second = 1; second <= 3; second++)
        fake::in(second * 9000, [&] { web_server.send(std::string(100, 'x')); });
    body.drain(10'000);
    CHECK(body.is_drained());

    body.begin(with_length(300), 0, 1000, nullptr);
    fake::in(100, [&] { web_server.send(std::string(100, 'x')); });
    int64_t begin = fake::kernel->now;
    body.drain(10'000);
    CHECK_FALSE(body.is_drained());
    CHECK(fake::kernel->now == begin + 10'100);

    CgiRequest bad;
    bad.body = CgiRequest::Body::BadLength;
    web_server.send(std::string(1000, 'x'));
    body.begin(bad, 0, 1000, nullptr);
    begin = fake::kernel->now;
    body.drain(0); // only what is there
    CHECK(web_server.to_program->bytes.empty());
    CHECK(fake::kernel->now == begin);
}

TEST_CASE("whatever fails, a body is sent whole and exact, or is said to be not [F3][F4]") {
    const std::string content = numbered(20'000);
    for (bool known : {true, false}) {
        for (bool spools : {true, false}) {
            if (!known && !spools)
                continue;
            fail_each({"open", "read", "pwrite", "sendfile", "splice", "write", "poll", "pipe", "memory_file"},
                      [&](World& world) {
                          fake::kernel->capacity = 8192;
                          fake::Peer web_server = fake::as_mod_cgi();
                          world.expect_no_more_than_now();
                          feed(web_server, content);
                          auto body = std::make_unique<RequestBody>();
                          body->begin(known ? with_length(content.size()) : until_end(), 0, 1 << 20, "/home/me");
                          if (spools) {
                              Spooling spooling = body->spool_all();
                              CHECK((spooling == Spooling::Failed) == (body->error().code != 0));
                              if (spooling != Spooling::Whole)
                                  return;
                              CHECK(body->length() == content.size());
                          }
                          Step step;
                          std::string got = send_all(*body, step);
                          bool is_beginning = got == content.substr(0, got.size());
                          CHECK(is_beginning);
                          if (step == Step::Ended)
                              CHECK(got.size() == content.size());
                      });
        }
    }
}
