#include "cgi_request.h"

#include "environment.h"

#include <algorithm>
#include <chrono>
#include <doctest/doctest.h>
#include <map>

using namespace rouse;
using Body = CgiRequest::Body;
using Entries = std::vector<std::string>;

namespace {

struct Read {
    explicit Read(const Entries& entries, const char* script_name = nullptr)
        : environment(entries), request(read_cgi_request(environment.get(), script_name)) {}
    const CgiRequest* operator->() const { return &request; }

    // What goes through, with its `=` again.
    Entries variables() const {
        Entries all;
        size_t size = 0;
        std::string bytes, laid_out;
        for (size_t at = 0; at < request.count; at++) {
            std::string name = request.variables[at];
            std::string value = request.variables[at] + name.size() + 1;
            size += name.size() + value.size() + 2;
            bytes += name + '\0' + value + '\0';
            all.push_back(name + "=" + value);
        }
        CHECK(request.size == size);
        for (std::string_view part : request.parts)
            laid_out += part;
        CHECK(laid_out == bytes);
        return all;
    }

    Environment environment;
    CgiRequest request;
};

} // namespace

TEST_CASE("variables go through byte for byte and in their order [F2]") {
    Entries entries = {"REQUEST_METHOD=GET",    "EMPTY=",  "EQUALS=a=b==",    "BYTES=\x01\x7f\x80\xff\n\r\t", "=\xc3=",
                       "A B=blank in the name", "lower=1", "HTTP_COOKIE=x; y"};
    Read read(entries);
    entries.erase(entries.begin() + 4); // an empty name
    CHECK(read.variables() == entries);
}

TEST_CASE("entries without = and with an empty name are dropped [F1]") {
    CHECK(Read({"", "=", "=x", "NAME", "A=1", "B"}).variables() == Entries{"A=1"});
    CHECK(Read({}).variables().empty());
}

TEST_CASE("what is about our process, or would mislead the server, is dropped [F2]") {
    Read read({"PATH=/bin", "LD_PRELOAD=x", "LD_LIBRARY_PATH=y", "LD_=z", "PWD=/", "OLDPWD=/", "SHLVL=1", "_=/x",
               "HTTP_PROXY=http://evil", "SCGI=2", "CONTENT_LENGTH=1", "HTTP_TRANSFER_ENCODING=chunked"});
    CHECK(read.variables().empty());
    CHECK(read->path == "/bin");

    Entries similar = {"PATH_INFO=/x", "PATHS=1",  "LD=1",     "ld_x=1",       "HTTP_PROXY_X=1", "XHTTP_PROXY=1",
                       "__=1",         "SCGI_X=1", "SHLVLX=1", "http_proxy=1", "CONTENT_TYPE=x", "CONTENT_LENGTHS=1"};
    CHECK(Read(similar).variables() == similar);
}

TEST_CASE("of two variables of one name the first counts [F1]") {
    CHECK(Read({"A=1", "B=1", "A=2", "B=", "A=3", "AA=1", "A="}).variables() == Entries{"A=1", "B=1", "AA=1"});
    CHECK(Read({"A=", "A=2"}).variables() == Entries{"A="});
    CHECK(Read({"CONTENT_LENGTH=", "CONTENT_LENGTH=5"})->body == Body::None);
    CHECK(Read({"CONTENT_LENGTH=4", "CONTENT_LENGTH=5"})->length == 4);
    CHECK(Read({"PATH=/a", "PATH=/b"})->path == "/a");
    CHECK(Read({"REQUEST_METHOD=POST", "REQUEST_METHOD=GET"})->method == "POST");
    CHECK(Read({"HOME=/a", "HOME=/b"})->home == "/a");
    CHECK(Read({"HTTP_TRANSFER_ENCODING=", "HTTP_TRANSFER_ENCODING=chunked"})->body == Body::None);
}

