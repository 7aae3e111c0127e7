"""A server that accepts and never answers is replaced after three time-outs in a row; a slow page never causes that.

SECONDS (default 4; 60 for a full run) is how long the load of test_31_07 lasts.
"""

import fcntl
import os
import signal
import socket

import pytest

from harness import procs
from harness.owner import rousectl
from harness.server import SERVE

SECONDS = float(os.environ.get("SECONDS", "4"))
HANGS = ["helper", "bind", "listen 5", "event listening", "accept-only"]


def silent(site, count=1):
    """So many requests, one after another, that get their 504."""
    for _ in range(count):
        outcome = site.get().finish()
        assert outcome.status == 0 and outcome.code == 504, outcome


def reason(start):
    [value] = [entry.partition("=")[2] for entry in start["env"] if entry.startswith("ROUSE_REASON=")]
    return value


def count_file(site):
    return site.app.node_folder / "hung"


def suspecting(site, count):
    """Until so many requests have found the server silent for a while."""
    procs.wait_until(lambda: len(procs.holders_of(count_file(site))) == count, 15)


def replaced_once(site, old):
    """The next request is served by a second server, launched because the first hung; of that nothing is left."""
    pid = site.answered(site.get().finish())
    first, second = site.starts()
    assert reason(second) == "hung" and pid not in old and not any(procs.alive(one) for one in old)
    assert site.answered(site.get().finish()) == pid and len(site.starts()) == 2
    assert not count_file(site).exists()


@pytest.mark.promises("W2", "L2")
@pytest.mark.parametrize("place", ["path", "abstract", "port"])
@pytest.mark.parametrize("plan", [HANGS, ["close-all", *HANGS], ["daemon", *HANGS]], ids=["plain", "closes all", "daemon"])
def test_31_01_after_three_time_outs_the_server_is_replaced(make_site, folder, place, plan):
    """Three 504, then an answer: one replacement, and the whole old tree gone."""
    how = {"path": {}, "abstract": {"socket": f"@{folder}/a", "run": "run"}}
    if place == "port":
        with socket.create_server(("127.0.0.1", 0)) as free:
            how["port"] = {"socket": f"127.0.0.1:{free.getsockname()[1]}", "run": "run"}
    site = make_site(plan, response_timeout=0.5, **how[place])
    silent(site, 2)
    assert len(site.starts()) == 1
    old = site.processes()
    site.plan(SERVE)
    silent(site)
    replaced_once(site, old)
    assert "reason=hung" in "\n".join(site.app.log_lines())


@pytest.mark.promises("W2")
def test_31_02_a_stopped_server_is_one_that_hangs(make_site):
    """SIGSTOP is the same as a hang: it does not even end at TERM."""
    site = make_site(response_timeout=0.5, stop_timeout=0.2)
    old = site.answered(site.get().finish())
    procs.kill(old, signal.SIGSTOP)
    silent(site, 3)
    replaced_once(site, [old])


@pytest.mark.promises("W2", "C1")
def test_31_03_so_is_one_whose_backlog_fills_up(make_site):
    """Behind a request that got no answer, those that found no room within `wait` should count too, one after another."""
    site = make_site(["bind", "listen 0", "event listening", "serve"], response_timeout=0.5, wait=0.5, stop_timeout=0.2)
    old = site.answered(site.get().finish())
    procs.wait_until(lambda: not site.guardians())
    procs.kill(old, signal.SIGSTOP)
    outcomes = [site.get().finish() for _ in range(3)]
    assert [outcome.code for outcome in outcomes] == [504, 503, 503], outcomes
    replaced_once(site, [old])


@pytest.mark.promises("C1", "W2")
def test_31_04_a_full_backlog_alone_is_no_hang(make_site):
    """Without a request that the server had taken, a full backlog should never lead to a launch."""
    site = make_site(["bind", "listen 0", "event listening", "hold accept", "serve"], wait=0.2, response_timeout=60)
    first = site.get()
    site.control.wait("accept")
    procs.wait_until(lambda: not site.guardians())
    outcomes = [site.get().finish() for _ in range(5)]
    assert {outcome.code for outcome in outcomes} == {503} and len(site.starts()) == 1
    site.control.go("accept")
    site.answered(first.finish(), first.token)
    assert len(site.starts()) == 1


@pytest.mark.promises("W2")
def test_31_05_many_time_outs_at_once_are_one_replacement(make_site):
    """Twenty requests that end together should have one server replaced, not six."""
    site = make_site(HANGS, response_timeout=1)
    first = site.get()
    site.control.wait("listening")
    bridges = [first, *[site.get() for _ in range(19)]]
    site.plan(SERVE)
    codes = {bridge.finish().code for bridge in bridges}
    assert 504 in codes and codes <= {504, 200}, codes  # the last of them may meet the new server
    site.answered(site.get().finish())
    assert len(site.starts()) == 2 and len(site.listening()) == 1


