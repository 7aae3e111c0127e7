// This file knows the header block of a response: complete, sane, normalised (RFC 3875, section 6; R1 to R3).
#pragma once

#include "buffer.h"

#include <stddef.h>
#include <stdint.h>
#include <string_view>

namespace rouse {

struct ResponseHead {
    static constexpr size_t max_size = 32768; // bytes, the blank line included

    enum class State : char {
        Incomplete, // no blank line yet and still below max_size: read on
        Sane,
        Bad, // `fault` says why; never passed on
    };

    State state = State::Incomplete;
    Phrase fault;            // Bad: for the log and the page
    size_t size = 0;         // Sane: bytes of the block in the input, the blank line included
    bool rewritten = false;  // Sane: `normalised` differs from the input's first `size` bytes
    unsigned status = 200;   // 100 to 999
    bool has_length = false; // a Content-Length that counts (none beside chunked)
    uint64_t length = 0;
    bool chunked = false; // Transfer-Encoding: chunked is to be undone; the line is dropped
};

// `bytes` is what has come so far, `ended` whether more can come (an incomplete block is then Bad). When the
// head has to be changed (an HTTP/1.x status line becomes Status: NNN, Transfer-Encoding goes, Content-Length
// beside chunked goes) the new block is written to `normalised`, which must have room for max_size + 64.
ResponseHead read_response_head(std::string_view bytes, bool ended, Text& normalised);

} // namespace rouse
