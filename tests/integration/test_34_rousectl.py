"""rousectl: what the owner sees, stops and starts."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from harness import ledger, procs
from harness.owner import NOT, PENDING, SHELL, UNKNOWN, USAGE, WELL, Run, rousectl
from harness.server import SERVE, SERVERS

NOBODY = 65534
STRANGER = 54323
COMMANDS = ["check", "status", "start", "stop", "restart", "log"]


def served(site, **how):
    bridge = site.get(**how)
    return site.answered(bridge.finish(), bridge.token)


def refused(site):
    """503 although nothing is started for it."""
    outcome = site.get().finish()
    assert outcome.status == 0 and outcome.code == 503, outcome
    return outcome


def files_of(site):
    return sorted((str(path), path.lstat().st_mtime_ns) for path in site.app.run.rglob("*")) if site.app.run.exists() else []


def bystander(folder, user=None):
    """A process that only waits, of the same user."""
    return subprocess.Popen(["/usr/bin/sleep", "600"], cwd=folder, env={}, stdin=subprocess.DEVNULL, user=user)


# --- words and exit statuses -------------------------------------------------------------------------------------


def test_34_01_it_says_how_it_is_used():
    """--help should name every command and status and exit 0; anything else that is no command should exit 2."""
    answer = rousectl(None, "--help")
    assert answer.status == WELL and answer.complaint == ""
    assert all(re.search(rf"^  {name} ", answer.out, re.M) for name in COMMANDS)
    assert "0 well, 1 not, 2 usage, 3 starting or backing off, 4 cannot tell" in answer.out
    assert rousectl(None, "--version").out.startswith("rousectl ")
    for words in ([], ["status"], ["frobnicate", "app.cgi"], ["status", "--verbose", "app.cgi"], ["stop", "--json", "app.cgi"],
                  ["status", "app.cgi", "another.cgi"]):
        answer = rousectl(None, *words)
        assert answer.status == USAGE and answer.out == "" and "--help" in answer.complaint, words


@pytest.mark.promises("X4")
@pytest.mark.parametrize("command", COMMANDS[1:])
def test_34_02_what_it_cannot_read_it_cannot_tell(make_site, command):
    """Without an app file, or with wrong settings, it should say why, exit 4, and make nothing."""
    site = make_site()
    answer = rousectl(site.folder / "none.cgi", command)
    assert answer.status == UNKNOWN and "no such file" in answer.complaint and answer.out == ""
    site.app.path.write_text(site.app.path.read_text() + "strat = x\n")
    answer = rousectl(site, command)
    assert answer.status == UNKNOWN and "line 4, strat: there is no such key" in answer.complaint
    assert not site.app.run.exists()


@pytest.mark.promises("X1", "X3")
@pytest.mark.parametrize("command", COMMANDS[1:])
@pytest.mark.parametrize("whose", ["root for a user", "a user for root"])
def test_34_03_another_user_is_refused(make_site, command, whose):
    """Who is not the server's user should be refused in words with the cure, and nothing should change."""
    owner, caller = (NOBODY, 0) if whose == "root for a user" else (None, NOBODY)
    site = make_site(owner=owner)
    pid = served(site)
    before = files_of(site)
    answer = rousectl(site, command, user=caller)
    if command == "log" and caller == 0:
        assert answer.status == WELL and " ready " in answer.out
    else:
        assert answer.status == UNKNOWN and answer.out == "", answer
        assert "Run rousectl as that user" in answer.complaint or "readable for the server's user" in answer.complaint
    assert files_of(site) == before and served(site) == pid


@pytest.mark.promises("X3")
def test_34_04_root_makes_nothing_for_a_user(make_site):
    """Before the first launch root should not start a user's server as root either."""
    site = make_site(owner=NOBODY)
    answer = rousectl(site, "start")
    assert answer.status == UNKNOWN and "belongs to nobody (uid 65534), and this is root (uid 0)" in answer.complaint
    assert not site.app.run.exists() and site.starts() == []
    assert rousectl(site, "start", user=NOBODY).status == WELL
    assert site.starts()[0]["uid"] == NOBODY


