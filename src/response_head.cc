#include "response_head.h"

#include "fields.h"

namespace rouse {
namespace {

// 100 to 999 from "NNN" or "NNN reason", else 0.
unsigned parse_status(std::string_view text) {
    uint64_t number = 0;
    bool ends = text.size() == 3 || (text.size() > 3 && (text[3] == ' ' || text[3] == '\t'));
    return ends && parse_decimal(front(text, 3), number) && number >= 100 ? static_cast<unsigned>(number) : 0;
}

char named_bytes[1024];

// Takes the lines of a block one after another, judges each, and writes the block anew.
class Reading {
public:
    explicit Reading(Text& normalised) : normalised_(normalised), named_(named_bytes) {}

    void read(std::string_view bytes, bool ended) {
        begin();
        bytes = part(bytes, 0, ResponseHead::max_size);
        while (head_.state == ResponseHead::State::Incomplete) {
            std::string_view rest = behind(bytes, head_.size);
            size_t feed = find(rest, '\n');
            Phrase fault;
            if (feed == rest.npos) {
                if (bytes.size() == ResponseHead::max_size)
                    fault = "a header of over 32 KiB"_phrase;
                else if (ended)
                    fault = "a header without an end"_phrase;
                else
                    break;
            } else {
                head_.size += feed + 1;
                std::string_view text = front(rest, feed);
                if (ends_with(text, '\r'))
                    text.remove_suffix(1);
                rest = front(rest, feed + 1);
                fault = text.empty() ? finish(rest) : take(rest, text);
            }
            if (fault) {
                head_.state = ResponseHead::State::Bad;
                head_.fault = fault;
            }
        }
    }

    // Once more, knowing what Connection fields name and whether a coding makes the length void, where that matters.
    void read_again(std::string_view bytes, bool ended) {
        bool has_two = head_.chunked && head_.has_length;
        if (head_.state == ResponseHead::State::Sane && (has_two || named_.size() > 0)) {
            is_second_ = true;
            length_is_void_ = has_two;
            read(bytes, ended);
        }
        if (has_two) {
            head_.has_length = false;
            head_.length = 0;
        }
    }

    const ResponseHead& head() const { return head_; }

private:
    void begin() {
        head_ = {};
        normalised_.clear();
        if (!is_second_)
            named_.clear();
        any_line_ = has_status_ = has_status_line_ = false;
    }

    // Each answers a fault, or null. `whole` is the line with its ending, `text` is not empty.
    Phrase take(std::string_view whole, std::string_view text) {
        bool is_first = !any_line_;
        any_line_ = true;
        if (has_control(text)) // first, so that no later text contains one
            return "a control character in the header"_phrase;
        if (is_first && begins_with(text, "HTTP/1."sv) && text.size() > 8 && text[8] == ' ' && text[7] >= '0' &&
            text[7] <= '9') {
            has_status_line_ = true;
            head_.rewritten = true;
            std::string_view status = trim(behind(text, 9));
            normalised_.add("Status: ").add(status).add(behind(whole, text.size()));
            return take_status(status);
        }
        size_t colon = find(text, ':');
        std::string_view name = front(text, colon);
        if (colon == text.npos || !is_token(name)) // a folded line begins with a blank
            return "a line that is no header"_phrase;
        std::string_view value = trim(behind(text, colon + 1));
        if (equals_ignoring_case(name, "content-length"))
            return take_length(value, whole);
        if (equals_ignoring_case(name, "transfer-encoding")) {
            bool is_chunked = equals_ignoring_case(value, "chunked");
            if (head_.chunked || (!is_chunked && !equals_ignoring_case(value, "identity")))
                return "a transfer coding that rouse does not know"_phrase;
            head_.chunked = is_chunked;
            head_.rewritten = true;
            return {};
        }
        if (equals_ignoring_case(name, "status")) {
            if (has_status_line_) // which counts
                return {};
            if (Phrase fault = take_status(value))
                return fault;
        }
        if (has_status_line_ && is_hop_by_hop(name, named_.view())) {
            if (!is_second_ && equals_ignoring_case(name, "connection"))
                named_.add(',').add(value);
            return named_.overflowed() ? "a Connection field of over 1 KiB"_phrase : Phrase();
        }
        normalised_.add(whole);
        return {};
    }

    // At the blank line `whole`.
    Phrase finish(std::string_view whole) {
        if (!any_line_)
            return "a blank line where the header should be"_phrase;
        if (normalised_.size() == 0)
            return "no header but a transfer coding"_phrase;
        if (has_status_line_ && head_.status < 200) // RFC 9110, 15.2: not yet the answer
            return skip();
        normalised_.add(whole);
        head_.state = ResponseHead::State::Sane;
        return {};
    }

    Phrase skip() {
        if (head_.status == 101)
            return "a change of protocols that nobody asked for"_phrase;
        size_t size = head_.size;
        begin();
        head_.size = size;
        head_.rewritten = true;
        return {};
    }

    Phrase take_status(std::string_view value) {
        unsigned status = parse_status(value);
        if (status == 0 || (has_status_ && status != head_.status))
            return "a status that is no number from 100 to 999, or a second one"_phrase;
        has_status_ = true;
        head_.status = status;
        return {};
    }

    Phrase take_length(std::string_view value, std::string_view whole) {
        uint64_t length = 0;
        if (!parse_decimal(value, length) || length > INT64_MAX || (head_.has_length && length != head_.length))
            return "a Content-Length that is no number, or a second one"_phrase;
        if (head_.has_length || length_is_void_)
            head_.rewritten = true;
        else
            normalised_.add(whole);
        head_.has_length = true;
        head_.length = length;
        return {};
    }

    ResponseHead head_;
    bool any_line_ = false;
    bool has_status_ = false;
    bool has_status_line_ = false;
    bool is_second_ = false;      // reading
    bool length_is_void_ = false; // RFC 9112, 6.3: beside a coding no length counts
    Text& normalised_;
    Text named_; // by Connection fields
};

} // namespace

ResponseHead read_response_head(std::string_view bytes, bool ended, Text& normalised) {
    Reading reading(normalised);
    reading.read(bytes, ended);
    reading.read_again(bytes, ended);
    return reading.head();
}

} // namespace rouse
