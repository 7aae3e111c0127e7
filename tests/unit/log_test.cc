#include "log.h"
#include "world.h"

#include <algorithm>
#include <time.h>

using namespace rouse;

namespace {

constexpr const char* path = "/home/me/log";
constexpr int64_t fake_epoch = 1'700'000'000'000; // what the fake adds to its clock for CLOCK_REALTIME

std::string logged() {
    return fake::content(path);
}

std::string on_standard_error() {
    return fake::kernel->process().descriptors[2].open->out->bytes;
}

ssize_t lines_in(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
}

} // namespace

TEST_CASE("an event is one line with one write, in UTC to the millisecond") {
    World world;
    fake::kernel->now = 1'234'567;
    LogLine(Event::Launch).add("launch", 7).add("reason", "cold").quote("error", "a \"b\" c").write_to(path);
    CHECK(logged() == "2023-11-14T22:33:54.567Z launch launch=7 reason=cold error=\"a \\x22b\\x22 c\"\n");
    CHECK(fake::count("write") == 1);
    CHECK(fake::find(path)->mode == 0600);
    LogLine(Event::Ready).write_to(path);
    CHECK(logged().find("Z ready\n") != std::string::npos);
    world.check_nothing_leaked();
}

TEST_CASE("each date is that of the C library") {
    World world;
    const int64_t day = 86'400'000;
    Dice dice(10);
    std::vector<int64_t> moments = {0,         day - 1,      59 * day,     60 * day,    365 * day,
                                    789 * day, 11'016 * day, 11'017 * day, 47'540 * day};
    for (int round = 0; round < 500; round++)
        moments.push_back(static_cast<int64_t>(dice.below(49'000)) * day +
                          static_cast<int64_t>(dice.below(86'400'000)));
    for (int64_t moment : moments) {
        fake::kernel->now = moment - fake_epoch;
        time_t seconds = moment / 1000;
        tm parts;
        gmtime_r(&seconds, &parts);
        char expected[40];
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &parts);
        LogLine line(Event::Ready);
        CHECK(std::string(line.text().view().substr(0, 19)) == expected);
        CHECK(line.text().view()[23] == 'Z');
    }
}

TEST_CASE("each event has its word") {
    World world;
    struct {
        Event event;
        std::string word;
    } const events[] = {{Event::Answered, "page"},   {Event::Cut, "cut"},          {Event::Launch, "launch"},
                        {Event::Adopted, "adopted"}, {Event::Ready, "ready"},      {Event::Failed, "failed"},
                        {Event::Killed, "killed"},   {Event::Stopping, "stopping"}};
    for (auto& one : events)
        CHECK(std::string(LogLine(one.event).text().view().substr(25)) == one.word);
}

TEST_CASE("nothing that a stranger sent can forge a line [X1]") {
    World world;
    LogLine(Event::Failed)
        .add("a", bytes("x\n2026 ready\r\0\x1b[0m\xff"))
        .quote("b", bytes("x\ny \"z\" \\ \xff"))
        .write_to(path);
    std::string line = logged();
    CHECK(lines_in(line) == 1);
    for (char one : line.substr(0, line.size() - 1))
        CHECK((one >= ' ' && one <= '~'));
    CHECK(line.find("x\\x0a2026\\x20ready\\x0d\\x00\\x1b[0m\\xff") != std::string::npos);
}

TEST_CASE("a line that is too long is cut and still one line") {
    World world;
    LogLine(Event::Failed).quote("error", std::string(5000, 'x')).add("b", std::string(5000, 'y')).write_to(path);
    CHECK(logged().size() <= 1024);
    CHECK(logged().back() == '\n');
    LogLine(Event::Ready).write_to(path);
    CHECK(lines_in(logged()) == 2);
}

TEST_CASE("a log that cannot be written goes to standard error, and fails nothing [X3]") {
    fail_each({"open", "write", "poll"}, [](World&) {
        LogLine(Event::Ready).write_to(path);
        CHECK(lines_in(logged()) + lines_in(on_standard_error()) <= 1);
    });
    World world;
    fake::fail("open", EACCES);
    LogLine(Event::Ready).write_to(path);
    CHECK(on_standard_error().find(" ready\n") != std::string::npos);
    LogLine(Event::Cut).write_to("");
    CHECK(on_standard_error().find(" cut\n") != std::string::npos);

    // A full pipe that nobody reads does not hold the request up.
    fake::kernel->process().descriptors[2].open->out->bytes.assign(65536, 'x');
    LogLine(Event::Ready).write_to("");
    CHECK(on_standard_error().size() == 65536);

    fake::put("/home/me/victim", "precious");
    fake::put(path)->kind = fake::Node::Kind::Link;
    fake::find("/home/me")->entries["log"]->target = "/home/me/victim";
    LogLine(Event::Ready).write_to(path);
    CHECK(fake::content("/home/me/victim") == "precious");
}

TEST_CASE("a log over 1 MiB is renamed at a launch, and nothing else is") {
    World world;
    rotate_log(path);
    rotate_log("");
    fake::put(path, std::string(1 << 20, 'x'));
    fake::put("/home/me/log.1", "old");
    rotate_log(path);
    CHECK(fake::content("/home/me/log.1") == "old");
    fake::find(path)->content += 'x';
    rotate_log(path);
    CHECK_FALSE(fake::exists(path));
    CHECK(fake::content("/home/me/log.1").size() == (1 << 20) + 1);
    fail_each({"stat", "rename"}, [](World&) {
        fake::put(path, std::string((1 << 20) + 1, 'x'));
        rotate_log(path);
        CHECK((fake::exists(path) || fake::exists("/home/me/log.1")));
    });
}

TEST_CASE("the last lines of the log begin with a line") {
    World world;
    char storage[10];
    CHECK(last_log_lines(path, storage, sizeof storage).empty());
    fake::put(path, "1234\n6\n");
    CHECK(last_log_lines(path, storage, sizeof storage) == "1234\n6\n");
    fake::put(path, "first line\n34\n6789\n");
    CHECK(last_log_lines(path, storage, sizeof storage) == "34\n6789\n");
    fake::put(path, std::string(100, 'x'));
    CHECK(last_log_lines(path, storage, sizeof storage) == "xxxxxxxxxx");
    CHECK(last_log_lines("", storage, sizeof storage).empty());
    world.check_nothing_leaked();
    fail_each({"open", "fstat", "pread"}, [](World&) {
        fake::put(path, "first line\n34\n6789\n");
        char bytes[10];
        std::string_view lines = last_log_lines(path, bytes, sizeof bytes);
        CHECK(std::string_view("34\n6789\n").starts_with(lines));
    });
}
