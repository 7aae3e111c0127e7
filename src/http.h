// This file knows how a request becomes the head of an HTTP/1.0 request (RFC 9112, with the fields of RFC 9110, from the
// variables of RFC 3875). HTTP/1.0, because then the end of the connection is the end of the answer.
#pragma once

#include "buffer.h"
#include "request_head.h"

namespace rouse {

constexpr size_t max_http_head = 262144; // bytes; no server takes as many

enum class Forwarded { Ours, Trusted }; // Trusted: somebody in front of the web server has set X-Forwarded-* already

// `length` is the body's, in bytes, which follows as it is. `storage`, of max_http_head, keeps the head and must live as
// long. A head of size 0: what would be sent is no HTTP, or does not fit.
RequestHead frame_http(const CgiRequest& request, uint64_t length, Forwarded forwarded, Text& storage);

} // namespace rouse
