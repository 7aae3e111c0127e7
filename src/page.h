// This file knows the answer that rouse itself gives for a failure: a whole CGI response (RFC 3875, 6.2.1).
#pragma once

#include "buffer.h"

#include <string_view>

namespace rouse {

enum class Status {
    BadRequest = 400,
    ContentTooLarge = 413,
    SettingsWrong = 500,
    BadGateway = 502,
    Unavailable = 503,
    GatewayTimeout = 504,
};

struct Page {
    Status status = Status::Unavailable;
    std::string_view incident; // an id that also stands in the log: letters and digits
    std::string_view what;     // one or more plain sentences for whoever reads the page; no secrets
    unsigned retry_after = 0;  // seconds; 0: no such header
    bool html = false;         // a page that refreshes itself after retry_after seconds, which are not 0
    bool head_only = false;    // HEAD: the header block alone
    std::string_view own;      // the owner's page in place of ours; of HTML
    std::string_view details;  // `errors = show`: log lines and last output, shown as they are but escaped in HTML
};

// Renders the page; behind the owner's stands a comment that names status and incident. Text that does not fit is left out at the end of `details`, never in the head.
void render_page(const Page& page, Text& out);

// Whether an Accept header begins with text/html, as that of every browser does.
inline bool accepts_html(std::string_view accept) {
    return begins_with(accept, "text/html"sv);
}

} // namespace rouse
