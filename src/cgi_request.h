// This file knows the CGI environment as names and values, and the body's length (RFC 3875, section 4).
#pragma once

#include "buffer.h"

#include <stddef.h>
#include <stdint.h>
#include <string_view>

namespace rouse {

struct CgiRequest {
    static constexpr size_t max_script_name = 1024; // bytes of a SCRIPT_NAME that settings may give

    enum class Body : char {
        None,      // no CONTENT_LENGTH, or 0: standard input is not touched
        Length,    // CONTENT_LENGTH bytes follow on standard input
        UntilEnd,  // a chunked upload, already de-chunked, to end of file: the length is to be learnt
        BadLength, // CONTENT_LENGTH is no decimal number below 2^63
    };

    // What goes through to the server, in its order, without CONTENT_LENGTH, SCGI and
    // HTTP_TRANSFER_ENCODING: each points at NAME, NUL, VALUE, NUL, lying back to back like that.
    char** variables = nullptr;
    size_t count = 0;
    size_t size = 0; // bytes of all of them, their NULs included

    // The same as the memory that it takes, each part as long as may be. What is dropped leaves a gap only where it is
    // remembered, as three are, and a SCRIPT_NAME of ours lies elsewhere.
    static constexpr size_t max_parts = 5;
    std::string_view parts[max_parts];

    Body body = Body::None;
    uint64_t length = 0; // Body::Length: 1 to 2^63 - 1

    std::string_view content_length;    // CONTENT_LENGTH as it came, empty when absent
    std::string_view transfer_encoding; // HTTP_TRANSFER_ENCODING, likewise

    // PATH, HOME, USER, LOGNAME, SHELL, LANG, TZ as we got them, empty when absent: for the launched process
    // (P2). A client cannot set them: what it sends arrives as HTTP_*.
    std::string_view path;
    std::string_view home;
    std::string_view user;
    std::string_view logname;
    std::string_view shell;
    std::string_view lang;
    std::string_view tz;
    std::string_view method; // REQUEST_METHOD, GET when absent
    std::string_view accept; // HTTP_ACCEPT, empty when absent

    bool is_head() const { return method == "HEAD"sv; }
    // RFC 9110, 9.2.1 and 9.2.2: may be repeated without asking anybody.
    bool is_safe() const { return index_of(method, "GET HEAD OPTIONS TRACE") >= 0; }
};

// Rewrites `environment` in place: the array of pointers keeps only what goes through (F1, F2, F4), and in
// each string the first `=` becomes NUL. The strings must lie back to back and in order, as execve(2) leaves them. Of two
// variables of one name the first counts; entries without `=` or with an empty name are dropped. `script_name`, when not null, is a NUL-terminated
// text of at most max_script_name bytes that replaces the value of SCRIPT_NAME, behind all others (set even when the
// web server sent none: then it takes the place of the null pointer that ended the array). Only `count` ends the array
// afterwards, and getenv can no longer read it.
CgiRequest read_cgi_request(char** environment, const char* script_name);

} // namespace rouse
