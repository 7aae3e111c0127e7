#include "ctl/commands.h"
#include "ctl/turn.h"

namespace rouse {

namespace {

Turn turn;

} // namespace

Exit restart(const Order& order) {
    if (Exit exit = take_turn(order.site, turn, order.complaint); exit != Exit::Well)
        return exit;
    return launch(order.site, turn, true, order.out, order.complaint);
}

} // namespace rouse
