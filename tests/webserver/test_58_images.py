"""The Docker images by themselves: what somebody has who takes no more of this tree than them."""

import json
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


CONFORMANCE = procs.ROOT / "tests/conformance"


@pytest.fixture
def project(tmp_path):
    """A repository that is empty but for a bridge and its adapter, and what a run of the suite left there."""
    folder = tmp_path / "project"
    shutil.copytree(CONFORMANCE / "example", folder)
    owner = OWNER if os.geteuid() == 0 else -1
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner)
    yield folder
    if left := docker("ps", "--all", "--quiet", "--filter", f"volume={folder}").split():  # of a step that was given up
        docker("rm", "--force", *left)


def run_step(project, request, *words, step=None):
    """What a CI step does: its line by a shell, in the project's folder."""
    if step is None:
        step = f'docker run --rm -v "$PWD:/project" rouse-test conformance {" ".join(words)}'
    step = step.replace("rouse-test", request.config.getoption("--image"))
    return subprocess.run(["sh", "-c", step], cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)


def test_58_05_the_step_for_other_projects_is_one_line(project, request):
    """The line that the suite's page prints should try a project's bridge and leave results that belong to the project's owner."""
    pages = [(path, [line.strip() for line in path.read_text().splitlines() if " rouse-test conformance " in line])
             for path in (CONFORMANCE / "README.md", procs.ROOT / "docker/README.md")]
    steps = {line for _, lines in pages for line in lines}
    assert all(lines for _, lines in pages) and len(steps) == 1, pages
    done = run_step(project, request, step=steps.pop())
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    results = project / "conformance"
    assert {path.name for path in results.iterdir()} == {"results.jsonl", "junit.xml", "matrix.md", "matrix.html"}
    assert '"complete": true' in (results / "results.jsonl").read_text().splitlines()[-1]
    assert {path.stat().st_uid for path in (results, *results.iterdir())} == {project.stat().st_uid}


# What a project must do to get each exit status: (text of a file, what is in its place), and the words of the step.
STATUSES = {
    0: ("adapter.toml", "schema = 1", "schema = 1", "BRIDGE=bridge ADAPTER=adapter.toml"),
    1: ("bridge", '(b"CONTENT_LENGTH", b"%d" % left)', '(b"CONTENT_LENGTH", length)', "BRIDGE=bridge ADAPTER=adapter.toml"),
    2: ("adapter.toml", "[server]", "[servers]", "BRIDGE=bridge ADAPTER=adapter.toml"),
    3: ("bridge", "server.connect(", "server.connect(b'/nobody' + ", "BRIDGE=bridge ADAPTER=adapter.toml"),
    4: ("adapter.toml", "[run]", "[run]\nhook = 'hook'", "BRIDGE=bridge ADAPTER=adapter.toml"),
}
HOOK = """#!/bin/sh
case $(cat) in
*body/one-byte*) exit 1 ;; # it fails when the run is under way
*'"settings": {}'*) exit 0 ;;
*) exit 77 ;;
esac
"""


@pytest.mark.parametrize("status", STATUSES)
def test_58_06_the_step_ends_as_the_suite_does(project, request, status):
    """Each of the suite's exit statuses should be the step's."""
    name, old, new, words = STATUSES[status]
    path = project / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    (project / "hook").write_text(HOOK)
    (project / "hook").chmod(0o755)
    done = run_step(project, request, words, "TIER=quick", "'CASES=body/one-byte body/cl-leading-zeros'", "JOBS=1", "INTO=out")
    assert done.returncode == status, done
    assert (project / "out").exists() == (status not in (2, 3))


@pytest.mark.parametrize("words, said", [
    ("ADAPTER=adapter.toml", "BRIDGE is missing"), ("BRIDGE=bridge", "ADAPTER is missing"),
    ("BRIDGE=bridge ADAPTER=adapter.toml tier=quick", "'tier=quick' is none of"), ("BRIDGE=none ADAPTER=adapter.toml", "the bridge none is not there"),
], ids=["no bridge", "no adapter", "an unknown word", "a bridge that is not there"])
def test_58_07_a_step_with_a_mistake_is_2_and_says_which(project, request, words, said):
    """Whoever copies the line and changes it wrongly should read what is wrong."""
    done = run_step(project, request, words)
    assert done.returncode == 2 and said in done.stderr, done


def test_58_08_the_suite_is_whole_in_a_container(project, request):
    """rouse, which is in the image, should pass there what it passes here; what a container may not do should be said, not failed."""
    done = run_step(project, request, "BRIDGE=/usr/local/bin/rouse", "ADAPTER=rouse", "TIER=quick")
    assert done.returncode == 0, done.stdout[-5000:]
    words = [json.loads(line)["result"] for line in (project / "conformance/results.jsonl").read_text().splitlines()[1:-1]]
    assert set(words) == {"pass", "not-here"} and words.count("pass") > 20 * words.count("not-here"), words
