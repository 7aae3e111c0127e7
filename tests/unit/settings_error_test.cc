// This file knows what an app file that is wrong is answered.
#include "parsed.h"

#include <vector>

using namespace rouse;

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
