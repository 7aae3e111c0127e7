// This file knows what an app file says: its lines, its keys, and where its paths lead.
#include "parsed.h"

using namespace rouse;

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
