// This file knows how relay moves a body up and an answer down, whatever happens on the way.
#include "exchange.h"
#include "said.h"

#include <fcntl.h>
#include <sched.h>
#include <utility>

using namespace rouse;
using namespace relaying;

TEST_CASE("a request goes up and its answer down, in whatever pieces it comes [R1][S2]") {
    for (size_t piece : {size_t{1}, size_t{7}, size_t{100'000}}) {
        for (bool one_socket : {false, true}) {
            World world;
            Exchange exchange("", one_socket);
            exchange.serve = exchange.answers(ok + "hello", exchange.whole(), piece);
            CHECK(exchange.run() == Outcome::Complete);
            CHECK(exchange.output == ok + "hello");
            CHECK(exchange.received == exchange.head);
        }
    }
}

TEST_CASE("a usual request takes few system calls") {
    World world;
    Exchange exchange;
    exchange.serve = exchange.answers(ok + "hello", exchange.whole());
    CHECK(exchange.run() == Outcome::Complete);
    CHECK(fake::count("sendmsg") == 1);
    CHECK(fake::count("recv") <= 3);
    CHECK(fake::count("poll") <= 3);
    CHECK(fake::count("write") + fake::count("send") == 1);
    CHECK(fake::count("pipe") + fake::count("splice") == 0);
}

TEST_CASE("both directions move at once: an echo of any size cannot deadlock [S1][S4]") {
    for (bool one_socket : {false, true}) {
        World world;
        fake::kernel->capacity = 16384;
        Exchange exchange(numbered(400'000), one_socket);
        exchange.reads_request = false;
        exchange.serve = [&, state = 0]() mutable {
            if (state == 0) {
                exchange.server.send(ok);
                state = 1;
                return true;
            }
            if (exchange.server.to_program->bytes.size() >= fake::kernel->capacity)
                return false; // it reads no more before its own answer was taken
            std::string some = exchange.server.take();
            exchange.received += some;
            exchange.server.send(some);
            if (exchange.received.size() == exchange.whole() && !exchange.server.to_program->ended) {
                exchange.server.end();
                return true;
            }
            return !some.empty();
        };
        CHECK(exchange.run() == Outcome::Complete);
        CHECK(exchange.received == exchange.head + numbered(400'000));
        CHECK(exchange.output == ok + exchange.head + numbered(400'000));
    }
}

TEST_CASE("all that the server sent goes on, although neither side says more before that [S1][S2]") {
    for (bool one_socket : {false, true}) {
        for (size_t size = 150'000; size < 300'000; size += 9'000) { // whatever is left for the last piece
            CAPTURE(one_socket);
            CAPTURE(size);
            World world;
            fake::kernel->capacity = 16384;
            Exchange exchange(numbered(20'000), one_socket);
            if (one_socket) // splice(2) never waits for a unix socket, if it is told so
                sys::set_status_flags(0, O_RDWR | O_NONBLOCK);
            exchange.feed_piece = 10'000;
            const std::string sent = ok + numbered(size);
            // The second half of the body waits for all of this, and the server's end for the second half.
            exchange.serve = [&, has_sent = false]() mutable {
                bool fed_before = std::exchange(exchange.feeds_body, exchange.output == sent);
                if (!std::exchange(has_sent, true)) {
                    exchange.server.send(sent);
                    return true;
                }
                if (exchange.received.size() == exchange.whole() && !exchange.server.to_program->ended) {
                    exchange.server.end();
                    return true;
                }
                return exchange.feeds_body && !fed_before;
            };
            CHECK(exchange.run() == Outcome::Complete);
            bool is_whole = exchange.output == sent;
            CHECK(is_whole);
        }
    }
}

TEST_CASE("a long answer is two calls for each time that the server sends, and in few turns of the processor [S4]") {
    World world;
    fake::kernel->capacity = 65536;
    Exchange exchange;
    std::string answer = ok + numbered(6'000'000);
    exchange.serve = exchange.answers(answer, exchange.whole(), 60'000);
    CHECK(exchange.run() == Outcome::Complete);
    bool is_whole = exchange.output == answer;
    CHECK(is_whole);
    // 100 pieces, the first of them through memory.
    CHECK(fake::count("splice") > 80);
    CHECK(fake::count("splice") <= 105);
    CHECK(fake::count("poll") <= 105);
    CHECK(fake::count("set_scheduling") == 1);
    CHECK(fake::kernel->process().scheduling == SCHED_BATCH);
}

TEST_CASE("who may still start a server, or is filtered, does not ask for another scheduling policy [S5][W2]") {
    for (bool up : {false, true}) {
        World world;
        fake::kernel->filtered = !up;
        Exchange exchange(up ? numbered(1'000'000) : "");
        exchange.serve = exchange.answers(ok + numbered(up ? 10 : 1'000'000), exchange.whole());
        CHECK(exchange.run() == Outcome::Complete);
        CHECK(fake::count("splice") > 0);
        CHECK(fake::count("set_scheduling") == 0);
    }
}

TEST_CASE("a long answer comes down whole, through memory, a pipe or directly [S4]") {
    for (bool one_socket : {false, true}) {
        for (bool has_length : {false, true}) {
            World world;
            {
                Exchange exchange("", one_socket);
                world.expect_no_more_than_now();
                std::string content = numbered(1'000'000);
                std::string answer = has_length ? sized(content.size(), content) : ok + content;
                exchange.serve = exchange.answers(answer, exchange.whole());
                CHECK(exchange.run() == Outcome::Complete);
                bool is_whole = exchange.output == answer;
                CHECK(is_whole);
            }
            world.check_nothing_leaked();
        }
    }
}

TEST_CASE("an answer before the body was read is delivered whole, and standard input is read to its end [S3]") {
    for (bool one_socket : {false, true}) {
        World world;
        fake::kernel->capacity = 16384;
        Exchange exchange(numbered(200'000), one_socket);
        exchange.reads_request = false;
        std::string answer = "Status: 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
        exchange.serve = [&] {
            if (exchange.server.open == nullptr || exchange.server.from_program->bytes.size() < 100)
                return false;
            exchange.server.send(answer);
            exchange.server.close(); // with the rest unread: the kernel resets
            return true;
        };
        CHECK(exchange.run() == Outcome::Complete);
        CHECK(exchange.output == answer);
        CHECK(exchange.request_body->is_drained());
        CHECK(exchange.web_server.to_program->bytes.empty());
    }
}

TEST_CASE("an early answer without a length is whole although the server resets behind it [S3]") {
    World world;
    Exchange exchange(numbered(200'000));
    exchange.reads_request = false;
    exchange.serve = [&] {
        if (exchange.server.open == nullptr || exchange.server.from_program->bytes.size() < 100)
            return false;
        exchange.server.send(ok + "early");
        exchange.server.close();
        return true;
    };
    CHECK(exchange.run() == Outcome::Complete);
    CHECK(exchange.output == ok + "early");
}

TEST_CASE("a long answer that a socket takes in pieces is whole before the reset behind it is heard [S3]") {
    World world;
    fake::kernel->capacity = 16384;
    Exchange exchange(numbered(20'000), true);
    sys::set_status_flags(1, O_RDWR | O_NONBLOCK);
    exchange.takes_output = false;
    std::string answer = ok + numbered(150'000);
    exchange.serve = [&, sent = size_t{0}]() mutable {
        if (exchange.received.size() < exchange.whole())
            return false;
        if (sent < answer.size() && exchange.server.to_program->bytes.empty()) {
            std::string_view piece = std::string_view(answer).substr(sent, 16384);
            exchange.server.send(piece);
            sent += piece.size();
            if (sent == answer.size())
                exchange.server.reset();
            return true;
        }
        std::string& waiting = exchange.web_server.from_program->bytes;
        size_t some = std::min<size_t>(waiting.size(), 3000);
        exchange.output += waiting.substr(0, some);
        waiting.erase(0, some);
        return some > 0;
    };
    CHECK(exchange.run() == Outcome::Complete);
    exchange.output += exchange.web_server.take();
    bool is_whole = exchange.output == answer;
    CHECK(is_whole);
}

TEST_CASE("a reset behind an answer without a body left over is a cut [S3]") {
    World world;
    Exchange exchange;
    exchange.serve = [&] {
        if (exchange.server.open == nullptr || exchange.received.empty())
            return false;
        exchange.server.send(ok + "half");
        exchange.server.reset();
        return true;
    };
    CHECK(exchange.run() == Outcome::Cut);
    CHECK(exchange.relay->output_begun());
    CHECK(exchange.output == ok + "half");
}

TEST_CASE("a connection that breaks otherwise is a cut, with a body too [S3]") {
    for (int error : {ETIMEDOUT, EIO}) {
        World world;
        Exchange exchange(numbered(100));
        exchange.serve = [&, step = 0]() mutable {
            if (step == 0 && exchange.received.size() == exchange.whole()) {
                exchange.server.send(ok + "half");
                return ++step > 0;
            }
            if (step == 1 && !exchange.output.empty()) {
                fake::fail("recv", error);
                exchange.server.end(); // and poll says that something is there
                return ++step > 0;
            }
            return false;
        };
        CHECK(exchange.run() == Outcome::Cut);
    }
}

TEST_CASE("each byte of an endless response goes on when it comes [S2]") {
    World world;
    Exchange exchange;
    std::vector<int64_t> arrived;
    for (int tick = 0; tick < 4; tick++)
        fake::in(100 + tick * 60'000, [&, tick] { exchange.server.send(tick == 0 ? ok + "tick" : "tick"); });
    fake::in(400'000, [&] { exchange.server.end(); });
    int64_t begin = fake::kernel->now;
    exchange.serve = [&, seen = size_t{0}]() mutable {
        if (exchange.output.size() == seen)
            return false;
        seen = exchange.output.size();
        arrived.push_back(fake::kernel->now - begin);
        return true;
    };
    CHECK(exchange.run(1000) == Outcome::Complete); // the time-out is for the first byte only
    CHECK(arrived == std::vector<int64_t>{100, 60'100, 120'100, 180'100});
    CHECK(exchange.output == ok + "ticktickticktick");
}

TEST_CASE("the time for an answer does not run while the body is still coming [R4]") {
    World world;
    Exchange exchange(numbered(3000));
    exchange.feeds_body = false;
    for (int piece = 0; piece < 3; piece++)
        fake::in((piece + 1) * 30'000, [&, piece] {
            exchange.web_server.send(numbered(3000).substr(static_cast<size_t>(piece) * 1000, 1000));
        });
    exchange.serve = exchange.answers(ok, exchange.whole());
    CHECK(exchange.run(10'000) == Outcome::Complete);
    CHECK(exchange.received == exchange.head + numbered(3000));
}

TEST_CASE("a body that ends early ends the request before it is whole [F3]") {
    World world;
    Exchange exchange(numbered(3000));
    exchange.feeds_body = false;
    exchange.web_server.send("123");
    exchange.web_server.end();
    CHECK(exchange.run() == Outcome::ShortBody);
    CHECK(exchange.received.size() < exchange.whole());
    CHECK(exchange.output.empty());
}

TEST_CASE("a web server that closes our output ends the request [S5]") {
    for (bool one_socket : {false, true}) {
        World world;
        Exchange exchange("", one_socket);
        exchange.takes_output = false;
        exchange.serve = [&, step = 0]() mutable {
            if (step == 0 && !exchange.received.empty()) {
                exchange.server.send(ok + "first");
                step = 1;
                return true;
            }
            if (step == 1 && !exchange.web_server.from_program->bytes.empty()) {
                exchange.web_server.close();
                step = 2;
                return true;
            }
            return false; // and the server says nothing more, and does not close
        };
        CHECK(exchange.run() == Outcome::Gone);
        CHECK(exchange.relay->output_begun());
    }
}

TEST_CASE("whatever fails, the outcome says truly what was written and what can have been seen [R4][W1][S5]") {
    struct {
        std::string body, answer, expected;
        bool one_socket;
    } const cases[] = {
        {"", ok + "hello", ok + "hello", false},
        {"", sized(5, "hello"), sized(5, "hello"), true},
        {numbered(9000), ok + numbered(9000), ok + numbered(9000), false},
        {numbered(9000), sized(80'000, numbered(80'000)), sized(80'000, numbered(80'000)), true},
        {"", ok + numbered(80'000), ok + numbered(80'000), false},
        {"", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
         "Status: 200 OK\r\n\r\nhello", false},
    };
    for (auto& one : cases) {
        fail_each({"sendmsg", "recv", "send", "write", "read", "splice", "poll", "pipe", "sendfile", "set_pipe_size",
                   "set_scheduling"},
                  [&](World& world) {
                      fake::kernel->capacity = 8192;
                      Exchange exchange(one.body, one.one_socket);
                      world.expect_no_more_than_now();
                      exchange.serve = exchange.answers(one.answer, exchange.whole());
                      Outcome outcome = exchange.run(5000);
                      bool is_beginning = exchange.output == one.expected.substr(0, exchange.output.size());
                      CHECK(is_beginning);
                      CHECK(exchange.relay->output_begun() == !exchange.output.empty());
                      switch (outcome) {
                      case Outcome::Complete:
                          // A reset behind a body cannot be told from the end of the answer (S3).
                          if (one.body.empty() || fake::kernel->last_fault != ECONNRESET)
                              CHECK(exchange.output.size() == one.expected.size());
                          break;
                      case Outcome::Cut:
                          CHECK(said(exchange.relay->fault()) != "");
                          break;
                      case Outcome::Unsent:
                          CHECK(exchange.received.size() < exchange.head.size());
                          [[fallthrough]];
                      case Outcome::NoAnswer:
                      case Outcome::BadAnswer:
                      case Outcome::Silent:
                          CHECK(exchange.output.empty());
                          break;
                      case Outcome::Gone:
                          break;
                      case Outcome::ShortBody:
                          CHECK(exchange.received.size() < exchange.whole());
                          break;
                      }
                      exchange.relay.reset(); // and its pipe
                  });
    }
}
