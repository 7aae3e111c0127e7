"""What a second pair of eyes looked for in the core, and what it found there."""

import os
import resource
import socket
import threading

import pytest

from harness import procs
from harness.bridge import App, run_bridge
from harness.scripted_server import ScriptedServer
from harness.server import SERVE, pattern


def served(site, bridge):
    return site.answered(bridge.finish(), bridge.token)


# --- the server dies under a warm request ------------------------------------------------------------------------


@pytest.mark.promises("W1", "F3", "L2")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_30_01_the_server_dies_before_any_call_of_a_warm_post(make_site, folder, fds):
    """Wherever the server is killed, a POST should be answered once and whole, or be a 502; never be cut or kept waiting."""
    site = make_site(wait=5, response_timeout=2)
    report, gate = folder / "report", folder / "report.go"
    os.mkfifo(gate)
    body = pattern(8)
    codes = []
    while True:
        served(site, site.get())  # so it is warm
        report.write_text("")
        wrapper = [str(procs.tool("killat")), "0", str(-len(codes) - 1), str(report)]
        bridge = site.post(body, wrapper=wrapper, fds=fds)
        procs.wait_until(report.read_text)
        said = report.read_text().split()
        if said[0] == "ended":
            break
        site.kill_server()
        with open(gate, "wb", buffering=0) as let_go:
            let_go.write(b"c")
        outcome = bridge.finish()
        codes.append(outcome.code)
        times = site.executed().get(bridge.token, 0)
        where = f"before call {said}: {outcome}"
        assert outcome.status == 0 and outcome.code in (200, 502) and times <= 1, where
        if outcome.code == 200:
            assert times == 1 and outcome.body.endswith(b"body=8 wrong=-1\n"), where
    served(site, bridge)
    assert {200, 502} <= set(codes) and site.malformed() == []


# --- the limit of a file's size ----------------------------------------------------------------------------------


@pytest.mark.promises("R4")
def test_30_02_a_log_that_may_not_grow_costs_no_answer(folder):
    """A log at the limit that the web server set for files should not end the bridge (SIGXFSZ): the page comes all the same."""
    app = App(folder, socket="s", log="log")
    (folder / "log").write_text("full\n")
    outcome = run_bridge(app, rlimits={resource.RLIMIT_FSIZE: (5, resource.RLIM_INFINITY)}).finish()
    assert (outcome.status, outcome.code) == (0, 503)


@pytest.mark.promises("R4", "C1")
def test_30_03_a_body_over_the_limit_of_a_files_size(make_site):
    """A body that cannot be held should be a 503, and the launch that it began should go on."""
    site = make_site(["hold begun", *SERVE])
    bridge = site.post(pattern(100_000), rlimits={resource.RLIMIT_FSIZE: (50_000, resource.RLIM_INFINITY)})
    outcome = bridge.finish()
    assert (outcome.status, outcome.code) == (0, 503)
    site.control.wait("begun")
    site.control.go("begun")
    served(site, site.get())
    assert len(site.starts()) == 1


# --- what stays behind -------------------------------------------------------------------------------------------


@pytest.mark.promises("S5", "L3")
def test_30_04_a_guardian_that_ended_leaves_no_zombie(make_site):
    """A bridge that goes on for hours should not keep the dead guardian in the table of processes."""
    site = make_site(["bind", "listen 5", "hold accept", "serve"])
    bridge = site.get()
    site.control.wait("accept")
    procs.wait_until(lambda: not site.guardians())
    procs.wait_until(lambda: not procs.descendants(bridge.pid), 3, "the bridge has no child, not even a dead one")
    site.control.go("accept")
    served(site, bridge)


# --- the web server's own input ----------------------------------------------------------------------------------


@pytest.mark.promises("S3")
def test_30_05_a_server_that_answers_and_then_keeps_still(folder):
    """When it neither reads the rest of the body nor closes, the rest should be taken off the web server's hands."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "s"))
    listener.listen(5)
    answer = b"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok"
    server = ScriptedServer(listener, [[{"recv": "headers"}, {"send": answer}, {"await": "over"}]], watchdog=40)
    size = 3_000_000
    theirs, ours = os.pipe()
    written = []

    def write():
        try:
            rest = size
            while rest > 0:
                rest -= os.write(ours, bytes(min(rest, 65536)))
        except BrokenPipeError:
            pass
        written.append(size - rest)
        os.close(ours)

    env = [b"REQUEST_METHOD=POST", b"CONTENT_LENGTH=%d" % size]
    bridge = run_bridge(App(folder, socket="s"), env=env, stdin_from=theirs)
    os.close(theirs)
    writer = threading.Thread(target=write)
    writer.start()
    outcome = bridge.finish(30)
    writer.join(10)
    server.events.signal("over")
    server.finish()
    assert (outcome.status, outcome.stdout) == (0, answer) and written == [size]


# --- words -------------------------------------------------------------------------------------------------------


@pytest.mark.promises("C1", "R4")
def test_30_06_no_cure_for_what_needs_none(folder):
    """A server that is down, or a shortage, should not send the owner to mend the settings; a mistake ends with its cure."""
    app = App(folder, socket="s")
    down = run_bridge(app).finish()
    assert (down.code, down.body.splitlines()[2]) == (503, b"The application is down.")
    said = f'error="cannot connect to {folder}/s: no such file or folder."'
    assert said.encode() in down.stderr, "the log should say what was tried, and end there"
    strace = ["/usr/bin/strace", "-qq", "-o", str(folder / "trace"), "-e", "inject=socket:error=ENOBUFS:when=1"]
    short = run_bridge(app, wrapper=strace).finish()
    assert (short.code, short.body.splitlines()[2]) == (503, b"The host is short of resources.")
    wrong = run_bridge(App(folder, text="wait = soon\n")).finish()
    assert wrong.code == 500 and wrong.body.splitlines()[2].endswith(b"wait: this is no time that can be. Write seconds, "
                                                                    b"such as 25 or 0.5, at most 999999.")
