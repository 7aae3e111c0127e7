"""rousectl start, stop and restart: what the owner changes."""

import fcntl
import os
import signal
import subprocess

import pytest

from harness import ledger, procs
from harness.owner import NOT, SHELL, WELL, Run, rousectl
from harness.server import SERVE
from test_34_rousectl import refused, served

STRANGER = 54323


# --- start -------------------------------------------------------------------------------------------------------


@pytest.mark.promises("L1", "P2")
def test_39_01_start_brings_it_up(make_site):
    """Once, whoever starts it; the script should find what it finds when a request starts it, but for the reason."""
    site = make_site()
    answer = rousectl(site, "start", environment={**SHELL, "PATH": "/opt/mine:/usr/bin:/bin", "SECRET": "x"})
    assert answer.status == WELL and answer.line == "up: launch 1", answer
    assert rousectl(site, "start").line == "up already"
    [start] = site.starts()
    env = dict(entry.split("=", 1) for entry in start["env"])
    assert env["ROUSE_REASON"] == "owner" and env["PATH"] == "/usr/local/bin:/usr/bin:/bin" and "SECRET" not in env
    assert start["sid"] == start["pid"] and start["fds"]["0"] == "/dev/null" and len(start["fds"]) == 4
    procs.wait_until(site.empty_connections, 20, "the server has noted the connection of the guardian (L7)")
    assert served(site) == start["pid"] and site.empty_connections() == 1
    assert procs.holders_of(site.app.start_lock) == []


@pytest.mark.promises("B1", "B3")
def test_39_02_start_waits_for_no_window(make_site):
    """The owner means now: a back-off window should not hold it up, and a failure should be told in words."""
    site = make_site(["exit 3"])
    refused(site)
    answer = rousectl(site, "start")
    assert answer.status == NOT and "the launch failed: the start script ended with exit status 3" in answer.complaint
    assert ledger.read(site.app)["failures"] == 2
    refused(site)
    assert len(site.starts()) == 2
    site.plan(SERVE)
    assert rousectl(site, "start").status == WELL
    served(site)
    assert len(site.starts()) == 3


@pytest.mark.promises("C1", "P4")
@pytest.mark.parametrize("command", ["start", "restart"])
def test_39_03_what_cannot_be_started_is_said(make_site, command):
    """A plain file in the way should stay, a script of a stranger not run, and an app without `start` be named."""
    site = make_site()
    site.app.socket_path.write_text("precious")
    answer = rousectl(site, command)
    assert answer.status == NOT and "no socket of ours" in answer.complaint
    assert site.app.socket_path.read_text() == "precious"
    site.app.socket_path.unlink()
    os.chown(site.script, STRANGER, STRANGER)
    answer = rousectl(site, command)
    assert answer.status == NOT and "start script" in answer.complaint and site.starts() == []
    os.chown(site.script, 0, 0)
    site.script.chmod(0o644)
    answer = rousectl(site, command)
    assert answer.status == NOT and "may not be mounted noexec. See the log" in answer.complaint, "whole, as in the log"
    assert "may not be mounted noexec" in rousectl(site, "check").out.partition("the start script failed")[2]
    site.script.unlink()
    answer = rousectl(site, command)
    assert answer.status == NOT and "there is no such file" in answer.complaint and ".." not in answer.complaint
    for name in ("start", "stop", "restart"):
        forwarding = site.folder / "forward.cgi"
        forwarding.write_text("socket = s\n")
        answer = rousectl(forwarding, name)
        assert answer.status == NOT and "there is no `start`" in answer.complaint


@pytest.mark.promises("P5", "L6")
def test_39_04_a_launch_that_is_killed_is_begun_again(make_site):
    """Somebody kills the script while the owner starts the server: it should be started again, without a word."""
    site = make_site(["hold begun", *SERVE])
    run = Run(site, "start")
    first = site.control.wait("begun").pid
    procs.kill(first)
    site.control.wait("begun", 2)
    site.control.go("begun")
    assert run.finish().status == WELL
    assert len(site.starts()) == 2 and len(site.listening()) == 1


