// The outside world in, exit status out. Nothing here can be reached by an option: a web server makes argv from the
// query, so it is not even looked at (X1).
#include "app_file.h"
#include "bridge.h"
#include "leaving.h"
#include "start.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>

namespace {

using namespace rouse;

// A closed 0, 1 or 2 would be the number of the next file that is opened. What takes its place can be neither read nor
// written (O_PATH), so that it behaves like a closed one; "/" is there in every chroot.
bool fill_standard_descriptors() {
    pollfd standard[3] = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}};
    sys::poll(standard, 3, 0); // one call for three: POLLNVAL is a closed one (poll(2))
    for (const pollfd& one : standard)
        if (one.revents & POLLNVAL)
            sys::open(AT_FDCWD, "/", O_PATH); // the lowest free number: in this order its own
    return (standard[1].revents & POLLNVAL) == 0;
}

[[gnu::section(".bss.0")]] alignas(4096) constinit AppFile app; // of zeros, like the bridge

} // namespace

int rouse::run(char** /* arguments */, char** environment) {
    // The app file is opened first: a number above 2 says that 0, 1 and 2 are open, without a question.
    read_app_file(app);
    bool can_answer = app.descriptor > 2;
    if (!can_answer) {
        sys::close(app.descriptor); // it is in the place of one of them
        can_answer = fill_standard_descriptors();
    }
    sys::block_signals_of_writes();
    begin_leaving(environment); // before it is rewritten
    leave(static_cast<int>(serve(app, environment, can_answer)));
}
