// This file knows how a request becomes a netstring of headers (SCGI protocol.txt, 2008-06-23, section 3):
// CONTENT_LENGTH first, SCGI=1 once, then everything else. The body follows as it is.
#pragma once

#include "buffer.h"
#include "request_head.h"

namespace rouse {

// `length` is the body's, in bytes. `storage`, of max_scgi_head, keeps what stands in front and must live as long as the head.
constexpr size_t max_scgi_head = 128; // bytes, without the variables

RequestHead frame_scgi(const CgiRequest& request, uint64_t length, Text& storage);

} // namespace rouse
