// This file knows the head of a request as the bytes to be sent, whatever the protocol: a text, and for SCGI the
// variables behind it as they lie in the environment, with the comma that ends a netstring.
#pragma once

#include "cgi_request.h"

#include <stddef.h>
#include <string_view>
#include <sys/uio.h>

namespace rouse {

class RequestHead {
public:
    RequestHead() = default;
    explicit RequestHead(std::string_view text, const CgiRequest* variables = nullptr)
        : text_(text), variables_(variables) {}

    size_t size() const { return text_.size() + (variables_ == nullptr ? 0 : variables_->size + 1); }

    // Fills `parts` with the bytes from `offset` on and answers how many parts it used, at most `capacity`
    // (1 or more): 0 only when offset is size(). Neighbours in memory become one part, so that an
    // environment as the kernel lays it out is one part, and the head one sendmsg of three.
    size_t gather(size_t offset, iovec* parts, size_t capacity) const;

private:
    std::string_view text_;
    const CgiRequest* variables_ = nullptr;

    // Where the last gather() began: the next one looks from here on and not through all variables again, which a
    // large environment in many pieces would pay for each piece.
    mutable size_t reached_ = 0;        // index of a variable
    mutable size_t reached_offset_ = 0; // of its first byte, behind the text
};

} // namespace rouse
