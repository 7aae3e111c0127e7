// The rooms of rousectl that take values and return values.
#include "ctl/failure.h"
#include "ctl/first_line.h"
#include "ctl/json.h"
#include "ctl/key.h"
#include "ctl/served.h"

#include <doctest/doctest.h>
#include <string>

using namespace rouse;

namespace {

std::string json(std::string_view text) {
    static char bytes[4096];
    Text out(bytes);
    add_json(text, out);
    return std::string(out.view());
}

std::string in_words(std::string_view sentence) {
    static char bytes[512];
    Text out(bytes);
    add_in_words(sentence, out);
    return std::string(out.view());
}

Key key_of(std::string_view text) {
    Key key;
    read_key(text, key);
    return key;
}

std::string form_of(std::string_view form) {
    Key key;
    read_form(form, key);
    return std::string(key.bytes, key.size);
}

constexpr std::string_view secret = "0123456789abcdef";

} // namespace

TEST_CASE("JSON keeps UTF-8, and any other byte as the character of its number") {
    CHECK(json("") == "\"\"");
    CHECK(json("a \"b\" \\c") == R"("a \"b\" \\c")");
    CHECK(json(std::string_view("\0\n\x1f\x7f", 4)) == R"("\u0000\u000a\u001f\u007f")");
    CHECK(json("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80") == "\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    for (std::string_view bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                                 "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
        std::string escaped = "\"";
        for (char one : bad) {
            static const char digits[] = "0123456789abcdef";
            auto byte = static_cast<unsigned char>(one);
            escaped += std::string("\\u00") + digits[byte / 16] + digits[byte % 16];
        }
        CHECK(json(bad) == escaped + "\"");
    }
}

TEST_CASE("the first line is read as the kernel reads it [P4]") {
    FirstLine first = read_first_line("#! /bin/sh -e\nexit\n");
    CHECK(first.has_interpreter);
    CHECK(first.interpreter == "/bin/sh");
    CHECK(first.size == 13);
    CHECK_FALSE(first.ends_in_cr);
    CHECK(read_first_line("#!/bin/sh\r\n").interpreter == "/bin/sh\r");
    CHECK(read_first_line("#!/bin/sh\r\n").ends_in_cr);
    CHECK(read_first_line("#!/home/me/bin/rouse -\r\n").interpreter == "/home/me/bin/rouse");
    CHECK(read_first_line("#!\t /bin/sh\t-e").interpreter == "/bin/sh");
    CHECK(read_first_line("#!").interpreter.empty());
    CHECK(read_first_line("#!").has_interpreter);
    CHECK_FALSE(read_first_line("").has_interpreter);
    CHECK_FALSE(read_first_line("# !/bin/sh").has_interpreter);
    CHECK(read_first_line("\xEF\xBB\xBF#!/bin/sh\n").has_mark);
    CHECK(read_first_line("\xEF\xBB\xBF#!/bin/sh\n").has_interpreter);
    CHECK(read_first_line("\177ELF...").is_binary);
}

TEST_CASE("the last failure is the newest event, with what was printed since its launch [B1]") {
    constexpr std::string_view log = "2026-11-22T22:15:25.456Z launch launch=1 reason=cold version=0.1.0\n"
                                     "first\n"
                                     "2026-11-22T22:15:26.000Z failed launch=1 error=\"it ended with exit status 3\"\n"
                                     "2026-11-22T22:15:27.456Z launch launch=2 reason=cold version=0.1.0\n"
                                     "second\n"
                                     "2026-11-22T22:15:27.500Z page status=503 incident=x error=\"failed\"\n"
                                     "third\n"
                                     "2026-11-22T22:15:28.000Z killed launch=2 error=\"signal 9\"\n"
                                     "2026-11-22T22:15:29.456Z launch launch=3 reason=died version=0.1.0\n"
                                     "fourth\n";
    Failure failure = last_failure(log);
    CHECK(failure.when == "2026-11-22T22:15:28.000Z");
    CHECK(failure.launch == "2");
    CHECK(failure.sentence == "signal 9");
    CHECK(failure.printed.starts_with("second\n"));
    CHECK(failure.printed.ends_with("third\n"));
    CHECK(last_printed(failure.printed, 1).find("second") == std::string_view::npos); // events may stand in front
    CHECK(last_printed(failure.printed, 1).ends_with("\nthird\n"));
    CHECK(last_printed(failure.printed, 0).empty());
    CHECK(last_printed(failure.printed, 9) == failure.printed);
    CHECK(last_failure("").when.empty());
    CHECK(last_failure("failed launch=1 error=\"x\"\n2026-11-22 failed launch=2\n").when.empty());
    CHECK(last_failure("2026-11-22T22:15:26.000Z failed").launch.empty());
    CHECK(last_failure("2026-11-22T22:15:26.000Z failed launch=7").launch == "7");
}

