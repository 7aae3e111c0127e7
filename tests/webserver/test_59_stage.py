"""The stage by itself: nothing stays behind of a run that is killed, and nobody takes its ports."""

import os
import pwd
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness import procs
from web.channel import FOLDERS
from web.servers import hold_ports

# A run that gets as far as a customer and a server that was woken, and is killed there.
RUN = """
import sys
from web.channel import Proxy, open_channel
from web.client import request

channel = open_channel(sys.argv[1] if len(sys.argv) > 1 else None)
stage = Proxy(channel)
port = channel.outside(stage.server("apache-event-suexec")[0])
stage.new_user()
site = stage.site.part(stage.make_site("apache-event-suexec", None, socket="s"))
assert request(port, "GET", site.target.value()).status == 200
print(site.folder.value(), site.starts()[0]["pid"], getattr(channel, "name", ""), flush=True)
sys.stdin.read()
"""


def users_below(folder):
    return [user.pw_name for user in pwd.getpwall() if user.pw_dir.startswith(f"{folder}/")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_59_01_a_run_that_is_killed_leaves_nothing(request, number):
    """No process, user, folder or container should be left, however the run ends."""
    image = request.config.getoption("--image")
    environment = {**os.environ, "PYTHONPATH": ":".join(map(str, FOLDERS))}
    run = subprocess.Popen([sys.executable, "-B", "-c", RUN, *([image] if image else [])], env=environment,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        folder, server, *container = run.stdout.readline().split()
        if not image:
            root = Path(*Path(folder).parts[:3])
            assert len(users_below(root)) == 2 and procs.alive(int(server))
    finally:
        os.killpg(run.pid, number)
        run.communicate()
    if image:
        alive = ["docker", "ps", "--all", "--quiet", "--filter", f"name={container[0]}"]
        procs.wait_until(lambda: subprocess.run(alive, check=True, capture_output=True).stdout == b"", 60, "the container is gone")
    else:
        procs.wait_until(lambda: not root.exists(), 60, f"{root} is gone")
        assert users_below(root) == [] and not procs.alive(int(server))
        assert [pid for pid in procs.all_pids() if str(root).encode() in b" ".join(procs.command_line(pid))] == []


def test_59_02_a_port_is_held_for_a_web_server():
    """While it is stopped, nobody else should be given its port, or reach anybody there; and it can listen on it."""
    [holder] = hold_ports(1)
    with holder, socket.socket() as other, socket.socket() as server, socket.socket() as client:
        address = holder.getsockname()
        with pytest.raises(OSError):
            other.bind(address)
        assert client.connect_ex(address) != 0
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen()
        with socket.create_connection(address), server.accept()[0]:
            pass
