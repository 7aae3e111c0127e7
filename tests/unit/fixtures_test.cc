#include "chunked.h"
#include "environment.h"
#include "http.h"
#include "response_head.h"
#include "scgi.h"

#include <algorithm>
#include <doctest/doctest.h>
#include <fstream>
#include <iterator>
#include <set>

using namespace rouse;

namespace {

// A case of the fixtures, as make_fixture_table.py writes it.
struct Case {
    std::vector<std::pair<std::string, std::string>> pairs;

    bool has(std::string_view key) const {
        return std::any_of(pairs.begin(), pairs.end(), [&](auto& pair) { return pair.first == key; });
    }
    std::vector<std::string> all(std::string_view key) const {
        std::vector<std::string> values;
        for (auto& pair : pairs)
            if (pair.first == key)
                values.push_back(pair.second);
        return values;
    }
    std::string value(std::string_view key) const { return has(key) ? all(key)[0] : ""; }
};

std::string_view take_netstring(std::string_view& text) {
    size_t colon = text.find(':');
    REQUIRE(colon != text.npos);
    size_t size = std::stoul(std::string(text.substr(0, colon)));
    std::string_view content = text.substr(colon + 1, size);
    REQUIRE(content.size() == size);
    REQUIRE(text.substr(colon + 1 + size, 1) == ",");
    text.remove_prefix(colon + 1 + size + 1);
    return content;
}

std::vector<Case> cases(std::string_view topic) {
    std::ifstream file("build/fixtures.table", std::ios::binary);
    REQUIRE_MESSAGE(file, "build/fixtures.table is missing: `make unit` makes it, and runs the tests where it is");
    std::string whole((std::istreambuf_iterator<char>(file)), {});
    std::vector<Case> all;
    for (std::string_view rest = whole; !rest.empty();) {
        std::string_view pairs = take_netstring(rest);
        std::string_view look = pairs;
        take_netstring(look); // "id"
        if (!take_netstring(look).starts_with(std::string(topic) + "/"))
            continue;
        Case one;
        while (!pairs.empty()) {
            std::string key(take_netstring(pairs));
            one.pairs.emplace_back(key, take_netstring(pairs));
        }
        all.push_back(std::move(one));
    }
    return all;
}

// The pairs of a framed head as NAME=VALUE, but CONTENT_LENGTH and SCGI, whose form is checked here.
std::vector<std::string> parsed(std::string_view wire, const CgiRequest& request) {
    std::string head(take_netstring(wire));
    CHECK(wire.empty());
    std::vector<std::string> words, headers;
    std::set<std::string> names;
    for (size_t at = 0; at < head.size();) {
        words.push_back(head.c_str() + at);
        at += words.back().size() + 1;
    }
    REQUIRE(words.size() % 2 == 0);
    for (size_t at = 0; at < words.size(); at += 2) {
        bool is_new = names.insert(words[at]).second;
        if (!is_new || words[at].empty())
            FAIL_CHECK("a name twice, or none: " << words[at]);
        if (words[at] != "CONTENT_LENGTH" && words[at] != "SCGI")
            headers.push_back(words[at] + "=" + words[at + 1]);
    }
    CHECK(words[0] == "CONTENT_LENGTH");
    CHECK(words[1] == std::to_string(request.length));
    CHECK(words[2] == "SCGI");
    CHECK(words[3] == "1");
    return headers;
}

// What the relay makes of all bytes that a server sent, when it needs only the bytes: the response, or nothing
// when it is not whole.
std::string relayed(std::string sent, bool head_only, bool& whole) {
    std::string storage(ResponseHead::max_size + 64, '?');
    Text normalised(storage.data(), storage.size());
    ResponseHead head = read_response_head(sent, true, normalised);
    whole = head.state == ResponseHead::State::Sane;
    if (!whole)
        return {};
    std::string block = head.rewritten ? std::string(normalised.view()) : sent.substr(0, head.size);
    std::string content = sent.substr(head.size);
    if (head_only || head.status == 204 || head.status == 304) {
        content.clear();
    } else if (head.chunked) {
        ChunkedDecoder decoder;
        content.resize(decoder.decode(content.data(), content.size()));
        whole = decoder.state() == ChunkedDecoder::State::Ended;
    } else if (head.has_length) {
        whole = content.size() >= head.length;
        content = content.substr(0, head.length);
    }
    return block + content;
}

// A case's request, and what it is read from.
struct Asked {
    explicit Asked(const Case& one)
        : environment(one.all("env")), script_name(one.value("script-name")),
          request(read_cgi_request(environment.get(), one.has("script-name") ? script_name.c_str() : nullptr)) {}

