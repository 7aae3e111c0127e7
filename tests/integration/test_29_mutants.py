"""What no other test noticed when it was taken out of the source by hand (tests/mutants)."""

import fcntl
import os
import signal
import socket
import subprocess

import pytest

from harness import ledger, procs
from harness.server import SERVE, pattern

HELD = ["hold begun", *SERVE]
SOON = 5.0  # seconds of a watchdog over what takes milliseconds


def served(site, bridge):
    return site.answered(bridge.finish(), bridge.token)


def begun(site, **how):
    """A request whose launch is under way: the bridge, and the guardian."""
    seen = len(site.control.named("begun"))
    bridge = site.get(**how)
    site.control.wait("begun", seen + 1)
    [guardian] = site.guardians()
    return bridge, guardian


def stop(pid):
    procs.kill(pid, signal.SIGSTOP)
    procs.wait_until(lambda: procs.state(pid) == "T")


def kill(pid):
    procs.kill(pid)
    procs.wait_gone(pid)


def events(site, name):
    return sum(f" {name} " in line for line in site.app.log_lines())


# --- the lock ----------------------------------------------------------------------------------------------------


@pytest.mark.promises("L1", "L5")
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_29_01_the_first_net_holds_alone(make_site, folder, kind):
    """The script dropped alive.lock: start.lock must keep the others out until the server listens, and each of them must
    connect again before it does anything. For an abstract name the guardian has no second look of its own."""
    address = {} if kind == "path" else {"socket": f"@rouse.{folder.name}", "run": "run"}
    site = make_site(["close-all", *HELD], **address)
    first, _ = begun(site)
    others = [site.get() for _ in range(4)]
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 4 or len(site.starts()) > 1)
    site.control.go("begun")
    assert len({served(site, bridge) for bridge in (first, *others)}) == 1 and len(site.starts()) == 1


@pytest.mark.promises("L5", "C1")
def test_29_02_who_waits_for_room_holds_nothing(make_site):
    """A waiter that comes through the lock to a full backlog should let the next one through, and all wait for room."""
    site = make_site(["hold begun", "bind", "listen 0", "hold listening", "serve"])
    first, _ = begun(site)
    others = [site.get() for _ in range(4)]
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 4)
    site.control.go("begun")
    site.control.wait("listening")
    procs.wait_until(lambda: procs.holders_of(site.app.start_lock) == [], SOON)
    assert all(bridge.running() for bridge in others)
    site.control.go("listening")
    assert len({served(site, bridge) for bridge in (first, *others)}) == 1 and len(site.starts()) == 1


@pytest.mark.promises("S5", "L3")
def test_29_03_nobody_waits_for_a_client_that_left(make_site):
    """The bridge that began the launch should end when its client does; the launch goes on."""
    site = make_site(HELD)
    bridge, guardian = begun(site)
    bridge.close_stdout()
    procs.wait_gone(bridge.pid, SOON)
    assert procs.alive(guardian)
    site.control.go("begun")
    served(site, site.get())
    assert len(site.starts()) == 1


@pytest.mark.promises("L6", "L5")
def test_29_19_who_is_served_holds_nothing(make_site):
    """A waiter whose answer takes long should not keep those behind it in the lock."""
    site = make_site(HELD)
    first, _ = begun(site)
    slow = site.get("hold=later")
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 1)
    behind = site.get()
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 2)
    site.control.go("begun")
    site.control.wait("later")
    outcomes = [bridge.finish(SOON) for bridge in (first, behind)]
    assert [outcome.code for outcome in outcomes] == [200, 200] and slow.running()
    site.control.go("later")
    served(site, slow)


@pytest.mark.promises("S5", "R4")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_29_23_a_page_that_nobody_reads(make_site, fds):
    """Who sleeps in the lock does not see its client leave: the page that it then writes should not kill it."""
    site = make_site(["hold begun", "exit 1"])
    first, _ = begun(site)
    bridge = site.get(fds=fds)
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 1)
    bridge.close_stdout()
    site.control.go("begun")
    assert first.finish().code == 503 and bridge.finish().status == 2


# --- launches that others left -----------------------------------------------------------------------------------


