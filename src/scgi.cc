#include "scgi.h"

namespace rouse {

RequestHead frame_scgi(const CgiRequest& request, uint64_t length, Text& storage) {
    TextBuffer<64> first; // at most 15 + 20 + 8 bytes
    first.add("CONTENT_LENGTH\0"sv).add_number(length).add("\0SCGI\0001\0"sv);

    storage.clear();
    storage.add_number(first.size() + request.size).add(':').add(first.view());
    return {storage.view(), request, ","sv};
}

} // namespace rouse
