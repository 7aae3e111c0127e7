#include "ctl/commands.h"

namespace rouse {

namespace {

Condition condition;

} // namespace

Exit status(const Order& order) {
    if (is_of_another_user(order.site, order.complaint))
        return Exit::Unknown;
    look_at(order.site, condition);
    if (order.json)
        describe_in_json(order.site, condition, order.out);
    else
        describe(order.site, condition, order.out);
    return condition.exit();
}

} // namespace rouse
