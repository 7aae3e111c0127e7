#include "relay.h"

#include "io.h"

#include <errno.h>
#include <limits.h>

namespace rouse {

char Relay::response_[], Relay::normalised_[];

bool Relay::finish(Outcome outcome, Phrase fault) {
    outcome_ = outcome;
    fault_ = fault;
    return false;
}

// The server takes no more. What the web server still has to write is read and dropped (S3).
void Relay::hang_up(const RequestBody& body) {
    up_ = body.is_drained() ? Up::Delivered : Up::Draining;
}

void Relay::send_head(const RequestHead& head, RequestBody& body) {
    while (head_sent_ < head.size()) {
        iovec parts[RequestHead::max_parts];
        msghdr message = {};
        message.msg_iov = parts;
        message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(head.gather(head_sent_, parts));
        ssize_t count = uninterrupted([&] { return sys::sendmsg(server_, &message, MSG_NOSIGNAL); });
        if (count == -EAGAIN)
            return;
        if (count < 0) {
            // It may have answered first, so the answer is still read (EPIPE and ECONNRESET come for the way
            // up alone). Whether the request can be sent again shows when none is there.
            hang_up(body);
            return;
        }
        head_sent_ += static_cast<size_t>(count);
    }
    head_whole_ = true;
    up_ = body.length() > 0 ? Up::Body : Up::Delivered;
}

bool Relay::go_up(const RequestHead& head, RequestBody& body) {
    if (up_ == Up::Head)
        send_head(head, body);
    if (up_ == Up::Input)
        up_ = Up::Body;
    while (up_ == Up::Body) {
        switch (body.send_some(server_)) {
        case Pump::Step::Moved:
            break;
        case Pump::Step::AwaitInput:
            up_ = Up::Input;
            return true;
        case Pump::Step::AwaitOutput:
            return true;
        case Pump::Step::Ended:
            up_ = Up::Delivered;
            break;
        case Pump::Step::InputFailed:
            if (down_ == Down::Written) {
                up_ = Up::Delivered; // the answer is out; what is missing is the client's affair
                break;
            }
            return finish(Outcome::ShortBody);
        case Pump::Step::OutputFailed:
            hang_up(body);
            break;
        }
    }
    return true;
}

// No more bytes come from the server.
bool Relay::server_ended(ssize_t result, const RequestBody& body) {
    if (up_ <= Up::Input)
        hang_up(body);
    if (down_ == Down::Head) {
        if (received_ == 0)
            return finish(head_whole_ ? Outcome::NoAnswer : Outcome::Unsent,
                          result < 0 ? "the server reset the connection"_phrase
                                     : "the server closed the connection"_phrase);
        Text normalised(normalised_);
        ResponseHead head = read_response_head({response_, received_}, true, normalised);
        return finish(Outcome::BadAnswer, head.fault);
    }
    if (down_ == Down::Held)
        return finish(Outcome::BadAnswer, "it ended before its Content-Length"_phrase);
    if (content_ == Content::Length || content_ == Content::Chunked)
        return finish(Outcome::Cut, content_ == Content::Length ? "it ended before its Content-Length"_phrase
                                                                : "it ended in the middle of a chunk"_phrase);
    // A server that closes with a body unread resets the connection behind its answer: that is its end (S3).
    // It need not be unread by us: the kernel may have taken all of it. Any other error is none.
    if (result < 0 && (result != -ECONNRESET || body.length() == 0))
        return finish(Outcome::Cut, "the connection to the server broke"_phrase);
    down_ = Down::Written;
    return true;
}

// A sane header block stands in response_.
bool Relay::head_arrived() {
    // Behind what has come, where there is surely room for as much again: a page less is touched.
    bool is_near = received_ + 128 < sizeof response_ / 2;
    Text normalised(is_near ? response_ + received_ : normalised_,
                    is_near ? sizeof response_ - received_ : sizeof normalised_);
    ResponseHead head = read_response_head({response_, received_}, false, normalised);
    if (head.state == ResponseHead::State::Incomplete)
        return true;
    if (head.state == ResponseHead::State::Bad)
        return finish(Outcome::BadAnswer, head.fault);
    if (answered_ != nullptr)
        answered_(context_);
    answered_ = nullptr; // a held answer is parsed twice
    std::string_view content(response_ + head.size, received_ - head.size);
    if (head_only_ || head.status == 204 || head.status == 304) { // RFC 9110, 6.4.1: these have no content
        content_ = Content::None;
        content = {};
    } else if (head.chunked) {
        content_ = Content::Chunked;
        content = {content.data(), chunked_.decode(response_ + head.size, content.size())};
    } else if (head.has_length) {
        content_ = Content::Length;
        content = part(content, 0, head.length < content.size() ? static_cast<size_t>(head.length) : content.size());
        left_ = head.length - content.size();
        if (left_ > 0 && head.length <= max_held) {
            down_ = Down::Held;
            return true;
        }
    } else {
        content_ = Content::UntilClose;
    }
    if (head.rewritten)
        pending_ = normalised.add(content).view();
    else
        pending_ = {response_, head.size + content.size()};
    down_ = Down::Streamed;
    return true;
}

bool Relay::read_some(const RequestBody& body) {
    size_t room = sizeof response_ - received_;
    if (down_ == Down::Head && received_ + 16384 < ResponseHead::max_size)
        room = 16384; // fewer pages are touched; a small answer comes in one piece all the same
    if (down_ == Down::Held && left_ < room)
        room = static_cast<size_t>(left_);
    ssize_t count = receive_some(server_, response_ + received_, room);
    if (count == -EAGAIN)
        return true;
    if (count <= 0)
        return server_ended(count, body);
    received_ += static_cast<size_t>(count);
    if (down_ == Down::Held) {
        left_ -= static_cast<uint64_t>(count);
        if (left_ > 0)
            return true;
        // Parsed once more rather than kept: it is the rare answer that comes in two pieces.
        down_ = Down::Head;
    }
    return head_arrived();
}

bool Relay::write_pending() {
    while (!pending_.empty()) {
        // All that a small request writes. poll(2) has just found that the web server is there; if it goes in this very
        // moment, nothing of so little is written, and SIGPIPE is an end as good as any: not to block it is one call less.
        bool is_whole =
            !output_begun_ && up_is_over() && content_ == Content::Length && left_ == 0 && pending_.size() <= PIPE_BUF;
        ssize_t count = is_whole
                            ? uninterrupted([&] { return sys::last_write(output_, pending_.data(), pending_.size()); })
                            : outlet_.write_some(pending_, up_is_over());
        if (count == -EAGAIN) {
            down_ = Down::Blocked;
            return true;
        }
        if (count < 0)
            return finish(Outcome::Gone);
        output_begun_ = true;
        pending_.remove_prefix(static_cast<size_t>(count));
    }
    return true;
}

// Through memory: what is to be decoded, and the beginning of everything else. An answer that is over
// after a few kilobytes, or that ticks, is cheaper so than with a pipe made for it.
bool Relay::copy(const RequestBody& body) {
    while (pending_.empty()) {
        size_t room = sizeof response_;
        if (content_ == Content::Length && left_ < room)
            room = static_cast<size_t>(left_);
        if (room == 0 || chunked_.state() == ChunkedDecoder::State::Ended) {
            down_ = Down::Written;
            return true;
        }
        if (chunked_.state() == ChunkedDecoder::State::Bad)
            return finish(Outcome::Cut, "its chunked coding is broken"_phrase);
        if (content_ != Content::Chunked && copied_ >= copied_first)
            return pump(body);
        ssize_t count = receive_some(server_, response_, room);
        if (count == -EAGAIN)
            return true;
        if (count <= 0)
            return server_ended(count, body);
        size_t size = static_cast<size_t>(count);
        copied_ += size;
        left_ -= content_ == Content::Length ? size : 0;
        pending_ = {response_, content_ == Content::Chunked ? chunked_.decode(response_, size) : size};
        if (!write_pending())
            return false;
    }
    return true;
}

// Without touching the bytes.
bool Relay::pump(const RequestBody& body) {
    for (;;) {
        uint64_t end = content_ == Content::Length ? left_ : UINT64_MAX;
        if (pump_.given() == end) {
            down_ = Down::Written;
            return true;
        }
        switch (pump_.move(end - pump_.taken(), up_is_over())) {
        case Pump::Step::Moved:
            if (pump_.taken() != pump_.given()) {
                if (up_is_over())
                    break;
                down_ = Down::Blocked; // what is under way waits for the web server, and not for more to come
                return true;
            }
            // The other direction has its turn, and poll(2) says when there is more: asked at once, the server nearly always has
            // nothing, and the question waits for the lock of a pipe from which the web server is just reading.
            if (pump_.given() == end)
                break;
            return true;
        case Pump::Step::AwaitOutput:
            down_ = Down::Blocked;
            return true;
        case Pump::Step::AwaitInput:
            return true;
        case Pump::Step::Ended:
            return server_ended(0, body);
        case Pump::Step::InputFailed:
            return server_ended(-pump_.code(), body);
        case Pump::Step::OutputFailed:
            return finish(Outcome::Gone);
        }
    }
}

bool Relay::go_down(const RequestBody& body) {
    if (down_ == Down::Blocked)
        down_ = Down::Streamed;
    if (down_ <= Down::Held && !read_some(body))
        return false;
    if (down_ != Down::Streamed)
        return true;
    if (!write_pending())
        return false;
    if (!pending_.empty())
        return true;
    if (content_ == Content::None) {
        down_ = Down::Written;
        return true;
    }
    return copy(body);
}

// Waits until one of the two directions can go on. No clock is read: each event begins the time-out anew.
bool Relay::wait(RequestBody& body) {
    // As long as nobody can have acted on the request it may be sent again (W1): then the body is still wanted.
    bool drains = up_ == Up::Draining && (head_whole_ || down_ != Down::Head);
    bool wants_input = up_ == Up::Input || drains;
    bool writes = down_ == Down::Blocked;
    auto events = static_cast<short>((up_ <= Up::Body) * POLLOUT + (down_ <= Down::Streamed) * POLLIN);
    // A negative number is passed over: POLLHUP cannot be switched off and would spin.
    int server = events != 0 ? server_ : -1;
    int input = wants_input ? body.input() : -1;
    auto output_events = static_cast<short>(writes * POLLOUT); // with none: has the web server gone?
    pollfd descriptors[3] = {{server, events, 0}, {input, POLLIN, 0}, {output_, output_events, 0}};
    bool only_drains = drains || down_ == Down::Written;
    int limit = -1;
    if (only_drains)
        limit = drain_silence;
    else if (timeout_ > 0 && !output_begun_ && !wants_input && !writes)
        limit = suspected_ ? timeout_ - timeout_ / suspicion_part : timeout_ / suspicion_part;
    int count = sys::poll(descriptors, 3, limit);
    if (count < 0) // an error that stays must not be asked for again and again
        return count == -EINTR ||
               finish(output_begun_ ? Outcome::Cut : Outcome::BadAnswer, "the kernel would not wait for it"_phrase);
    if (count == 0) {
        if (!only_drains) {
            if (suspected_)
                return finish(Outcome::Silent);
            suspected_ = true;
            if (suspect_ != nullptr)
                suspect_(context_);
            return true;
        }
        if (wants_input)
            up_ = Up::Delivered; // what is still to come is not waited for
        else
            hang_up(body); // it has answered, and takes no more of the body
        return true;
    }
    suspected_ = false;
    if (descriptors[2].revents & (POLLERR | POLLHUP | POLLNVAL))
        return finish(Outcome::Gone);
    if (drains && descriptors[1].revents != 0 && !body.drain_some())
        up_ = Up::Delivered;
    return true;
}

Relay::Outcome Relay::run(int server, const RequestHead& head, RequestBody& body, void (*meanwhile)()) {
    server_ = server;
    up_ = Up::Head;
    down_ = Down::Head;
    head_sent_ = 0;
    head_whole_ = false;
    received_ = 0;
    copied_ = 0;
    suspected_ = false;
    fault_ = {};
    pump_.begin(server, output_, Pump::Direction::FromServer);
    for (bool first = true;; first = false) {
        if (!go_up(head, body))
            return outcome_;
        // The first look at the server would nearly always be too early: poll first.
        if (first)
            meanwhile();
        else if (!go_down(body))
            return outcome_;
        if (down_ == Down::Written && up_ == Up::Delivered)
            return Outcome::Complete;
        if (!wait(body))
            return outcome_;
    }
}

} // namespace rouse
