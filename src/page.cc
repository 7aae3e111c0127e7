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
        const char* escaped = one == '<' ? "&lt;" : one == '&' ? "&amp;" : nullptr;
        if (html && escaped != nullptr)
            out.add(escaped);
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
    out.fill<"Status: %\r\nContent-Type: text/%; charset=utf-8\r\nCache-Control: no-store">(
        status, own || page.html ? "html" : "plain");
    if (page.retry_after > 0)
        out.fill<"\r\nRetry-After: %">(page.retry_after);
    if (own && page.html) // no standard, but every browser knows it, and the page need not
        out.fill<"\r\nRefresh: %">(page.retry_after);
    out.add("\r\n\r\n");
    if (page.head_only)
        return;
    if (own) {
        out.fill<"%\n<!-- %, incident % -->\n">(page.own, status, page.incident);
        return;
    }
    // The plain page, in a body that keeps its line ends. Tags that HTML allows to be left out are.
    if (page.html)
        out.fill<
            "<!DOCTYPE html><meta name=viewport content=width=device-width><meta http-equiv=\"refresh\" content=\"%\">"
            "<title>%</title><body style=white-space:pre-wrap>">(page.retry_after, status);
    out.fill<"%\n\n">(status);
    add_shown(page.what, page.html, out);
    out.fill<"\n\nIncident: %\n">(page.incident);
    if (!page.details.empty()) {
        out.add('\n');
        add_shown(page.details, page.html, out);
    }
}

} // namespace rouse
