#include "ctl/commands.h"
#include "ctl/findings.h"

namespace rouse {

namespace {

Condition condition;

} // namespace

Exit check(const Order& order) {
    const Site& site = order.site;
    static char faults_bytes[16384], notes_bytes[4096];
    Text faults(faults_bytes), notes(notes_bytes);
    Findings findings(faults, notes);
    check_app_file(site, findings);
    if (!site.app.error && site.error)
        say_what_is_wrong(site, findings.fault());
    bool only_pending = false;
    if (site.is_usable()) {
        check_start_script_file(site, findings);
        check_run_folder(site, findings);
        condition = {};
        look_at(site, condition);
        check_socket(site, condition, findings);
        check_limits(findings);
        size_t before = findings.count();
        check_ledger(site, condition, findings);
        only_pending = before == 0 && condition.state == Condition::State::BackingOff && findings.count() == 1;
    }
    if (findings.count() == 0)
        faults.add("nothing to object to in ").add(site.app.path);
    order.out.add(faults.view()).add('\n').add(notes.view()).add(notes.size() > 0 ? "\n" : "");
    return findings.count() == 0 ? Exit::Well : only_pending ? Exit::Pending : Exit::Not;
}

} // namespace rouse
