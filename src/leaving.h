// This file knows how to end so that the web server need not wait for the end.
#pragma once

namespace rouse {

// Whether the web server that set `environment`, as it came, looks for the process when its output has ended.
bool exit_is_awaited(char* const* environment);

// Ends the process; all that is to be written is written. `gone_first`: the output ends behind it, not before it, where
// that leaves nothing behind.
[[noreturn]] void leave(int status, bool gone_first);

} // namespace rouse
