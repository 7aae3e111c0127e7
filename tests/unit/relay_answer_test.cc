// This file knows what relay makes of an answer: whether it is one, whole, and in time, and who is told.
#include "exchange.h"
#include "said.h"

using namespace rouse;
using namespace relaying;

TEST_CASE("what is no response is never passed on [R1]") {
    for (std::string answer :
         {"", "<html>\n\n", "A: b\r\n", "Content-Type: text/plain\r\n folded\r\n\r\n", "\r\nbody"}) {
        CAPTURE(answer);
        World world;
        Exchange exchange;
        exchange.serve = exchange.answers(answer, exchange.whole());
        Outcome outcome = exchange.run();
        CHECK(outcome == (answer.empty() ? Outcome::NoAnswer : Outcome::BadAnswer));
        CHECK(said(exchange.relay->fault()) != "");
        CHECK_FALSE(exchange.relay->output_begun());
        CHECK(exchange.output.empty());
    }
}

TEST_CASE("a short answer is held until it is whole, a long one is cut and said to be [R3]") {
    std::string small = numbered(Relay::max_held), large = numbered(Relay::max_held + 1);
    struct {
        size_t length;
        std::string content;
        Outcome outcome;
        std::string output;
    } const cases[] = {
        {5, "hello", Outcome::Complete, sized(5, "hello")},
        {5, "hell", Outcome::BadAnswer, ""},
        {5, "", Outcome::BadAnswer, ""},
        {0, "", Outcome::Complete, sized(0, "")},
        {5, "hello and more", Outcome::Complete, sized(5, "hello")},
        {0, "more", Outcome::Complete, sized(0, "")},
        {small.size(), small, Outcome::Complete, sized(small.size(), small)},
        {small.size(), small.substr(1), Outcome::BadAnswer, ""},
        {large.size(), large, Outcome::Complete, sized(large.size(), large)},
        {large.size(), large.substr(0, 9), Outcome::Cut, sized(large.size(), large.substr(0, 9))},
        {300'000, numbered(299'999), Outcome::Cut, sized(300'000, numbered(299'999))},
        {300'000, numbered(300'100), Outcome::Complete, sized(300'000, numbered(300'100).substr(0, 300'000))},
    };
    for (auto& one : cases) {
        for (size_t piece : {size_t{999}, size_t{100'000}}) {
            CAPTURE(one.length);
            CAPTURE(one.content.size());
            World world;
            Exchange exchange;
            exchange.serve = exchange.answers(sized(one.length, one.content), exchange.whole(), piece);
            CHECK(exchange.run() == one.outcome);
            bool is_expected = exchange.output == one.output;
            CHECK(is_expected);
            CHECK(exchange.relay->output_begun() == !one.output.empty());
        }
    }
}

TEST_CASE("the end of a response with a length is not waited for [R3]") {
    World world;
    Exchange exchange;
    exchange.serve = [&, sent = false]() mutable { // and it never closes
        if (sent || exchange.received.empty())
            return false;
        exchange.server.send(sized(5, "hello"));
        return sent = true;
    };
    CHECK(exchange.run() == Outcome::Complete);
    CHECK(exchange.output == sized(5, "hello"));
}

TEST_CASE("HEAD, 204 and 304 have no body to wait for, or to pass on [R1]") {
    struct {
        std::string head;
        bool head_only;
    } const cases[] = {
        {"Status: 200 OK\r\nContent-Length: 100\r\n\r\n", true},
        {"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n", true},
        {"Status: 204 No Content\r\n\r\n", false},
        {"Status: 304 Not Modified\r\nContent-Length: 100\r\n\r\n", false},
    };
    for (auto& one : cases) {
        for (std::string body : {"", "surplus"}) {
            World world;
            Exchange exchange;
            exchange.serve = [&, sent = false]() mutable {
                if (sent || exchange.received.empty())
                    return false;
                exchange.server.send(one.head + body);
                return sent = true;
            };
            CHECK(exchange.run(45'000, one.head_only) == Outcome::Complete);
            CHECK(exchange.output == one.head);
        }
    }
}

TEST_CASE("an HTTP status line is rewritten and a chunked body decoded [R2]") {
    std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n";
    for (size_t piece : {size_t{1}, size_t{3}, size_t{100'000}}) {
        World world;
        Exchange exchange;
        std::string coded, content;
        for (int number = 0; number < 300; number++) {
            coded += "a;x\r\n0123456789\r\n";
            content += "0123456789";
        }
        exchange.serve = exchange.answers(head + coded + "0\r\nT: x\r\n\r\n", exchange.whole(), piece);
        CHECK(exchange.run() == Outcome::Complete);
        CHECK(exchange.output == "Status: 200 OK\r\nA: b\r\n\r\n" + content);
    }
    for (std::string broken : {"5\r\nhello\r\nx\r\n", "5\r\nhello\r\n", "5\r\nhel"}) {
        World world;
        Exchange exchange;
        exchange.serve = exchange.answers(head + "1\r\na\r\n" + broken, exchange.whole(), 70);
        CHECK(exchange.run() == Outcome::Cut);
        CHECK(exchange.relay->output_begun());
    }
}

TEST_CASE("whether anybody can have acted on a request is told apart [W1]") {
    World world;
    Exchange whole; // all of the head was taken
    whole.serve = whole.answers("", whole.whole());
    CHECK(whole.run() == Outcome::NoAnswer);

    World another;
    fake::kernel->capacity = 4096;
    Exchange part;
    part.head = std::string(100'000, 'x');
    part.reads_request = false;
    part.serve = [&] {
        if (part.server.to_program->ended)
            return false;
        part.server.reset();
        return true;
    };
    CHECK(part.run() == Outcome::Unsent);
    CHECK_FALSE(part.relay->output_begun());
    CHECK(part.request_body->can_be_sent_again());
}

TEST_CASE("a request that nobody saw goes to another server with its body untouched [W1]") {
    World world;
    Exchange exchange(numbered(20'000));
    fake::Peer first = exchange.server;
    first.reset(); // dead before the first byte
    exchange.server = first;
    exchange.feeds_body = false;
    CHECK(exchange.run() == Outcome::Unsent);
    REQUIRE(exchange.request_body->can_be_sent_again());
    exchange.request_body->rewind();
    exchange.received.clear();
    exchange.feeds_body = true;
    exchange.server = fake::connected(exchange.fd);
    exchange.serve = exchange.answers(ok + "hello", exchange.whole());
    CHECK(exchange.run() == Outcome::Complete);
    CHECK(exchange.received == exchange.head + numbered(20'000));
    CHECK(exchange.output == ok + "hello");
}

TEST_CASE("silence is borne for the time that is set, and 0 is for ever [R4]") {
    World world;
    Exchange silent;
    int64_t begin = fake::kernel->now;
    CHECK(silent.run(3000) == Outcome::Silent);
    CHECK(fake::kernel->now == begin + 3000);
    CHECK(silent.output.empty());

    World another;
    Exchange patient;
    fake::in(100'000'000, [&] {
        patient.server.send(ok + "late");
        patient.server.end();
    });
    CHECK(patient.run(0) == Outcome::Complete);
    CHECK(patient.output == ok + "late");
}

TEST_CASE("who asked is told of the first sane head, once and before anything is written [B2]") {
    for (std::string answer : {sized(5, "hello"), ok + "hello", std::string("<html>\n\n")}) {
        World world;
        Exchange exchange;
        struct Told {
            Exchange* exchange;
            int times = 0;
            bool anything_written = false;
        } told = {&exchange};
        exchange.relay->report(
            [](void* context) {
                auto* it = static_cast<Told*>(context);
                it->times++;
                it->anything_written |= it->exchange->relay->output_begun();
            },
            nullptr, &told);
        exchange.serve = exchange.answers(answer, exchange.whole(), 20);
        exchange.run();
        CHECK(told.times == (answer[0] == '<' ? 0 : 1));
        CHECK_FALSE(told.anything_written);
    }
}

TEST_CASE("a silence is reported once, after a sixteenth of its time; whoever goes on begins anew [W2]") {
    World world;
    Exchange exchange;
    static std::vector<int64_t> reports;
    reports.clear();
    exchange.relay->report([](void*) { FAIL("nothing was answered"); },
                           [](void*) { reports.push_back(fake::kernel->now); }, nullptr);
    int64_t begin = fake::kernel->now;
    fake::in(1000, [&] { exchange.server.send("Content-"); }); // not silent any more, and not an answer
    CHECK(exchange.run(3200) == Outcome::Silent);
    CHECK(reports == std::vector<int64_t>{begin + 200, begin + 1200});
    CHECK(fake::kernel->now == begin + 1000 + 3200);

    World another;
    Exchange quick;
    static int times = 0;
    times = 0;
    quick.relay->report([](void*) { times++; }, [](void*) { FAIL("it was quick"); }, nullptr);
    fake::in(100, [&] { quick.serve = quick.answers(ok + "hello", quick.whole()); });
    CHECK(quick.run(3200) == Outcome::Complete);
    CHECK(times == 1);

    World third;
    Exchange patient; // for ever: then nothing is suspicious
    patient.relay->report([](void*) {}, [](void*) { FAIL("no time was set"); }, nullptr);
    fake::in(100'000'000, [&] { patient.serve = patient.answers(ok + "hello", patient.whole()); });
    CHECK(patient.run(0) == Outcome::Complete);
}
