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
    static constexpr size_t max_parts = CgiRequest::max_parts + 2;

    RequestHead() = default;
    explicit RequestHead(std::string_view text);
    RequestHead(std::string_view before, const CgiRequest& request, std::string_view after);

    size_t size() const { return size_; }

    // Fills `parts` with the bytes from `offset` on and answers how many parts it used: 0 only when offset is size().
    size_t gather(size_t offset, iovec (&parts)[max_parts]) const;

private:
    std::string_view parts_[max_parts];
    size_t size_ = 0;
};

} // namespace rouse
