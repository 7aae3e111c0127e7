// This file knows the head of a request as the bytes to be sent, whatever the protocol: a text in front,
// the variables as they lie in the environment (none for a protocol that cannot use them so), a text behind.
#pragma once

#include "cgi_request.h"

#include <stddef.h>
#include <string_view>
#include <sys/uio.h>

namespace rouse {

class RequestHead {
public:
    RequestHead() = default;
    // `variables_size` is the bytes of the `count` variables, which whoever read them knows already.
    RequestHead(std::string_view before, char** variables, size_t count, size_t variables_size, std::string_view after);

    size_t size() const { return size_; }

    // Fills `parts` with the bytes from `offset` on and answers how many parts it used, at most `capacity`
    // (1 or more): 0 only when offset is size(). Neighbours in memory become one part, so that an
    // environment as the kernel lays it out is one part, and the head one sendmsg of three.
    size_t gather(size_t offset, iovec* parts, size_t capacity) const;

private:
    std::string_view before_;
    char** variables_ = nullptr;
    size_t count_ = 0;
    std::string_view after_;
    size_t size_ = 0;

    // Where the last gather() began: the next one looks from here on and not through all variables again, which a
    // large environment in many pieces would pay for each piece.
    mutable size_t reached_ = 0;        // index of a variable
    mutable size_t reached_offset_ = 0; // of its first byte
};

} // namespace rouse
