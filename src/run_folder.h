// This file knows the run directory and the node's folder in it: who may write there, and how they are made (X3, L9).
#pragma once

#include "error.h"
#include "fd.h"
#include "ledger.h"
#include "settings.h"
#include "trust.h"

namespace rouse {

// Opens the node's folder of the run directory. Missing ones are made with mode 0700, the run directory with an
// .htaccess that denies all; existing ones are never changed, only refused: when others can write there (the
// group counts unless it is our own primary group), or when they belong to neither us nor root: false, and `error` says why.
bool open_node_folder(const Settings& settings, Fd& folder, Error& error);

// The number under which a ledger knows its socket. A path is named by where it lies, so that a home can be moved: in the
// node's folder, or beside a run directory SOCKET.run; else as it is written.
uint64_t name_of_socket(const Settings& settings);

// Notes whose record it is, and of which boot.
void stamp_ledger(Ledger& ledger, const Settings& settings, uint64_t boot);

// False for a start script that others can write, or that belongs to a stranger: `error` says which. One that is not there
// is none of them: execve says that better (P4).
bool start_script_is_trusted(const Settings& settings, uid_t owner_of_app, Error& error);

} // namespace rouse