@pytest.mark.promises("X1")
def test_34_05_only_the_command_line_names_the_site(make_site):
    """No variable should lead it to another app file, and a path from another folder should mean the same site."""
    site, other = make_site(), make_site()
    served(site)
    environment = {**SHELL, "ROUSE_APP": str(other.app.path), "SCRIPT_FILENAME": str(other.app.path),
                   "ROUSE_SOCKET": str(other.app.socket_path), "PWD": str(other.folder)}
    assert rousectl(site, "status", environment=environment).line == "up"
    link = site.folder / "link"
    link.symlink_to(site.folder)
    for path, cwd in (("app.cgi", site.folder), ("./app.cgi", site.folder), ("link/./app.cgi", site.folder), ("../app.cgi", other.folder),
                      ("app.cgi", link), (link / "app.cgi", "/"), (site.folder / "link" / "link" / "app.cgi", "/")):
        answer = rousectl(path, "status", "--json", cwd=cwd)
        assert answer.status == WELL and answer.json["processes"] == site.processes(), path
    assert rousectl(other, "status").line.startswith("down")


# --- status ------------------------------------------------------------------------------------------------------


@pytest.mark.promises("L7", "C3")
def test_34_06_status_follows_the_server(make_site):
    """Down, starting, up, down after a kill, stopped: each with its word and exit status, and no connection of ours."""
    site = make_site(["hold begun", *SERVE])

    def status():
        answer, as_json = rousectl(site, "status"), rousectl(site, "status", "--json")
        assert answer.status == as_json.status == as_json.json["exit"]
        assert answer.line.startswith(as_json.json["state"])
        assert as_json.json["app"] == str(site.app.path) and as_json.json["socket"] == str(site.app.socket_path)
        return as_json.json

    seen = status()
    assert (seen["state"], seen["exit"], seen["launches"], seen["processes"]) == ("down", NOT, 0, [])
    assert not site.app.run.exists(), "to look makes nothing"
    bridge = site.get()
    site.control.wait("begun")
    seen = status()
    assert (seen["state"], seen["exit"], seen["launches"]) == ("starting", PENDING, 1)
    assert seen["processes"] == site.processes()
    site.control.go("begun")
    pid = site.answered(bridge.finish())
    before = files_of(site)
    seen = status()
    assert (seen["state"], seen["exit"], seen["processes"], seen["started_by_rouse"]) == ("up", WELL, [pid], True)
    assert 0 <= seen["uptime"] < 600 and seen["last_failure"] is None
    assert files_of(site) == before
    assert site.empty_connections() == 0
    site.kill_server()
    seen = status()
    assert (seen["state"], seen["exit"], seen["processes"], seen["uptime"]) == ("down", NOT, [], None)
    assert rousectl(site, "stop").status == WELL
    assert (status()["state"], status()["exit"]) == ("stopped", NOT)


@pytest.mark.promises("L7", "C3")
@pytest.mark.parametrize("kind", ["default", "abstract", "port"])
def test_34_07_status_knows_every_address(make_site, folder, kind):
    """A server at any kind of address should be found up, with its process, and down after its end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"default": None, "abstract": f"@rouse.{folder.name}", "port": f"127.0.0.1:{port}"}[kind]
    site = make_site(socket=address, run="run")
    assert rousectl(site, "status").status == NOT
    pid = served(site)
    answer = rousectl(site, "status", "--json")
    assert answer.status == WELL and answer.json["processes"] == [pid]
    assert site.empty_connections() == 0
    site.kill_server()
    assert rousectl(site, "status").status == NOT


@pytest.mark.promises("B1")
@pytest.mark.parametrize("plan, words", [
    (["exit 3"], "the start script ended with exit status 3"),
    (["exit 127"], "the start script ended with exit status 127 (a program was not found)"),
    (["die 11"], "the start script ended with signal 11 (SEGV)"),
], ids=["exit status", "not found", "signal"])
def test_34_08_the_last_failure_is_told_in_words(make_site, plan, words):
    """Exit status or signal, and the last lines that the script printed; still there when the server is up again."""
    site = make_site(["print early words", *[f"print line {number}" for number in range(12)], "complain \x1bwoe", *plan])
    refused(site)
    answer = rousectl(site, "status")
    assert answer.status == PENDING and re.match(r"backing off: the next launch may begin in \d+\.\d s$", answer.line)
    assert f": {words}\n" in answer.out
    shown = [line.partition("| ")[2] for line in answer.out.splitlines() if line.startswith("   ")]
    assert shown == [*[f"line {number}" for number in range(3, 12)], "\\x1bwoe"], "nothing that steers a terminal"
    failure = rousectl(site, "status", "--json").json["last_failure"]
    assert failure["launch"] == 1 and failure["reason"] == words and failure["printed"] == [*shown[:-1], "\x1bwoe"]
    site.plan(SERVE)
    os.utime(site.app.path)
    served(site)
    seen = rousectl(site, "status", "--json").json
    assert seen["state"] == "up" and seen["last_failure"] == failure and seen["retry_after"] is None


@pytest.mark.promises("X4")
def test_34_09_json_is_json_whatever_is_printed(make_site):
    """Any byte that the script prints, and lines that look like events, should leave the answer readable."""
    site = make_site(start=["script.sh"])
    site.shell(r"""printf 'quote " slash \\ bell \a umlaut \303\244 bad \377\200 \355\240\200\n'