def adopted_launch(site, bridges):
    """The guardian was killed and one of the bridges has taken the launch over; answers the heir."""
    _, guardian = begun(site)
    bridges += [site.get(), site.get()]
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 2)
    kill(guardian)
    procs.wait_until(lambda: events(site, "adopted") == 1)
    [heir] = site.guardians()
    return heir


@pytest.mark.promises("L4", "P5")
def test_29_04_an_adopted_launch_that_dies_is_made_anew(make_site):
    """The heir is not the script's parent: it should see by alive.lock that it is gone, and run it again at once."""
    site = make_site(HELD)
    bridges = []
    adopted_launch(site, bridges)
    site.kill_server()
    procs.wait_until(lambda: len(site.starts()) == 2, SOON)
    site.control.go("begun")
    for bridge in bridges:
        served(site, bridge)
    assert len(site.starts()) == 2


@pytest.mark.promises("L4", "P5")
def test_29_05_an_adopted_launch_keeps_its_deadline(make_site):
    """Adopting should not give a launch its start-timeout anew: it could go on for ever."""
    site = make_site(HELD, start_timeout=60)
    bridge, guardian = begun(site)
    stop(guardian)
    record = ledger.read(site.app)
    ledger.change(site.app, started=record["started"] - 59_000, changed=record["changed"] - 59_000)
    late = site.get()
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 1)
    kill(guardian)
    procs.wait_until(lambda: ledger.read(site.app)["outcome"] == "failed", SOON)
    assert {bridge.finish().code, late.finish().code} == {503} and site.processes() == []


@pytest.mark.promises("L4", "L5")
def test_29_06_an_old_launch_is_not_adopted(make_site):
    """What is over start-timeout, and whose guardian is gone, should be stopped, and the script run anew."""
    site = make_site(HELD, stop_timeout=0.5)
    bridge, guardian = begun(site)
    bridge.kill()
    bridge.wait_ended()
    kill(guardian)
    [old] = site.processes()
    record = ledger.read(site.app)
    ledger.change(site.app, started=record["started"] - 100_000, changed=record["changed"] - 100_000)
    site.plan(SERVE)
    new = served(site, site.get())
    assert new != old and site.processes() == [new] and len(site.starts()) == 2


@pytest.mark.promises("L4", "B2")
def test_29_07_who_finds_it_up_writes_ready(make_site):
    """The guardian was killed before it could: the bridge that comes through the lock should write it in its stead."""
    site = make_site(HELD)
    bridge, guardian = begun(site)
    stop(guardian)
    site.control.go("begun")
    site.control.wait("listening")
    kill(guardian)
    served(site, bridge)
    record = ledger.read(site.app)
    assert (record["outcome"], record["number"], record["answered"]) == ("ready", 1, 1) and len(site.starts()) == 1


@pytest.mark.promises("L4", "L1")
def test_29_08_a_server_that_came_up_meanwhile_is_not_stopped(make_site, folder):
    """It holds alive.lock and was down for the bridge, but up when the guardian looks: it should be used, not replaced."""
    site = make_site(HELD)
    bridge, guardian = begun(site)
    bridge.kill()
    bridge.wait_ended()
    kill(guardian)
    ledger.change(site.app, outcome="ready")  # not one that is still starting: it would be adopted
    report, gate = folder / "report", folder / "report.go"
    report.write_text("")
    os.mkfifo(gate)
    late = site.get(wrapper=[str(procs.tool("killat")), "1", "-1", str(report)])
    procs.wait_until(report.read_text)  # its guardian is held before its first call
    site.control.go("begun")
    site.control.wait("listening")
    with open(gate, "wb", buffering=0) as let_go:
        let_go.write(b"c")
    assert served(site, late) == site.starts()[0]["pid"] and len(site.starts()) == 1
    assert events(site, "stopping") == 0


@pytest.mark.promises("P5", "B1")
def test_29_09_launches_that_end_without_a_word_count(make_site):
    """Guardian and script killed together, five times in a row: then there should be a window, as when each was told."""
    site = make_site(HELD)
    for _ in range(5):
        bridge, guardian = begun(site)
        bridge.kill()
        bridge.wait_ended()
        kill(guardian)
        site.kill_server()
    site.plan(SERVE)
    outcome = site.get().finish()
    assert outcome.code == 503 and len(site.starts()) == 5 and ledger.read(site.app)["outcome"] == "failed"


