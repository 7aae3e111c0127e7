// This file knows how to start a program in a clean world (P1 to P4), and how to leave the web server's behind.
#pragma once

#include "buffer.h"
#include "cgi_request.h"
#include "fd.h"
#include "lines.h"
#include "settings.h"

namespace rouse {

// Closes every descriptor from 3 on but the three that are kept, whatever somebody left open for us.
void close_all_but(const int (&kept)[3]);

// 0 becomes /dev/null, 1 and 2 the log, or /dev/null when it cannot be opened. Without /dev/null (a bare chroot, no
// descriptors left in the system) they become `folder`, which can be neither read nor written: never the web server's.
void replace_standard_descriptors(std::string_view log, int folder);

// The environment of the start script: PATH, LANG, TZ; HOME, USER, LOGNAME, SHELL (ours, else from /etc/passwd, else
// HOME is the highest folder above the app file that is ours); ROUSE_*. Nothing of the request (P2).
class LaunchEnvironment {
public:
    void make(const Settings& settings, const CgiRequest& request, std::string_view reason, std::string_view launch);
    const char* const* entries() const { return entries_; }

private:
    void add(std::string_view name, std::string_view value);

    size_t count_ = 0;
    size_t used_ = 0; // of text_
    const char* entries_[16];
    char text_[16384];
};

struct ExecTrouble {
    bool at_folder = false; // the working directory could not be entered; else execve failed
    int code = 0;           // errno
};

// Runs settings.start in a session of its own, in its directory, with default signals, an empty mask and raised soft
// limits. Of our descriptors it keeps 0, 1, 2 and a copy of `alive` (not as 3); `close_first` are closed before
// anything that can block. Answers its pid, or -errno of fork or pipe; `trouble` then reads as an ExecTrouble when the
// program could not be run, else as end of file.
pid_t start_program(const Settings& settings, const char* const* environment, int alive, const int (&close_first)[3],
                    Fd& trouble);

// Why, in words (P4): "cannot run /home/me/app/start: ...".
void explain(const ExecTrouble& trouble, const Settings& settings, Text& out);

} // namespace rouse
