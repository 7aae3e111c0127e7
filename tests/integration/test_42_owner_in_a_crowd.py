"""The owner's commands beside requests, launches and each other, and when they are killed."""

import threading

import pytest

from harness import ledger, procs
from harness.owner import WELL, Run, rousectl
from harness.server import SERVE, SERVERS
from test_34_rousectl import refused, served


class Load:
    """Workers that send one request after another until they are told to end; most at the machine's own pace."""

    def __init__(self, site, workers=3, posts=False):
        self.outcomes = []
        self._site, self._posts, self._over = site, posts, threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(workers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number):
        while not self._over.is_set():
            post = self._posts and number == 0
            bridge = self._site.post(b"") if post else self._site.get()
            outcome = bridge.finish(30)
            with self._changed:
                self.outcomes.append((post, bridge.token, outcome))
                self._changed.notify_all()

    def wait_for(self, more, what=lambda outcome: True):
        """Until so many more requests of a kind have been answered."""
        with self._changed:
            begin = len(self.outcomes)
            came = self._changed.wait_for(
                lambda: sum(what(outcome) for _, _, outcome in self.outcomes[begin:]) >= more, 60)
            assert came, [(outcome.code, outcome.body) for _, _, outcome in self.outcomes[-5:]]


def is_200(outcome):
    return outcome.code == 200


def is_503(outcome):
    return outcome.code == 503


@pytest.mark.promises("L1", "L2", "W1")
def test_42_01_stop_under_load(make_site):
    """Every request should be answered: by the server, or by a 503 that starts nothing; also when it is started again."""
    site = make_site(["bind", "listen 128", "serve"], wait=20)
    served(site)
    with Load(site) as load:
        for count in range(1, 4):
            load.wait_for(20, is_200)
            assert rousectl(site, "stop").status == WELL
            load.wait_for(20, is_503)
            assert len(site.starts()) == count and site.processes() == []
            assert rousectl(site, "start").status == WELL
    codes = {outcome.code for _, _, outcome in load.outcomes}
    assert codes == {200, 503} and len(site.starts()) == 4
    assert all(outcome.status == 0 for _, _, outcome in load.outcomes)


@pytest.mark.promises("L1", "L5")
def test_42_02_stop_waits_for_a_launch(make_site):
    """A launch under way should come to its end first; then nothing of it is left, and who waited is answered."""
    site = make_site(["hold begun", *SERVE])
    bridge = site.get()
    site.control.wait("begun")
    stop = Run(site, "stop")
    procs.wait_until(lambda: procs.lock_waiters(site.app.start_lock) == [stop.pid] or not stop.running())
    assert stop.running()
    again = site.get()
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 2)
    site.control.go("begun")
    assert stop.finish().status == WELL
    for outcome in (bridge.finish(), again.finish()):
        assert outcome.status == 0 and outcome.code in (200, 503), outcome
    assert site.processes() == [] and len(site.starts()) == 1
    refused(site)


@pytest.mark.promises("L1", "L4")
def test_42_03_commands_race_with_each_other(make_site):
    """stop, start and restart at once, among requests: never two servers, and a state that fits the last record."""
    site = make_site(["bind", "listen 128", "serve"], wait=20, stop_timeout=2)
    served(site)
    two = []

    def watch(over):
        while not over.is_set():
            seen = site.listening()
            if len(seen) > 1 and len([pid for pid in site.listening() if pid in seen]) > 1:
                two.append(seen)

    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(over,))
    watcher.start()
    try:
        with Load(site, workers=2) as load:
            for commands in (["stop", "start"], ["stop", "stop"], ["start", "start"], ["restart", "stop"], ["restart", "restart"],
                             ["stop", "start", "restart"], ["start", "stop", "stop", "start"]):
                runs = [Run(site, command) for command in commands]
                answers = [run.finish() for run in runs]
                assert [answer.status for answer in answers] == [WELL] * len(commands), (commands, answers)
                outcome = ledger.read(site.app)["outcome"]
                seen = rousectl(site, "status", "--json").json["state"]
                assert (outcome, seen) in (("stopped", "stopped"), ("ready", "up")), (commands, outcome, seen)
                load.wait_for(5)
    finally:
        over.set()
        watcher.join()
    assert not two
    assert {outcome.code for _, _, outcome in load.outcomes} <= {200, 503}
    assert all(outcome.status == 0 for _, _, outcome in load.outcomes)
    assert rousectl(site, "start").status == WELL
    served(site)


@pytest.mark.promises("W1", "W3", "L1", "L2")
def test_42_04_restart_loses_no_request(make_site, folder):
    """20 restarts under load, of a server that finishes its work on TERM: no GET failed, no POST twice, one start each."""
    site = make_site(start=[SERVERS / "finishing.py", folder], wait=30)
    assert rousectl(site, "start").status == WELL
    began = procs.now()
    with Load(site, workers=8, posts=True) as load:
        for _ in range(20):
            load.wait_for(25, is_200)
            assert rousectl(site, "restart").status == WELL
        load.wait_for(25, is_200)
    print(f"{len(load.outcomes) / (procs.now() - began):.0f} requests a second, "
          f"{sum(outcome.code == 502 for _, _, outcome in load.outcomes)} POSTs answered 502")
    assert len(site.starts()) == 21
    executed = site.executed()
    for post, token, outcome in load.outcomes:
        if post:
            assert outcome.code in (200, 502) and executed.get(token, 0) <= 1, (token, outcome)
            assert outcome.code == 502 or executed[token] == 1
        else:
            site.answered(outcome, token)
    lost = sum(outcome.code == 502 for _, _, outcome in load.outcomes)
    assert lost <= len(site.starts()), "at most who connected in the moment between name and signal"


@pytest.mark.promises("L4", "L5")
@pytest.mark.parametrize("command", ["stop", "start", "restart"])
def test_42_05_the_owners_command_dies_anywhere(make_site, folder, command):
    """Killed at any system call: never two servers, no lock left behind, and the next command does its work."""
    site = make_site(["bind", "listen 128", "serve"], wait=20)
    killat, report = str(procs.tool("killat")), folder / "report"

    def killed_at(number):
        report.write_text("")
        Run(site, command, wrapper=[killat, "0", str(number), report]).finish()
        return report.read_text().split()

    count = int(killed_at(0)[1])
    moments = range(1, count + 1, max(1, count // 20))
    for number in moments:
        assert rousectl(site, "stop" if command == "start" else "start").status == WELL
        killed_at(number)
        outcome = site.get().finish(30)
        assert outcome.status == 0 and outcome.code in (200, 503), (number, outcome)
        procs.wait_until(lambda: procs.holders_of(site.app.start_lock) == [])  # a guardian goes on to its end
        assert len(site.listening()) <= 1, number
        assert rousectl(site, command).status == WELL, number
        assert (site.get().finish().code, len(site.listening())) == ((503, 0) if command == "stop" else (200, 1)), number
    assert len(moments) >= 20
