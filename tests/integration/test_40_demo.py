"""`make demo`: rouse as its users meet it, behind a real Apache."""

import os
import re
import select
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from harness import procs


class Demo:
    """`make demo` on a terminal of its own, as far as signals go; `url` is what it invites to."""

    def __init__(self, folder, port):
        environment = {**os.environ, "TMPDIR": str(folder)}
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # `make test` may be our parent
            environment.pop(name, None)
        self.process = subprocess.Popen(["make", "demo", f"PORT={port}"], cwd=procs.ROOT, env=environment, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self.output = ""
        self.url = self.read_until(r"http://127\.0\.0\.1:\d+/\S+")

    def read_until(self, pattern, timeout=60):
        """What first matches in the output from its beginning on."""
        limit = time.monotonic() + timeout
        while not (match := re.search(pattern, self.output)):
            assert select.select([self.process.stdout], [], [], max(0, limit - time.monotonic()))[0], self.output
            piece = os.read(self.process.stdout.fileno(), 65536).decode()
            assert piece, f"the demo ended early:\n{self.output}"
            self.output += piece
        return match.group()

    def ctrl_c(self):
        """What the terminal does: SIGINT for the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.output += self.process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def page(url, data=None):
    with urllib.request.urlopen(url, data and urllib.parse.urlencode(data).encode(), timeout=30) as answer:
        assert answer.status == 200
        return dict(re.findall(r'<span id="(\w+)">([^<]*)</span>', answer.read().decode()))


@pytest.fixture
def demo(folder):
    folder.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = Demo(folder, port)
    yield started
    if started.process.poll() is None:
        started.ctrl_c()


@pytest.mark.promises("L1", "L2", "S2", "S5", "F3", "P1")
def test_40_01_the_demo_shows_what_it_says(demo, folder):
    """The first visit should start the app, a visit after kill -9 should start it again, and Ctrl-C should leave nothing."""
    first = page(demo.url)
    assert first["requests"] == "1"
    signed = page(demo.url + "/sign", {"guest": "Zoë & Co"})  # the answer is a redirect to the page
    assert (signed["pid"], signed["guests"]) == (first["pid"], "Zoë &amp; Co")

    with urllib.request.urlopen(demo.url + "/stream", timeout=30) as stream:
        # The response has no end: whoever holds it back shows nothing.
        assert stream.readline() == f"data: tick 0 from process {first['pid']}\n".encode()
        assert page(demo.url)["streams"] == "1"
    procs.wait_until(lambda: page(demo.url)["streams"] == "0", 20, "the stream's connection is closed when the visitor leaves")

    os.kill(int(first["pid"]), signal.SIGKILL)
    again = page(demo.url)
    assert (again["requests"], again["guests"]) == ("1", "nobody")
    assert again["pid"] != first["pid"]
    demo.read_until(f"sample app is listening, process {again['pid']}")

    demo.ctrl_c()
    assert not procs.alive(int(again["pid"]))
    assert list(folder.iterdir()) == []
