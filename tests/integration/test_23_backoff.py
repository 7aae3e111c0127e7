"""A script that fails is not run for every request, and nothing needs a person to heal."""

import os
import signal
import time

import pytest

from harness import ledger, procs
from harness.server import SERVE


def refused(outcome):
    """The answer while the next launch is not allowed yet; answers its Retry-After."""
    assert outcome.status == 0 and outcome.code == 503, outcome
    return int(outcome.head["retry-after"])


def try_until(site, done, limit=20.0):
    """Requests, one after another, until `done`; none may be answered but by 503 or by the server."""

    def once():
        outcome = site.get().finish()
        assert outcome.code in (200, 503), outcome
        return done(outcome)

    procs.wait_until(once, limit)


@pytest.fixture
def failing(make_site):
    """A site whose script has just failed once."""
    site = make_site(["exit 1"])
    refused(site.get().finish())
    assert len(site.starts()) == 1
    return site


@pytest.mark.promises("B1")
def test_23_01_a_failing_script_runs_after_1_2_and_4_seconds(failing):
    """Under steady requests the runs should be 1, 2 and 4 s apart, measured between the runs themselves."""
    site = failing
    began = procs.now()
    try_until(site, lambda _: len(site.starts()) == 4)
    elapsed = procs.now() - began
    times = [start["time"] for start in site.starts()]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    print("seconds between runs:", [f"{gap:.2f}" for gap in gaps])
    assert [gap >= least for gap, least in zip(gaps, (1.0, 2.0, 4.0))] == [True] * 3, gaps
    # The window passes by itself: the runs are not further apart than the requests that asked for them.
    assert elapsed < 7 + 3 and gaps[0] < 1.5 and gaps[1] < 2.5 and gaps[2] < 4.5, gaps


@pytest.mark.promises("B1", "R4")
def test_23_02_meanwhile_answers_are_at_once_and_run_nothing(failing):
    """During the window every request should get 503 with the seconds that are left, without waiting."""
    site = failing
    ledger.change(site.app, failures=6, changed=ledger.boot_clock())  # a window of half a minute
    outcomes = [bridge.finish() for bridge in [site.get() for _ in range(20)]]
    assert {refused(outcome) for outcome in outcomes} <= set(range(25, 34))
    assert all(outcome.seconds < 5 for outcome in outcomes) and len(site.starts()) == 1
    assert site.guardians() == []


@pytest.mark.promises("B1")
@pytest.mark.parametrize("failures, window", [(1, 1), (2, 2), (3, 4), (5, 16), (6, 32), (7, 60), (50, 60)])
def test_23_03_the_window_doubles_to_a_minute(failing, failures, window):
    """Retry-After should tell the window: 1, 2, 4 ... and never more than 60 s."""
    ledger.change(failing.app, failures=failures, changed=ledger.boot_clock())
    assert refused(failing.get().finish()) in (window, max(1, window - 1))
    ledger.change(failing.app, failures=failures, changed=ledger.boot_clock() - window * 1000 - 10)
    refused(failing.get().finish())
    assert len(failing.starts()) == 2, "the window is over"


@pytest.mark.promises("B3", "B1")
def test_23_04_it_heals_when_the_window_passes(failing):
    """A script that works again should be run by the first request after the window, and the count begin anew."""
    site = failing
    site.plan(SERVE)
    try_until(site, lambda outcome: outcome.code == 200)
    assert len(site.starts()) == 2 and site.starts()[1]["time"] - site.starts()[0]["time"] < 2
    site.kill_server()
    site.plan(["exit 1"])
    refused(site.get().finish())
    assert ledger.read(site.app)["failures"] == 1


def touch_app(site):
    later = time.time() + 5
    os.utime(site.app.path, (later, later))


def edit_app(site):
    with open(site.app.path, "a") as file:
        file.write("# a word more\n")


def touch_script(site):
    later = time.time() + 5
    os.utime(site.script, (later, later))


def replace_script(site):
    fresh = site.folder / "fresh"
    fresh.write_bytes(site.script.read_bytes())
    fresh.chmod(0o755)
    status = site.script.stat()
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.rename(site.script)


def noise(site):
    (site.app.node_folder / "ledger").write_bytes(os.urandom(700))


def half_a_ledger(site):
    os.truncate(site.app.node_folder / "ledger", 200)


def no_ledger(site):
    (site.app.node_folder / "ledger").unlink()


def empty_ledger(site):
    os.truncate(site.app.node_folder / "ledger", 0)


def huge_ledger(site):
    (site.app.node_folder / "ledger").write_bytes(b"9" * 5_000_000)


def other_boot(site):
    ledger.change(site.app, boot="00000000-1111-2222-3333-444444444444")


def future(site):
    ledger.change(site.app, changed=ledger.boot_clock() + 3_600_000)


@pytest.mark.promises("B3", "X4")
@pytest.mark.parametrize("heal", [touch_app, edit_app, touch_script, replace_script, noise, half_a_ledger, no_ledger,
                                  empty_ledger, huge_ledger, other_boot, future], ids=lambda heal: heal.__name__)
def test_23_05_it_heals_at_once(failing, heal):
    """Behind a long window: a change of app file or script, a reboot, noise or a clock of the future should end it."""
    site = failing
    ledger.change(site.app, failures=9, changed=ledger.boot_clock())
    assert refused(site.get().finish()) > 50
    site.plan(SERVE)
    heal(site)
    site.answered(site.get().finish())
    assert len(site.starts()) == 2


