"""What every integration test may rely on, and what none of them covers.

Not tested here: file systems that the machine does not have (NFS; two nodes on one home are shown with two UTS
namespaces on a local one), processors other than this one's, a boot (its id is put into the ledger instead),
and a wall clock that is set (the ledger's clock is).
"""

import os
import platform
import resource
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import bridge, procs
from harness.server import Site


def pytest_configure(config):
    config.addinivalue_line("markers", "promises(*ids): the promises of rouse that this test shows")
    procs.become_subreaper()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a crowd of 500 takes some thousands

def pytest_report_header(config):
    def first_line(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.splitlines()[0]
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return f"{command[0]}: none"

    binary = procs.BINARY
    size = f"{binary.stat().st_size} bytes" if binary.exists() else "missing: run make"
    return [
        f"rouse: {binary} ({size})",
        f"machine: Linux {platform.release()}, {os.cpu_count()} processors, uid {os.getuid()}",
        first_line("strace", "-V"),
    ]


@pytest.fixture
def outer_folder():
    """Where the folders of tests are made."""
    return "/tmp"


@pytest.fixture
def folder(request, outer_folder):
    """A new folder with a short path (a unix socket's path has at most 107 bytes), gone after the test."""
    path = Path(tempfile.mkdtemp(prefix="rouse.", dir=outer_folder))
    path.chmod(0o755)
    request.node.test_folder = path
    yield path
    _clean(path, request.node.processes_before)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def protocol():
    """What the servers of a test speak; test_37 is about those that speak HTTP."""
    return "scgi"


@pytest.fixture
def make_site(folder, protocol):
    """Make an app with a start script that follows a plan (harness/server.py); a second one lives in a subfolder."""
    made = []

    def make(plan=None, **how):
        if protocol != "scgi":
            how = {"protocol": protocol, **how}
        place = folder if not made else folder / f"site{len(made) + 1}"
        place.mkdir(exist_ok=True)
        made.append(Site(place, plan, **how))
        return made[-1]

    yield make
    for fresh in [one for one in bridge._running]:
        fresh.release()
    for site in made:
        site.close()


def _of_test(pid, path):
    """Started from the test's folder: the start script and what it left behind name it in their arguments."""
    return any(os.fsencode(path) in word for word in procs.command_line(pid))


def _clean(path, before):
    """End what the test's start scripts brought up, which is expected to be there, and nothing else."""
    for fresh in [one for one in bridge._running]:
        fresh.release()
    for _ in range(50):  # a script that forks while it is looked for shows up in the next round
        found = [pid for pid in procs.descendants()
                 if pid not in before and procs.alive(pid) and _of_test(pid, path)
                 and procs.executable(pid) != str(procs.BINARY)]
        if not found:
            break
        for pid in found:
            procs.kill(pid, signal.SIGKILL)
        for pid in found:
            procs.wait_gone(pid)


@pytest.fixture(autouse=True)
def nothing_left(request):
    """Every test ends with the processes with which it began; what else is left fails it."""
    before = set(procs.descendants())
    request.node.processes_before = before
    yield
    for fresh in [one for one in bridge._running]:
        fresh.release()

    def left():
        """Processes that the test did not end."""
        found = []
        for pid in procs.descendants():
            if pid in before:
                continue
            if procs.alive(pid):
                found.append(pid)
            elif procs.parent(pid) == os.getpid():
                procs.reap(pid)
        return found

    # A guardian whose script was just killed still writes its record: it may have a moment.
    try:
        procs.wait_until(lambda: not left(), 3.0)
    except AssertionError:
        rest = [(pid, procs.state(pid), procs.executable(pid), procs.command_line(pid)) for pid in left()]
        for pid, *_ in rest:
            procs.kill(pid, signal.SIGKILL)
            procs.wait_gone(pid)
            procs.reap(pid)
        if rest:
            pytest.fail(f"left behind by the test: {rest}")
