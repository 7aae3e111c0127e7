// This file knows the request body, kept so that it can be sent later, again, or measured.
//
// A body begins on standard input. As long as nothing of it went to a server it can be spooled: into a file
// without a name, in the run directory or else in /tmp, so that memory stays constant and nothing is left
// behind whatever kills us. What was spooled is sent first, the rest comes straight from standard input.
#pragma once

#include "cgi_request.h"
#include "error.h"
#include "fd.h"
#include "pump.h"

namespace rouse {

enum class Spooling : char {
    More,     // something was taken, more may come: wait for standard input, then again
    Whole,    // all of the body is held, and its length is known
    Short,    // standard input ended before CONTENT_LENGTH bytes: never passed off as whole (F3)
    TooLarge, // over max-spool
    Failed,   // the file could not be made or written: error()
};

class RequestBody {
public:
    // `input` is standard input, `max_spool` in bytes; `folder` may be null.
    void begin(const CgiRequest& request, int input, uint64_t max_spool, const char* folder);

    bool length_known() const { return length_known_; }
    uint64_t length() const { return length_; } // bytes; once known
    int input() const { return input_; }

    // Spools a piece, without waiting.
    Spooling spool_some();
    // Spools the rest, waiting for standard input as long as it takes: the web server has its own time-out.
    Spooling spool_all();
    const Error& error() const { return error_; }

    // Whether nothing of the body was sent, or all that was sent is still in the spool: it can go to another server.
    bool can_be_sent_again() const { return streamed_ == 0; }
    void rewind();

    // Moves some of the body to `server`, a socket that does not block. Ended: all of it was accepted.
    // InputFailed: standard input ended early. OutputFailed: the server takes no more.
    Pump::Step send_some(int server);

    bool is_drained() const { return unread_ == 0; }

    // Reads and drops what is left on standard input, as long as it comes without `silence` milliseconds
    // of nothing (0: only what is there already). The web server may not be able to read before it has written all.
    void drain(int silence);
    // One piece of that, without waiting: false when nothing is left.
    bool drain_some();

private:
    ssize_t read_scratch();
    Spooling take(ssize_t count);
    bool open_file();
    bool not_held(int code);

    int input_ = 0;
    const char* folder_ = nullptr;
    uint64_t max_spool_ = 0;
    bool length_known_ = false;
    uint64_t length_ = 0;   // all of the body, 0 while unknown
    uint64_t unread_ = 0;   // still on standard input; while the length is unknown: more than there can be
    uint64_t spooled_ = 0;  // bytes in file_
    uint64_t sent_ = 0;     // bytes of file_ that went to the present server
    uint64_t streamed_ = 0; // bytes that went from standard input to a server
    Fd file_;
    Pump pump_;
    bool pumping_ = false; // pump_ has begun with the present server
    Error error_;
};

} // namespace rouse