@pytest.mark.promises("W2")
def test_31_06_an_answer_counts_for_all_who_wait(make_site):
    """Whoever was silent while somebody else was answered should not count, however many end at one moment."""
    site = make_site(response_timeout=2)
    pid = site.answered(site.get().finish())
    for _ in range(2):
        bridges = [site.get("hold=slow") for _ in range(4)]
        suspecting(site, 4)
        assert site.answered(site.get().finish()) == pid
        assert [bridge.running() for bridge in bridges] == [True] * 4, "the machine stood still"
        assert {bridge.finish().code for bridge in bridges} == {504}
        assert len(site.starts()) == 1 and site.processes() == [pid] and site.guardians() == []
    # Two more make two, an answer begins anew.
    for bridge in [site.get("hold=slow") for _ in range(2)]:
        assert bridge.finish().code == 504
    assert count_file(site).stat().st_size == 2
    assert site.answered(site.get().finish()) == pid and not count_file(site).exists()


@pytest.mark.promises("W2")
def test_31_07_a_slow_page_under_load_never_replaces(make_site):
    """As long as others are answered, a page that is too slow for the time-out should have no consequence."""
    site = make_site(response_timeout=1)
    pid = site.answered(site.get().finish())
    end = procs.now() + SECONDS
    slow, served, late = [], 0, 0
    while procs.now() < end:
        while len(slow) < 4:
            slow.append(site.get("hold=slow"))
        assert site.answered(site.get().finish()) == pid
        served += 1
        over = [bridge for bridge in slow if not bridge.running()]
        assert {bridge.finish().code for bridge in over} <= {504}
        late += len(over)
        slow = [bridge for bridge in slow if bridge not in over]
    for bridge in slow:
        bridge.release()
    print(f"{served} answers, {late} time-outs")
    assert late >= 4 and len(site.starts()) == 1 and site.processes() == [pid]


@pytest.mark.promises("W2", "L5")
def test_31_08_an_answer_before_the_replacement_prevents_it(make_site):
    """Whoever counted the third is not the judge: that is who holds the lock, and looks once more."""
    site = make_site(response_timeout=0.5)
    pid = site.answered(site.get().finish())
    procs.wait_until(lambda: not site.guardians())
    with open(site.app.start_lock, "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for _ in range(3):
            assert site.get("hold=slow").finish().code == 504
        assert count_file(site).stat().st_size == 3
        assert site.answered(site.get().finish()) == pid
    assert site.get("hold=slow").finish().code == 504
    assert site.answered(site.get().finish()) == pid and len(site.starts()) == 1


@pytest.mark.promises("W2")
def test_31_09_who_could_not_replace_leaves_it_to_the_next(make_site):
    """If the lock is held at the third time-out, the fourth should replace."""
    site = make_site(HANGS, response_timeout=0.5)
    silent(site, 2)
    old = site.processes()
    site.plan(SERVE)
    with open(site.app.start_lock, "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        silent(site)
    assert site.processes() == old
    silent(site)
    replaced_once(site, old)


@pytest.mark.promises("W2", "B1")
def test_31_10_a_replacement_that_fails_is_not_tried_for_each_request(make_site):
    """A script that cannot replace what hung should have its back-off like any other."""
    site = make_site(HANGS, response_timeout=0.5)
    silent(site, 2)
    site.plan(["exit 1"])
    silent(site)
    outcomes = [site.get().finish() for _ in range(2)]
    assert [outcome.code for outcome in outcomes] == [503, 503] and len(site.starts()) == 2
    assert all(int(outcome.head["retry-after"]) == 1 for outcome in outcomes) and site.processes() == []


@pytest.mark.promises("W2")
def test_31_11_without_a_start_script_nothing_is_counted(make_site, folder):
    """rouse that only forwards should answer 504 and leave nothing behind."""
    site = make_site(start=None, response_timeout=0.2)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(site.app.socket_path))
        server.listen(8)
        silent(site, 4)
        assert site.app.socket_path.exists()
    assert not site.app.run.exists()


@pytest.mark.promises("W2", "X3")
def test_31_12_a_count_that_is_no_file_replaces_nothing(make_site, folder):
    """What lies in the count's place (a link to a large file) should neither be written nor believed."""
    site = make_site(response_timeout=0.3)
    pid = site.answered(site.get().finish())
    victim = folder / "victim"
    victim.write_text("12345")
    for _ in range(4):
        count_file(site).unlink(missing_ok=True)
        count_file(site).symlink_to(victim)
        assert site.get("hold=slow").finish().code == 504
    assert site.answered(site.get().finish()) == pid and len(site.starts()) == 1
    assert victim.read_text() == "12345"


@pytest.mark.promises("W2", "L1", "X4")
@pytest.mark.parametrize("what", ["a folder", "a link"])
def test_31_13_only_a_file_counts(make_site, what):
    """The size of whatever else lies there is no count: who waited for one launch should not replace what came of it."""
    site = make_site()
    site.answered(site.get().finish())
    if what == "a folder":
        count_file(site).mkdir()
    else:
        count_file(site).symlink_to("a-long-name")
    assert rousectl(site, "status").line == "up"
    site.kill_server()
    site.plan(["bind", "hold begun", "listen 5", "event listening", "serve"])
    bridges = [site.get()]
    site.control.wait("begun")
    bridges += [site.get() for _ in range(3)]
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 3)
    site.control.go("begun")
    assert len({site.answered(bridge.finish()) for bridge in bridges}) == 1
    assert len(site.starts()) == 2 and reason(site.starts()[1]) == "died"
