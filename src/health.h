// This file knows whether the server that runs is to be replaced: because it hangs (W2), or because `restart-on` changed
// (W3). Both are notes in the node's folder, of which a request that is served touches as little as can be.
//
// `hung` has a byte for each request that was not answered in time; whoever is answered unlinks it. A request opens it
// when the server has been silent for a while, and counts only if it is still there when the time is over: so an answer to
// anybody meanwhile keeps all that were waiting from counting, not only those before.
//
// `touched` is a symbolic link, which is read with one call and replaced as a whole; its target says how `restart-on` was
// when the server was started.
#pragma once

#include "fd.h"
#include "settings.h"

namespace rouse {

constexpr off_t most_silences = 3; // in a row; then the server hangs

// Opens `hung`, or makes it. With `busy` only one in which somebody already counted: a full backlog alone is no silence.
Fd suspect_server(int folder, bool busy);
// Counts the silence that began with `suspicion`; true: the server is to be replaced.
bool count_silence(int folder, const Fd& suspicion);
bool is_hung(int folder);
void forget_silences(const Settings& settings);

enum class Touch : char { None, Touched, FirstLook };
Touch look_for_touch(const Settings& settings);
// Notes how `restart-on` is now: at a launch, before the script can look at it, or as the first that looks. What a launch
// cannot write is no note: better than a restart for each request.
enum class Noting : char { Launch, FirstLook };
void note_touch(const Settings& settings, int folder, Noting noting);

} // namespace rouse