TEST_CASE("a body has the length that CONTENT_LENGTH says, in decimal [F1][F3]") {
    CHECK(Read({})->body == Body::None);
    struct {
        std::string text;
        Body body;
        uint64_t length;
    } const cases[] = {
        {"", Body::None, 0},
        {"0", Body::None, 0},
        {"000", Body::None, 0},
        {"1", Body::Length, 1},
        {"0005", Body::Length, 5},
        {"4294967296", Body::Length, 4294967296},
        {"9223372036854775807", Body::Length, INT64_MAX},
        {"9223372036854775808", Body::BadLength, 0},
        {"18446744073709551616", Body::BadLength, 0},
        {"18446744073709551621", Body::BadLength, 0}, // 5 when it wraps
        {"-1", Body::BadLength, 0},
        {"+5", Body::BadLength, 0},
        {" 5", Body::BadLength, 0},
        {"5 ", Body::BadLength, 0},
        {" ", Body::BadLength, 0},
        {"5, 5", Body::BadLength, 0},
        {"5,5", Body::BadLength, 0},
        {"0x5", Body::BadLength, 0},
        {"5.0", Body::BadLength, 0},
        {"1e3", Body::BadLength, 0},
        {"five", Body::BadLength, 0},
        {"\xd9\xa5", Body::BadLength, 0},
    };
    for (auto& one : cases) {
        CAPTURE(one.text);
        Read read({"A=1", "CONTENT_LENGTH=" + one.text, "B=2"});
        CHECK(read->body == one.body);
        CHECK(read->length == one.length);
        CHECK(read.variables() == Entries{"A=1", "B=2"});
    }
}

TEST_CASE("a transfer coding without a length means that the length is to be learnt [F4]") {
    CHECK(Read({"HTTP_TRANSFER_ENCODING=chunked"})->body == Body::UntilEnd);
    CHECK(Read({"CONTENT_LENGTH=", "HTTP_TRANSFER_ENCODING=chunked"})->body == Body::UntilEnd);
    CHECK(Read({"HTTP_TRANSFER_ENCODING="})->body == Body::None);
    // Together the length counts, also when it is 0 or wrong.
    CHECK(Read({"CONTENT_LENGTH=5", "HTTP_TRANSFER_ENCODING=chunked"})->body == Body::Length);
    CHECK(Read({"HTTP_TRANSFER_ENCODING=chunked", "CONTENT_LENGTH=0"})->body == Body::None);
    CHECK(Read({"CONTENT_LENGTH=x", "HTTP_TRANSFER_ENCODING=chunked"})->body == Body::BadLength);
}

TEST_CASE("what rouse itself needs is remembered") {
    Read read({"REQUEST_METHOD=HEAD", "HTTP_ACCEPT=text/html", "HOME=/home/me", "USER=me", "LOGNAME=me2",
               "SHELL=/bin/sh", "PATH=/bin", "LANG=C", "TZ=UTC"});
    CHECK(read->method == "HEAD");
    CHECK(read->is_head());
    CHECK(read->is_safe());
    CHECK(read->accept == "text/html");
    CHECK(read->home == "/home/me");
    CHECK(read->user == "me");
    CHECK(read->logname == "me2");
    CHECK(read->shell == "/bin/sh");
    CHECK(read->path == "/bin");
    CHECK(read->lang == "C");
    CHECK(read->tz == "UTC");
    CHECK(read->count == 8);
    // Also where what is in front of it, and dropped, makes room.
    Read moved({"LD_X=xxxxxxxx", "PATH=/bin", "PWD=/", "PATH=/other", "HOME=/home/me", "SHLVL=1", "CONTENT_LENGTH=5",
                "CONTENT_LENGTH=77777", "A", "HTTP_TRANSFER_ENCODING=chunked", "LD_Y=", "HTTP_ACCEPT=*/*"});
    CHECK(moved.variables() == Entries{"HOME=/home/me", "HTTP_ACCEPT=*/*"});
    CHECK(moved->path == "/bin");
    CHECK(moved->home == "/home/me");
    CHECK(moved->content_length == "5");
    CHECK(moved->transfer_encoding == "chunked");
    CHECK(moved->accept == "*/*");

    CHECK(Read({})->method == "GET");
    CHECK(Read({"REQUEST_METHOD="})->method == "GET");
    CHECK(Read({})->home.empty());
    CHECK(Read({})->is_safe());
    for (std::string method : {"OPTIONS", "TRACE"})
        CHECK(Read({"REQUEST_METHOD=" + method})->is_safe());
    for (std::string method : {"POST", "PUT", "DELETE", "PATCH", "CONNECT", "get", "GETX", "head"})
        CHECK_FALSE(Read({"REQUEST_METHOD=" + method})->is_safe());
}