# --- stop --------------------------------------------------------------------------------------------------------


@pytest.mark.promises("L8")
def test_39_05_stop_until_start(make_site):
    """Requests should get a 503 that says so, without starting it; `start` should bring it back. A reboot changes nothing."""
    site = make_site()
    pid = served(site)
    answer = rousectl(site, "stop")
    assert answer.status == WELL and answer.line == "stopped" and not procs.alive(pid)
    assert not site.app.socket_path.exists()
    assert b"stopped by its owner" in refused(site).body
    ledger.change(site.app, boot="another-boot")
    refused(site)
    os.utime(site.app.path)
    refused(site)
    assert rousectl(site, "stop").line == "stopped; it was not running"
    assert len(site.starts()) == 1 and any(" stopped launch=1" in line for line in site.app.log_lines())
    assert rousectl(site, "start").status == WELL
    assert served(site) != pid and len(site.starts()) == 2


def test_39_06_stop_before_the_first_start(make_site):
    """A server that never ran can be stopped too: the first request should not start it."""
    site = make_site()
    assert rousectl(site, "stop").status == WELL
    refused(site)
    assert site.starts() == []
    assert rousectl(site, "restart").status == WELL
    served(site)


@pytest.mark.promises("L9", "L4")
def test_39_07_a_server_of_another_machine_is_not_stopped(make_site):
    """Somebody of another boot holds alive.lock: that should be said, and its record stay as it is."""
    site = make_site()
    served(site)
    site.kill_server()
    ledger.change(site.app, boot="b" * 36)
    before = site.app.ledger()
    with open(site.app.alive_lock, "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = rousectl(site, "stop")
        assert answer.status == NOT and "of another machine or container" in answer.complaint
        assert site.app.ledger() == before
    assert rousectl(site, "stop").status == WELL


# --- restart -----------------------------------------------------------------------------------------------------


@pytest.mark.promises("P5", "L8")
def test_39_08_restart_replaces_it(make_site):
    """One start more, the old tree gone, the reason told; also for a server that is down or was stopped."""
    site = make_site(["helper", *SERVE])
    first = served(site)
    answer = rousectl(site, "restart")
    assert answer.status == WELL and answer.line == "up: launch 2", answer
    second = served(site)
    assert second != first and len(site.starts()) == 2 and len(site.processes()) == 2
    assert "ROUSE_REASON=owner" in site.starts()[1]["env"]
    site.kill_server()
    assert rousectl(site, "restart").status == WELL
    assert rousectl(site, "stop").status == WELL
    assert rousectl(site, "restart").status == WELL
    served(site)
    assert len(site.starts()) == 4


@pytest.mark.promises("P4", "P5")
@pytest.mark.parametrize("spoil", [lambda script: script.unlink(), lambda script: script.chmod(0o644)], ids=["missing", "not executable"])
def test_39_09_restart_stops_nothing_for_a_script_that_cannot_run(make_site, spoil):
    """In the middle of an upload, say: the server that runs should be left alone, and the script be named with the cure."""
    site = make_site()
    pid = served(site)
    spoil(site.script)
    answer = rousectl(site, "restart")
    assert answer.status == NOT and answer.complaint.startswith(f"rousectl: cannot run the start script {site.script}: "), answer
    assert "The server that runs was left alone" in answer.complaint
    assert served(site) == pid and len(site.starts()) == 1


def test_39_10_restart_takes_over_what_rouse_did_not_start(make_site):
    """A server that the owner started by hand should be replaced by one that rouse knows."""
    site = make_site()
    by_hand = subprocess.Popen([site.script, site.folder], stdin=subprocess.DEVNULL,
                               env={**SHELL, "ROUSE_SOCKET": str(site.app.socket_path)})
    site.control.wait("listening")
    answer = rousectl(site, "status")
    assert answer.status == WELL and answer.line == "up, but rouse did not start it"
    assert rousectl(site, "restart").status == WELL
    assert by_hand.wait(10) == -signal.SIGTERM
    assert served(site) != by_hand.pid and rousectl(site, "status").line == "up"
