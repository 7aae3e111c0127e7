// This file knows the owner's turn: what start, stop and restart do while they hold start.lock, as a bridge does (L1).
#pragma once

#include "ctl/condition.h"
#include "fd.h"

namespace rouse {

struct Turn {
    Fd folder; // the node's
    Fd lock;   // start.lock
    Listening listening;
    Ledger ledger;
    uint64_t boot = 0;
};

// Waits until no launch is under way. Exit::Well: it is ours; else `complaint` says why not.
Exit take_turn(const Site& site, Turn& turn, Text& complaint);

// Carries out one launch by a guardian, as a request would, and waits for its outcome. A server that runs is
// replaced first when `replaces` says so; else it counts as the launch's own. The turn is over then.
Exit launch(const Site& site, Turn& turn, bool replaces, Text& out, Text& complaint);

} // namespace rouse