TEST_CASE("no header of a client is taken for a variable of ours [X1]") {
    Read read({"HTTP_PATH=/evil", "HTTP_HOME=/evil", "HTTP_CONTENT_LENGTH=7", "HTTP_REQUEST_METHOD=POST",
               "QUERY_STRING=PATH=/evil", "HTTP_ROUSE_SOCKET=/evil", "HTTP_SCGI=1"});
    CHECK(read->path.empty());
    CHECK(read->home.empty());
    CHECK(read->method == "GET");
    CHECK(read->body == Body::None);
    CHECK(read->count == 7);
}

TEST_CASE("script-name replaces SCRIPT_NAME, or is added [F2]") {
    CHECK(Read({"A=1", "SCRIPT_NAME=/cgi-bin/app.cgi", "B=2"}, "/shop").variables() ==
          Entries{"A=1", "B=2", "SCRIPT_NAME=/shop"});
    CHECK(Read({"SCRIPT_NAME=/a", "B=2"}, "").variables() == Entries{"B=2", "SCRIPT_NAME="});
    CHECK(Read({"SCRIPT_NAME=/a", "SCRIPT_NAME=/b"}, "/much/longer/than/it/was").variables() ==
          Entries{"SCRIPT_NAME=/much/longer/than/it/was"});
    CHECK(Read({"A=1"}, "/shop").variables() == Entries{"A=1", "SCRIPT_NAME=/shop"});
    CHECK(Read({"A=1", "CONTENT_LENGTH=1"}, "/shop").variables() == Entries{"A=1", "SCRIPT_NAME=/shop"});
    CHECK(Read({}, "").variables() == Entries{"SCRIPT_NAME="});
    CHECK(Read({"SCRIPT_NAME", "=SCRIPT_NAME"}, "/x").variables() == Entries{"SCRIPT_NAME=/x"});
    CHECK(Read({"SCRIPT_NAME=/a"}).variables() == Entries{"SCRIPT_NAME=/a"});

    std::string longest = "/" + std::string(CgiRequest::max_script_name - 1, 'x');
    CHECK(Read({}, longest.c_str()).variables() == Entries{"SCRIPT_NAME=" + longest});
}

TEST_CASE("125,000 variables take no longer than a blink, doubles or not [F1]") {
    auto seconds_for = [](const Entries& entries, size_t expected) {
        Environment environment(entries);
        auto begin = std::chrono::steady_clock::now();
        CgiRequest request = read_cgi_request(environment.get(), nullptr);
        std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
        CHECK(request.count == expected);
        return taken.count();
    };
    Entries unlike, alike;
    for (int number = 0; number < 125'000; number++) {
        unlike.push_back("V" + std::to_string(number) + "=");
        alike.push_back("V" + std::to_string(number % 1000) + "=" + std::to_string(number));
    }
    // Quadratic, this would be minutes under the sanitizers.
    CHECK(seconds_for(unlike, 125'000) < 1);
    CHECK(seconds_for(alike, 1000) < 1);
}

TEST_CASE("whatever the environment holds, no name goes through twice and none is lost [F1][F2]") {
    const std::string_view words[] = {"A",           "B",    "=",
                                      "==",          "PATH", "LD_",
                                      "SCRIPT_NAME", "SCGI", "CONTENT_LENGTH",
                                      "0",           "9",    "HTTP_",
                                      "PROXY",       "_",    "TRANSFER_ENCODING"};
    Dice dice(3);
    for (int round = 0; round < 3000; round++) {
        Entries entries;
        for (size_t left = dice.below(20); left > 0; left--) {
            std::string entry = dice.text(5, words);
            entry.erase(std::remove(entry.begin(), entry.end(), '\0'), entry.end());
            entries.push_back(entry);
        }
        const char* script_name = dice.below(2) ? "/s" : nullptr;

        // The same, said slowly.
        Entries expected;
        std::map<std::string, bool> seen;
        for (const std::string& entry : entries) {
            size_t equals = entry.find('=');
            if (equals == entry.npos || equals == 0)
                continue;
            std::string name = entry.substr(0, equals);
            if (name == "PATH" || name.substr(0, 3) == "LD_" || name == "_" || name == "HTTP_PROXY" || name == "SCGI" ||
                name == "CONTENT_LENGTH" || name == "HTTP_TRANSFER_ENCODING" || seen[name])
                continue;
            seen[name] = true;
            if (name != "SCRIPT_NAME" || script_name == nullptr)
                expected.push_back(entry);
        }
        if (script_name != nullptr)
            expected.push_back("SCRIPT_NAME=/s");
        CHECK(Read(entries, script_name).variables() == expected);
    }
}
