#include "request_head.h"

namespace rouse {

RequestHead::RequestHead(std::string_view text) : size_(text.size()) {
    parts_[0] = text;
}

RequestHead::RequestHead(std::string_view before, const CgiRequest& request, std::string_view after)
    : size_(before.size() + request.size + after.size()) {
    parts_[0] = before;
    for (size_t at = 0; at < CgiRequest::max_parts; at++)
        parts_[1 + at] = request.parts[at];
    parts_[max_parts - 1] = after;
}

size_t RequestHead::gather(size_t offset, iovec (&parts)[max_parts]) const {
    size_t used = 0;
    for (std::string_view part : parts_) {
        if (offset >= part.size()) {
            offset -= part.size();
            continue;
        }
        parts[used++] = {const_cast<char*>(part.data()) + offset, part.size() - offset}; // sendmsg only reads
        offset = 0;
    }
    return used;
}

} // namespace rouse
