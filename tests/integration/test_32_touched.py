"""`restart-on`: the next request after a change restarts the server, once, and no request is lost.

ROUNDS (default 5; 20 for a full run) is how often the file is touched under load.
"""

import os

import pytest

from harness import ledger, procs
from harness.crowd import Crowd
from harness.server import SERVE

ROUNDS = int(os.environ.get("ROUNDS", "5"))
GRACEFUL = ["graceful", "bind", "listen 128", "event listening", "serve"]
HELD = ["bind", "hold begun", "listen 128", "event listening", "serve"]


def served(site, bridge=None):
    bridge = bridge or site.get()
    return site.answered(bridge.finish(), bridge.token)


def reasons(site):
    return [entry.partition("=")[2] for start in site.starts() for entry in start["env"] if entry.startswith("ROUSE_REASON=")]


class File:
    """The file of `restart-on`, whose time of modification never comes twice."""

    def __init__(self, path):
        self.path = path
        self.seconds = 1_500_000_000

    def touch(self, path=None):
        path = path or self.path
        path.touch()
        self.seconds += 1
        os.utime(path, (self.seconds, self.seconds))


@pytest.fixture
def watched(make_site, folder):
    """A site that is up, and the file that restarts it."""
    file = File(folder / "restart.txt")
    file.touch()

    def make(plan=None, **how):
        site = make_site(plan, restart_on="restart.txt", **how)
        return site, file, served(site)

    return make


def edit(file):
    file.touch()


def one_nanosecond(file):
    status = file.path.stat()
    os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def backwards(file):
    os.utime(file.path, (1, 1))


def replace(file):
    """Another file with the same time: what a deploy with preserved times does."""
    status = file.path.stat()
    fresh = file.path.with_suffix(".new")
    fresh.touch()
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.rename(file.path)


def remove(file):
    file.path.unlink()


@pytest.mark.promises("W3")
@pytest.mark.parametrize("change", [edit, one_nanosecond, backwards, replace, remove])
def test_32_01_a_change_restarts_once(watched, change):
    """The next request should be served by a new server, the one after it by the same."""
    site, file, old = watched()
    assert served(site) == old
    change(file)
    new = served(site)
    assert new != old and not procs.alive(old) and reasons(site) == ["cold", "touched"]
    assert {served(site) for _ in range(3)} == {new}


@pytest.mark.promises("W3")
def test_32_02_what_appears_and_goes_is_a_change(make_site, folder):
    """A file that was not there at first should restart the server when it comes, and when it goes again."""
    site = make_site(restart_on="restart.txt")
    first = served(site)
    assert served(site) == first
    (folder / "restart.txt").touch()
    second = served(site)
    assert second != first and served(site) == second
    (folder / "restart.txt").unlink()
    third = served(site)
    assert third != second and served(site) == third and len(site.starts()) == 3


@pytest.mark.promises("W3")
def test_32_03_a_link_that_is_swapped_is_a_change(make_site, folder):
    """Where `restart-on` goes through a link (a deploy's `current`), pointing it elsewhere should restart."""
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "stamp").touch()
        os.utime(folder / name / "stamp", (1_500_000_000, 1_500_000_000))
    (folder / "current").symlink_to("one")
    site = make_site(restart_on="current/stamp")
    old = served(site)
    (folder / "next").symlink_to("two")
    (folder / "next").rename(folder / "current")
    new = served(site)
    assert new != old and served(site) == new and len(site.starts()) == 2


@pytest.mark.promises("W3")
def test_32_04_the_first_look_only_records(make_site, folder):
    """`restart-on` that is set while the server runs should not restart it; the first change after that should."""
    file = File(folder / "restart.txt")
    file.touch()
    site = make_site()
    old = served(site)
    with open(site.app.path, "a") as app:
        app.write("restart-on = restart.txt\n")
    assert {served(site) for _ in range(3)} == {old}
    file.touch()
    new = served(site)
    assert new != old and served(site) == new and len(site.starts()) == 2