TEST_CASE("a number at the end of a reason is said in words") {
    CHECK(in_words("the start script ended with signal 9") == "the start script ended with signal 9 (KILL)");
    CHECK(in_words("the start script ended with signal 15") == "the start script ended with signal 15 (TERM)");
    CHECK(in_words("signal 31") == "signal 31 (SYS)");
    CHECK(in_words("signal 0") == "signal 0");
    CHECK(in_words("signal 32") == "signal 32");
    CHECK(in_words("signal 18446744073709551615") == "signal 18446744073709551615");
    CHECK(in_words("exit status 127") == "exit status 127 (a program was not found)");
    CHECK(in_words("exit status 1") == "exit status 1");
    CHECK(in_words("launch 9") == "launch 9");
    CHECK(in_words("no number") == "no number");
    CHECK(in_words("") == "");
}

TEST_CASE("the root of what is served is the nearest usual name above, else the app's own folder [X3]") {
    CHECK(served_root("/home/me/public_html/cgi-bin") == "/home/me/public_html");
    CHECK(served_root("/var/www/html/shop/cgi-bin") == "/var/www/html");
    CHECK(served_root("/var/www/vhosts/shop/htdocs/a/b") == "/var/www/vhosts/shop/htdocs");
    CHECK(served_root("/home/me/cgi-bin") == "/home/me/cgi-bin");
    CHECK(served_root("/") == "/");
    auto plain = [](std::string_view path) {
        static char bytes[256];
        Text out(bytes);
        add_plain(path, out);
        return std::string(out.view());
    };
    CHECK(plain("/home/me/cgi-bin/../run") == "/home/me/run");
    CHECK(plain("//home/./me///a/b/../../run/") == "/home/me/run");
    CHECK(plain("/../..") == "/");
    CHECK(plain("/") == "/");
    CHECK(plain("/a/../b/...") == "/b/...");
    CHECK(is_inside("/home/me/cgi-bin/run", "/home/me/cgi-bin"));
    CHECK(is_inside("/home/me/cgi-bin", "/home/me/cgi-bin"));
    CHECK_FALSE(is_inside("/home/me/cgi-bin.run", "/home/me/cgi-bin"));
    CHECK_FALSE(is_inside("/home/me", "/home/me/cgi-bin"));
    CHECK(is_inside("/run", "/"));
    CHECK(denies_all("# mine\n\tRequire   all denied\n"));
    CHECK(denies_all("Order deny,allow\nDENY FROM ALL"));
    CHECK_FALSE(denies_all("  # Require all denied\n#Deny from all"));
    CHECK_FALSE(denies_all("Require all granted"));
    CHECK_FALSE(denies_all("Require all denie"));
    CHECK_FALSE(denies_all(""));
}

TEST_CASE("a key is used when it is long enough, and compared whole [X1]") {
    CHECK(are_equal(key_of(secret), key_of(" 0123456789abcdef\r\n")));
    CHECK_FALSE(are_equal(key_of(secret), key_of("0123456789abcdeX")));
    CHECK_FALSE(are_equal(key_of(secret), key_of("X123456789abcdef")));
    CHECK_FALSE(are_equal(key_of(secret), key_of("0123456789abcdef0")));
    CHECK_FALSE(are_equal(key_of(""), key_of("")));
    CHECK_FALSE(are_equal(Key(), Key()));
    CHECK(key_of("0123456789abcde").size == 0);
    CHECK(key_of(std::string(256, 'k')).size == 256);
    CHECK(key_of(std::string(257, 'k')).size == 0);
    CHECK(key_of(std::string_view("0123456789\0abcdef", 17)).size == 0);
}

TEST_CASE("the field `key` of a form is decoded, and what does not fit is none [X1]") {
    CHECK(form_of("key=0123456789abcdef") == secret);
    CHECK(form_of("a=b&key=0123456789abcdef&c=d") == secret);
    CHECK(form_of("key=01234567+89%61%62%63def") == "01234567 89abcdef");
    CHECK(form_of("key=0123456789abcdef%0D%0A") == secret);
    CHECK(form_of("key=0123456789abcdef%") == "0123456789abcdef%");
    CHECK(form_of("key=0123456789abcdef%4") == "0123456789abcdef%4");
    CHECK(form_of("key=0123456789abcdef%zz") == "0123456789abcdef%zz");
    for (std::string_view none : {"", "key", "key=", "keys=0123456789abcdef", "xkey=0123456789abcdef", "&&&", "a=b&c"})
        CHECK(form_of(none).empty());
    CHECK(form_of("key=" + std::string(256, 'k')).size() == 256);
    CHECK(form_of("key=" + std::string(257, 'k')).empty());
    CHECK(form_of("key=" + std::string(4000, 'k')).empty());
}
