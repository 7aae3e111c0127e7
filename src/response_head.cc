#include "response_head.h"

namespace rouse {
namespace {

enum class Kind {
    Field,      // passes as it is
    StatusLine, // HTTP/1.x NNN reason
    Status,
    Length,
    RepeatedLength, // the same number once more
    Coding,         // Transfer-Encoding
};

// One line with its ending, and what stands in front of that.
struct Line {
    std::string_view whole;
    std::string_view text;
};

Line first_line(std::string_view block) {
    size_t feed = block.find('\n');
    Line line;
    line.whole = part(block, 0, feed == block.npos ? feed : feed + 1);
    line.text = line.whole;
    if (line.text.ends_with('\n'))
        line.text.remove_suffix(1);
    if (line.text.ends_with('\r'))
        line.text.remove_suffix(1);
    return line;
}

// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
    for (char one : text) {
        bool is_letter_or_digit =
            (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9');
        if (!is_letter_or_digit && std::string_view("!#$%&'*+-.^_`|~").find(one) == std::string_view::npos)
            return false;
    }
    return !text.empty();
}

bool has_control(std::string_view text) {
    for (char one : text) {
        auto byte = static_cast<unsigned char>(one);
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return true;
    }
    return false;
}

// "NNN" or "NNN reason".
bool parse_status(std::string_view text, unsigned& status) {
    uint64_t number = 0;
    if (text.size() < 3 || !parse_decimal(part(text, 0, 3), number) || number < 100)
        return false;
    status = static_cast<unsigned>(number);
    return text.size() == 3 || text[3] == ' ' || text[3] == '\t';
}

bool is_status_line(std::string_view text) {
    return text.starts_with("HTTP/1.") && part(text, 8, 1) == " " && text[7] >= '0' && text[7] <= '9';
}

// Takes the lines of a block one after another, says what each is, and keeps what they say together.
class Reading {
public:
    explicit Reading(ResponseHead& head) : head_(head) {}

    // A fault, or null and `kind`.
    const char* take(std::string_view text, Kind& kind) {
        kind = Kind::Field;
        if (has_control(text)) // first, so that no later text contains one
            return "a control character in the header";
        if (!any_line_ && is_status_line(text)) {
            kind = Kind::StatusLine;
            any_line_ = true;
            has_status_line_ = true;
            return take_status(part(text, 9));
        }
        any_line_ = true;
        if (text.starts_with(' ') || text.starts_with('\t'))
            return "a folded header line";
        size_t colon = text.find(':');
        if (colon == text.npos)
            return "a line that is no header";
        std::string_view name = part(text, 0, colon);
        if (name.ends_with(' ') || name.ends_with('\t'))
            return "a blank in front of a header's colon";
        if (!is_token(name))
            return "a header name with characters that no name can have";

        std::string_view value = trim(part(text, colon + 1));
        if (equals_ignoring_case(name, "status")) {
            kind = Kind::Status;
            return take_status(value);
        }
        if (equals_ignoring_case(name, "content-length")) {
            kind = head_.has_length ? Kind::RepeatedLength : Kind::Length;
            return take_length(value);
        }
        if (equals_ignoring_case(name, "transfer-encoding")) {
            kind = Kind::Coding;
            return take_coding(value);
        }
        return nullptr;
    }

    // What is left out of the block: a second Status beside that of the status line, the transfer coding that is
    // undone, and the length that does not count beside it (RFC 9112, 6.3).
    bool drops(Kind kind) const {
        switch (kind) {
        case Kind::Field:
        case Kind::StatusLine:
            return false;
        case Kind::Status:
            return has_status_line_;
        case Kind::Length:
            return head_.chunked;
        case Kind::RepeatedLength:
        case Kind::Coding:
            return true;
        }
        return false;
    }

private:
    const char* take_status(std::string_view value) {
        unsigned status = 0;
        if (!parse_status(value, status))
            return "a status that is no number from 100 to 999";
        if (has_status_line_ && has_status_)
            return nullptr; // dropped, the status line counts
        if (has_status_ && status != head_.status)
            return "two different Status lines";
        has_status_ = true;
        head_.status = status;
        return nullptr;
    }

    const char* take_length(std::string_view value) {
        uint64_t length = 0;
        if (!parse_decimal(value, length) || length > INT64_MAX)
            return "a Content-Length that is no number";
        if (head_.has_length && length != head_.length)
            return "two different Content-Length lines";
        head_.has_length = true;
        head_.length = length;
        return nullptr;
    }

    const char* take_coding(std::string_view value) {
        bool is_chunked = equals_ignoring_case(value, "chunked");
        if (head_.chunked || (!is_chunked && !equals_ignoring_case(value, "identity")))
            return "a transfer coding that rouse does not know";
        head_.chunked = is_chunked;
        return nullptr;
    }

    ResponseHead& head_;
    bool any_line_ = false;
    bool has_status_ = false;
    bool has_status_line_ = false;
};

// The bytes before the blank line, or npos when there is none yet; `size` counts the blank line.
size_t find_end(std::string_view bytes, size_t& size) {
    for (size_t at = 0; at < bytes.size();) {
        Line line = first_line(part(bytes, at));
        if (!line.whole.ends_with('\n'))
            break;
        if (line.text.empty()) {
            size = at + line.whole.size();
            return at;
        }
        at += line.whole.size();
    }
    return std::string_view::npos;
}

void rewrite(std::string_view block, Reading& checked, Text& normalised) {
    ResponseHead scratch; // the second reading only asks what each line is
    Reading again(scratch);
    while (!block.empty()) {
        Line line = first_line(block);
        block.remove_prefix(line.whole.size());
        Kind kind = Kind::Field;
        again.take(line.text, kind);
        if (kind == Kind::StatusLine)
            normalised.add("Status: ").add(trim(part(line.text, 9))).add(part(line.whole, line.text.size()));
        else if (!checked.drops(kind))
            normalised.add(line.whole);
    }
}

} // namespace

ResponseHead read_response_head(std::string_view bytes, bool ended, Text& normalised) {
    ResponseHead head;
    size_t size = 0;
    size_t end = find_end(part(bytes, 0, ResponseHead::max_size), size);
    bool is_complete = end != bytes.npos;
    if (!is_complete && !ended && bytes.size() < ResponseHead::max_size)
        return head;

    head.state = ResponseHead::State::Bad;
    std::string_view block = part(bytes, 0, is_complete ? end : ResponseHead::max_size);
    if (block.empty()) {
        head.fault = is_complete ? "a blank line where the header should be" : "nothing at all";
        return head;
    }
    Reading reading(head);
    for (std::string_view rest = block; !rest.empty();) {
        Line line = first_line(rest);
        bool is_cut = !line.whole.ends_with('\n');
        if (is_cut)
            break; // said below: the end is missing
        rest.remove_prefix(line.whole.size());
        Kind kind = Kind::Field;
        if (const char* fault = reading.take(line.text, kind)) {
            head.fault = fault;
            return head;
        }
        if (kind == Kind::StatusLine || reading.drops(kind))
            head.rewritten = true;
    }
    if (!is_complete) {
        head.fault = ended ? "a header without an end" : "a header of over 32 KiB";
        return head;
    }
    if (head.chunked && head.has_length) {
        head.has_length = false;
        head.length = 0;
    }
    if (head.rewritten) {
        normalised.clear();
        rewrite(block, reading, normalised);
        if (normalised.size() == 0) {
            head.fault = "no header but a transfer coding";
            return head;
        }
        normalised.add(part(bytes, end, size - end));
    }
    head.size = size;
    head.state = ResponseHead::State::Sane;
    return head;
}

} // namespace rouse
