"""The harness itself: what it says about bridges must be true of programs whose behaviour is known."""

import os
import threading

import pytest

from harness import procs
from harness.bridge import App, Gate, run_bridge


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
    import resource
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
    assert all(outcome.status == 0 and float(outcome.stdout) >= opened for outcome in outcomes)


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
