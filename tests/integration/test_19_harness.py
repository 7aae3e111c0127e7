"""The harness itself: what it says about bridges must be true of programs whose behaviour is known."""

import fcntl
import json
import os
import resource
import socket
import subprocess
import threading

import pytest

from harness import procs
from harness.bridge import App, Gate, run_bridge
from harness.crowd import Crowd
from harness.events import Control
from harness.server import pattern


@pytest.fixture
def script(folder):
    """Make an app whose "bridge" is a few lines of Python."""

    def make(text):
        path = folder / "stand-in"
        path.write_text(f"#!/usr/bin/python3 -IS\nimport os, sys, time, signal\n{text}")
        path.chmod(0o755)
        return App(folder, socket="sock", binary="/usr/bin/env", text="").at(path)

    return make


@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_19_01_the_exact_environment_arrives(script, fds):
    """Entries without "=", with an empty name, twice the same name and any byte should arrive as they are."""
    app = script("sys.stdout.buffer.write(open('/proc/self/environ', 'rb').read() + sys.stdin.buffer.read())")
    entries = [b"A=1", b"A=2", b"noeq", b"=x", b"E=\xff\x01\n"]
    outcome = run_bridge(app, env=entries, stdin=b"body", fds=fds).finish()
    assert outcome.stdout == b"".join(entry + b"\0" for entry in entries) + b"body"
    assert (outcome.status, outcome.held, outcome.hung) == (0, False, False)


@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_19_02_held_output_is_seen(script, fds):
    """A process that ends while a child of it keeps its output should be called held, not finished."""
    app = script("if os.fork() == 0: time.sleep(60)\nos._exit(0)")
    outcome = run_bridge(app, fds=fds).finish(grace=0.1)
    assert outcome.held and outcome.status == 0


def test_19_03_a_hang_is_seen_and_ended(script):
    """A process that does not end should be called hung and be gone afterwards."""
    bridge = run_bridge(script("time.sleep(60)"))
    outcome = bridge.finish(timeout=0.2)
    assert outcome.hung and outcome.status is None and not procs.alive(bridge.pid)


def test_19_04_signals_limits_and_descriptors_are_as_asked(script):
    """Mask, dispositions, limits and closed descriptors should be exactly those that the test asks for."""
    text = ("lines = dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines() if l.startswith('Sig'))\n"
            "import resource\n"
            "print(lines['SigBlk'], lines['SigIgn'], *resource.getrlimit(resource.RLIMIT_NOFILE), os.path.exists('/proc/self/fd/0'))")
    plain = run_bridge(script(text)).finish().stdout.split()
    assert plain[0] == b"0" * 16 and int(plain[1], 16) & ~(1 << 12 | 1 << 24) == 0, "Python itself ignores PIPE and XFSZ"
    app = script(text)

    poisoned = run_bridge(app, ignored="all", blocked="all", rlimits={resource.RLIMIT_NOFILE: (20, 30)}, closed=(0,))
    words = poisoned.finish().stdout.split()
    assert int(words[0], 16) == 0xFFFFFFFFFFFFFFFF & ~(1 << 8 | 1 << 18)
    assert int(words[1], 16) | 1 << 1 == 0xFFFFFFFFFFFFFFFF & ~(1 << 8 | 1 << 18), "Python takes INT back"
    assert words[2:4] == [b"20", b"30"]


def test_19_05_a_gate_lets_all_go_at_once(script):
    """Twenty processes should stand at the gate until it is opened, and none before."""
    app = script("print(time.monotonic())")
    gate = Gate()
    bridges = [run_bridge(app, gate=gate) for _ in range(20)]
    gate.wait_parked(20)
    opened = gate.open()
    outcomes = [bridge.finish() for bridge in bridges]
    gate.close()
    assert [outcome.status for outcome in outcomes] == [0] * 20
    assert min(float(outcome.stdout) for outcome in outcomes) >= opened


def test_19_06_stdin_steps_wait_for_their_event(script):
    """A step that is an event should hold the body back until it is set."""
    app = script("while (b := os.read(0, 100)): os.write(1, b)")
    go = threading.Event()
    bridge = run_bridge(app, stdin=[b"one", go, b"two"], stdin_end="hold")
    assert bridge.wait_for_output(b"one") == b"one"
    go.set()
    bridge.wait_for_output(b"onetwo")
    assert bridge.running()
    bridge.end_stdin()
    assert bridge.finish().status == 0


