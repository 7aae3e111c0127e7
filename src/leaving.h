// This file knows how to end so that the web server need not wait for the end.
#pragma once

namespace rouse {

// The first of all: `environment` as it came says whether the web server looks for the process when its output has ended.
void begin_leaving(char* const* environment);

// Finds out what `leave` must know. For whenever there is nothing else to do; once is enough, and never is allowed.
void prepare_to_leave();

// Ends the process; all that is to be written is written. For who looks, the output ends behind it, not before it, where that
// leaves nothing behind.
[[noreturn]] void leave(int status);

} // namespace rouse
