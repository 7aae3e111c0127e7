#include "page.h"

namespace rouse {
namespace {

std::string_view phrase(Status status) {
    switch (status) {
    case Status::BadRequest:
        return "400 Bad Request";
    case Status::ContentTooLarge:
        return "413 Content Too Large";
    case Status::SettingsWrong:
        return "500 Internal Server Error";
    case Status::BadGateway:
        return "502 Bad Gateway";
    case Status::Unavailable:
        return "503 Service Unavailable";
    case Status::GatewayTimeout:
        return "504 Gateway Timeout";
    }
    return "500 Internal Server Error";
}

constexpr std::string_view html_end = "</body></html>\n";

// As much of `text` as leaves room for `reserve` more bytes; a character is written whole or not at all.
void add_html(Text& out, std::string_view text, size_t reserve) {
    for (char one : text) {
        std::string_view shown = one == '&'   ? "&amp;"
                                 : one == '<' ? "&lt;"
                                 : one == '>' ? "&gt;"
                                 : one == '"' ? "&quot;"
                                              : std::string_view(&one, 1);
        if (out.room() < reserve + shown.size())
            return;
        out.add(shown);
    }
}

void render_head(const Page& page, Text& out) {
    out.add("Status: ").add(phrase(page.status));
    out.add("\r\nContent-Type: ").add(page.html ? "text/html" : "text/plain").add("; charset=utf-8");
    out.add("\r\nCache-Control: no-store");
    if (page.retry_after > 0)
        out.add("\r\nRetry-After: ").add_number(page.retry_after);
    out.add("\r\n\r\n");
}

void render_plain(const Page& page, Text& out) {
    out.add(phrase(page.status)).add("\n\n").add(page.what).add("\n");
    if (!page.incident.empty())
        out.add("\nIncident: ").add(page.incident).add('\n');
    if (!page.details.empty())
        out.add('\n').add(part(page.details, 0, out.room()));
}

void render_html(const Page& page, Text& out) {
    out.add("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width\">\n");
    if (page.retry_after > 0)
        out.add("<meta http-equiv=\"refresh\" content=\"").add_number(page.retry_after).add("\">\n");
    out.add("<title>")
        .add(phrase(page.status))
        .add("</title>\n"
             "<style>body{font:1em/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}"
             "pre{white-space:pre-wrap;overflow-wrap:anywhere}</style></head>\n<body><h1>");
    out.add(phrase(page.status)).add("</h1>\n<p>");
    add_html(out, page.what, html_end.size());
    out.add("</p>\n");
    if (!page.incident.empty()) {
        out.add("<p>Incident: <code>");
        add_html(out, page.incident, html_end.size());
        out.add("</code></p>\n");
    }
    constexpr std::string_view details_end = "</pre>\n";
    if (!page.details.empty()) {
        out.add("<pre>");
        add_html(out, page.details, details_end.size() + html_end.size());
        out.add(details_end);
    }
    out.add(html_end);
}

} // namespace

void render_page(const Page& page, Text& out) {
    out.clear();
    render_head(page, out);
    if (page.head_only)
        return;
    if (page.html)
        render_html(page, out);
    else
        render_plain(page, out);
}

bool accepts_html(std::string_view accept) {
    while (!accept.empty()) {
        std::string_view range = part(accept, 0, accept.find(','));
        accept = part(accept, range.size() + 1);
        if (equals_ignoring_case(trim(part(range, 0, range.find(';'))), "text/html"))
            return true;
    }
    return false;
}

} // namespace rouse