printf '2026-11-22T22:15:25.456Z launch launch=x"y reason=\n2026-11-22T22:15:25.456Z failed launch=zzz error=gone\nend\n'
exit 1""")
    refused(site)
    answer = rousectl(site, "status", "--json")
    failure = json.loads(answer.out)["last_failure"]
    assert failure["launch"] == 1 and failure["printed"] == ["end"]
    site.shell("for i in 1 2 3 4 5 6 7 8 9 10 11; do head -c 5000 /dev/zero; echo; done\nexit 1")
    assert rousectl(site, "start").status == NOT
    failure = rousectl(site, "status", "--json").json["last_failure"]
    assert failure["printed"] == ["\0" * 400] * 10, "a long line is cut"
    ledger_of = site.app.node_folder / "ledger"
    ledger_of.write_bytes(b"\xff" * 600)
    (site.app.node_folder / "log").write_bytes(b"\0\xff\n" * 40_000)
    assert rousectl(site, "status", "--json").json["launches"] == 0


def test_34_10_log_is_all_of_it(make_site):
    """What was put aside first; without a log it should say so."""
    site = make_site(["flood 100", *SERVE])
    assert rousectl(site, "log").status == NOT
    served(site)
    (site.app.node_folder / "log.1").write_text("older\n")
    answer = rousectl(site, "log")
    assert answer.status == WELL and answer.out == "older\n" + (site.app.node_folder / "log").read_text()
    (site.app.node_folder / "log").unlink()
    assert rousectl(site, "log").out == "older\n"


# --- start -------------------------------------------------------------------------------------------------------


@pytest.mark.promises("L1", "P2")
def test_34_11_start_brings_it_up(make_site):
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
def test_34_12_start_waits_for_no_window(make_site):
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
def test_34_13_what_cannot_be_started_is_said(make_site, command):
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
def test_34_14_a_launch_that_is_killed_is_begun_again(make_site):
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
def test_34_15_stop_until_start(make_site):
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


def test_34_16_stop_before_the_first_start(make_site):
    """A server that never ran can be stopped too: the first request should not start it."""
    site = make_site()
    assert rousectl(site, "stop").status == WELL
    refused(site)
    assert site.starts() == []
    assert rousectl(site, "restart").status == WELL
    served(site)


@pytest.mark.promises("L9", "L4")
def test_34_28_a_server_of_another_machine_is_not_stopped(make_site):
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


@pytest.mark.promises("W2")
def test_34_29_a_server_that_hangs_is_named(make_site):
    """It is up and answers nobody: status should say so, and restart help."""
    site = make_site()
    pid = served(site)
    (site.app.node_folder / "hung").write_text("..")  # a byte for each request that was not answered in time
    assert rousectl(site, "status").line == "up"
    (site.app.node_folder / "hung").write_text("...")
    answer = rousectl(site, "status", "--json")
    assert answer.status == NOT and answer.json["state"] == "up" and answer.json["hangs"] is True
    assert rousectl(site, "status").line == "up, but it hangs: the next request replaces it"
    assert rousectl(site, "restart").status == WELL
    assert rousectl(site, "status").line == "up" and served(site) != pid


@pytest.mark.promises("W2", "W3")
def test_34_32_while_it_is_replaced_it_is_starting(make_site):
    """The old server finishes its work and is not reached any more: neither up nor down, and the next request waits."""
    site = make_site(["graceful", *SERVE], stop_timeout=60)
    old = served(site)
    bridge = site.get("hold=work")
    site.control.wait("work")
    run = Run(site, "restart")
    site.control.wait("stopping")
    answer, as_json = rousectl(site, "status"), rousectl(site, "status", "--json")
    assert answer.status == as_json.status == PENDING and as_json.json["state"] == "starting", answer
    assert answer.line == "starting: what ran before is being stopped" and as_json.json["processes"] == [old]
    site.control.go("work")
    assert site.answered(bridge.finish(), bridge.token) == old
    assert run.finish().status == WELL and rousectl(site, "status").line == "up" and served(site) != old


class Load:
    """Workers that send one request after another until they are told to end; most at the machine's own pace."""

    def __init__(self, site, workers=3, posts=False):
        self.outcomes = []
        self._site, self._posts, self._over = site, posts, threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(workers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number):
        while not self._over.is_set():
            post = self._posts and number == 0
            bridge = self._site.post(b"") if post else self._site.get()
            outcome = bridge.finish(30)
            with self._changed:
                self.outcomes.append((post, bridge.token, outcome))
                self._changed.notify_all()

    def wait_for(self, more, what=lambda outcome: True):
        """Until so many more requests of a kind have been answered."""
        with self._changed:
            begin = len(self.outcomes)
            came = self._changed.wait_for(
                lambda: sum(what(outcome) for _, _, outcome in self.outcomes[begin:]) >= more, 60)
            assert came, [(outcome.code, outcome.body) for _, _, outcome in self.outcomes[-5:]]


