// This file knows the commands of rousectl. Each writes its answer to `out`, and what went wrong, with its cure, to
// `complaint`.
#pragma once

#include "ctl/condition.h"

namespace rouse {

struct Order {
    Site& site; // usable, but for `check`
    Text& out;
    Text& complaint;
    bool json = false;
};

Exit check(const Order& order);   // what the kernel, suexec and rouse will object to
Exit status(const Order& order);  // how the server is
Exit start(const Order& order);   // brings it up, now
Exit stop(const Order& order);    // stops it, and requests do not start it
Exit restart(const Order& order); // stops it and brings it up
Exit log(const Order& order);     // copies the log to standard output

// The page that a web server gets: nothing without the key.
Exit doctor(char** environment);

} // namespace rouse
