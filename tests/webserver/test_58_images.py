"""The Docker images by themselves: what somebody has who takes no more of this tree than them."""

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import procs
from web.servers import APACHE

pytestmark = pytest.mark.images
DEMO = "rouse-demo"
OWNER = 12345  # nobody's in the image
ENDED_BY_KILL = 137


def docker(*words, **how):
    done = subprocess.run(["docker", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **how)
    assert done.returncode == 0, f"docker {' '.join(map(str, words))}: {done.stderr}"
    return done.stdout.strip()


class Container:
    """One container; its port 80 is published on this machine's loopback."""

    def __init__(self, *words):
        self.name = docker("run", "--detach", "--publish", "127.0.0.1::80", *words)

    def url(self, path="/"):
        return f"http://localhost:{docker('port', self.name, '80').partition(chr(10))[0].rpartition(':')[2]}{path}"

    def get(self, path="/"):
        """The body of the page."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as fault:
            raise AssertionError(f"{fault}: {fault.read().decode()}; {docker('logs', self.name)}")

    def wait_until_ready(self, path):
        """Until httpd runs CGI programs: the port is published before it listens."""
        def look():
            assert self.running(), docker("logs", self.name)
            try:
                with urllib.request.urlopen(self.url(path), timeout=60) as answer:
                    return answer.read()
            except OSError:
                return None

        procs.wait_until(look, 60, f"{path} comes")

    def inside(self, *command):
        return docker("exec", self.name, *command)

    def running(self):
        return docker("inspect", "--format", "{{.State.Running}}", self.name) == "true"

    def exit_status(self):
        return int(docker("inspect", "--format", "{{.State.ExitCode}}", self.name))

    def no_zombie(self):
        return "Z" not in self.inside("ps", "-e", "-o", "stat=")

    def stop(self):
        """As `docker stop` does it; whoever is still there after these seconds is killed."""
        docker("stop", "--time", 8, self.name)
        assert self.exit_status() != ENDED_BY_KILL, docker("logs", self.name)


@pytest.fixture
def run():
    made = []

    def start(*words):
        made.append(Container(*words))
        return made[-1]

    yield start
    for container in made:
        docker("rm", "--force", "--volumes", container.name)


def server(page):
    """The process, in the container, that the sample app's page comes from."""
    match = re.search(r'<span id="pid">(\d+)</span>', page)
    assert match, page
    return match[1]


@pytest.mark.promises("L1", "L2", "P1")
def test_58_01_the_demo_needs_nothing_but_docker(run):
    """The page should come, come again after the command that it names has killed its server, and the container stop at once."""
    demo = run(DEMO)
    procs.wait_until(lambda: "http://localhost:8080/\n" in docker("logs", demo.name), 60, "the demo invites")
    page = demo.get()
    first = server(page)
    command = re.search(r"<code>(docker exec .*)</code>", page)[1].split()
    assert demo.name.startswith(command[2]) and command[-1] == first
    docker(*command[1:])
    assert server(demo.get()) != first
    procs.wait_until(demo.no_zombie, 10, "no zombie is left")
    demo.stop()
    assert "stopping Apache and the sample app" in docker("logs", demo.name)


@pytest.fixture
def cgi_folder(tmp_path):
    """What somebody mounts: a plain CGI program, and an app file that says how to start the demo's sample app."""
    folder = tmp_path / "cgi"
    folder.mkdir()
    (folder / "plain.cgi").write_text("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; id -u\n")
    (folder / "app.cgi").write_text("#!/usr/local/bin/rouse -\nrun = app/run\nstart = app/start\n")
    (folder / "app").mkdir()
    shutil.copy(procs.ROOT / "src/demo/sample_app", folder / "app/start")
    owner = OWNER if os.geteuid() == 0 else -1
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
        os.chown(path, owner, owner)
    return folder


@pytest.mark.promises("L1", "L2")
@pytest.mark.parametrize("mode", APACHE.values())
def test_58_02_a_mounted_folder_is_served(run, cgi_folder, request, mode):
    """Programs should run as the folder's owner, rouse wake their server, and all end at `docker stop` and come again after."""
    web = run("--volume", f"{cgi_folder}:/var/www/html", request.config.getoption("--image"), mode)
    web.wait_until_ready("/plain.cgi")
    assert int(web.get("/plain.cgi")) == cgi_folder.stat().st_uid
    first = server(web.get("/app.cgi"))
    assert int(web.inside("stat", "-c", "%u", f"/proc/{first}")) == cgi_folder.stat().st_uid
    web.inside("kill", "-9", first)
    second = server(web.get("/app.cgi"))
    assert second != first
    procs.wait_until(web.no_zombie, 10, "no zombie is left")

    with urllib.request.urlopen(web.url("/app.cgi/stream"), timeout=60) as stream:
        assert stream.readline() == f"data: tick 0 from process {second}\n".encode()
        web.stop()
    for _ in range(2):
        docker("start", web.name)
        web.wait_until_ready("/plain.cgi")
        server(web.get("/app.cgi"))
        docker("kill", web.name)


def test_58_03_a_folder_of_roots_is_refused_in_words(tmp_path, request):
    """Suexec runs nothing for root; whoever mounts such a folder should be told what to do, not be shown a bare 500."""
    image = request.config.getoption("--image")
    done = subprocess.run(["docker", "run", "--rm", image, "event-suexec"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "belongs to user 0" in done.stderr and "chown" in done.stderr, done


def test_58_04_another_command_is_run_instead(request):
    """A job of some CI should be able to run its own command in the image, and have its exit status."""
    done = subprocess.run(["docker", "run", "--rm", request.config.getoption("--image"), "sh", "-c", "rouse; exit 7"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 7 and "Status: 500" in done.stdout, done