def is_200(outcome):
    return outcome.code == 200


def is_503(outcome):
    return outcome.code == 503


@pytest.mark.promises("L1", "L2", "W1")
def test_34_17_stop_under_load(make_site):
    """Every request should be answered: by the server, or by a 503 that starts nothing; also when it is started again."""
    site = make_site(["bind", "listen 128", "serve"], wait=20)
    served(site)
    with Load(site) as load:
        for count in range(1, 4):
            load.wait_for(20, is_200)
            assert rousectl(site, "stop").status == WELL
            load.wait_for(20, is_503)
            assert len(site.starts()) == count and site.processes() == []
            assert rousectl(site, "start").status == WELL
    codes = {outcome.code for _, _, outcome in load.outcomes}
    assert codes == {200, 503} and len(site.starts()) == 4
    assert all(outcome.status == 0 for _, _, outcome in load.outcomes)


@pytest.mark.promises("L1", "L5")
def test_34_18_stop_waits_for_a_launch(make_site):
    """A launch under way should come to its end first; then nothing of it is left, and who waited is answered."""
    site = make_site(["hold begun", *SERVE])
    bridge = site.get()
    site.control.wait("begun")
    stop = Run(site, "stop")
    procs.wait_until(lambda: procs.lock_waiters(site.app.start_lock) == [stop.pid] or not stop.running())
    assert stop.running()
    again = site.get()
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 2)
    site.control.go("begun")
    assert stop.finish().status == WELL
    for outcome in (bridge.finish(), again.finish()):
        assert outcome.status == 0 and outcome.code in (200, 503), outcome
    assert site.processes() == [] and len(site.starts()) == 1
    refused(site)


@pytest.mark.promises("L1", "L4")
def test_34_19_commands_race_with_each_other(make_site):
    """stop, start and restart at once, among requests: never two servers, and a state that fits the last record."""
    site = make_site(["bind", "listen 128", "serve"], wait=20, stop_timeout=2)
    served(site)
    two = []

    def watch(over):
        while not over.is_set():
            seen = site.listening()
            if len(seen) > 1 and len([pid for pid in site.listening() if pid in seen]) > 1:
                two.append(seen)

    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(over,))
    watcher.start()
    try:
        with Load(site, workers=2) as load:
            for commands in (["stop", "start"], ["stop", "stop"], ["start", "start"], ["restart", "stop"], ["restart", "restart"],
                             ["stop", "start", "restart"], ["start", "stop", "stop", "start"]):
                runs = [Run(site, command) for command in commands]
                answers = [run.finish() for run in runs]
                assert [answer.status for answer in answers] == [WELL] * len(commands), (commands, answers)
                outcome = ledger.read(site.app)["outcome"]
                seen = rousectl(site, "status", "--json").json["state"]
                assert (outcome, seen) in (("stopped", "stopped"), ("ready", "up")), (commands, outcome, seen)
                load.wait_for(5)
    finally:
        over.set()
        watcher.join()
    assert not two
    assert {outcome.code for _, _, outcome in load.outcomes} <= {200, 503}
    assert all(outcome.status == 0 for _, _, outcome in load.outcomes)
    assert rousectl(site, "start").status == WELL
    served(site)


