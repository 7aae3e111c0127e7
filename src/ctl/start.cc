#include "ctl/commands.h"
#include "ctl/turn.h"

namespace rouse {

namespace {

Turn turn;

} // namespace

// Now: neither a back-off window nor the owner's stop holds it up.
Exit start(const Order& order) {
    if (Exit exit = take_turn(order.site, turn, order.complaint); exit != Exit::Well)
        return exit;
    if (turn.listening.somebody && turn.ledger.outcome != Ledger::Outcome::Stopped) {
        order.out.add("up already\n");
        return Exit::Well;
    }
    return launch(order.site, turn, false, order.out, order.complaint);
}

} // namespace rouse
