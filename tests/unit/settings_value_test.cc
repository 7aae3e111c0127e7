// This file knows what may stand behind each key of an app file.
#include "cgi_request.h"
#include "parsed.h"

using namespace rouse;

TEST_CASE("times are seconds from 0 to 999999 with fractions, rounded up") {
    struct {
        std::string_view text;
        int milliseconds;
    } const good[] = {{"0", 0},
                      {"0.0", 0},
                      {"1", 1000},
                      {"007", 7000},
                      {"2.5", 2500},
                      {"0.001", 1},
                      {"0.0001", 1},
                      {"0.0010", 1},
                      {"1.9999", 2000},
                      {"999999", 999999000},
                      {"000999999.0", 999999000},
                      {"999999.9999", 1000000000},
                      {"0.99900000000000000000000000000001", 1000}};
    for (auto& one : good) {
        CAPTURE(one.text);
        for (std::string key : {"wait", "response-timeout", "stop-timeout"}) {
            Parsed app("run = r\n" + key + " = " + std::string(one.text));
            REQUIRE_FALSE(app.error);
            int read = key == "wait" ? app->wait : key == "stop-timeout" ? app->stop_timeout : app->response_timeout;
            CHECK(read == one.milliseconds);
        }
    }
    for (std::string text : {"-1", "+1", "1s", ".5", "5.", ".", "1.5.1", "1,5", "0x10", "1e3", "1000000", "1000000.0",
                             "99999999999999999999", "inf", "nan", "1 2"}) {
        CAPTURE(text);
        for (std::string key : {"wait", "start-timeout", "response-timeout", "stop-timeout"}) {
            Parsed app(key + " = " + text + "\nrun = r");
            CHECK(app.fault() == "this is no time that can be");
            CHECK(app.error.key == key);
            CHECK(app.error.line == 1);
        }
    }
    CHECK(Parsed("run=r\nstart-timeout = 0").fault() == "this is no time that can be"); // no launch would succeed
    CHECK(Parsed("run=r\nstart-timeout = 0.0001")->start_timeout == 1);
}

TEST_CASE("a size is bytes, or powers of 1024 with a suffix") {
    struct {
        std::string_view text;
        uint64_t bytes;
    } const good[] = {{"0", 0},
                      {"1000", 1000},
                      {"1k", 1024},
                      {"1K", 1024},
                      {"1 KiB", 1024},
                      {"2M", 2 << 20},
                      {"2MiB", 2 << 20},
                      {"2 m", 2 << 20},
                      {"1 \t g", 1 << 30},
                      {"3G", uint64_t{3} << 30},
                      {"1 GiB", 1 << 30},
                      {"9223372036854775807", INT64_MAX},
                      {"8589934591G", uint64_t{8589934591} << 30}};
    for (auto& one : good) {
        CAPTURE(one.text);
        Parsed app("run = r\nmax-spool = " + std::string(one.text));
        REQUIRE_FALSE(app.error);
        CHECK(app->max_spool == one.bytes);
    }
    for (std::string text :
         {"k", "-1", "1kB", "1T", "1Kib", "1 Mi", "1.5G", "1 k k", "9223372036854775808", "8589934592G", "0x10"}) {
        CAPTURE(text);
        CHECK(Parsed("run = r\nmax-spool = " + text).fault() == "this is no size");
    }
}

TEST_CASE("a uid is a number") {
    CHECK(Parsed("run=r\npeer-uid=0")->peer_uid == 0);
    CHECK(Parsed("run=r\npeer-uid=0")->has_peer_uid);
    CHECK(Parsed("run=r\npeer-uid=4294967294")->peer_uid == 4294967294);
    for (std::string text : {"www-data", "-1", "4294967295", "4294967296", "18446744073709551616", "1.0", "1 2"})
        CHECK(Parsed("run=r\npeer-uid=" + text).fault() == "this is no user id");
}

TEST_CASE("a script name is empty or begins with a slash [F2]") {
    CHECK(Parsed("run=r\nscript-name=").settings->has_script_name);
    CHECK(Parsed("run=r\nscript-name=shop").fault() == "this is no path of a URL");
    std::string longest = "/" + std::string(CgiRequest::max_script_name - 1, 'x');
    CHECK(Parsed("run=r\nscript-name=" + longest)->script_name == longest);
    CHECK(Parsed("run=r\nscript-name=" + longest + "x").fault() == "this is no path of a URL");
}

TEST_CASE("errors is show or hide") {
    CHECK(Parsed("run=r\nerrors=show")->show_errors);
    CHECK_FALSE(Parsed("run=r\nerrors=hide")->show_errors);
    CHECK(Parsed("run=r\nerrors=yes").fault() == "this is neither");
    CHECK(Parsed("run=r\nerrors=Show").fault() == "this is neither");
    CHECK(Parsed("run=r\nerrors=or").fault() == "this is neither");
}

TEST_CASE("a choice sets its own field and no other [H1][H3]") {
    Parsed http("run=r\nprotocol=http");
    CHECK(http->speaks_http);
    CHECK_FALSE(http->trust_forwarded);
    CHECK_FALSE(http->show_errors);
    Parsed trusting("run=r\nprotocol=scgi\ntrust-forwarded=yes");
    CHECK_FALSE(trusting->speaks_http);
    CHECK(trusting->trust_forwarded);
    CHECK_FALSE(Parsed("run=r\ntrust-forwarded=no")->trust_forwarded);
    for (std::string wrong :
         {"protocol=HTTP", "protocol=https", "protocol=or", "trust-forwarded=true", "trust-forwarded=1"})
        CHECK_MESSAGE(Parsed("run=r\n" + wrong).fault() == "this is neither", wrong);
}

TEST_CASE("arguments of the start script are 63 at most") {
    Parsed most("run = r\nstart = s" + repeated(63, " a"));
    REQUIRE_FALSE(most.error);
    CHECK(most->start_count == 64);
    CHECK(most->start[64] == nullptr);
    Parsed more("run = r\nstart = s" + repeated(64, " a"));
    CHECK(more.fault() == "there are over 63 arguments");
    CHECK(more.error.line == 2);
}

TEST_CASE("a file to restart on, a page and a number of waiters may be set, and are nothing by default [W3][X4]") {
    Parsed none("run = r\n");
    CHECK(none->restart_on.empty());
    CHECK(none->page.empty());
    CHECK(none->max_waiting == 0);
    Parsed app("run = r\nrestart-on = tmp/restart.txt\npage = /home/me/busy.html\nmax-waiting = 50\n");
    REQUIRE_FALSE(app.error);
    CHECK(app->restart_on == "/home/me/cgi/tmp/restart.txt");
    CHECK(ends_with_nul(app->restart_on));
    CHECK(app->page == "/home/me/busy.html");
    CHECK(ends_with_nul(app->page));
    CHECK(app->max_waiting == 50);
    CHECK(app->peer_uid == 0);
    CHECK_FALSE(app->has_peer_uid);
    CHECK(app->run == "/home/me/cgi/r");
    CHECK(app->node_run == "/home/me/cgi/r/n1");
    for (std::string number : {"-1", "many", "1.5", "4294967295", "99999999999999999999", "5 0"})
        CHECK(Parsed("run = r\nmax-waiting = " + number).fault() == "this is no number of requests");
    CHECK_FALSE(Parsed("run = r\nmax-waiting = 0").error);
}
