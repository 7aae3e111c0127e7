#include "ctl/findings.h"
#include "deadline.h"

#include <fcntl.h>
#include <sys/resource.h>

namespace rouse {

namespace {

// What a small server in an interpreter needs. rouse raises the soft limits to the hard ones, so that these count (P3).
constexpr struct {
    rlim_t enough;
    const char* what;
    int resource;
    unsigned unit;
} limits[] = {
    {32, " processes (NPROC)", RLIMIT_NPROC, 1},
    {256u << 20, " MiB of memory (AS)", RLIMIT_AS, 1u << 20},
    {RLIM_INFINITY, " s of processor time (CPU), after which the server is killed", RLIMIT_CPU, 1},
    {256, " open files (NOFILE)", RLIMIT_NOFILE, 1},
};

constexpr int64_t far = 3600'000; // milliseconds: no time zone and no drift, somebody set the clock

} // namespace

void check_limits(Findings& findings) {
    for (const auto& limit : limits) {
        rlimit is = {};
        if (sys::getrlimit(limit.resource, is) < 0 || is.rlim_max >= limit.enough)
            continue;
        findings.fault()
            .add("too low a limit: ")
            .add_number(is.rlim_max / limit.unit)
            .add(limit.what)
            .add(". Ask the host for more (ulimit -H, RLimitCPU, RLimitMEM, RLimitNPROC), or make the server smaller.");
    }
}

void check_ledger(const Site& site, const Condition& condition, Findings& findings) {
    const Ledger& ledger = condition.ledger;
    if (ledger.number != 0 && condition.error) // else it is a fault of the folder, which check_run_folder has told
        say(condition.error, condition.error.subject, findings.fault());
    static char path_bytes[4352];
    Text path(path_bytes);
    struct stat status;
    path.add(site.settings.node_run).add("/ledger");
    if (condition.is_of_this_boot && sys::stat(AT_FDCWD, path.c_str(), status, AT_SYMLINK_NOFOLLOW) == 0) {
        int64_t now = boot_now(), wall = sys::clock_milliseconds(CLOCK_REALTIME);
        int64_t written = int64_t{status.st_mtim.tv_sec} * 1000;
        int64_t expected = wall - (now - ledger.changed); // or later, when a request was answered
        if (ledger.changed > now || ledger.started > now)
            findings.fault()
                .add("the ledger ")
                .add(path.view())
                .add(" is of a time that is yet to come: its clock is not this machine's (a container?). Remove it.");
        else if (written + far < expected || written > wall + far)
            findings.fault().add(
                "the clock was set by more than an hour since the last launch: the times in the log do not fit, "
                "and certificates may fail. Look at the clock (date -u); the next launch mends the rest.");
    }
    if (condition.state == Condition::State::BackingOff) {
        Text& text = findings.fault().add("the start script failed, last so: ");
        add_in_words(condition.why(), text);
        text.add(text.view().ends_with('.') ? "" : ".").add(" The next launch may begin in ");
        text.add_number(static_cast<uint64_t>(condition.retry_after + 999) / 1000);
        text.add(" s; mend it (rousectl log shows what it printed) and run rousectl start.");
    }
    if (condition.state == Condition::State::Stopped)
        findings.note().add("it was stopped by its owner; rousectl start brings it back.");
}

} // namespace rouse