@pytest.mark.promises("P5", "R4")
def test_29_10_one_request_makes_three_launches_at_most(make_site):
    """A script that somebody kills each time should not keep a request for as long as it lasts."""
    site = make_site(["die 9"])
    assert site.get().finish().code == 503
    assert len(site.starts()) == 3


# --- stopping ----------------------------------------------------------------------------------------------------


@pytest.mark.promises("P5")
def test_29_11_what_is_stopped_may_finish_first(make_site):
    """TERM should come before KILL: a server may have something to write."""
    site = make_site(start="./script.sh", start_timeout=0.5, stop_timeout=30)
    site.shell(f"trap 'echo done >{site.folder}/done; exit 0' TERM\nwhile :; do read nothing <> {site.folder}/fifo; done")
    os.mkfifo(site.folder / "fifo")
    assert site.get().finish().code == 503
    assert (site.folder / "done").read_text() == "done\n"


@pytest.mark.promises("P5", "L4")
def test_29_12_what_dropped_alive_lock_is_stopped_by_its_mark(make_site):
    """A part of the tree that closed every descriptor and has a session of its own should be found by ROUSE_LAUNCH."""
    site = make_site(["close-all", "escape", "exit 1"], stop_timeout=0.2)
    assert site.get().finish().code == 503
    assert site.processes() == []


@pytest.mark.promises("L5")
@pytest.mark.parametrize("whose", ["its own", "another's"])
def test_29_13_only_the_stuck_guardian_itself_is_killed(make_site, whose):
    """A process that merely has its number, and another start time, should be left alone."""
    site = make_site(HELD, wait=0.3, start_timeout=2)
    first, guardian = begun(site)
    stop(guardian)
    assert first.finish().code == 503
    record = ledger.read(site.app)
    start = record["guardian_start"] + (whose == "another's")
    ledger.change(site.app, started=record["started"] - 17_500, changed=record["changed"] - 17_500, guardian_start=start)
    assert site.get().finish().code == 503
    if whose == "its own":
        procs.wait_gone(guardian, SOON)
    else:
        assert procs.alive(guardian)
        procs.kill(guardian, signal.SIGCONT)
    site.control.go("begun")
    procs.wait_until(lambda: not site.guardians())
    # It ended by itself: one that was killed is seen alive for a moment, but writes no outcome.
    assert (ledger.read(site.app)["outcome"] == "starting") == (whose == "its own")


@pytest.mark.promises("L4", "X3")
def test_29_20_without_alive_lock_nothing_is_run(make_site):
    """Another user's process holds it and cannot be stopped: the launch should fail in words, and the script not run."""
    site = make_site(stop_timeout=0.1)
    site.app.node_folder.mkdir(parents=True, mode=0o700)
    site.app.run.chmod(0o700)
    lock = os.open(site.app.alive_lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[lock], user=54323) as holder:
        os.close(lock)
        assert site.get().finish().code == 503 and site.starts() == [] and procs.alive(holder.pid)
        assert any("cannot be stopped" in line for line in site.app.log_lines())
    ledger.change(site.app, failures=0)
    served(site, site.get())


# --- the ledger --------------------------------------------------------------------------------------------------


@pytest.mark.promises("B3", "X4")
def test_29_14_a_record_whose_sum_is_wrong_counts_as_none(make_site):
    """Half written, it may say anything: a window of a minute, say. The next request should launch."""
    site = make_site(["exit 1"])
    assert site.get().finish().code == 503
    ledger.change(site.app, failures=9, changed=ledger.boot_clock())
    assert site.get().finish().code == 503 and len(site.starts()) == 1
    path = site.app.node_folder / "ledger"
    text = path.read_bytes()
    path.write_bytes(text.replace(b"the start", b"tho start"))
    assert path.read_bytes() != text
    site.plan(SERVE)
    served(site, site.get())
    assert len(site.starts()) == 2


