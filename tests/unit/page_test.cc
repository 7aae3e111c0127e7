#include "page.h"

#include "bytes.h"
#include "response_head.h"

#include <doctest/doctest.h>

using namespace rouse;

namespace {

std::string render(const Page& page, size_t capacity = 8192) {
    Exact storage(std::string(capacity, '?'));
    Text out(storage.data(), capacity);
    render_page(page, out);
    return std::string(out.view());
}

bool contains(const std::string& text, std::string_view piece) {
    return text.find(piece) != text.npos;
}

// Whether it is what we would take from a server.
ResponseHead head_of(const std::string& page) {
    char storage[ResponseHead::max_size + 64];
    Text normalised(storage, sizeof storage);
    ResponseHead head = read_response_head(page, true, normalised);
    CHECK(head.state == ResponseHead::State::Sane);
    CHECK_FALSE(head.rewritten);
    return head;
}

const Status all[] = {Status::BadRequest, Status::ContentTooLarge, Status::SettingsWrong,
                      Status::BadGateway, Status::Unavailable,     Status::GatewayTimeout};

} // namespace

TEST_CASE("a page is a whole CGI response with its status [R4]") {
    for (Status status : all) {
        for (bool html : {false, true}) {
            Page page;
            page.status = status;
            page.what = "What happened.";
            page.incident = "abc123";
            page.html = html;
            page.retry_after = html ? 5 : 0;
            std::string text = render(page);
            CHECK(head_of(text).status == static_cast<unsigned>(status));
            CHECK(contains(text, "\r\nCache-Control: no-store\r\n"));
            CHECK(contains(text, html ? "\r\nContent-Type: text/html; charset=utf-8\r\n"
                                      : "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
            CHECK(contains(text, "Retry-After") == html);
            CHECK(contains(text, "refresh") == html);
            std::string body = text.substr(head_of(text).size);
            CHECK(contains(body, "What happened."));
            CHECK(contains(body, "abc123"));
            CHECK(contains(body, std::to_string(static_cast<int>(status))));
            CHECK(body.back() == '\n');
        }
    }
}

TEST_CASE("the plain page to the byte") {
    Page page;
    page.status = Status::Unavailable;
    page.what = "The server is starting.";
    page.incident = "i-1";
    page.retry_after = 5;
    page.details = "line 1\nline <2>\n";
    CHECK(render(page) == "Status: 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
                          "Cache-Control: no-store\r\nRetry-After: 5\r\n\r\n"
                          "503 Service Unavailable\n\nThe server is starting.\n\nIncident: i-1\n\nline 1\nline <2>\n");
}

TEST_CASE("the head alone answers HEAD [R1]") {
    Page page;
    page.what = "The server is starting.";
    page.retry_after = 5;
    page.html = true;
    std::string whole = render(page);
    page.head_only = true;
    std::string head = render(page);
    CHECK(head == whole.substr(0, head.size()));
    CHECK(head.size() == head_of(whole).size);
}

TEST_CASE("a page for a browser refreshes itself and shows text as text [X1]") {
    Page page;
    page.html = true;
    page.retry_after = 7;
    page.what = "a <b> & \"c\"";
    page.incident = "abc123";
    page.details = "<script>alert(1)</script> & \"x\"";
    std::string text = render(page);
    CHECK(contains(text, "\r\nRetry-After: 7\r\n"));
    CHECK(contains(text, "<meta http-equiv=\"refresh\" content=\"7\">"));
    CHECK(contains(text, "a &lt;b> &amp; \"c\""));
    CHECK(contains(text, "\n\nIncident: abc123\n"));
    CHECK(contains(text, "&lt;script>alert(1)&lt;/script> &amp; \"x\""));
    CHECK_FALSE(contains(text, "<script"));
}

TEST_CASE("what does not fit is left out at the end of the details") {
    std::string many = repeated(3000, "<&x");
    for (bool html : {false, true}) {
        Page page;
        page.html = html;
        page.what = "What happened.";
        page.incident = "abc123";
        page.retry_after = 1;
        std::string bare = render(page);
        page.details = many;
        for (size_t capacity = bare.size() + 20; capacity < bare.size() + 60; capacity++) {
            std::string text = render(page, capacity);
            CHECK(text.size() < capacity);
            CHECK(text.size() + 10 > capacity);
            CHECK(head_of(text).status == 503);
            CHECK(contains(text, "What happened."));
            CHECK(contains(text, "abc123"));
            if (html) // no half of an escape
                CHECK((text.ends_with("&lt;") || text.ends_with("&amp;") || text.ends_with("x")));
        }
    }
}

TEST_CASE("text/html is accepted when it stands in front, as browsers send it") {
    for (std::string_view accept : {"text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                                    "text/html, text/plain, text/css", "text/html;level=1"})
        CHECK_MESSAGE(accepts_html(Exact(accept).view()), accept);
    for (std::string_view accept :
         {"", "*/*", "text/*", "text/htm", "application/json", "application/json, text/html;q=0.1"})
        CHECK_MESSAGE(!accepts_html(Exact(accept).view()), accept);
}

TEST_CASE("the owner's page is shown as it is, with status and incident in a comment behind it [R4]") {
    Page page;
    page.status = Status::GatewayTimeout;
    page.incident = "abc123";
    page.what = "What happened.";
    page.own = "<!DOCTYPE html><p>\xff & <b>";
    std::string text = render(page);
    CHECK(text.ends_with("\r\n\r\n<!DOCTYPE html><p>\xff & <b>\n<!-- 504 Gateway Timeout, incident abc123 -->\n"));
    CHECK(contains(text, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
    CHECK_FALSE(contains(text, "Refresh"));
    page.status = Status::Unavailable;
    page.retry_after = 3;
    CHECK_FALSE(contains(render(page), "Refresh")); // not for who is no browser
    page.html = true;
    CHECK(contains(render(page), "\r\nRetry-After: 3\r\nRefresh: 3\r\n\r\n<!DOCTYPE"));
    page.head_only = true;
    CHECK(render(page).ends_with("\r\nRefresh: 3\r\n\r\n"));
}