@pytest.mark.promises("W3")
def test_32_05_a_hundred_notice_one_touch(watched):
    """All should be served by one new server, each once."""
    site, file, old = watched()
    with Crowd(site, 100) as crowd:
        crowd.park()
        file.touch()
        crowd.open()
        crowd.gather()
        assert crowd.codes() == {200: 100} and len(crowd.whole()) == 100
        pids = {answer.output.split(b" pid=")[1].split()[0] for answer in crowd}
    assert len(pids) == 1 and str(old).encode() not in pids
    assert reasons(site) == ["cold", "touched"] and max(site.executed().values()) == 1


@pytest.mark.promises("W3", "L1")
@pytest.mark.parametrize("moment", ["cold", "restart"])
def test_32_06_a_touch_during_a_launch_is_not_lost(make_site, folder, moment):
    """What is changed after the script was run, it may not have seen: the next request should restart once more."""
    file = File(folder / "restart.txt")
    file.touch()
    site = make_site(SERVE if moment == "restart" else HELD, restart_on="restart.txt")
    if moment == "restart":
        served(site)
        site.plan(HELD)
        file.touch()
    before = len(site.starts())
    bridge = site.get()
    site.control.wait("begun")
    file.touch()
    site.control.go("begun")
    seen_too_early = served(site, bridge)
    last = served(site)
    assert last != seen_too_early and served(site) == last and len(site.starts()) == before + 2


@pytest.mark.promises("W3")
def test_32_07_work_is_finished_first(watched):
    """At a touch the old server should finish what it has, and only then the new one start; who comes meanwhile waits."""
    site, file, old = watched(GRACEFUL)
    bridge = site.get("hold=work")
    site.control.wait("work")
    file.touch()
    later = [site.get() for _ in range(3)]
    site.control.wait("stopping")
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 2)
    assert not site.app.socket_path.exists() and len(site.starts()) == 1
    site.control.go("work")
    assert served(site, bridge) == old
    [new] = {served(site, one) for one in later}
    assert new != old and len(site.starts()) == 2


@pytest.mark.promises("W3", "W1")
def test_32_08_touches_under_load_lose_no_request(watched):
    """With a server that finishes its work on TERM, no GET should fail, no POST run twice, and one start come of each touch."""
    site, file, _ = watched(GRACEFUL, stop_timeout=20)
    ended = []

    def one_more(crowd):
        crowd.append(site.get() if len(ended) % 3 else site.post(b""))
        if len(crowd) > 8:
            oldest = crowd.pop(0)
            ended.append((oldest, oldest.finish(30)))

    crowd = []
    for turn in range(2, ROUNDS + 2):
        file.touch()
        while len(site.starts()) < turn:
            one_more(crowd)
        for _ in range(12):
            one_more(crowd)
        assert len(site.starts()) == turn
    ended += [(bridge, bridge.finish(30)) for bridge in crowd]
    failed = [(bridge.token, outcome) for bridge, outcome in ended if outcome.code != 200]
    lost = [outcome.code for _, outcome in failed]
    executed = site.executed()
    print(f"{len(ended)} requests, POSTs lost: {len(lost)}")
    posts = {line["token"] for line in site.connections() if line.get("method") == "POST"}
    gets = {line["token"] for line in site.connections() if line.get("method") == "GET"}
    assert set(lost) <= {502} and not gets & {token for token, _ in failed}
    assert all(executed[token] == 1 for token in posts)
    assert reasons(site) == ["cold", *["touched"] * ROUNDS]


@pytest.mark.promises("W3", "B3")
def test_32_09_a_touch_ends_the_back_off(watched):
    """A server that could not start should be started at once when the file says that it was mended."""
    site, file, _ = watched()
    site.kill_server()
    site.plan(["exit 1"])
    assert site.get().finish().code == 503
    ledger.change(site.app, failures=7, changed=ledger.boot_clock())
    assert site.get().finish().code == 503 and len(site.starts()) == 2
    site.plan(SERVE)
    file.touch()
    new = served(site)
    assert served(site) == new and len(site.starts()) == 3


