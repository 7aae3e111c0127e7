"""rousectl stop: everything that belongs to the server is stopped, and nothing else."""

import contextlib
import os
import shutil
import socket
import subprocess

import pytest

from harness import ledger, procs
from harness.owner import NOT, WELL, rousectl
from harness.server import SERVE
from test_34_rousectl import NOBODY, refused, served

SHAPES = {
    "in the foreground": SERVE,
    "forked": ["fork", *SERVE],
    "a daemon": ["daemon", *SERVE],
    "with a helper": ["helper", *SERVE],
    "with one that escapes and ignores TERM": ["escape", *SERVE],
    "all descriptors closed": ["daemon", "close-all", *SERVE],
    "a helper, then all descriptors closed": ["helper", "close-all", *SERVE],
    "TERM ignored": ["ignore 15", *SERVE],
}


def bystander(folder, user=None):
    """A process that only waits, of the same user."""
    return subprocess.Popen(["/usr/bin/sleep", "600"], cwd=folder, env={}, stdin=subprocess.DEVNULL, user=user)


@pytest.mark.promises("P5", "L4")
@pytest.mark.parametrize("plan", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("user", [None, NOBODY], ids=["root", "nobody"])
def test_41_01_all_of_it_is_stopped_and_nothing_else(make_site, folder, plan, user):
    """However the tree is made: nothing of it should be left, and another server and process of the user untouched."""
    site, other = make_site(plan, owner=user, stop_timeout=0.3), make_site(owner=user)
    served(site)
    neighbour = served(other)
    beside = bystander("/", user)
    try:
        assert len(site.processes()) >= 1
        answer = rousectl(site, "stop", user=user)
        assert answer.status == WELL and answer.line == "stopped", answer
        assert site.processes() == [] and site.listening() == []
        assert beside.poll() is None and served(other) == neighbour
    finally:
        beside.kill()
        beside.wait()


@pytest.mark.promises("P5", "L4")
def test_41_02_start_stop_daemon(make_site):
    """Debian's own way to make a daemon: stopped entirely, started again."""
    site = make_site(start=["script.sh"])
    site.shell('exec /usr/sbin/start-stop-daemon --start --background --pidfile /dev/null --exec "${LAUNCHED%% *}" -- '
               '"${LAUNCHED##* }"')
    pid = served(site)
    assert procs.parent(pid) == os.getpid(), "a daemon"
    assert rousectl(site, "stop").line == "stopped" and not procs.alive(pid)
    assert rousectl(site, "start").status == WELL and served(site) != pid


@pytest.mark.promises("P5", "L4")
@pytest.mark.parametrize("path", ["as the web server names it", "by a link"])
def test_41_03_who_only_listens_is_stopped_too(make_site, path):
    """A server without a trace of its launch should be found by its socket, by whatever path the owner names the app."""
    site = make_site(["close-all", *SERVE], start=["script.sh"])
    site.shell('exec env -i ROUSE_SOCKET="$ROUSE_SOCKET" $LAUNCHED')
    pid = served(site)
    app = site.app.path
    if path == "by a link":
        (site.folder / "link").symlink_to(site.folder)
        app = site.folder / "link" / "app.cgi"
    with contextlib.ExitStack() as others:  # so many that the kernel tells of them in several parts
        for number in range(600):
            other = others.enter_context(socket.socket(socket.AF_UNIX))
            other.bind(f"\0{site.folder}/{number}".ljust(100, "x"))
            other.listen()
        answer = rousectl(app, "status", "--json")
        assert answer.status == WELL and answer.json["processes"] == [pid] and not answer.json["started_by_rouse"]
        assert rousectl(app, "stop").line == "stopped" and not procs.alive(pid)
    refused(site)


UWSGI_APP = '''
def application(environ, start_response):
    import os
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"pid=%d" % os.getpid()]
'''


@pytest.mark.promises("P5", "L4")
def test_41_04_uwsgi_with_workers(make_site):
    """A master that starts its workers again, and takes TERM for a reload: all of it should be stopped, and come back."""
    uwsgi = shutil.which("uwsgi")
    assert uwsgi, "uwsgi is missing: tests/needs says what to install"
    site = make_site(start=["script.sh"], stop_timeout=0.5)
    (site.folder / "app.py").write_text(UWSGI_APP)
    site.shell(f'exec {uwsgi} --plugin python3 --master --processes 3 --scgi-socket "$ROUSE_SOCKET" '
               f'--wsgi-file {site.folder}/app.py')
    assert site.get().finish(30).body.startswith(b"pid=")
    pids = rousectl(site, "status", "--json").json["processes"]
    assert len(pids) == 4, "a master and three workers"
    assert rousectl(site, "stop").status == WELL
    assert [pid for pid in pids if procs.alive(pid)] == []
    assert rousectl(site, "status", "--json").json["processes"] == []
    assert rousectl(site, "start").status == WELL
    assert site.get().finish(30).body.startswith(b"pid=")
    assert rousectl(site, "stop").status == WELL


@pytest.mark.promises("X2", "L4")
def test_41_05_a_reused_pid_is_not_signalled(make_site):
    """What a record names may have gone to somebody else: only who holds, listens or carries the mark is signalled."""
    site = make_site()
    pid = served(site)
    beside = bystander("/")
    try:
        ledger.change(site.app, guardian=beside.pid)
        site.kill_server()
        for name in ("start.lock", "alive.lock"):
            (site.app.node_folder / name).write_text(f"{beside.pid}\n")
        assert rousectl(site, "stop").status == WELL and beside.poll() is None
        assert rousectl(site, "restart").status == WELL and beside.poll() is None
        assert served(site) != pid
    finally:
        beside.kill()
        beside.wait()


@pytest.mark.promises("C1", "X2")
@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_41_06_another_users_server_is_left_alone(make_site, command):
    """A server of another user at our address should be named, and neither stopped nor counted as ours."""
    site = make_site(owner=NOBODY)
    site.folder.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site.app.socket_path))
        listener.listen()
        answer = rousectl(site, command, user=NOBODY)
        assert answer.status == NOT and "is of root (uid 0)" in answer.complaint, answer
        assert site.app.socket_path.exists() and site.starts() == []
