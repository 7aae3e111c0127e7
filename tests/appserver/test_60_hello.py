"""The hello of each server's own documentation, behind plain CGI with one app file and a start script."""

import re
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import procs
from host import readme
from host.servers import SERVERS
from web.channel import FOLDERS

# A run that gets as far as a server that was woken, and is killed there.
RUN = """
import sys
from web.channel import Proxy, open_channel
from web.client import request

channel = open_channel(module="host.stage", folders=[sys.argv[1]])
host = Proxy(channel)
home = host.home.part(host.make_home("gunicorn"))
home.lay_out("hello")
assert request(home.port(), "GET", "/cgi-bin/hello.cgi").status == 200
print(home.where(), *home.processes(), flush=True)
sys.stdin.read()
"""


def hello_answered(server, answer):
    assert answer.status == 200 and answer.complete and answer.body == server.body, answer
    return answer


@pytest.mark.promises("H1", "L1", "L2", "R2", "P1")
def test_60_01_the_hello_of_its_documentation_is_served(server, hello):
    """The first request should start it, and so should the first after a kill -9."""
    hello_answered(server, hello.request())
    assert hello.home.launches() == ["cold"]
    hello_answered(server, hello.request())
    assert hello.home.kill_server() > 0 and hello.home.processes() == []
    hello_answered(server, hello.request())
    hello.home.wait_quiet()
    assert hello.home.launches() == ["cold", "died"] and hello.home.failures() == []


def test_60_02_a_user_copies_little(server):
    """The start script should have at most three lines, and the app file none that another app of its kind does not have."""
    files = server.hello_files
    assert len(files["start"].splitlines()) <= 3
    wanted = readme.app_file(server)
    assert files["hello.cgi"] == wanted
    for name in ("hello.cgi", "start"):
        assert readme.path_of(server, name).stat().st_mode & 0o777 == 0o755, name


def test_60_03_readme_prints_what_is_tested():
    """README.md should show the three files of each server as they are, and what each needed."""
    text = readme.section()
    (procs.ROOT / "build").mkdir(exist_ok=True)
    (procs.ROOT / "build/appservers.md").write_text(text)
    shown = (procs.ROOT / "README.md").read_text()
    assert text in shown, "README.md shows other files than tests/appserver/apps has: put build/appservers.md there"
    needs = (procs.ROOT / "tests/needs").read_text()
    packages = {package for server in SERVERS for package in server.packages.split()}
    assert packages == {package for package in packages if re.search(rf'^need "appserver-test" .* {package} +"', needs, re.M)}


def test_60_04_a_run_that_is_killed_leaves_nothing():
    """No process and no folder should be left, however the run ends: servers are in sessions of their own."""
    run = subprocess.Popen([sys.executable, "-B", "-c", RUN, str(readme.FOLDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           env={**os.environ, "PYTHONPATH": ":".join(map(str, FOLDERS))}, text=True, start_new_session=True)
    try:
        folder, *processes = run.stdout.readline().split()
        assert len(processes) == 2 and all(procs.alive(int(pid)) for pid in processes)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
    procs.wait_until(lambda: not Path(folder).exists(), 120, f"{folder} is gone")
    assert [pid for pid in processes if procs.alive(int(pid))] == []
    assert [pid for pid in procs.all_pids() if folder.encode() in b" ".join(procs.command_line(pid))] == []
