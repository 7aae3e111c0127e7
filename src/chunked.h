// This file knows how to undo the chunked transfer coding (RFC 9112, section 7.1), in place, a piece at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace rouse {

class ChunkedDecoder {
public:
    enum class State : char { More, Ended, Bad };

    // Decodes bytes[0, size) in place and answers how many bytes of content now stand at its front.
    // Chunk extensions and trailers are read and dropped. After Ended or Bad the rest of the input is ignored.
    size_t decode(char* bytes, size_t size);

    State state() const { return step_ == Step::Ended ? State::Ended : step_ == Step::Bad ? State::Bad : State::More; }

private:
    enum class Step : uint8_t {
        Size,
        Extension,
        SizeEnd,
        Data,
        DataCr,
        DataLf,
        TrailerStart,
        Trailer,
        TrailerEnd,
        Ended,
        Bad
    };
    Step after(char byte); // where a byte that is no data leads
    Step step_ = Step::Size;
    uint64_t left_ = 0;     // bytes left of the chunk whose data is being read
    unsigned digits_ = 0;   // hexadecimal digits of the size so far, at most 16
    uint64_t overhead_ = 0; // bytes of this chunk's extensions, or of the trailers, so far, at most 32768
};

} // namespace rouse