def test_19_07_no_descriptor_of_the_harness_leaks(script):
    """What a test has used should be given back, and a bridge should see 0, 1 and 2 only."""
    before = len(os.listdir("/proc/self/fd"))
    for fds in ("pipes", "socket"):
        outcome = run_bridge(script("print(sorted(os.listdir('/proc/self/fd')))"), fds=fds, gate=None).finish()
        assert outcome.stdout == b"['0', '1', '2', '3']\n", "3 is the listing itself"
    assert len(os.listdir("/proc/self/fd")) == before


def scgi(*pairs, body=b""):
    """A request as SCGI's protocol.txt frames it."""
    head = b"".join(part + b"\0" for part in pairs)
    return b"%d:%s," % (len(head), head) + body


@pytest.fixture
def server(make_site):
    """The fake server as a start script would run it, without a bridge."""
    site = make_site()
    argv = [str(site.script), str(site.folder)]
    pid = os.posix_spawn(site.script, argv, {"ROUSE_SOCKET": str(site.app.socket_path), "A": "b\xff"})
    site.control.wait("listening")
    site.pid = pid
    return site


def converse(site, *pieces):
    """Send the pieces, each by itself; answers all that comes back."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(site.app.socket_path))
        peer.settimeout(10)
        try:
            for piece in pieces:
                peer.sendall(piece)
            peer.shutdown(socket.SHUT_WR)
            answer = b""
            while (data := peer.recv(65536)):
                answer += data
        except (ConnectionResetError, BrokenPipeError):
            answer = b"reset"
        return answer


GOOD = scgi(b"CONTENT_LENGTH", b"0", b"SCGI", b"1", b"REQUEST_METHOD", b"GET", b"QUERY_STRING", b"token=x")


def test_19_08_the_fake_server_takes_a_request_in_any_pieces(server):
    """One segment, one byte at a time and a cut at every place should be one and the same request."""
    answer = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\ntoken=x pid=%d body=0 wrong=-1\n" % server.pid
    assert converse(server, GOOD) == answer
    assert converse(server, *(GOOD[i:i + 1] for i in range(len(GOOD)))) == answer
    for cut in range(1, len(GOOD)):
        assert converse(server, GOOD[:cut], GOOD[cut:]) == answer
    assert server.executed() == {"x": len(GOOD) + 1} and not server.malformed()


@pytest.mark.parametrize("kind, request_bytes", [
    ("empty", b""),
    ("cut", GOOD[:-5]),
    ("netstring", b"0" + GOOD),
    ("netstring", b"x"),
    ("comma", GOOD[:-1] + b";"),
    ("order", scgi(b"SCGI", b"1", b"CONTENT_LENGTH", b"0")),
    ("scgi", scgi(b"CONTENT_LENGTH", b"0", b"SCGI", b"2")),
    ("odd", scgi(b"CONTENT_LENGTH", b"0", b"SCGI", b"1", b"A")),
    ("length", scgi(b"CONTENT_LENGTH", b"", b"SCGI", b"1")),
])
def test_19_09_the_fake_server_is_strict(server, kind, request_bytes):
    """What is not SCGI should be told from a request and from a connection that carries nothing."""
    converse(server, request_bytes)
    procs.wait_until(lambda: server.connections())
    assert [line["kind"] for line in server.connections()] == [kind]


def test_19_10_the_start_ledger_tells_what_a_process_is(server):
    """One line for one start: its session, descriptors, signals, folder, limits, arguments and environment."""
    [start] = server.starts()
    assert start["pid"] == server.pid == server.control.named("listening")[0].pid
    assert start["ppid"] == os.getpid() and start["sid"] == os.getsid(0)
    assert start["cwd"] == os.getcwd() and start["argv"] == [str(server.script), str(server.folder)]
    assert start["env"] == [f"ROUSE_SOCKET={server.app.socket_path}", "A=b\xc3\xbf"]
    assert start["fds"].keys() >= {"0", "1", "2"} and start["status"]["SigBlk"] == "0" * 16
    assert server.processes() == server.listening() == [server.pid]


def test_19_11_a_hold_lasts_until_it_is_let_go(make_site):
    """A held script should go on when the test says so, not before, and one that is killed should be let go of."""
    site = make_site(["hold one", "event two", "hold three"])
    pid = os.posix_spawn(site.script, [str(site.script), str(site.folder)], {})
    site.control.wait("one")
    assert not site.control.named("two")
    site.control.go("one")
    site.control.wait("three")
    assert [event.name for event in site.control.events] == ["one", "two", "three"]
    procs.kill(pid)
    procs.wait_gone(pid)


def test_19_12_a_crowd_is_one_moment_and_every_answer_is_kept(make_site, folder):
    """Two hundred processes at a gate should be let go together, and none of their answers be lost or mixed."""
    site = make_site()
    stand_in = folder / "stand-in"
    stand_in.write_text('#!/bin/sh\necho "$QUERY_STRING $0"\nexit 3\n')
    stand_in.chmod(0o755)
    site.app.at(stand_in)
    with Crowd(site, 200) as crowd:
        crowd.park()
        opened = crowd.open()
        answers = crowd.gather()
        assert {answer.output for answer in answers} == {b"token=t%d %s\n" % (n, os.fsencode(stand_in)) for n in range(1, 201)}
        assert all(answer.status == 3 and answer.last_byte >= opened and answer.closed for answer in answers)


def test_19_13_locks_are_seen(folder):
    """Who holds a lock and who waits for it should be told apart."""
    path = folder / "lock"
    with open(path, "w") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        assert procs.lock_holders(path) == [os.getpid()] and procs.lock_waiters(path) == []
        child = subprocess.Popen(["/usr/bin/flock", path, "/bin/true"])
        procs.wait_until(lambda: procs.lock_waiters(path) == [child.pid])
    assert child.wait(10) == 0
    assert procs.lock_holders(path) == []


@pytest.mark.parametrize("change, wrong", [
    (lambda body: body, -1),
    (lambda body: body[:-3], -1),
    (lambda body: body[:1000] + b"?" + body[1001:], 1000),
    (lambda body: body[:4096] + body[4104:], 4096),
    (lambda body: body[:4096] + body[4088:], 4096),
    (lambda body: body[:80_001] + b"x" + body[80_001:], 80_000),
])
def test_19_14_a_sink_sees_every_fault(change, wrong):
    """A byte that is changed, lost, repeated or added should be found at its word, in the C sink as in Python's pattern."""
    sent = change(pattern(100_003))
    done = subprocess.run([procs.tool("pattern"), "sink"], input=b"Status: 200\r\n\r\n" + sent, capture_output=True, timeout=10)
    received, offset, _ = done.stderr.split()
    assert int(received) == len(sent) and (int(offset) // 8 * 8 if wrong >= 0 else int(offset)) == wrong


def test_19_15_a_source_sends_what_a_sink_expects():
    """The C source and Python's pattern should be the same bytes."""
    for length in (0, 1, 7, 8, 9, 70_001):
        done = subprocess.run([procs.tool("pattern"), "source", str(length)], capture_output=True, timeout=10)
        assert done.stdout == pattern(length)


def test_19_16_killat_kills_exactly_one_process_at_one_call(folder):
    """Level and number should say who dies and before which call; the report tells which, or how many there were."""
    killat, report = str(procs.tool("killat")), folder / "report"
    program = [str(procs.tool("envexec")), "--", "/bin/sh", "sh", "-c", "echo one; (echo two; (echo three); echo four); echo five"]

    def run(level, number):
        report.write_text("")
        done = subprocess.run([killat, str(level), str(number), str(report), *program], capture_output=True, timeout=10)
        return done.stdout.split(), done.returncode, report.read_text().split()[0]

    whole = [b"one", b"two", b"three", b"four", b"five"]
    assert run(1, 0) == (whole, 0, "ended")
    assert run(1, 1) == ([b"one", b"five"], 0, "killed")
    assert run(2, 1) == ([b"one", b"two", b"four", b"five"], 0, "killed")
    output, status, _ = run(0, 1)
    assert output == [] and status == 137
    number = 1
    while run(1, number)[2] == "killed":
        number += 1
    assert 5 < number < 500


@pytest.mark.parametrize("verb", ["fork", "daemon"])
def test_19_17_a_script_has_ended_before_its_child_goes_on(make_site, verb):
    """What comes after `fork` should not happen while the script that forked is still there, however long it takes to end."""
    site = make_site([verb, "event left"])
    states = []
    site.control.at("left", lambda event: states.append(procs.state(json.loads((site.folder / "starts").read_text())["pid"])))
    slow = ["strace", "-qq", "-o", os.devnull, "-e", "inject=exit_group:delay_enter=300000"]
    done = subprocess.run([*slow, site.script, site.folder], stdin=subprocess.DEVNULL, timeout=60, check=False)
    left = site.control.wait("left")
    procs.wait_gone(left.pid)
    procs.reap(left.pid)
    assert done.returncode == 0 and states in (["Z"], [None])


def test_19_18_what_was_said_is_heard_when_one_has_caught_up(folder):
    """Behind catch_up() every event should be there that was sent before it, however many there are."""
    control = Control(folder)
    for number in range(300):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
            one.connect(control.path)
            one.send(f"event n{number} 1 0.0".encode())
    control.catch_up()
    assert [event.name for event in control.events] == [f"n{number}" for number in range(300)]
    control.close()
