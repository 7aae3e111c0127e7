"""Bodies of any size: exact, in constant memory, and cheaper than the plainest copy.

GIBIBYTES (default 1) is the size of the large ones.
"""

import os
import subprocess

import pytest

from harness import procs
from harness.server import SERVE, pattern

LARGE = int(float(os.environ.get("GIBIBYTES", "1")) * (1 << 30))
MOST_MEMORY = 4096  # KiB
MOST_SHARE = 1 / 3  # of the processor time of a copy with an 8 kB buffer


def peak_memory(pid):
    """VmHWM in KiB."""
    return int(procs.status(pid)["VmHWM"].split()[0])


class Sink:
    """`pattern sink`: reads a response and checks its body."""

    def __init__(self, kind="pipe"):
        if kind == "pipe":
            theirs, self.write_end = os.pipe()
        else:
            import socket
            ours, peer = socket.socketpair()
            theirs, self.write_end = ours.detach(), peer.detach()
        self.process = subprocess.Popen([procs.tool("pattern"), "sink"], stdin=theirs, stderr=subprocess.PIPE)
        os.close(theirs)

    def result(self):
        """(bytes, offset of the first wrong one or -1, seconds from the first to the last)"""
        os.close(self.write_end)
        text = self.process.communicate(timeout=120)[1].split()
        return int(text[0]), int(text[1]), float(text[2])


class Source:
    """`pattern source`: writes a body."""

    def __init__(self, size):
        self.read_end, theirs = os.pipe()
        self.process = subprocess.Popen([procs.tool("pattern"), "source", str(size)], stdout=theirs)
        os.close(theirs)

    def close(self):
        os.close(self.read_end)
        self.process.wait(30)