# --- everything, and nothing else ----------------------------------------------------------------------------------

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


@pytest.mark.promises("P5", "L4")
@pytest.mark.parametrize("plan", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("user", [None, NOBODY], ids=["root", "nobody"])
def test_34_20_all_of_it_is_stopped_and_nothing_else(make_site, folder, plan, user):
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
def test_34_21_start_stop_daemon(make_site):
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
def test_34_30_who_only_listens_is_stopped_too(make_site, path):
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
def test_34_22_uwsgi_with_workers(make_site):
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
def test_34_23_a_reused_pid_is_not_signalled(make_site):
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
def test_34_24_another_users_server_is_left_alone(make_site, command):
    """A server of another user at our address should be named, and neither stopped nor counted as ours."""
    site = make_site(owner=NOBODY)
    site.folder.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site.app.socket_path))
        listener.listen()
        answer = rousectl(site, command, user=NOBODY)
        assert answer.status == NOT and "is of root (uid 0)" in answer.complaint, answer
        assert site.app.socket_path.exists() and site.starts() == []


# --- restart -----------------------------------------------------------------------------------------------------


@pytest.mark.promises("P5", "L8")
def test_34_25_restart_replaces_it(make_site):
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
def test_34_33_restart_stops_nothing_for_a_script_that_cannot_run(make_site, spoil):
    """In the middle of an upload, say: the server that runs should be left alone, and the script be named with the cure."""
    site = make_site()
    pid = served(site)
    spoil(site.script)
    answer = rousectl(site, "restart")
    assert answer.status == NOT and answer.complaint.startswith(f"rousectl: cannot run the start script {site.script}: "), answer
    assert "The server that runs was left alone" in answer.complaint
    assert served(site) == pid and len(site.starts()) == 1


def test_34_26_restart_takes_over_what_rouse_did_not_start(make_site):
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


@pytest.mark.promises("W1", "W3", "L1", "L2")
def test_34_27_restart_loses_no_request(make_site, folder):
    """20 restarts under load, of a server that finishes its work on TERM: no GET failed, no POST twice, one start each."""
    site = make_site(start=[SERVERS / "finishing.py", folder], wait=30)
    assert rousectl(site, "start").status == WELL
    began = procs.now()
    with Load(site, workers=8, posts=True) as load:
        for _ in range(20):
            load.wait_for(25, is_200)
            assert rousectl(site, "restart").status == WELL
        load.wait_for(25, is_200)
    print(f"{len(load.outcomes) / (procs.now() - began):.0f} requests a second, "
          f"{sum(outcome.code == 502 for _, _, outcome in load.outcomes)} POSTs answered 502")
    assert len(site.starts()) == 21
    executed = site.executed()
    for post, token, outcome in load.outcomes:
        if post:
            assert outcome.code in (200, 502) and executed.get(token, 0) <= 1, (token, outcome)
            assert outcome.code == 502 or executed[token] == 1
        else:
            site.answered(outcome, token)
    lost = sum(outcome.code == 502 for _, _, outcome in load.outcomes)
    assert lost <= len(site.starts()), "at most who connected in the moment between name and signal"


@pytest.mark.promises("L4", "L5")
@pytest.mark.parametrize("command", ["stop", "start", "restart"])
def test_34_31_the_owners_command_dies_anywhere(make_site, folder, command):
    """Killed at any system call: never two servers, no lock left behind, and the next command does its work."""
    site = make_site(["bind", "listen 128", "serve"], wait=20)
    killat, report = str(procs.tool("killat")), folder / "report"

    def killed_at(number):
        report.write_text("")
        Run(site, command, wrapper=[killat, "0", str(number), report]).finish()
        return report.read_text().split()

    count = int(killed_at(0)[1])
    moments = range(1, count + 1, max(1, count // 20))
    for number in moments:
        assert rousectl(site, "stop" if command == "start" else "start").status == WELL
        killed_at(number)
        outcome = site.get().finish(30)
        assert outcome.status == 0 and outcome.code in (200, 503), (number, outcome)
        procs.wait_until(lambda: procs.holders_of(site.app.start_lock) == [])  # a guardian goes on to its end
        assert len(site.listening()) <= 1, number
        assert rousectl(site, command).status == WELL, number
        assert (site.get().finish().code, len(site.listening())) == ((503, 0) if command == "stop" else (200, 1)), number
    assert len(moments) >= 20
