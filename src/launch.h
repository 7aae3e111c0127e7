// This file knows one launch for everybody: begin it, or wait for it, and be connected (L1 to L7, B1, B2).
#pragma once

#include "body_spool.h"
#include "cgi_request.h"
#include "connection.h"
#include "deadline.h"
#include "ledger.h"
#include "settings.h"

namespace rouse {

class Launch {
public:
    enum class End {
        Connected, // `connection` is a server's
        Failed,    // the launch that was waited for failed; `retry_after` says when the next may begin
        BackOff,   // the last launches failed; `retry_after` says when the next may begin
        Stopped,   // the owner stopped the server
        Overdue,   // `wait` is over; the launch goes on without us
        Shortage,  // processes, descriptors, memory or room have run out: `error`
        Wrong,     // settings or file system are to be mended: `error`, or `sentence` from the guardian
        Foreign,   // another user's server answers: `error`
        ShortBody, // while spooling: see Spooling
        LargeBody,
        Gone,      // the web server closed our output
    };

    Launch(const Settings& settings, const CgiRequest& request, const PeerRule& rule, uid_t owner_of_app,
           RequestBody& body, int output)
        : settings_(settings), request_(request), rule_(rule), owner_of_app_(owner_of_app), body_(body),
          output_(output) {}

    // To be called when the server was found down. One deadline for all the waiting of one request: begun by the
    // first call, or by `wait_for_room`.
    End wake();

    // To be called when the server was found busy: spools the body and waits for room in its backlog. A server that
    // goes down meanwhile is woken.
    End wait_for_room();

    // To be called after the first sane response head: the server that was launched works (B2).
    void answered() const;

    Connection connection;
    Error error;
    char sentence[200] = "";
    unsigned retry_after = 0; // seconds

private:
    enum class Told { Again, Over }; // Over: end_ says how

    Told prepare();
    Told one_round();
    Told begin_launch(int start_lock, const Moment& moment);
    Told wait_for_guardian(Fd channel);
    Told hear(int channel);
    Told over(End end);
    Told over(End end, const Error& why);
    Told spool();
    Told connect_and_wait();
    Told use(Connection found);
    Moment this_moment();
    void end_stuck_guardian();
    bool is_newer_failure(const Ledger& now, const Ledger& note, int64_t noted) const;

    const Settings& settings_;
    const CgiRequest& request_;
    PeerRule rule_;
    uid_t owner_of_app_;
    RequestBody& body_;
    int output_;

    End end_ = End::Overdue;
    Deadline deadline_;
    Fd folder_;            // the node's
    char boot_[37] = "-";  // boot id
    uint64_t number_ = 0;  // the launch whose server we were connected to
    int empty_handed_ = 0; // how often a launch delivered nothing
};

} // namespace rouse
