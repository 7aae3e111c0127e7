#include "settings.h"

#include "bytes.h"
#include "cgi_request.h"
#include "said.h"

#include <doctest/doctest.h>
#include <memory>
#include <vector>

using namespace rouse;

namespace {

// The app file is /home/me/cgi/app.cgi on the node `n1`, unless a test says otherwise.
struct Parsed {
    explicit Parsed(std::string_view lines, std::string_view app = "/home/me/cgi/app.cgi", std::string_view node = "n1")
        : text(lines), path(app), settings(new Settings) {
        error = parse_settings(text.view(), path.view(), node, *settings);
    }
    const Settings* operator->() const { return settings.get(); }
    // Up to the cure.
    std::string fault() const {
        std::string whole = said(error.fault);
        return whole.substr(0, whole.find(". "));
    }

    Exact text;
    Exact path;
    std::unique_ptr<Settings> settings;
    SettingsError error;
};

bool ends_with_nul(std::string_view text) {
    return text.data()[text.size()] == '\0';
}

} // namespace

TEST_CASE("the smallest app file: a run directory and a start script") {
    Parsed app("#!/home/me/bin/rouse\nrun   = /home/me/app/run\nstart = /home/me/app/start\n");
    REQUIRE_FALSE(app.error);
    CHECK(app->app == "/home/me/cgi/app.cgi");
    CHECK(app->folder == "/home/me/cgi");
    CHECK(app->run == "/home/me/app/run");
    CHECK(app->node_run == "/home/me/app/run/n1");
    CHECK(app->socket.text == "/home/me/app/run/n1/sock");
    CHECK(app->socket.family == Address::Family::Path);
    CHECK(app->socket_is_default);
    CHECK_FALSE(app->socket_names_run);
    CHECK(app->log == "/home/me/app/run/n1/log");
    CHECK(app->directory == "/home/me/cgi");
    CHECK(app->start_count == 1);
    CHECK(std::string(app->start[0]) == "/home/me/app/start");
    CHECK(app->start[1] == nullptr);
    CHECK(app->wait == 25'000);
    CHECK(app->start_timeout == 90'000);
    CHECK(app->response_timeout == 45'000);
    CHECK(app->stop_timeout == 10'000);
    CHECK(app->max_spool == 1073741824);
    CHECK_FALSE(app->has_peer_uid);
    CHECK_FALSE(app->has_script_name);
    CHECK_FALSE(app->show_errors);
    CHECK_FALSE(app->speaks_http);
    CHECK_FALSE(app->trust_forwarded);
}

TEST_CASE("every key is read") {
    Parsed app(
        "socket = @shop\nstart = bin/serve --fast  -v\nrun = run\ndirectory = ..\nwait = 1\nstart-timeout = 2.5\n"
        "response-timeout = 0\nstop-timeout = 0.001\nmax-spool = 5\npeer-uid = 33\nscript-name = /shop\n"
        "errors = show\nlog = /var/log/shop\nprotocol = http\ntrust-forwarded = yes\n");
    REQUIRE_FALSE(app.error);
    CHECK(app->socket.text == "@shop");
    CHECK(app->socket.family == Address::Family::Abstract);
    CHECK_FALSE(app->socket_is_default);
    REQUIRE(app->start_count == 3);
    CHECK(std::string(app->start[0]) == "/home/me/cgi/bin/serve");
    CHECK(std::string(app->start[1]) == "--fast");
    CHECK(std::string(app->start[2]) == "-v");
    CHECK(app->start[3] == nullptr);
    CHECK(app->run == "/home/me/cgi/run");
    CHECK(app->node_run == "/home/me/cgi/run/n1");
    CHECK(app->directory == "/home/me/cgi/..");
    CHECK(app->wait == 1000);
    CHECK(app->start_timeout == 2500);
    CHECK(app->response_timeout == 0);
    CHECK(app->stop_timeout == 1);
    CHECK(app->max_spool == 5);
    CHECK(app->has_peer_uid);
    CHECK(app->peer_uid == 33);
    CHECK(app->has_script_name);
    CHECK(app->script_name == "/shop");
    CHECK(app->show_errors);
    CHECK(app->speaks_http);
    CHECK(app->trust_forwarded);
    CHECK(app->log == "/var/log/shop");
    for (std::string_view text :
         {app->folder, app->socket.text, app->run, app->node_run, app->directory, app->script_name, app->log})
        CHECK(ends_with_nul(text));
}

TEST_CASE("a socket with a path names the run directory") {
    Parsed app("socket = ../app/sock\nstart=x");
    REQUIRE_FALSE(app.error);
    CHECK(app->socket.text == "/home/me/cgi/../app/sock");
    CHECK(app->socket_names_run);
    CHECK(app->run == "/home/me/cgi/../app/sock.run");
    CHECK(app->node_run == "/home/me/cgi/../app/sock.run/n1");
    CHECK(app->log == "/home/me/cgi/../app/sock.run/n1/log");

    Parsed both("socket = /a\nrun = /b");
    CHECK(both.fault() == "`run` and a `socket` that is a path exclude each other");
    CHECK(both.error.key == "run");
    CHECK(both.error.line == 2);
    Parsed reversed("run = /b\nsocket = /a");
    CHECK(reversed.fault() == both.fault());
    CHECK(reversed.error.key == "socket");
    CHECK(reversed.error.line == 2);
}

TEST_CASE("a socket without a path and a script needs a run directory, and nothing else does") {
    for (std::string socket : {"@shop", "127.0.0.1:4000", "[::1]:4000", "localhost:4000"}) {
        CAPTURE(socket);
        Parsed forwarding("socket = " + socket);
        REQUIRE_FALSE(forwarding.error);
        CHECK(forwarding->run.empty());
        CHECK(forwarding->node_run.empty());
        CHECK(forwarding->log.empty());
        CHECK(forwarding->socket.text == socket);

        Parsed started("socket = " + socket + "\nstart = x");
        CHECK(started.fault() == "a run directory is missing");
        CHECK(started.error.line == 0);

        Parsed whole("socket = " + socket + "\nstart = x\nrun = r");
        REQUIRE_FALSE(whole.error);
        CHECK(whole->log == "/home/me/cgi/r/n1/log");
    }
    Parsed log_alone("socket = @shop\nlog = l");
    REQUIRE_FALSE(log_alone.error);
    CHECK(log_alone->log == "/home/me/cgi/l");
}

TEST_CASE("an app file that says nothing of a server is an error with a cure [X4]") {
    for (std::string text : {"", "#!/bin/rouse\n", "wait = 3\n", "\xEF\xBB\xBF", "#", "\n\n\n"}) {
        CAPTURE(text);
        Parsed app(text);
        CHECK(app.fault() == "a run directory is missing");
        CHECK(app.error.key.empty());
        CHECK(app.error.line == 0);
        CHECK(said(app.error.fault).find("`socket`") != std::string::npos);
    }
    CHECK(Parsed("start = x").fault() == "a run directory is missing");
}

TEST_CASE("CRLF, a BOM, blanks, comments and a missing last line feed are tolerated") {
    Parsed app("\xEF\xBB\xBF#!/home/me/bin/rouse -\r\n\r\n# run = /no\r\n \t # run = /no\r\n\trun =\t /r #s # note\r\n"
               "start=/s\t# note\r\nscript-name = # the top\r\nerrors  =  hide  \r");
    REQUIRE_FALSE(app.error);
    CHECK(app->run == "/r");
    CHECK(app->start_count == 1);
    CHECK(std::string(app->start[0]) == "/s");
    CHECK(app->has_script_name);
    CHECK(app->script_name.empty());
}

TEST_CASE("a # inside a word and an = inside a value belong to the value") {
    Parsed app("run = /r#1\nstart = /s --color=#fff a=b");
    REQUIRE_FALSE(app.error);
    CHECK(app->run == "/r#1");
    REQUIRE(app->start_count == 3);
    CHECK(std::string(app->start[1]) == "--color=#fff");
    CHECK(std::string(app->start[2]) == "a=b");
}

TEST_CASE("bytes over 127 and blanks inside a path are kept") {
    Parsed app("run = /h\xc3\xb6me/my run");
    REQUIRE_FALSE(app.error);
    CHECK(app->run == "/h\xc3\xb6me/my run");
}

TEST_CASE("relative paths are from the app file's folder, wherever that is") {
    Parsed top("run = r\nstart = s\nlog = l", "/app.cgi");
    REQUIRE_FALSE(top.error);
    CHECK(top->folder == "/");
    CHECK(top->run == "/r");
    CHECK(std::string(top->start[0]) == "/s");
    CHECK(top->log == "/l");
    CHECK(top->directory == "/");

    Parsed slashes("run = r//");
    REQUIRE_FALSE(slashes.error);
    CHECK(slashes->node_run == "/home/me/cgi/r/n1");
    Parsed root("run = //");
    CHECK(root->node_run == "//n1");
}

TEST_CASE("the node's name is one name of a folder, whatever it is [L9]") {
    struct {
        std::string_view node, folder;
    } const cases[] = {
        {"web-1.example", "web-1.example"}, {"", "_"}, {".", "_."}, {"..", "_.."}, {"a/../b", "a_.._b"}, {"/", "_"}};
    for (auto& one : cases) {
        Parsed app("run = /r", "/app.cgi", one.node);
        REQUIRE_FALSE(app.error);
        CHECK(app->node_run == "/r/" + std::string(one.folder));
    }
    CHECK(Parsed("run = /r", "/app.cgi", "n1")->socket.text != Parsed("run = /r", "/app.cgi", "n2")->socket.text);
}

TEST_CASE("what looks like a port is no file") {
    for (std::string text : {"4000", "127.0.0.1", "localhost", "[::1]", "my:sock", ":1", "a:0"}) {
        Parsed app("socket = " + text);
        CAPTURE(text);
        CHECK(app.error);
        CHECK(app.error.key == "socket");
    }
    for (std::string text : {"./4000", "./my:sock", "d/a:1", "sock.4", "x"}) {
        Parsed app("socket = " + text);
        REQUIRE_FALSE(app.error);
        CHECK(app->socket.text == "/home/me/cgi/" + text);
    }
}

TEST_CASE("a socket path over 107 bytes says what to shorten [C1]") {
    std::string folder = "/" + std::string(101, 'x');
    Parsed fits("run = " + folder.substr(0, 99), "/app.cgi"); // 99 + "/n1/sock" is 107
    CHECK_FALSE(fits.error);
    CHECK(fits->socket.text.size() == 107);

    Parsed by_default("wait = 1\nrun = " + folder, "/app.cgi");
    CHECK(by_default.fault() == "the socket's path is over 107 bytes");
    CHECK(said(by_default.error.fault).find("`run`") != std::string::npos);
    CHECK(by_default.error.line == 0);

    Parsed set("socket = " + folder + "/sockets");
    CHECK(set.fault() == "the socket's path is over 107 bytes");
    CHECK(set.error.key == "socket");
    CHECK(Parsed("socket = @" + folder + "/sockets").fault() != "");
}

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

TEST_CASE("a line that is no setting, a key given twice and a missing value are errors with their line [X4]") {
    Parsed no_setting("run = r\nsecret words\n");
    CHECK(no_setting.fault() == "this line is no setting");
    CHECK(no_setting.error.line == 2);
    CHECK(no_setting.error.key.empty());

    Parsed twice("run = r\n\nrun = r\n");
    CHECK(twice.fault() == "the key is given twice");
    CHECK(twice.error.line == 3);
    CHECK(twice.error.key == "run");
    CHECK(Parsed("run=r\nscript-name=\nscript-name=\n").error.line == 3);

    for (std::string key :
         {"socket", "start", "run", "directory", "wait", "start-timeout", "response-timeout", "stop-timeout",
          "max-spool", "peer-uid", "errors", "log", "restart-on", "page", "max-waiting"}) {
        Parsed empty("# x\r\n" + key + " = \t# nothing\r\n");
        CHECK(empty.fault() == "there is no value behind the key");
        CHECK(empty.error.line == 2);
        CHECK(empty.error.key == key);
    }
}

TEST_CASE("an unknown key is named only when it cannot be anything but a key") {
    for (std::string key : {"timeout", "restart", "pages", "max-wait", "x", "socket2"}) {
        Parsed app("run = r\n" + key + " = 1");
        CHECK(app.fault() == "there is no such key");
        CHECK(app.error.line == 2);
        CHECK(app.error.key == key);
    }
    for (std::string key :
         {"Socket", "my secret", "", "a_b", "pass:word", "\xc3\xa4", "a123456789012345678901234567890123"}) {
        Parsed app("run = r\n" + key + " = 1");
        CHECK(app.fault() == "there is no such key");
        CHECK(app.error.key.empty());
    }
}

TEST_CASE("control bytes are errors wherever they stand [X1][X4]") {
    for (int byte = 0; byte < 256; byte++) {
        bool is_control = (byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7f;
        std::string one(1, static_cast<char>(byte));
        for (std::string text : {"run = r" + one + "r", "# no" + one + "te\nrun = r", one + "run = r"}) {
            CAPTURE(byte);
            CAPTURE(text);
            Parsed app(text);
            if (is_control) {
                CHECK(app.fault() == "there is a control character in this line");
                CHECK(app.error.line == 1);
                CHECK(app.error.key.empty());
            } else {
                CHECK(app.fault() != "there is a control character in this line");
            }
        }
    }
    CHECK(Parsed("run = r\r\r\n").fault() == "there is a control character in this line");
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

TEST_CASE("paths that are too long together are an error, not a shorter path [X4]") {
    std::string path = "/" + std::string(5000, 'x');
    for (std::string line : {"run = ", "directory = ", "log = ", "start = /s "}) {
        Parsed app("socket = @s\nrun = r\nstart = s\nlog = l\ndirectory = d\n");
        REQUIRE_FALSE(app.error);
        Parsed large("socket = @s\n" + line + path + path + path + path);
        CAPTURE(line);
        CHECK(large.error);
        CHECK(large->log.empty());
    }
    std::string deep = "/" + std::string(20000, 'x') + "/app.cgi";
    CHECK(Parsed("run = /r\nstart = s", deep).error);
    CHECK(Parsed("socket = s", deep).error);
}

TEST_CASE("no value of a setting stands in an error") {
    const std::string secret = "hunter2";
    for (std::string text : {"socket = hunter2:99999", "socket = hunter2:1", "socket = @", "wait = hunter2",
                             "max-spool = hunter2", "peer-uid = hunter2", "script-name = hunter2", "errors = hunter2",
                             "hunter2", "hunter2\x01 = 1", "run =\x01 hunter2", "Hunter2 hunter2 = hunter2",
                             "run = /hunter2\nrun = /hunter2", "socket = @hunter2\nstart = hunter2"}) {
        CAPTURE(text);
        Parsed app(text);
        REQUIRE(app.error);
        CHECK(said(app.error.fault).find(secret) == std::string::npos);
        CHECK(std::string(app.error.key).find(secret) == std::string::npos);
    }
}

TEST_CASE("every error has a fault and a cure, whatever the file holds [X4]") {
    const std::string_view words[] = {
        "\n",          "\r\n",         " = ",      "=",         "#",           " ",         "\t",
        "socket",      "run",          "start",    "wait",      "errors",      "log",       "/",
        "@",           "127.0.0.1:1",  "show",     "0.5",       "1G",          "/x/y",      "max-spool",
        "script-name", "\xEF\xBB\xBF", "peer-uid", "\nrun=r\n", "\nstart=s\n", "localhost", "[",
        ":",           "stop-timeout"};
    Dice dice(2);
    auto settings = std::make_unique<Settings>();
    int good = 0;
    for (int round = 0; round < 20000; round++) {
        Exact text((round % 2 ? "run = r\n" : "") + dice.text(20, words));
        *settings = Settings();
        SettingsError error = parse_settings(text.view(), "/a/app", "n", *settings);
        if (error) {
            CHECK(said(error.fault).find(". ") != std::string::npos); // "fault. cure"
            CHECK(settings->log.empty());
            CHECK_FALSE(settings->has_script_name);
        } else {
            good++;
            CHECK(settings->socket.family != Address::Family::None);
            CHECK(settings->socket.text.find('\n') == std::string_view::npos);
            CHECK((settings->start_count == 0 || settings->start[0][0] == '/'));
            CHECK((settings->run.empty() || settings->run[0] == '/'));
        }
    }
    CHECK(good > 100); // the words above do make settings
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