@pytest.mark.promises("B1")
def test_29_21_what_its_owner_stopped_stays_down(make_site):
    """Neither a request nor a reboot should start it: 503 at once."""
    site = make_site()
    served(site, site.get())
    site.kill_server()
    for boot in ({}, {"boot": "00000000-1111-2222-3333-444444444444"}):
        ledger.change(site.app, outcome="stopped", **boot)
        outcome = site.get().finish()
        assert outcome.code == 503 and b"stopped" in outcome.body and len(site.starts()) == 1


# --- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.promises("F3", "R4")
def test_29_15_a_body_that_ends_early_while_it_is_spooled(make_site):
    """400, and the server is not asked: a body that is not whole must not look so because it was held."""
    site = make_site(HELD)
    bridge, _ = begun(site, method="POST", stdin=pattern(5), length=10, stdin_end="hold")
    bridge.end_stdin()
    assert bridge.finish(SOON).code == 400
    site.control.go("begun")
    served(site, site.get())
    assert list(site.executed().values()) == [1] and not site.malformed()


@pytest.mark.promises("W1", "F3")
def test_29_16_a_server_that_leaves_before_the_head_is_sent(make_site, folder):
    """Nothing was accepted, so a POST should go to a fresh connection: with its whole body, which nobody may have drained."""
    site = make_site()
    served(site, site.get())
    report, gate = folder / "report", folder / "report.go"
    os.mkfifo(gate)
    body = pattern(100_000)
    sendmsg = {"x86_64": 46, "aarch64": 211}[os.uname().machine]
    for number in range(1, 100):  # up to the call that sends the head
        report.write_text("")
        bridge = site.post(body, wrapper=[str(procs.tool("killat")), "0", str(-number), str(report)])
        said = procs.wait_until(report.read_text).split()
        if int(said[1]) == sendmsg:
            break
        with open(gate, "wb", buffering=0) as let_go:
            let_go.write(b"k")
        bridge.finish()
    site.kill_server()
    with open(gate, "wb", buffering=0) as let_go:
        let_go.write(b"c")
    outcome = bridge.finish(SOON)
    assert outcome.code == 200 and outcome.body.endswith(b"body=100000 wrong=-1\n"), outcome
    assert site.executed()[bridge.token] == 1 and len(site.starts()) == 2


# --- what is up, and what is down --------------------------------------------------------------------------------


@pytest.mark.promises("C3", "L1")
def test_29_17_a_name_is_not_ready_however_often_it_is_looked_at(make_site):
    """Bound and not listening, for twenty looks of one guardian: it should be there still, the record too, and nobody answered."""
    site = make_site(["bind", "hold bound", "listen 5", "serve"])
    bridge = site.get()
    site.control.wait("bound")
    [guardian] = site.guardians()
    looks = lambda: int(procs.status(guardian)["voluntary_ctxt_switches"])
    before = looks()
    procs.wait_until(lambda: looks() > before + 20, SOON, "twenty looks of the guardian")
    assert bridge.running() and site.guardians() == [guardian] and ledger.read(site.app)["outcome"] == "starting"
    site.control.go("bound")
    served(site, bridge)
    assert len(site.starts()) == 1


@pytest.mark.promises("C1")
def test_29_18_a_socket_of_ours_that_may_not_be_used(make_site):
    """Whose mode was taken away: a settings error at once; nobody looks for somebody behind it, and nothing is started."""
    owner = 65534
    site = make_site(owner=owner, wait=1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(site.app.socket_path))
        server.listen()
        os.chown(site.app.socket_path, owner, owner)
        os.chmod(site.app.socket_path, 0)
        assert site.get().finish().code == 500
    assert site.starts() == [] and site.guardians() == [] and not site.app.start_lock.exists()


@pytest.mark.promises("X2", "L7")
def test_29_22_a_start_script_that_becomes_somebody_else(make_site):
    """Ready, but of another user: its server should get no request before `peer-uid` names that user."""
    other = 54323
    site = make_site(start="./script.sh")
    site.folder.chmod(0o777)
    site.shell(f"exec setpriv --reuid={other} --clear-groups $LAUNCHED")
    assert site.get().finish().code == 502 and site.executed() == {} and len(site.starts()) == 1
    site.app.path.write_text(site.app.path.read_text() + f"peer-uid = {other}\n")
    assert served(site, site.get()) == site.starts()[0]["pid"]
