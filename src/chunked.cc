#include "chunked.h"

#include "buffer.h"

#include <string.h>

namespace rouse {
namespace {

constexpr unsigned max_digits = 16; // of a 64-bit size
constexpr uint64_t max_overhead = 32768;

} // namespace

ChunkedDecoder::Step ChunkedDecoder::after(char byte) {
    // Where a CR, an LF and any other byte lead, in the order of Step.
    static constexpr Step table[][3] = {
        {Step::SizeEnd, Step::Bad, Step::Bad}, // but digits, and what may follow them
        {Step::SizeEnd, Step::Bad, Step::Extension},
        {Step::Bad, Step::Data, Step::Bad},
        {}, // Data has no such bytes
        {Step::DataLf, Step::Bad, Step::Bad},
        {Step::Bad, Step::Size, Step::Bad},
        {Step::TrailerEnd, Step::Bad, Step::Trailer},
        {Step::Trailer, Step::TrailerStart, Step::Trailer},
        {Step::Bad, Step::Ended, Step::Bad},
    };
    if (step_ == Step::Size) {
        int digit = hex_digit(byte);
        if (digit >= 0) {
            left_ = left_ * 16 + static_cast<unsigned>(digit);
            return ++digits_ > max_digits ? Step::Bad : Step::Size;
        }
        if (digits_ == 0)
            return Step::Bad;
        // Some servers pad the size with blanks; what may follow them is an extension anyway.
        if (byte == ';' || byte == ' ' || byte == '\t')
            return Step::Extension;
    }
    Step next = table[static_cast<size_t>(step_)][byte == '\r' ? 0 : byte == '\n' ? 1 : 2];
    if (next == Step::Data) {
        digits_ = 0;
        overhead_ = 0;
        return left_ == 0 ? Step::TrailerStart : Step::Data;
    }
    bool is_overhead = next == Step::Extension || next == Step::Trailer || next == Step::TrailerStart;
    return is_overhead && ++overhead_ > max_overhead ? Step::Bad : next;
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
