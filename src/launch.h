// This file knows one launch for everybody: begin it, or wait for it, and be connected (L1 to L7, B1, B2).
#pragma once

#include "body_spool.h"
#include "cgi_request.h"
#include "connection.h"
#include "deadline.h"
#include "guardian.h"
#include "ledger.h"
#include "locks.h"
#include "settings.h"

namespace rouse {

class Launch {
public:
    enum class End : char {
        Connected, // `connection` is a server's
        Failed,    // the launch that was waited for failed, or the last ones did and the back-off window is open:
                   // `retry_after` says when the next may begin
        Stopped,   // the owner stopped the server
        Overdue,   // `wait` is over; the launch goes on without us
        Shortage,  // processes, descriptors, memory or room have run out: `error`
        Wrong,     // settings or file system are to be mended: `error`, or `sentence` from the guardian
        Foreign,   // another user's server answers: `error`
        ShortBody, // while spooling: see Spooling
        LargeBody,
        Gone, // the web server closed our output
    };

    void begin(const Settings& settings, const CgiRequest& request, RequestBody& body, const PeerRule& rule,
               uid_t owner_of_app, int output) {
        settings_ = order_.settings = &settings;
        order_.request = &request;
        order_.rule = rule;
        body_ = &body;
        owner_of_app_ = owner_of_app;
        output_ = output;
    }

    // To be called when the server was found down, or is_touched(). One deadline for all the waiting of one request: begun
    // by the first call of this or of wait_for_room.
    End wake();

    // To be called when the server was found busy: spools the body and waits for room in its backlog. A server that
    // goes down meanwhile is woken.
    End wait_for_room();

    // Whether wake() could not open the node's folder, or did not trust it (X3).
    bool folder_is_refused() const { return folder_is_refused_; }

    // Whether `restart-on` is not what it was when the server was started (W3); the first look only records.
    bool is_touched();

    // To be called after the first sane response head: the server works (B2, W2).
    void answered() const;

    // To be called when the server is silent for long, and when it was for too long (W2). The second begins the launch
    // that replaces it, when nobody was answered meanwhile, nor between the last ones who were not; it waits for nothing.
    void suspect();
    void silent();

private:
    enum class Told : char { Again, Over }; // Over: end_ says how

    void prepare();
    bool open_folder();
    Told one_round();
    bool is_to_be_replaced(const Ledger& ledger);
    int fork_guardian(Fd& channel);
    Told begin_launch();
    Told take_slot();
    Told wait_for_guardian(int channel);
    Told hear(int channel);
    Told over(End end);
    Told refused(); // `error` says why
    Told after_spooling(Spooling spooling);
    Told connect_and_wait();
    Told use_connection();
    void end_stuck_guardian();
    bool is_ours(const Ledger& ledger) const; // of our socket
    bool of_this_boot(const Ledger& ledger) const { return ledger.boot == order_.moment.boot; }

    const Settings* settings_ = nullptr;
    RequestBody* body_ = nullptr;
    GuardianOrder order_;
    uid_t owner_of_app_ = 0;
    int output_ = 0;
    End end_ = End::Connected;
    bool folder_is_refused_ = false;
    int empty_handed_ = 0; // how often a launch delivered nothing
    Fd folder_;            // the node's
    Hold start_;           // of start.lock, for one round
    Deadline deadline_;
    Fd suspicion_;       // see health.h
    Fd slot_;            // of `max-waiting`
    int64_t number_ = 0; // the launch whose server we were connected to

public:
    unsigned retry_after = 0; // seconds
    Connection connection;
    Error error;

    char sentence[200] = "";
};

} // namespace rouse