def copied(site, length, query, stdin, stdout):
    """Processor seconds and seconds that the copy with an 8 kB buffer takes for the same."""
    words = [str(procs.tool("copy8k")), str(site.app.socket_path), "copy", str(length), query]
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    began = procs.now()
    pid = os.posix_spawn(words[0], words, {}, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime, procs.now() - began


def download(site):
    """(peak memory in KiB, processor seconds, seconds) of a large response, whose every byte was checked."""
    sink = Sink()
    bridge = site.get(f"size={LARGE}&last=end", stdout_to=sink.write_end)
    site.control.stop_at("end")
    seen = len(site.control.named("end"))
    site.control.wait("end", seen + 1, timeout=120)
    memory = peak_memory(bridge.pid)
    site.control.go("end")
    outcome = bridge.finish(30)
    received, wrong, seconds = sink.result()
    assert (outcome.status, received, wrong) == (0, LARGE, -1)
    return memory, outcome.processor, seconds


def copied_download(site):
    sink = Sink()
    null = os.open("/dev/null", os.O_RDONLY)
    answer = copied(site, 0, f"size={LARGE}", null, sink.write_end)
    os.close(null)
    assert sink.result()[:2] == (LARGE, -1)
    return answer


def upload(site):
    """The same of a large request."""
    site.control.stop_at("end")
    seen = len(site.control.named("end"))
    source = Source(LARGE)
    began = procs.now()
    bridge = site.get("hold=end", method="POST", length=LARGE, stdin_from=source.read_end)
    site.control.wait("end", seen + 1, timeout=120)
    seconds = procs.now() - began
    memory = peak_memory(bridge.pid)
    site.control.go("end")
    outcome = bridge.finish(30)
    source.close()
    assert outcome.status == 0 and outcome.body.endswith(b"body=%d wrong=-1\n" % LARGE)
    return memory, outcome.processor, seconds


def copied_upload(site):
    source = Source(LARGE)
    null = os.open("/dev/null", os.O_WRONLY)
    answer = copied(site, LARGE, "", source.read_end, null)
    os.close(null)
    source.close()
    return answer


@pytest.mark.promises("S4", "S1", "F3")
@pytest.mark.parametrize("ours, copy", [(download, copied_download), (upload, copied_upload)], ids=["response", "request"])
def test_26_01_a_large_body(make_site, ours, copy):
    """Every byte in its place, under 4 MiB of memory, at most a third of the processor time of a copy with an 8 kB
    buffer: the best of three turns each, because what else the machine does is counted to whom it interrupts."""
    site = make_site()
    site.answered(site.get().finish())
    turns = [(ours(site), copy(site)) for _ in range(3)]
    memory = max(turn[0][0] for turn in turns)
    processor, copy_processor = min(turn[0][1] for turn in turns), min(turn[1][0] for turn in turns)
    seconds, copy_seconds = min(turn[0][2] for turn in turns), min(turn[1][1] for turn in turns)
    print(f"\nVmHWM {memory} KiB; processor {processor:.2f} s, copy {copy_processor:.2f} s, a share of "
          f"{processor / copy_processor:.2f}; {seconds:.2f} s, copy {copy_seconds:.2f} s, {copy_seconds / seconds:.1f} times as fast")
    assert memory < MOST_MEMORY
    assert processor <= copy_processor * MOST_SHARE


@pytest.mark.promises("S4", "S1")
def test_26_02_a_large_response_into_a_socket(make_site):
    """Standard output is a socket under mod_cgid: the same promise of memory and exactness."""
    size = LARGE // 4
    site = make_site()
    site.answered(site.get().finish())
    sink = Sink("socket")
    bridge = site.get(f"size={size}&last=end", stdout_to=sink.write_end)
    site.control.wait("end", timeout=120)
    memory = peak_memory(bridge.pid)
    site.control.go("end")
    outcome = bridge.finish(30)
    assert outcome.status == 0 and sink.result()[:2] == (size, -1)
    print(f"\ninto a socket: VmHWM {memory} KiB, processor {outcome.processor:.2f} s for {size >> 20} MiB")
    assert memory < MOST_MEMORY


@pytest.mark.promises("S4", "F3")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_26_03_a_body_that_waits_for_the_launch(make_site, fds):
    """A large upload before a dead server should be held outside of memory, and arrive whole."""
    body = pattern(1 << 20)
    size = 64 << 20
    site = make_site(["hold begun", *SERVE])
    if fds == "pipes":
        source = Source(size)
        bridge = site.get(method="POST", length=size, stdin_from=source.read_end)
        site.control.wait("begun")
        source.process.wait(30)  # it could write all: the body was read
    else:
        bridge = site.get(method="POST", length=len(body), stdin=body, fds="socket")
        site.control.wait("begun")
        bridge._feeder.join(30)
        assert not bridge._feeder.is_alive()
        size = len(body)
    procs.wait_until(lambda: procs.asleep([bridge.pid]))
    assert peak_memory(bridge.pid) < MOST_MEMORY
    site.control.go("begun")
    outcome = bridge.finish(30)
    assert outcome.status == 0 and outcome.body.endswith(b"body=%d wrong=-1\n" % size)
    if fds == "pipes":
        source.close()
    assert [path.name for path in site.folder.iterdir() if "spool" in path.name] == []


@pytest.mark.promises("S5", "R3")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_26_04_the_web_server_leaves(make_site, fds):
    """When our output is closed the server's connection should be closed too, and the bridge be gone."""
    site = make_site()
    bridge = site.get("size=1000000000", fds=fds)
    bridge.wait_for_output(b"\r\n\r\n")
    bridge.close_stdout()
    outcome = bridge.finish()
    assert not outcome.hung and outcome.status == 1
    procs.wait_until(lambda: [line for line in site.connections() if line["kind"] == "refused"])
    site.answered(site.get().finish())
    assert len(site.starts()) == 1


@pytest.mark.promises("S5")
@pytest.mark.parametrize("number", [9, 15])
def test_26_05_a_bridge_that_is_killed_leaves_nothing(make_site, number):
    """Ended in the middle of a response: the server should see it, and the next request be served."""
    site = make_site()
    bridge = site.get("size=1000000000")
    bridge.wait_for_output(b"\r\n\r\n")
    bridge.kill(number)
    assert bridge.finish().status == -number
    procs.wait_until(lambda: [line for line in site.connections() if line["kind"] == "refused"])
    site.answered(site.get().finish())


@pytest.mark.promises("R3", "R4")
@pytest.mark.parametrize("query, code, status", [
    ("size=100000&length=100000&diemid=9", 200, 1),
    ("size=10000&length=10000&diemid=9", 502, 0),
])
def test_26_06_a_server_that_dies_in_its_answer(make_site, query, code, status):
    """A long answer with a length that is cut should show in the exit status, a short one be a 502."""
    site = make_site(["mortal", *SERVE])
    site.answered(site.get().finish())
    site.plan(SERVE)
    outcome = site.get(query).finish()
    assert (outcome.code, outcome.status) == (code, status), outcome
    assert any(" cut " in line or " page " in line for line in site.app.log_lines())
    site.answered(site.get().finish())
    assert len(site.starts()) == 2
