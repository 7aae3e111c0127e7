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

// Parts under construction: bytes before `skip` are left out, neighbours are joined.
class Gathering {
public:
    Gathering(size_t skip, iovec* parts, size_t capacity) : skip_(skip), parts_(parts), capacity_(capacity) {}

    // False when there was no place for `bytes`.
    bool add(std::string_view bytes) {
        if (skip_ >= bytes.size()) {
            skip_ -= bytes.size();
            return true;
        }
        bytes = part(bytes, skip_);
        skip_ = 0;
        if (used_ > 0 && end_ == bytes.data()) {
            parts_[used_ - 1].iov_len += bytes.size();
        } else {
            if (used_ == capacity_)
                return false;
            parts_[used_++] = {const_cast<char*>(bytes.data()), bytes.size()}; // sendmsg only reads
        }
        end_ = bytes.data() + bytes.size();
        return true;
    }

    size_t used() const { return used_; }

private:
    size_t skip_;
    iovec* parts_;
    size_t capacity_;
    size_t used_ = 0;
    const char* end_ = nullptr; // behind the last part
};

} // namespace

RequestHead::RequestHead(std::string_view before, char** variables, size_t count, size_t variables_size,
                         std::string_view after)
    : before_(before), variables_(variables), count_(count), after_(after),
      size_(before.size() + variables_size + after.size()), reached_offset_(before.size()) {}

size_t RequestHead::gather(size_t offset, iovec* parts, size_t capacity) const {
    if (offset < reached_offset_) {
        reached_ = 0;
        reached_offset_ = before_.size();
    }
    for (; reached_ < count_; reached_++) {
        size_t size = bytes_of(variables_[reached_]).size();
        if (reached_offset_ + size > offset)
            break;
        reached_offset_ += size;
    }

    bool before_is_sent = offset >= reached_offset_;
    Gathering gathering(before_is_sent ? offset - reached_offset_ : offset, parts, capacity);
    if (!before_is_sent && !gathering.add(before_))
        return gathering.used();
    for (size_t at = reached_; at < count_; at++)
        if (!gathering.add(bytes_of(variables_[at])))
            return gathering.used();
    gathering.add(after_);
    return gathering.used();
}

} // namespace rouse
