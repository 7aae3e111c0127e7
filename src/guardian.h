// This file knows how to carry out one launch, whatever happens to the request that began it.
//
// A bridge forks the guardian while it holds start.lock, and closes its own copy right after: from then on the
// lock lives exactly as long as the guardian, and the ledger, alive.lock and the start script are its alone.
#pragma once

#include "cgi_request.h"
#include "connection.h"
#include "fd.h"
#include "ledger.h"
#include "settings.h"

namespace rouse {

// What the guardian tells the bridge that began the launch: one message on a SOCK_SEQPACKET socketpair. End of file
// instead of a message: the launch ended without a word, and the bridge looks again.
struct GuardianWord {
    enum class Kind : char {
        Ready,  // the server listens; a connection may come with it (SCM_RIGHTS)
        Failed, // the launch failed, the ledger says how
        Wrong,  // a settings error: `sentence` is for the page; nothing was stopped, removed or run
    };
    Kind kind = Kind::Ready;
    unsigned retry_after = 0; // Failed: seconds
    int64_t number = 0;       // Ready: of the launch
    char sentence[200] = "";  // Wrong
};

struct GuardianOrder {
    const Settings* settings = nullptr;
    const CgiRequest* request = nullptr; // for PATH, LANG and the like of the web server's, nothing else
    PeerRule rule;
    Moment moment;                // boot id and fingerprint as the bridge saw them
    const char* reason = nullptr; // ROUSE_REASON; null: `cold` or `died`, as the ledger says
    bool replaces = false;        // what runs is stopped first, although it may listen
    int folder = 0;               // the node's folder
    int start_lock = 0;
    int channel = 0; // our end of the socketpair
};

// Runs in the forked process and ends it.
[[noreturn]] void guard_launch(GuardianOrder& order);

} // namespace rouse