@pytest.mark.promises("B3", "B1", "P5")
@pytest.mark.parametrize("heal", [other_boot, future, noise], ids=lambda heal: heal.__name__)
def test_23_14_the_count_begins_anew(failing, heal):
    """What was counted before a reboot, or in noise, should not count: the next failure is the first."""
    site = failing
    ledger.change(site.app, failures=9, killed=4, early=1, changed=ledger.boot_clock())
    heal(site)
    assert refused(site.get().finish()) == 1 and len(site.starts()) == 2
    assert ledger.read(site.app)["failures"] == 1


@pytest.mark.promises("B1", "B3")
def test_23_06_a_plan_that_does_not_change_does_not_heal(failing):
    """What rouse cannot know of (a file that the script reads) should not end the window."""
    site = failing
    ledger.change(site.app, failures=9, changed=ledger.boot_clock())
    site.plan(SERVE)
    assert refused(site.get().finish()) > 50 and len(site.starts()) == 1


@pytest.mark.promises("B2")
def test_23_07_a_server_that_answered_is_restarted_at_once_every_time(make_site):
    """Killed twelve times in a row, each after one answer: each next request should start it without a window."""
    site = make_site()
    for round_number in range(1, 13):
        site.answered(site.get().finish())
        assert len(site.starts()) == round_number
        site.kill_server()


@pytest.mark.promises("B2")
def test_23_08_a_server_that_goes_down_unused_counts_as_failing(make_site):
    """Ready and gone within 10 s without an answer, twice in a row: the third request should meet a window."""
    site = make_site(["mortal", *SERVE])
    outcome = site.get("die=9").finish()
    assert outcome.code in (502, 503) and outcome.status == 0
    starts = len(site.starts())
    assert starts == 2, "a GET is repeated, but a server that goes down twice without an answer is failing"
    assert refused(site.get().finish()) >= 1 and len(site.starts()) == starts
    site.plan(SERVE)
    try_until(site, lambda outcome: outcome.code == 200)


@pytest.mark.promises("B2")
def test_23_09_an_old_server_is_healthy_without_an_answer(make_site):
    """After 10 s a server that nobody asked should count as having worked."""
    site = make_site()
    site.answered(site.get().finish())
    for _ in range(3):
        record = ledger.read(site.app)
        site.kill_server()
        ledger.change(site.app, changed=record["changed"] - 11_000, early=1)
        with open(site.app.node_folder / "ledger", "r+b") as file:
            file.truncate(ledger.LAUNCH_WIDTH)  # no answer is on record
        site.answered(site.get().finish())


@pytest.mark.promises("P5", "B1")
@pytest.mark.parametrize("number", [9, 15, 2, 1])
def test_23_10_somebody_elses_kill_is_not_a_failure_until_the_fifth(make_site, number):
    """A script that KILL, TERM, INT or HUP ends while it starts should be run again at once; from the fifth on it fails."""
    site = make_site([f"die {number}"])
    outcomes = []
    while len(site.starts()) < 5:
        outcomes.append(site.get().finish())
        assert outcomes[-1].code == 503, outcomes[-1]
        assert len(outcomes) < 6
    times = [start["time"] for start in site.starts()]
    assert len(times) == 5 and times[-1] - times[0] < 5
    assert refused(site.get().finish()) >= 1 and len(site.starts()) == 5, "now the window"
    site.plan(SERVE)
    try_until(site, lambda outcome: outcome.code == 200)


@pytest.mark.promises("L6", "B1")
def test_23_11_who_waited_for_a_failure_is_told_it_however_late(make_site):
    """Waiters that come through the lock after the window should answer 503 all the same, and not run the script anew."""
    site = make_site(["hold begun", "exit 1"])
    bridges = [site.get() for _ in range(6)]
    site.control.wait("begun")
    late = procs.wait_until(lambda: len(found := procs.lock_waiters(site.app.start_lock)) == 5 and found)[2:]
    for pid in late:
        procs.kill(pid, signal.SIGSTOP)
        procs.wait_until(lambda: procs.state(pid) == "T")
    site.control.go("begun")
    for bridge in bridges:
        if bridge.pid not in late:
            refused(bridge.finish())
    failed = ledger.read(site.app)["changed"]
    procs.wait_until(lambda: ledger.boot_clock() > failed + 1100, what="the window is over")
    for pid in late:
        procs.kill(pid, signal.SIGCONT)
    for bridge in bridges:
        if bridge.pid in late:
            refused(bridge.finish())
    assert len(site.starts()) == 1


@pytest.mark.promises("P5", "L6")
def test_23_12_one_kill_while_starting_costs_nobody_an_answer(make_site):
    """With 20 waiting: the script is killed, somebody should launch again at once, and all be served."""
    site = make_site(["hold begun", *SERVE])
    bridges = [site.get() for _ in range(20)]
    site.control.wait("begun")
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 19)
    site.plan(SERVE)
    site.kill_server()
    assert len({site.answered(bridge.finish(), bridge.token) for bridge in bridges}) == 1
    assert len(site.starts()) == 2


@pytest.mark.promises("P5", "B1")
@pytest.mark.parametrize("number", [11, 6, 4, 24])
def test_23_13_a_crash_is_a_failure(make_site, number):
    """SEGV, ABRT, ILL or XCPU is the script's own end: one run, 503, and a window."""
    site = make_site([f"die {number}"])
    assert refused(site.get().finish()) >= 1 and refused(site.get().finish()) >= 1
    assert len(site.starts()) == 1
    assert any(" failed " in line and f"signal {number}" in line.replace("(", "").lower() or " failed " in line
               for line in site.app.log_lines())
