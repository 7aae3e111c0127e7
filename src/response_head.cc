#include "response_head.h"

namespace rouse {
namespace {

// RFC 9110, 5.6.2: letters, digits and !#$%&'*+-.^_`|~, a bit for each.
bool is_token(std::string_view text) {
    static constexpr uint32_t bits[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff};
    for (char one : text) {
        auto byte = static_cast<unsigned char>(one);
        if ((bits[byte / 32] >> byte % 32 & 1) == 0)
            return false;
    }
    return !text.empty();
}

// 100 to 999 from "NNN" or "NNN reason", else 0.
unsigned parse_status(std::string_view text) {
    uint64_t number = 0;
    bool ends = text.size() == 3 || (text.size() > 3 && (text[3] == ' ' || text[3] == '\t'));
    return ends && parse_decimal(part(text, 0, 3), number) && number >= 100 ? static_cast<unsigned>(number) : 0;
}

// Takes the lines of a block one after another, judges each, and writes the block anew.
class Reading {
public:
    Reading(ResponseHead& head, Text& normalised, bool without_length)
        : head_(head), normalised_(normalised), without_length_(without_length) {}

    // A fault, or null. `whole` is the line with its ending, `text` is not empty.
    const char* take(std::string_view whole, std::string_view text) {
        bool is_first = !any_line_;
        any_line_ = true;
        if (has_control(text)) // first, so that no later text contains one
            return "a control character in the header";
        if (is_first && text.starts_with("HTTP/1.") && text.size() > 8 && text[8] == ' ' && text[7] >= '0' &&
            text[7] <= '9') {
            has_status_line_ = true;
            head_.rewritten = true;
            std::string_view status = trim(part(text, 9));
            normalised_.add("Status: ").add(status).add(part(whole, text.size()));
            return take_status(status);
        }
        size_t colon = text.find(':');
        std::string_view name = part(text, 0, colon);
        if (colon == text.npos || !is_token(name)) // a folded line begins with a blank
            return "a line that is no header";
        std::string_view value = trim(part(text, colon + 1));
        if (equals_ignoring_case(name, "content-length"))
            return take_length(value, whole);
        if (equals_ignoring_case(name, "transfer-encoding")) {
            bool is_chunked = equals_ignoring_case(value, "chunked");
            if (head_.chunked || (!is_chunked && !equals_ignoring_case(value, "identity")))
                return "a transfer coding that rouse does not know";
            head_.chunked = is_chunked;
            head_.rewritten = true;
            return nullptr;
        }
        if (equals_ignoring_case(name, "status")) {
            if (has_status_line_) // which counts
                return nullptr;
            if (const char* fault = take_status(value))
                return fault;
        }
        normalised_.add(whole);
        return nullptr;
    }

    // At the blank line `whole`.
    const char* finish(std::string_view whole) {
        if (!any_line_)
            return "a blank line where the header should be";
        if (normalised_.size() == 0)
            return "no header but a transfer coding";
        normalised_.add(whole);
        head_.state = ResponseHead::State::Sane;
        return nullptr;
    }

private:
    const char* take_status(std::string_view value) {
        unsigned status = parse_status(value);
        if (status == 0 || (has_status_ && status != head_.status))
            return "a status that is no number from 100 to 999, or a second one";
        has_status_ = true;
        head_.status = status;
        return nullptr;
    }

    const char* take_length(std::string_view value, std::string_view whole) {
        uint64_t length = 0;
        if (!parse_decimal(value, length) || length > INT64_MAX || (head_.has_length && length != head_.length))
            return "a Content-Length that is no number, or a second one";
        if (head_.has_length || without_length_)
            head_.rewritten = true;
        else
            normalised_.add(whole);
        head_.has_length = true;
        head_.length = length;
        return nullptr;
    }

    ResponseHead& head_;
    Text& normalised_;
    bool without_length_;
    bool any_line_ = false;
    bool has_status_ = false;
    bool has_status_line_ = false;
};

[[gnu::noinline]] ResponseHead read(std::string_view bytes, bool ended, Text& normalised, bool without_length) {
    ResponseHead head;
    normalised.clear();
    Reading reading(head, normalised, without_length);
    bytes = part(bytes, 0, ResponseHead::max_size);
    while (head.state == ResponseHead::State::Incomplete) {
        size_t feed = part(bytes, head.size).find('\n');
        std::string_view whole = part(bytes, head.size, feed + 1);
        const char* fault = nullptr;
        if (feed == bytes.npos) {
            if (bytes.size() == ResponseHead::max_size)
                fault = "a header of over 32 KiB";
            else if (ended)
                fault = "a header without an end";
            else
                break;
        } else {
            head.size += whole.size();
            std::string_view text = part(whole, 0, feed);
            if (text.ends_with('\r'))
                text.remove_suffix(1);
            fault = text.empty() ? reading.finish(whole) : reading.take(whole, text);
        }
        if (fault != nullptr) {
            head.state = ResponseHead::State::Bad;
            head.fault = fault;
        }
    }
    return head;
}

} // namespace

ResponseHead read_response_head(std::string_view bytes, bool ended, Text& normalised) {
    ResponseHead head = read(bytes, ended, normalised, false);
    if (head.chunked && head.has_length) { // RFC 9112, 6.3: beside the coding no length counts
        head = read(bytes, ended, normalised, true);
        head.has_length = false;
        head.length = 0;
    }
    return head;
}

} // namespace rouse
