#include "scgi.h"

namespace rouse {

RequestHead frame_scgi(const CgiRequest& request, uint64_t length, Text& storage) {
    storage.clear();
    storage.add("CONTENT_LENGTH\0"sv).add_number(length).add("\0SCGI\0001\0"sv);
    // The size goes in front of what it counts: that is written once more behind it.
    std::string_view first = storage.view();
    storage.add_number(first.size() + request.size).add(':').add(first);
    return {behind(storage.view(), first.size()), request, ","sv};
}

} // namespace rouse
