// This file knows how to move the request up and the response down until both are finished (S1 to S5, R1 to R4).
#pragma once

#include "body_spool.h"
#include "buffer.h"
#include "chunked.h"
#include "pump.h"
#include "request_head.h"
#include "response_head.h"

namespace rouse {

class Relay {
public:
    static constexpr size_t max_held = 16384;    // bytes of a response that is held until it is whole (R3)
    static constexpr int drain_silence = 10'000; // milliseconds without a byte after which an unread body is left (S3)

    enum class Outcome : char {
        Complete,  // a whole response was written
        Cut,       // the response ended early, after output had begun: `fault` says how
        Gone,      // the web server closed our output
        Unsent,    // the head was not wholly accepted by the kernel: nobody can have acted on it (W1)
        NoAnswer,  // the head was sent, not one byte came back
        BadAnswer, // what came is no response, or half of one that was held: `fault` says why
        Silent,    // no answer within the time
        ShortBody, // standard input ended before CONTENT_LENGTH bytes
    };

    Relay() = default;
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    // `output` is where the response goes; `timeout` is the milliseconds of silence from the server that are
    // borne before output has begun, 0 for ever; `head_only` for HEAD.
    void begin(int output, int timeout, bool head_only) {
        output_ = output;
        outlet_ = Outlet(output);
        timeout_ = timeout;
        head_only_ = head_only;
    }

    // One request to one server, a connected socket that does not block. May be called again with another
    // server as long as output has not begun. `meanwhile` is called before the first wait, when the server has something to work on.
    Outcome run(int server, const RequestHead& head, RequestBody& body, void (*meanwhile)());

    // `answered(context)` when a sane head has come: the server works. Before anything of it is written.
    // `suspect(context)` when the server has been silent for a small part of `timeout`.
    void report(void (*answered)(void*), void (*suspect)(void*), void* context) {
        answered_ = answered;
        suspect_ = suspect;
        context_ = context;
    }

    Phrase fault() const { return fault_; }
    bool output_begun() const { return output_begun_; }

private:
    enum class Up : char { Head, Body, Input, Delivered, Draining };   // Input: the body, and more of it is waited for
    enum class Down : char { Head, Held, Streamed, Blocked, Written }; // Blocked: the web server takes no more for now
    enum class Content : char { None, Length, Chunked, UntilClose };

    static constexpr int suspicion_part = 16;       // of the time-out, after which a silence is reported
    static constexpr uint64_t copied_first = 65536; // bytes of a response before splice is worth its set-up

    // Each does what can be done without waiting; false ends the run with outcome_.
    bool go_up(const RequestHead& head, RequestBody& body);
    bool go_down(const RequestBody& body);
    bool wait(RequestBody& body);

    void send_head(const RequestHead& head, RequestBody& body);
    void hang_up(const RequestBody& body);
    bool read_some(const RequestBody& body);
    bool head_arrived();
    bool write_pending();
    bool copy(const RequestBody& body);
    bool pump(const RequestBody& body);
    bool server_ended(ssize_t result, const RequestBody& body); // 0 or -errno
    bool finish(Outcome outcome, Phrase fault = {});
    bool up_is_over() const { return up_ == Up::Delivered; }

    int output_ = 0;
    Outlet outlet_;
    int timeout_ = 0;
    bool head_only_ = false;

    int server_ = 0;
    Up up_ = Up::Head;
    Down down_ = Down::Head;
    size_t head_sent_ = 0;
    bool head_whole_ = false;
    Content content_ = Content::None;
    uint64_t left_ = 0;   // Content::Length: bytes that are still to come, but those that pump_ took
    uint64_t copied_ = 0; // bytes of content that went through memory
    Outcome outcome_ = Outcome::Complete;
    Phrase fault_;
    bool output_begun_ = false;
    bool suspected_ = false; // the present silence was reported
    void (*answered_)(void*) = nullptr;
    void (*suspect_)(void*) = nullptr;
    void* context_ = nullptr;

    std::string_view pending_; // to be written before anything else
    ChunkedDecoder chunked_;
    Pump pump_;
    size_t received_ = 0;                                     // bytes in response_
    static char response_[ResponseHead::max_size + max_held]; // large, so not among what is small and used together
    static char normalised_[ResponseHead::max_size + 128 + sizeof response_];
};

} // namespace rouse
