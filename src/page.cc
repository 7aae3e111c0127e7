#include "page.h"

#include <string.h>

namespace rouse {
namespace {

constexpr char phrases[] = "400 Bad Request\0"
                           "413 Content Too Large\0"
                           "500 Internal Server Error\0"
                           "502 Bad Gateway\0"
                           "503 Service Unavailable\0"
                           "504 Gateway Timeout";

const char* phrase(Status status) {
    const char* at = phrases;
    while ((at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0') != static_cast<int>(status))
        at += strlen(at) + 1;
    return at;
}

// Where there is no room for a character, the text ends.
void add_shown(std::string_view text, bool html, Text& out) {
    for (char one : text) {
        if (html && one == '<')
            out.add("&lt;");
        else if (html && one == '&')
            out.add("&amp;");
        else
            out.add(one);
        if (out.overflowed())
            return;
    }
}

} // namespace

void render_page(const Page& page, Text& out) {
    out.clear();
    const char* status = phrase(page.status);
    bool own = !page.own.empty();
    out.add("Status: ").add(status);
    out.add("\r\nContent-Type: text/").add(own || page.html ? "html" : "plain");
    out.add("; charset=utf-8\r\nCache-Control: no-store");
    if (page.retry_after > 0)
        out.add("\r\nRetry-After: ").add_number(page.retry_after);
    if (own && page.html) // no standard, but every browser knows it, and the page need not
        out.add("\r\nRefresh: ").add_number(page.retry_after);
    out.add("\r\n\r\n");
    if (page.head_only)
        return;
    if (own) {
        out.add(page.own).add("\n<!-- ").add(status).add(", incident ").add(page.incident).add(" -->\n");
        return;
    }
    // The plain page, in a body that keeps its line ends. Tags that HTML allows to be left out are.
    if (page.html)
        out.add(
               "<!DOCTYPE html><meta name=viewport content=width=device-width><meta http-equiv=\"refresh\" content=\""_phrase)
            .add_number(page.retry_after)
            .add("\"><title>")
            .add(status)
            .add("</title><body style=white-space:pre-wrap>"_phrase);
    out.add(status).add("\n\n");
    add_shown(page.what, page.html, out);
    out.add("\n\nIncident: ").add(page.incident).add('\n');
    if (!page.details.empty()) {
        out.add('\n');
        add_shown(page.details, page.html, out);
    }
}

} // namespace rouse
