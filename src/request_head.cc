#include "request_head.h"

#include "buffer.h"

#include <string.h>

namespace rouse {
namespace {

// NAME, NUL, VALUE, NUL.
std::string_view bytes_of(const char* variable) {
    size_t name = strlen(variable) + 1;
    return {variable, name + strlen(variable + name) + 1};
}

// Parts under construction: the first `skip` bytes are left out, neighbours are joined.
struct Gathering {
    size_t skip;
    iovec* parts;
    size_t capacity;
    size_t used = 0;
    const char* end = nullptr; // behind the last part

    // False when there was no place for `bytes`.
    bool add(std::string_view bytes) {
        if (skip >= bytes.size()) {
            skip -= bytes.size();
            return true;
        }
        bytes = behind(bytes, skip);
        skip = 0;
        if (used > 0 && end == bytes.data()) {
            parts[used - 1].iov_len += bytes.size();
        } else {
            if (used == capacity)
                return false;
            parts[used++] = {const_cast<char*>(bytes.data()), bytes.size()}; // sendmsg only reads
        }
        end = bytes.data() + bytes.size();
        return true;
    }
};

} // namespace

size_t RequestHead::gather(size_t offset, iovec* parts, size_t capacity) const {
    Gathering gathering = {offset, parts, capacity};
    bool has_place = gathering.add(text_);
    if (variables_ == nullptr)
        return gathering.used;
    if (gathering.skip < reached_offset_)
        reached_ = reached_offset_ = 0;
    gathering.skip -= reached_offset_;
    for (size_t at = reached_; has_place && at < variables_->count; at++) {
        std::string_view bytes = bytes_of(variables_->variables[at]);
        if (gathering.skip >= bytes.size()) {
            reached_++;
            reached_offset_ += bytes.size();
        }
        has_place = gathering.add(bytes);
    }
    if (has_place)
        gathering.add(","sv);
    return gathering.used;
}

} // namespace rouse
