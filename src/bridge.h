// This file knows one request from beginning to end.
#pragma once

#include "app_file.h"

namespace rouse {

// What was written to standard output; also the exit status.
enum class Ending : char {
    Answered = 0, // a complete response, our own pages included
    Cut = 1,      // one that ended early
    Nothing = 2,
};

// `app` is as read; `environment` is rewritten in place. Descriptors 0, 1 and 2 are open; `can_answer` says whether 1 was open from
// the start. sys::block_signals_of_writes was called.
Ending serve(const AppFile& app, char** environment, bool can_answer);

} // namespace rouse
