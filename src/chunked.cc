#include "chunked.h"

#include "buffer.h"

#include <string.h>

namespace rouse {
namespace {

constexpr unsigned max_digits = 16; // of a 64-bit size
constexpr uint64_t max_overhead = 32768;

} // namespace

ChunkedDecoder::Step ChunkedDecoder::after_size(char byte) {
    int digit = hex_digit(byte);
    if (digit >= 0) {
        if (++digits_ > max_digits)
            return Step::Bad;
        left_ = left_ * 16 + static_cast<unsigned>(digit);
        return Step::Size;
    }
    if (digits_ == 0)
        return Step::Bad;
    if (byte == '\r')
        return Step::SizeEnd;
    // Some servers pad the size with blanks; what may follow them is an extension anyway.
    return byte == ';' || byte == ' ' || byte == '\t' ? Step::Extension : Step::Bad;
}

ChunkedDecoder::Step ChunkedDecoder::after_size_end(char byte) {
    if (byte != '\n')
        return Step::Bad;
    digits_ = 0;
    overhead_ = 0;
    return left_ == 0 ? Step::TrailerStart : Step::Data;
}

ChunkedDecoder::Step ChunkedDecoder::after(char byte) {
    switch (step_) {
    case Step::Size:
        return after_size(byte);
    case Step::Extension:
        if (byte == '\r')
            return Step::SizeEnd;
        return byte == '\n' || ++overhead_ > max_overhead ? Step::Bad : Step::Extension;
    case Step::SizeEnd:
        return after_size_end(byte);
    case Step::DataCr:
        return byte == '\r' ? Step::DataLf : Step::Bad;
    case Step::DataLf:
        return byte == '\n' ? Step::Size : Step::Bad;
    case Step::TrailerStart:
        if (byte == '\r')
            return Step::TrailerEnd;
        return byte == '\n' || ++overhead_ > max_overhead ? Step::Bad : Step::Trailer;
    case Step::Trailer:
        if (++overhead_ > max_overhead)
            return Step::Bad;
        return byte == '\n' ? Step::TrailerStart : Step::Trailer;
    case Step::TrailerEnd:
        return byte == '\n' ? Step::Ended : Step::Bad;
    case Step::Data:
    case Step::Ended:
    case Step::Bad:
        break;
    }
    return step_;
}

size_t ChunkedDecoder::decode(char* bytes, size_t size) {
    size_t kept = 0;
    size_t at = 0;
    while (at < size && state() == State::More) {
        if (step_ != Step::Data) {
            step_ = after(bytes[at++]);
            continue;
        }
        size_t run = size - at < left_ ? size - at : static_cast<size_t>(left_);
        memmove(bytes + kept, bytes + at, run);
        kept += run;
        at += run;
        left_ -= run;
        if (left_ == 0)
            step_ = Step::DataCr;
    }
    return kept;
}

} // namespace rouse