    Environment environment;
    std::string script_name;
    CgiRequest request;
};

} // namespace

TEST_CASE("the requests of the fixtures are framed as they say [F1][F2]") {
    auto all = cases("request");
    CHECK(all.size() > 50);
    for (const Case& one : all) {
        CAPTURE(one.value("id"));
        Asked asked(one);
        const CgiRequest& request = asked.request;
        if (request.body == CgiRequest::Body::BadLength)
            continue; // the answer is 400, and nothing is framed
        TextBuffer<128> storage;
        RequestHead head = frame_scgi(request, request.length, storage);
        std::string wire;
        while (wire.size() < head.size()) {
            iovec parts[RequestHead::max_parts];
            size_t used = head.gather(wire.size(), parts);
            REQUIRE(used > 0);
            for (size_t at = 0; at < used; at++)
                wire.append(static_cast<const char*>(parts[at].iov_base), parts[at].iov_len);
        }
        std::vector<std::string> headers = parsed(wire, request);
        if (one.has("headers")) {
            std::vector<std::string> expected = one.all("header");
            std::sort(expected.begin(), expected.end());
            std::sort(headers.begin(), headers.end());
            CHECK(headers == expected);
        }
        if (one.has("wire"))
            CHECK(one.value("wire").substr(0, wire.size()) == wire);
    }
}

TEST_CASE("the requests of the fixtures are framed in HTTP as they say, or refused [H1][H2][H3][H4]") {
    auto all = cases("http");
    CHECK(all.size() > 60);
    for (const Case& one : all) {
        CAPTURE(one.value("id"));
        Asked asked(one);
        const CgiRequest& request = asked.request;
        std::string body = one.value("body");
        uint64_t length = request.body == CgiRequest::Body::UntilEnd ? std::stoul(body) : request.length;
        static char bytes[max_http_head];
        Text storage(bytes);
        RequestHead head =
            frame_http(request, length, one.has("trust-forwarded") ? Forwarded::Trusted : Forwarded::Ours, storage);
        if (one.has("refused")) {
            CHECK((head.size() == 0 || request.body == CgiRequest::Body::BadLength));
            continue;
        }
        iovec parts[RequestHead::max_parts];
        REQUIRE(head.gather(0, parts) == 1);
        REQUIRE(parts[0].iov_len == head.size());
        std::string wire(static_cast<const char*>(parts[0].iov_base), parts[0].iov_len);
        if (one.has("wire"))
            CHECK(one.value("wire").substr(0, wire.size()) == wire);
        std::vector<std::string> fields;
        std::string first;
        for (size_t at = 0, end = 0; (end = wire.find("\r\n", at)) != at; at = end + 2) {
            std::string line = wire.substr(at, end - at);
            size_t colon = line.find(": ");
            std::transform(line.begin(), line.begin() + static_cast<long>(at > 0 ? colon : 0), line.begin(),
                           [](unsigned char letter) { return static_cast<char>(tolower(letter)); });
            if (at == 0)
                first = line;
            else if (!line.starts_with("connection: ") && !line.starts_with("content-length: "))
                fields.push_back(line);
        }
        if (one.has("line"))
            CHECK(first == one.value("line"));
        for (const std::string& field : one.all("contains"))
            CHECK_MESSAGE(std::count(fields.begin(), fields.end(), field) == 1, field);
        for (const std::string& name : one.all("lacks"))
            CHECK_FALSE(
                std::any_of(fields.begin(), fields.end(), [&](auto& field) { return field.starts_with(name + ": "); }));
        if (one.has("headers")) {
            std::vector<std::string> expected = one.all("header");
            for (auto list : {&expected, &fields}) {
                for (std::string& field : *list) // a trailing blank is no part of a value
                    field.erase(field.find_last_not_of(' ') + 1);
                std::sort(list->begin(), list->end());
            }
            CHECK(fields == expected);
        }
    }
}

TEST_CASE("the responses of the fixtures are judged and decoded as they say [R1][R2][R3]") {
    auto all = cases("response"), in_http = cases("http");
    CHECK(all.size() > 100);
    all.insert(all.end(), in_http.begin(), in_http.end());
    for (const Case& one : all) {
        CAPTURE(one.value("id"));
        if (!one.has("sent"))
            continue;
        auto environment = one.all("env");
        bool head_only = std::count(environment.begin(), environment.end(), "REQUEST_METHOD=HEAD") > 0;
        bool whole = false;
        std::string response = relayed(one.value("sent"), head_only, whole);
        CHECK(whole == (one.value("outcome") == "served"));
        if (whole && one.has("stdout"))
            CHECK(response == one.value("stdout"));
    }
}
