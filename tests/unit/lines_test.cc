#include "lines.h"
#include "world.h"

using namespace rouse;

namespace {

std::vector<std::string> lines_of(const std::string& content) {
    fake::put("/tmp/lines", content);
    std::vector<std::string> lines;
    LineReader reader("/tmp/lines");
    for (std::string_view line; reader.next(line);)
        lines.emplace_back(line);
    return lines;
}

} // namespace

TEST_CASE("a file is read line by line, whatever its size and in whatever pieces") {
    World world;
    CHECK(lines_of("").empty());
    CHECK(lines_of("a\n\nb") == std::vector<std::string>{"a", "", "b"});
    CHECK(lines_of("\n") == std::vector<std::string>{""});
    std::vector<std::string> many;
    std::string content;
    Dice dice(8);
    for (int number = 0; number < 3000; number++) {
        many.push_back(std::string(dice.below(120), 'x') + std::to_string(number));
        content += many.back() + "\n";
    }
    CHECK(lines_of(content) == many);
    fake::kernel->short_counts["read"] = 7;
    fake::fail("read", EINTR, {10});
    CHECK(lines_of(content) == many);
}

TEST_CASE("a line longer than the array comes once, cut") {
    World world;
    for (size_t size : {4095, 4096, 4097, 8191, 8192, 8193, 50'000}) {
        auto lines = lines_of(std::string(size, 'x') + "\nnext\n");
        REQUIRE(lines.size() == 2);
        CHECK(lines[0] == std::string(std::min<size_t>(size, 4096), 'x'));
        CHECK(lines[1] == "next");
        CHECK(lines_of(std::string(size, 'x')).size() == 1);
    }
}

TEST_CASE("a file that is not there, or cannot be read, is empty [X4]") {
    World world;
    LineReader none("/tmp/none");
    std::string_view line;
    CHECK_FALSE(none.next(line));
    fail_each({"open", "read"}, [](World&) { CHECK(lines_of("a\nb\n").size() <= 2); });
}

TEST_CASE("words are found by their place") {
    CHECK(word_of("a  bc d", 0) == "a");
    CHECK(word_of("  a  bc d ", 1) == "bc");
    CHECK(word_of("a  bc d", 2) == "d");
    CHECK(word_of("a  bc d", 3).empty());
    CHECK(word_of("", 0).empty());
    CHECK(word_of("   ", 0).empty());
    CHECK(word_of("me:x:1000:", 0, ':') == "me");
    CHECK(word_of("me::1000:", 1, ':').empty());
    CHECK(word_of("me::1000:", 2, ':') == "1000");
    CHECK(word_of("me::1000:", 3, ':').empty());
}
