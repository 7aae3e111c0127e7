#include "http.h"

#include "environment.h"

#include <algorithm>
#include <doctest/doctest.h>

using namespace rouse;

namespace {

// The head, or nothing when it is refused.
std::string framed(const std::vector<std::string>& entries, uint64_t length = 0, Forwarded forwarded = Forwarded::Ours,
                   size_t room = max_http_head) {
    Environment environment(entries);
    CgiRequest request = read_cgi_request(environment.get(), nullptr);
    Exact bytes(std::string(room, '?'));
    Text storage(bytes.data(), bytes.size());
    RequestHead head = frame_http(request, length, forwarded, storage);
    iovec parts[RequestHead::max_parts];
    std::string sum;
    for (size_t used = head.gather(0, parts), at = 0; at < used; at++)
        sum.append(static_cast<const char*>(parts[at].iov_base), parts[at].iov_len);
    CHECK(sum.size() == head.size());
    return sum;
}

std::string first_line(const std::vector<std::string>& entries) {
    std::string head = framed(entries);
    return head.substr(0, head.find("\r\n"));
}

// The value of a field, "none" without one, "twice" with two.
std::string field(const std::string& head, const std::string& name) {
    size_t at = head.find("\r\n" + name + ": ");
    if (at == head.npos)
        return "none";
    size_t begin = at + name.size() + 4;
    if (head.find("\r\n" + name + ": ", begin) != head.npos)
        return "twice";
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string sent(const std::vector<std::string>& entries, const std::string& name,
                 Forwarded forwarded = Forwarded::Ours) {
    std::string head = framed(entries, 0, forwarded);
    CHECK_FALSE(head.empty());
    return field(head, name);
}

} // namespace

TEST_CASE("a request of a browser is framed to the byte [H1][H2]") {
    CHECK(framed({"REQUEST_METHOD=POST", "REQUEST_URI=/a%2Fb?c=%20", "HTTP_HOST=example.org", "HTTP_X_A=1",
                  "REMOTE_ADDR=192.0.2.7", "SCRIPT_NAME=/cgi-bin/app.cgi", "CONTENT_TYPE=text/plain",
                  "CONTENT_LENGTH=5", "HTTPS=on"},
                 5) == "POST /a%2Fb?c=%20 HTTP/1.0\r\nHOST: example.org\r\nX-A: 1\r\nX-FORWARDED-FOR: 192.0.2.7\r\n"
                       "X-FORWARDED-PROTO: https\r\nX-FORWARDED-HOST: example.org\r\n"
                       "X-FORWARDED-PREFIX: /cgi-bin/app.cgi\r\nCONTENT-TYPE: text/plain\r\nCONTENT-LENGTH: 5\r\n"
                       "CONNECTION: close\r\n\r\n");
    CHECK(framed({}) == "GET / HTTP/1.0\r\nHOST: localhost\r\nX-FORWARDED-PROTO: http\r\n"
                        "X-FORWARDED-HOST: localhost\r\nCONNECTION: close\r\n\r\n");
}

TEST_CASE("the target is the one that was sent, else it is put together and encoded [H1]") {
    CHECK(first_line({"REQUEST_URI=/%zz//../\xc3?a=b?c"}) == "GET /%zz//../\xc3?a=b?c HTTP/1.0");
    CHECK(first_line({"REQUEST_URI=", "SCRIPT_NAME=/s", "PATH_INFO=/p q%?#\xff[]\r\n", "QUERY_STRING=a=%20"}) ==
          "GET /s/p%20q%25%3f%23%ff%5b%5d%0d%0a?a=%20 HTTP/1.0");
    CHECK(first_line({"PATH_INFO=/-._~!$&'()*+,;=:@azAZ09"}) == "GET /-._~!$&'()*+,;=:@azAZ09 HTTP/1.0");
    CHECK(first_line({"QUERY_STRING=x"}) == "GET /?x HTTP/1.0");
    CHECK(first_line({"REQUEST_URI=http://a.example:81/b?c"}) == "GET /b?c HTTP/1.0");
    CHECK(first_line({"REQUEST_URI=HTTPS://a.example"}) == "GET / HTTP/1.0");
    CHECK(first_line({"REQUEST_URI=http://a.example?b/c"}) == "GET /?b/c HTTP/1.0");
    for (std::string wrong :
         {"*", "a", "example.org:443", "ftp://a/b", "http:/a", "http:/", "http:", "http", "/a b", "/a\tb", "/a\r\nX: y",
          "/\x7f", "http://me@a/b", "http:///x", "http://?x", "a?x=http://b/c", "://a/b", "/\x01"})
        CHECK_MESSAGE(framed({"REQUEST_URI=" + wrong}).empty(), wrong);
    CHECK(framed({"QUERY_STRING=a b"}).empty());
    CHECK(framed({"SCRIPT_NAME=a"}).empty());
}

TEST_CASE("the method is a token [H1]") {
    CHECK(first_line({"REQUEST_METHOD=M-SEARCH"}) == "M-SEARCH / HTTP/1.0");
    for (std::string wrong : {"GET /x", "G\r\nT", "G:", "\xff"})
        CHECK_MESSAGE(framed({"REQUEST_METHOD=" + wrong}).empty(), wrong);
}

TEST_CASE("there is always one Host [H1]") {
    CHECK(sent({"HTTP_HOST=a:8080"}, "HOST") == "a:8080");
    CHECK(sent({"HTTP_HOST=a", "REQUEST_URI=http://b:1/"}, "HOST") == "b:1");
    CHECK(sent({"HTTP_HOST=a", "REQUEST_URI=http://b:1/"}, "X-FORWARDED-HOST") == "b:1");
    CHECK(sent({"SERVER_NAME=s", "SERVER_PORT=8080"}, "HOST") == "s");
    CHECK(sent({"HTTP_HOST=", "SERVER_NAME=s"}, "HOST") == "s");
    CHECK(sent({"HTTP_HOST=a", "SERVER_PORT=8080"}, "HOST") == "a");
    for (std::string wrong : {"a b", "a\r\nX: y", "a\tb"})
        CHECK_MESSAGE(framed({"HTTP_HOST=" + wrong}).empty(), wrong);
}

TEST_CASE("fields of the connection stay behind, and what it names [H2]") {
    std::string head =
        framed({"HTTP_CONNECTION=close, X-Gone,\tx_also", "HTTP_X_GONE=1", "HTTP_X_ALSO=1", "HTTP_KEEP_ALIVE=1",
                "HTTP_TE=1", "HTTP_TRAILER=1", "HTTP_UPGRADE=1", "HTTP_PROXY_AUTHORIZATION=1", "HTTP_PROXY_X=1",
                "HTTP_PROXY=1", "HTTP_TRANSFER-ENCODING=chunked", "HTTP_Transfer_Encoding=chunked",
                "HTTP_CONTENT_LENGTH=7", "HTTP_CONTENT-TYPE=x", "HTTP_EXPECT=100-continue", "HTTP_X_GON=kept",
                "HTTP_X_GONER=kept", "HTTP_CLOSED=kept", "HTTP_PROXYX=kept"});
    CHECK(head ==
          "GET / HTTP/1.0\r\nHOST: localhost\r\nX-ALSO: 1\r\nX-GON: kept\r\nX-GONER: kept\r\nCLOSED: kept\r\n"
          "PROXYX: kept\r\nX-FORWARDED-PROTO: http\r\nX-FORWARDED-HOST: localhost\r\nCONNECTION: close\r\n\r\n");
}

TEST_CASE("who asks, and how, is no client's word [H3]") {
    const std::vector<std::string> entries = {"HTTP_X_FORWARDED_FOR=6.6.6.6",
                                              "HTTP_X-Forwarded_For=6.6.6.6",
                                              "HTTP_X_FORWARDED_PROTO=https",
                                              "HTTP_X_FORWARDED_HOST=evil",
                                              "HTTP_X_FORWARDED_PREFIX=/evil",
                                              "HTTP_X_FORWARDED_SSL=on",
                                              "HTTP_FORWARDED=for=6.6.6.6",
                                              "HTTP_X_REAL_IP=6.6.6.6",
                                              "HTTP_HOST=h",
                                              "REMOTE_ADDR=192.0.2.7",
                                              "SCRIPT_NAME=/a b",
                                              "HTTP_CONNECTION=X-Forwarded-For, Host"};
    CHECK(framed(entries) ==
          "GET /a%20b HTTP/1.0\r\nHOST: h\r\nX-FORWARDED-FOR: 192.0.2.7\r\nX-FORWARDED-PROTO: http\r\n"
          "X-FORWARDED-HOST: h\r\nX-FORWARDED-PREFIX: /a%20b\r\nCONNECTION: close\r\n\r\n");
    CHECK(framed(entries, 0, Forwarded::Trusted) ==
          "GET /a%20b HTTP/1.0\r\nHOST: h\r\nX-FORWARDED-SSL: on\r\nFORWARDED: for=6.6.6.6\r\nX-REAL-IP: 6.6.6.6\r\n"
          "X-FORWARDED-FOR: 6.6.6.6, 192.0.2.7\r\nX-FORWARDED-PROTO: https\r\nX-FORWARDED-HOST: evil\r\n"
          "X-FORWARDED-PREFIX: /evil/a%20b\r\nCONNECTION: close\r\n\r\n");
    CHECK(sent({"REMOTE_ADDR=::1"}, "X-FORWARDED-FOR", Forwarded::Trusted) == "::1");
    CHECK(sent({"HTTP_X_FORWARDED_FOR=::2"}, "X-FORWARDED-FOR", Forwarded::Trusted) == "::2");
    CHECK(sent({"HTTPS=OFF"}, "X-FORWARDED-PROTO") == "http");
    CHECK(sent({"HTTPS="}, "X-FORWARDED-PROTO") == "http");
    CHECK(sent({"HTTPS=1"}, "X-FORWARDED-PROTO") == "https");
    CHECK(sent({"REQUEST_SCHEME=https"}, "X-FORWARDED-PROTO") == "https");
    CHECK(sent({"REQUEST_SCHEME=http"}, "X-FORWARDED-PROTO") == "http");
}

TEST_CASE("the length is said where content is, or where it is expected [H1]") {
    CHECK(field(framed({"REQUEST_METHOD=POST"}), "CONTENT-LENGTH") == "0");
    CHECK(field(framed({"REQUEST_METHOD=GET"}), "CONTENT-LENGTH") == "none");
    CHECK(field(framed({"REQUEST_METHOD=GET"}, 3), "CONTENT-LENGTH") == "3");
    CHECK(field(framed({}, INT64_MAX), "CONTENT-LENGTH") == "9223372036854775807");
    CHECK(sent({"CONTENT_TYPE="}, "CONTENT-TYPE") == "none");
}

TEST_CASE("credentials go where the web server passes them on [H2]") {
    CHECK(sent({"HTTP_AUTHORIZATION=a"}, "AUTHORIZATION") == "a");
    CHECK(sent({"REDIRECT_HTTP_AUTHORIZATION=b"}, "AUTHORIZATION") == "b");
    CHECK(sent({"HTTP_AUTHORIZATION=", "REDIRECT_HTTP_AUTHORIZATION=b"}, "AUTHORIZATION") == "b");
    CHECK(sent({"HTTP_AUTHORIZATION=a", "REDIRECT_HTTP_AUTHORIZATION=b"}, "AUTHORIZATION") == "a");
}

TEST_CASE("what would be no HTTP is refused, whether it would be sent or not [H4]") {
    for (std::string name : {"HTTP_", "HTTP_A B", "HTTP_A:", "HTTP_A\r\nB", "HTTP_\xff", "HTTP_(", "HTTP_PROXY_\n"})
        CHECK_MESSAGE(framed({name + "=x"}).empty(), name);
    for (std::string name : {"HTTP_A", "HTTP_CONNECTION", "HTTP_X_FORWARDED_FOR", "HTTP_CONTENT_LENGTH", "HTTP_EXPECT",
                             "HTTP_AUTHORIZATION", "REDIRECT_HTTP_AUTHORIZATION", "CONTENT_TYPE", "REMOTE_ADDR"})
        for (std::string value : {"a\rb", "a\nb", "a\r\n b", "a\x01", "\x7f", "a\r\n\r\nGET / HTTP/1.1"})
            CHECK_MESSAGE(framed({name + "=" + value}).empty(), name);
    CHECK(framed({"REMOTE_ADDR=a\nb", "HTTP_X_FORWARDED_FOR=c"}, 0, Forwarded::Trusted).empty());
    CHECK(framed({"HTTP_X_FORWARDED_FOR=a\nb"}, 0, Forwarded::Trusted).empty());
    CHECK(sent({"HTTP_A= \x80\xff\ta "}, "A") == " \x80\xff\ta ");
    CHECK(sent({"HTTP_A="}, "A") == "");
    CHECK_FALSE(framed({"A\n=b", "SERVER_SOFTWARE=a\r\nb"}).empty()); // which are not sent
    CHECK(sent({"HTTP_A=1", "HTTP_A=2"}, "A") == "1");
}

TEST_CASE("a head that does not fit is refused [H4][S4]") {
    size_t whole = framed({"HTTP_A=b"}).size();
    for (size_t room = 1; room <= whole; room++)
        CHECK(framed({"HTTP_A=b"}, 0, Forwarded::Ours, room).empty());
    CHECK(framed({"HTTP_A=b"}, 0, Forwarded::Ours, whole + 20).size() == whole);
    // What is dropped may have been too long all the same.
    CHECK(framed({"HTTP_PROXY_" + repeated(100, "x") + "=b"}, 0, Forwarded::Ours, whole).empty());
}

TEST_CASE("whatever the variables are, the head has one request line, sane fields and one end [H4]") {
    const std::string_view words[] = {"\r\n",    "\n", " ",       ":",     "/", "?", "%",
                                      "http://", "a",  "chunked", "close", "_", "-", ","};
    const char* const names[] = {"REQUEST_METHOD",
                                 "REQUEST_URI",
                                 "SCRIPT_NAME",
                                 "PATH_INFO",
                                 "QUERY_STRING",
                                 "HTTP_HOST",
                                 "SERVER_NAME",
                                 "SERVER_PORT",
                                 "REMOTE_ADDR",
                                 "HTTP_CONNECTION",
                                 "HTTP_A",
                                 "HTTP_X_FORWARDED_FOR",
                                 "HTTP_X_FORWARDED_PREFIX",
                                 "CONTENT_TYPE",
                                 "HTTP_TRANSFER_ENCODING",
                                 "HTTPS"};
    Dice dice(5);
    int passed = 0;
    for (int round = 0; round < 20000; round++) {
        std::vector<std::string> entries;
        for (size_t left = dice.below(5); left > 0; left--) {
            bool odd = dice.below(8) == 0;
            std::string name = odd ? "HTTP_" + dice.text(3, words) : names[dice.below(std::size(names))];
            entries.push_back(std::string((name + "=" + dice.text(3, words)).c_str()));
        }
        std::string head = framed(entries, dice.below(2), dice.below(2) ? Forwarded::Trusted : Forwarded::Ours, 4096);
        if (head.empty())
            continue;
        passed++;
        CAPTURE(head);
        REQUIRE(head.ends_with("\r\n\r\n"));
        REQUIRE(head.find("\r\n\r\n") == head.size() - 4);
        std::string line = head.substr(0, head.find("\r\n"));
        REQUIRE(std::count(line.begin(), line.end(), ' ') == 2);
        REQUIRE(line.ends_with(" HTTP/1.0"));
        REQUIRE(line[line.find(' ') + 1] == '/');
        for (size_t at = line.size() + 2, end = 0; at < head.size() - 2; at = end + 2) {
            end = head.find("\r\n", at);
            std::string one = head.substr(at, end - at);
            REQUIRE(one.find(": ") != one.npos);
            REQUIRE(one.find_first_of("\r\n") == one.npos);
            REQUIRE(one.find_first_of(" \t") > one.find(':'));
        }
        REQUIRE(field(head, "HOST") != "none");
        REQUIRE(field(head, "HOST") != "twice");
        REQUIRE(field(head, "CONNECTION") == "close");
        REQUIRE(field(head, "TRANSFER-ENCODING") == "none");
        REQUIRE(field(head, "CONTENT-LENGTH") != "twice");
    }
    CHECK(passed > 2000);
}
