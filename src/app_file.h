// This file knows where the settings are: in the file that the kernel was asked to execute.
//
// AT_EXECFN names it: for a #! file that file itself, for rouse run directly (copied or linked as app.cgi) the
// program, whose settings are in app.cgi.conf beside it. Neither argv nor the environment has a say: a web server
// makes them from what a client sent (X1).
#pragma once

#include "buffer.h"
#include "error.h"

#include <string_view>
#include <sys/types.h>

namespace rouse {

struct AppFile {
    static constexpr size_t max_size = 65536; // bytes

    char path_storage[4608] = {};     // for what execve(2) was not given like that
    char text_storage[max_size] = {}; // filled up to its end: what follows is used in any case
    std::string_view path;            // absolute, with a NUL behind it
    std::string_view text;
    uid_t owner = 0;
    int descriptor = 0; // that it was read from, the lowest that was free; it stays open
    Error error;        // its subject is the path

    std::string_view name() const { return behind(path, find_last(path, '/') + 1); } // without its folder
};

void read_app_file(AppFile& file);

// The same for a path that somebody names who may: the owner, to rousectl. Null: no path is known.
void read_app_file(const char* executed, AppFile& file);

} // namespace rouse
