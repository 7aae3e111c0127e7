"""Hundreds of requests at one moment: one launch, every one answered, each request executed once.

ROUNDS (default 3; 20 for a full run) is how often the cold crowd comes, CROWD (500) how many they are.
"""

import os
import statistics

import pytest

from harness import ledger, procs
from harness.crowd import Crowd
from harness.server import SERVE

ROUNDS = int(os.environ.get("ROUNDS", "3"))
CROWD = int(os.environ.get("CROWD", "500"))
SLOW = ["pause 1000", "bind", "listen 5", "event listening", "serve"]  # takes a second to listen, small backlog


def let_go(site, count, **how):
    """A crowd that has parked, been released together, and answered."""
    with Crowd(site, count, **how) as crowd:
        crowd.park()
        crowd.open()
        crowd.gather()
        return crowd


def all_served(site, crowd, executed):
    assert crowd.codes() == {200: len(crowd.answers)}
    assert len(crowd.whole()) == len(crowd.answers)
    executed.update({answer.token: 1 for answer in crowd})
    assert site.executed() == executed, "lost or executed twice"
    assert site.empty_connections() == 0 and not site.malformed()


@pytest.fixture
def before_all_others():
    """What is measured is rouse, not what else the machine does. Where a crowd goes through a lock one by one, each waits
    its turn for a processor behind that, 500 times in a row; a warm crowd waits for it side by side."""
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -20)  # processes inherit it: both crowds and the server
    yield
    os.setpriority(os.PRIO_PROCESS, 0, priority)


@pytest.mark.promises("L1", "L2", "L6", "L7", "R4")
def test_21_01_a_cold_crowd_is_one_launch(make_site, before_all_others):
    """500 on a dead server that takes a second to listen, again and again after a kill: one start each time, and
    after `listening` all are through in at most 1.5 times what the same 500 take on the warm server."""
    site = make_site(SLOW, wait=30)
    executed, ratios = {}, []
    # A machine that is shared may be busy in one half of a round and idle in the other: then more rounds are measured.
    while len(ratios) < ROUNDS or (statistics.median(ratios) > 1.5 and len(ratios) < 7 * ROUNDS):
        round_number = len(ratios) + 1
        crowd = let_go(site, CROWD)
        all_served(site, crowd, executed)
        assert len(site.starts()) == len(site.listening()) + round_number - 1 == round_number
        cold = crowd.last_answer() - site.control.named("listening")[-1].time
        warm_crowd = let_go(site, CROWD)
        all_served(site, warm_crowd, executed)
        ratios.append(cold / (warm_crowd.last_answer() - warm_crowd.opened))
        site.kill_server()
    print("last answer after listening, as a share of the warm crowd:", [f"{ratio:.2f}" for ratio in ratios])
    assert len(site.starts()) == len(ratios) >= ROUNDS
    assert statistics.median(ratios) <= 1.5, ratios


@pytest.mark.promises("L1", "L2", "L7")
@pytest.mark.parametrize("plan", [["close-all", *SERVE], ["fork", "close-all", *SERVE], ["daemon", *SERVE]],
                         ids=["closes all", "forks and closes all", "daemon"])
def test_21_02_a_crowd_before_a_server_that_drops_the_alive_lock(make_site, plan):
    """Without the second net of alive.lock, the first must hold: connect again under the lock, locked until ready."""
    site = make_site(plan)
    executed = {}
    for round_number in range(1, 4):
        all_served(site, let_go(site, 60), executed)
        assert len(site.starts()) == round_number
        site.kill_server()


@pytest.mark.promises("L1", "L2", "L8")
def test_21_03_a_crowd_on_a_port(make_site):
    """TCP: the same promise on an address that has no name to look at."""
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = make_site(["pause 100", "bind", "listen 128", "event listening", "serve"], socket=f"127.0.0.1:{port}", run="run")
    executed = {}
    for round_number in range(1, 3):
        all_served(site, let_go(site, 100), executed)
        assert len(site.starts()) == round_number
        site.kill_server()


@pytest.mark.promises("L6", "B1", "L1", "R4")
def test_21_04_a_crowd_before_a_failing_script_fails_together(make_site):
    """A script that fails should run once for all 500, each gets its 503 as they come through the lock."""
    site = make_site(["hold begun", "exit 1"], wait=30)
    with Crowd(site, CROWD) as crowd:
        crowd.park()
        crowd.open()
        site.control.wait("begun")
        procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == CROWD - 1, 30)
        failed = site.control.go("begun")
        crowd.gather()
        assert crowd.codes() == {503: CROWD} and all(answer.status == 0 for answer in crowd)
        assert all(b"Retry-After: " in answer.output for answer in crowd)
        assert len(site.starts()) == 1
        last = crowd.last_answer() - failed
    ledger.change(site.app, failures=7, changed=ledger.boot_clock())  # a minute; a second may be over already
    crowd = let_go(site, 100)
    assert crowd.codes() == {503: 100} and len(site.starts()) == 1, "during the window nobody runs it"
    # The pace of the lock, not of a time-out and not of a run each: about 0.1 ms a waiter, and its end.
    print(f"{CROWD} answers of 503 within {last * 1000:.0f} ms")
    assert last < 0.01 * CROWD


@pytest.mark.promises("L6")
def test_21_05_waiters_sleep(make_site):
    """While a launch is under way its waiters should use no processor and not be woken."""
    site = make_site(["hold begun", *SERVE])
    with Crowd(site, 50) as crowd:
        crowd.park()
        crowd.open()
        site.control.wait("begun")
        waiters = procs.wait_until(lambda: len(found := procs.lock_waiters(site.app.start_lock)) == 49 and found)
        switches = lambda: {pid: procs.status(pid)["voluntary_ctxt_switches"] for pid in waiters}
        procs.wait_until(lambda: procs.asleep(waiters))
        before = switches()
        [guardian] = site.guardians()
        looks = lambda: int(procs.status(guardian)["voluntary_ctxt_switches"])
        began = looks()
        procs.wait_until(lambda: looks() > began + 100, what="a hundred looks of the guardian")
        assert switches() == before
        site.control.go("begun")
        crowd.gather()
        assert crowd.codes() == {200: 50} and len(site.starts()) == 1


@pytest.mark.promises("L1", "F3", "S4")
def test_21_06_a_crowd_with_bodies_is_spooled_whole(make_site):
    """Uploads that wait for a launch should be read to their end meanwhile, and arrive once and whole."""
    from harness.server import pattern
    site = make_site(["hold begun", *SERVE])
    body = pattern(300_000)  # more than a pipe holds: the web server would stall
    bridges = [site.post(body) for _ in range(10)]
    site.control.wait("begun")
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 9)
    for bridge in bridges:
        bridge._feeder.join(10)
        assert not bridge._feeder.is_alive(), "a body was not read while the server starts"
    site.control.go("begun")
    for bridge in bridges:
        outcome = bridge.finish()
        assert outcome.code == 200 and outcome.body.endswith(b"body=300000 wrong=-1\n")
    assert len(site.starts()) == 1 and set(site.executed().values()) == {1}