@pytest.mark.promises("W3", "B1")
def test_32_10_a_restart_that_fails_is_a_failure(watched):
    """After a touch that leads nowhere the old server is gone, and the script has its back-off."""
    site, file, old = watched()
    site.plan(["exit 1"])
    file.touch()
    assert [site.get().finish().code for _ in range(3)] == [503] * 3
    assert len(site.starts()) == 2 and not procs.alive(old)


@pytest.mark.promises("W3")
def test_32_11_a_touch_does_not_start_what_the_owner_stopped(watched):
    """`stopped` should outlast a deploy."""
    site, file, _ = watched()
    site.kill_server()
    ledger.change(site.app, outcome="stopped")
    file.touch()
    assert [site.get().finish().code for _ in range(2)] == [503] * 2 and len(site.starts()) == 1


@pytest.mark.promises("W3", "L7")
def test_32_12_a_server_that_is_to_be_replaced_gets_no_connection(watched):
    """Neither the request that noticed nor the guardian should connect to it."""
    site, file, _ = watched()
    file.touch()
    served(site)
    assert site.empty_connections() == 0 and set(site.executed().values()) == {1}


@pytest.mark.promises("W3")
def test_32_13_early_restarts_are_no_failures(watched):
    """Whatever is touched within seconds of the last restart, before anybody was answered, was not the server's fault."""
    site, file, _ = watched()
    for turn in range(1, 5):
        file.touch()
        bridge = site.get("hold=slow")
        site.control.wait("slow", turn)
        bridge.release()
    assert len(site.starts()) == 5 and ledger.read(site.app)["failures"] == 0
    site.control.go("slow")
    served(site)
    assert len(site.starts()) == 5


@pytest.mark.promises("W3")
@pytest.mark.parametrize("place", ["abstract", "port"])
def test_32_14_servers_without_a_name_in_the_file_system(make_site, folder, place):
    """A touch should restart them too."""
    import socket as sockets
    with sockets.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}" if place == "port" else f"@{folder}/a"
    file = File(folder / "restart.txt")
    file.touch()
    site = make_site(socket=address, run="run", restart_on="restart.txt")
    old = served(site)
    file.touch()
    new = served(site)
    assert new != old and served(site) == new and not procs.alive(old) and len(site.starts()) == 2


def killed_at(site, file, folder, level, number):
    """A restart of which one process is killed before its n-th system call; answers whether it made so many."""
    report = folder / "report"
    report.write_text("")
    old = served(site)
    file.touch()
    touched, starts = procs.now(), len(site.starts())
    hit = site.get(wrapper=[str(procs.tool("killat")), str(level), str(number), str(report)])
    # It is to be the first: traced, it is slow.
    procs.wait_until(lambda: procs.lock_holders(site.app.start_lock) or report.read_text() or len(site.starts()) > starts
                     or not hit.running())
    others = [site.get() for _ in range(2)]
    hit.finish(30)
    pids = {served(site, other) for other in others}
    last = served(site)
    said = report.read_text().split()
    where = f"level {level}, before call {number}: {said}"
    [start] = [start for start in site.starts() if start["pid"] == last]
    assert start["time"] > touched and not procs.alive(old) and old not in pids, where
    assert site.listening() == [last] == site.processes(), where
    assert served(site) == last, where
    procs.wait_until(lambda: not site.guardians(), what=f"no guardian is left, {where}")
    return said[0] == "killed"


@pytest.mark.promises("W3", "L4", "L3")
@pytest.mark.parametrize("level", [0, 1], ids=["bridge", "guardian"])
def test_32_15_whoever_restarts_may_be_killed(watched, folder, level):
    """Wherever that happens, the touch should not be lost, and at the end one new server be there and nothing of the old."""
    site, file, _ = watched(GRACEFUL)
    number, moments = 1, 0
    while killed_at(site, file, folder, level, number):
        moments += 1
        # The guardian looks at each process of the machine, thousands of calls of one kind: between them in steps.
        number += 1 if number < 40 or level == 0 else max(1, number // 6)
    print(f"{moments} moments, the last before call {number}")
    assert moments > 20
