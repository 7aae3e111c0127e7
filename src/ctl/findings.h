// This file knows how what `check` finds is gathered: one line for a fault with its cure, notes behind them.
#pragma once

#include "ctl/condition.h"

namespace rouse {

class Findings {
public:
    Findings(Text& faults, Text& notes) : faults_(faults), notes_(notes) {}

    // Begins the line of a fault: the server will not work, or not for long.
    Text& fault() {
        ++count_;
        return begin(faults_);
    }
    // Begins the line of something that is right for some and wrong for others.
    Text& note() { return begin(notes_).add("note: "); }

    size_t count() const { return count_; }

private:
    static Text& begin(Text& text) {
        if (text.size() > 0)
            text.add('\n');
        return text;
    }

    Text& faults_;
    Text& notes_;
    size_t count_ = 0;
};

// The app file and the start script as files and as programs.
void check_app_file(const Site& site, Findings& findings);
void check_start_script_file(const Site& site, Findings& findings);

// The run directory, and the file system that it is on.
void check_run_folder(const Site& site, Findings& findings);

// The address: what is there, who listens, where it lies.
void check_socket(const Site& site, const Condition& condition, Findings& findings);

// The limits of this process, the clock, the ledger.
void check_limits(Findings& findings);
void check_ledger(const Site& site, const Condition& condition, Findings& findings);

} // namespace rouse
