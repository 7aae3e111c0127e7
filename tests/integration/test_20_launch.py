"""One request finds the server down: what is down, how scripts bring it up, and what is never touched."""

import os
import socket
import stat

import pytest

from harness import procs
from harness.bridge import spawn
from harness.server import SERVE, SERVERS, pattern


def served(site, bridge):
    return site.answered(bridge.finish(), bridge.token)


# --- the ordinary case -----------------------------------------------------------------------------------------


@pytest.mark.promises("L1", "C3", "L7", "R4")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_20_01_a_dead_server_is_started_and_answers(make_site, fds):
    """The first request should run the start script once and be answered by what it brought up."""
    site = make_site()
    pid = served(site, site.get(fds=fds))
    assert [start["pid"] for start in site.starts()] == [pid] == site.listening()
    assert site.executed() == {"t1": 1} and site.empty_connections() == 0 and not site.malformed()


@pytest.mark.promises("L1", "C3")
def test_20_02_a_living_server_is_used_as_it_is(make_site):
    """Later requests should neither start anything nor leave a process behind."""
    site = make_site()
    first = served(site, site.get())
    assert {served(site, site.get(fds=fds)) for fds in ("pipes", "socket") * 3} == {first}
    assert len(site.starts()) == 1
    procs.wait_until(lambda: not site.guardians(), what="the guardian is gone")


KINDS = {
    "foreground": SERVE,
    "forks": ["fork", *SERVE],
    "daemon": ["daemon", *SERVE],
    "waits": ["wrap", *SERVE],
    "forks when it listens": ["bind", "event bound", "listen 5", "event listening", "fork", "serve"],
    "has a helper": ["helper", *SERVE],
    "closes all descriptors": ["close-all", *SERVE],
    "daemon that closes all descriptors": ["daemon", "close-all", *SERVE],
}


@pytest.mark.promises("L1", "L2", "P5")
@pytest.mark.parametrize("plan", KINDS.values(), ids=KINDS)
def test_20_03_every_kind_of_start_script_works(make_site, plan):
    """However a script brings its server up, a request should be served; after a kill, a second run should do it."""
    site = make_site(plan)
    first = served(site, site.get())
    assert served(site, site.get()) == first and site.listening() == [first]
    site.kill_server()
    second = served(site, site.get())
    assert second != first and site.listening() == [second] and len(site.starts()) == 2


SHELL = {
    "exec": "exec $LAUNCHED",
    "background": "$LAUNCHED &",
    "subshell": "( $LAUNCHED & ) \nexit 0",
    "nohup": "nohup $LAUNCHED >/dev/null 2>&1 &",
    "setsid": "setsid $LAUNCHED >/dev/null 2>&1 </dev/null &",
    "waits": "$LAUNCHED\nexit $?",
}


@pytest.mark.promises("L1", "L2")
@pytest.mark.parametrize("text", SHELL.values(), ids=SHELL)
def test_20_04_shell_scripts_work(make_site, text):
    """The ways in which people start servers from a shell should all do, and again after a kill."""
    site = make_site(start="./script.sh")
    site.shell(text)
    first = served(site, site.get())
    site.kill_server()
    assert served(site, site.get()) != first and len(site.starts()) == 2


@pytest.mark.promises("L1", "L2", "P2")
def test_20_05_a_python_server_works(make_site, folder, protocol):
    """A plain Python server in the foreground should be started, answer, and be started again after a kill."""
    site = make_site(start=[SERVERS / ("plain_http.py" if protocol == "http" else "plain.py"), folder])
    first = served(site, site.get())
    body = bytes(range(256)) * 100
    outcome = site.post(body).finish()
    assert b"body=25600 " in outcome.body
    procs.kill(first)
    procs.wait_gone(first)
    second = served(site, site.get())
    assert [start["pid"] for start in site.starts()] == [first, second]


@pytest.mark.promises("P5", "C3")
def test_20_06_a_script_may_end_before_its_server_listens(make_site):
    """Exit status 0 should not end the launch: the server may still be on its way."""
    site = make_site(["fork", "hold begun", *SERVE])
    bridge = site.get()
    site.control.wait("begun")
    [start] = site.starts()
    procs.wait_gone(start["pid"])
    assert bridge.running()
    site.control.go("begun")
    assert served(site, bridge) != start["pid"] and len(site.starts()) == 1


# --- readiness -------------------------------------------------------------------------------------------------


@pytest.mark.promises("C3", "L1", "L8")
def test_20_07_a_socket_that_is_bound_is_not_ready(make_site):
    """A name in the file system should not count: requests should wait until somebody listens, and none start anew."""
    site = make_site(["bind", "hold bound", "listen 5", "event listening", "serve"])
    bridges = [site.get()]
    site.control.wait("bound")
    name = os.stat(site.app.socket_path).st_ino
    bridges += [site.get() for _ in range(5)]
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 5)
    assert all(bridge.running() and not bridge.stdout for bridge in bridges)
    site.control.go("bound")
    assert {served(site, bridge) for bridge in bridges} == {site.starts()[0]["pid"]} and len(site.starts()) == 1
    assert os.stat(site.app.socket_path).st_ino == name, "the bound socket was replaced"


@pytest.mark.promises("L1", "L6")
def test_20_08_a_second_wave_joins_the_launch(make_site):
    """Requests that come while a launch is under way should wait for it, wave after wave."""
    site = make_site(["hold begun", *SERVE])
    bridges = []
    for wave in range(1, 4):
        bridges += [site.get() for _ in range(6)]
        site.control.wait("begun")
        procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == len(bridges) - 1)
    site.control.go("begun")
    assert len({served(site, bridge) for bridge in bridges}) == 1
    assert len(site.starts()) == 1 and set(site.executed().values()) == {1} and site.empty_connections() == 0


@pytest.mark.promises("C1", "L1")
def test_20_09_a_full_backlog_is_a_living_server(make_site):
    """A server that does not accept for a while should be waited for, never started again."""
    site = make_site(["bind", "listen 0", "event listening", "hold accept", "serve"])
    bridges = [site.get() for _ in range(8)]
    site.control.wait("accept")
    procs.wait_until(lambda: procs.asleep([bridge.pid for bridge in bridges]) and not site.guardians())
    assert all(bridge.running() for bridge in bridges)
    site.control.go("accept")
    assert len({served(site, bridge) for bridge in bridges}) == 1
    assert len(site.starts()) == 1 and site.empty_connections() == 0


@pytest.mark.promises("C1")
def test_20_10_a_backlog_that_stays_full_is_a_503(make_site):
    """When there is no room within `wait`, the answer should be 503 with Retry-After, without a launch."""
    site = make_site(["bind", "listen 0", "event listening", "hold accept", "serve"], wait=0.4, response_timeout=20)
    first = site.get()
    site.control.wait("accept")
    procs.wait_until(lambda: not site.guardians())
    outcomes = [bridge.finish() for bridge in [site.get() for _ in range(4)]]
    busy = [outcome for outcome in outcomes if outcome.code == 503]
    assert len(busy) >= 3, "one connection beside the first may fit"
    assert all(outcome.status == 0 and int(outcome.head["retry-after"]) > 0 and 0.4 <= outcome.seconds for outcome in busy)
    site.control.go("accept")
    served(site, first)
    assert len(site.starts()) == 1


@pytest.mark.promises("C1", "L1")
def test_20_11_busy_from_the_first_look_is_ready(make_site):
    """A server whose backlog others filled before the guardian looked should be ready, and serve when it can."""
    site = make_site(["hold begun", "bind", "listen 0", "hold listening", "serve"])
    bridge = site.get()
    site.control.wait("begun")
    [guardian] = site.guardians()
    procs.kill(guardian, 19)
    procs.wait_until(lambda: procs.state(guardian) == "T")
    site.control.go("begun")
    site.control.wait("listening")
    with socket.socket(socket.AF_UNIX) as parked:
        parked.connect(str(site.app.socket_path))
        procs.kill(guardian, 18)
        procs.wait_gone(guardian)
        assert bridge.running()
    site.control.go("listening")
    served(site, bridge)
    assert len(site.starts()) == 1


# --- what lies at the socket's path --------------------------------------------------------------------------


@pytest.mark.promises("L8", "L2", "C1")
def test_20_12_a_stale_socket_is_removed(make_site):
    """The socket of a dead server should be removed before the launch: the script could not bind otherwise."""
    site = make_site()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(site.app.socket_path))
        dead.listen()
    served(site, site.get())
    assert len(site.starts()) == 1


@pytest.mark.promises("C1", "L8", "X4")
@pytest.mark.parametrize("what", ["file", "empty file", "folder", "datagram socket", "fifo", "link to a file", "link to itself",
                                  "file in the way"])
def test_20_13_what_is_no_stale_socket_is_left_alone(make_site, what):
    """Anything else at the path should be a settings error in words: 500, no launch, and it stays as it is."""
    site = make_site(socket="way/s" if what == "file in the way" else "s", run=None)
    path = site.app.socket_path
    if what == "file":
        path.write_text("precious")
    elif what == "empty file":
        path.write_text("")
    elif what == "folder":
        path.mkdir()
    elif what == "datagram socket":
        keep = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        keep.bind(str(path))
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "link to a file":
        (site.folder / "file").write_text("precious")
        path.symlink_to(site.folder / "file")
    elif what == "link to itself":
        path.symlink_to(path)
    else:
        path.parent.write_text("precious")
    before = os.lstat(path.parent if what == "file in the way" else path)
    for _ in range(2):
        outcome = site.get().finish()
        assert outcome.status == 0 and outcome.code == 500, outcome
        assert b"precious" not in outcome.body and os.fsencode(site.folder) not in outcome.body
    after = os.lstat(path.parent if what == "file in the way" else path)
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert site.starts() == [] and site.guardians() == []


@pytest.mark.promises("L8", "C3", "L1")
def test_20_14_somebody_elses_bound_socket_is_not_removed(make_site, folder):
    """A socket that was bound by hand and is not yet listened at should be waited for: nothing is removed or run."""
    site = make_site()
    by_hand = make_site(["bind", "hold bound", "listen 5", "serve"], start=None)
    socket_path = str(site.app.socket_path)
    pid = os.posix_spawn(by_hand.script, [str(by_hand.script), str(by_hand.folder)], {"ROUSE_SOCKET": socket_path})
    by_hand.control.wait("bound")
    name = os.stat(socket_path).st_ino
    bridges = [site.get() for _ in range(3)]
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 2)
    [guardian] = site.guardians()
    looks = lambda: int(procs.status(guardian)["voluntary_ctxt_switches"])
    before = looks()
    procs.wait_until(lambda: looks() > before + 20, what="twenty looks of the guardian")
    assert os.stat(socket_path).st_ino == name and all(bridge.running() for bridge in bridges)
    by_hand.control.go("bound")
    assert {served(site, bridge) for bridge in bridges} == {pid}
    assert site.starts() == [] and os.stat(socket_path).st_ino == name


@pytest.mark.promises("C1")
def test_20_15_a_socket_that_may_not_be_used_is_no_reason_to_launch(make_site):
    """A server behind permissions may be alive: 500, nothing started, nothing removed."""
    site = make_site(owner=65534)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(site.app.socket_path))
        server.listen()
        os.chmod(site.app.socket_path, 0)
        outcome = site.get().finish()
    assert outcome.code == 500 and site.starts() == [] and stat.S_ISSOCK(os.lstat(site.app.socket_path).st_mode)


# --- a server that lives but cannot be reached -------------------------------------------------------------------


@pytest.mark.promises("L4", "L1", "C3")
@pytest.mark.parametrize("plan", [SERVE, ["ignore 15", *SERVE], ["helper", *SERVE], ["escape", *SERVE], ["daemon", *SERVE]],
                         ids=["ordinary", "ignores TERM", "helper", "helper that escapes", "daemon"])
def test_20_16_a_server_that_lost_its_socket_is_replaced(make_site, plan):
    """The old one holds alive.lock: it should be stopped, all of it, before the script runs again. Never two."""
    site = make_site(plan, stop_timeout=0.3)
    old = served(site, site.get())
    before = site.processes()
    site.app.socket_path.unlink()
    new = served(site, site.get())
    assert new != old and site.listening() == [new] and len(site.starts()) == 2
    assert not set(before) & set(site.processes()), "something of the old server lives"


@pytest.mark.promises("L1", "L4")
def test_20_17_a_crowd_behind_a_lost_socket_gets_one_server(make_site):
    """Replacing should happen once, however many notice."""
    site = make_site()
    old = served(site, site.get())
    site.app.socket_path.unlink()
    pids = {served(site, bridge) for bridge in [site.get() for _ in range(12)]}
    assert pids == set(site.listening()) and len(pids) == 1 and old not in pids and len(site.starts()) == 2


# --- other addresses -----------------------------------------------------------------------------------------


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


@pytest.mark.promises("L1", "L2", "C1")
@pytest.mark.parametrize("kind", ["127.0.0.1", "[::1]", "localhost", "abstract"])
def test_20_18_ports_and_abstract_names_are_launched_alike(make_site, kind):
    """A dead port or abstract name should be started, used, and started again after a kill."""
    if kind == "abstract":
        address = f"@rouse.{os.getpid()}.{os.urandom(4).hex()}"
    elif kind == "[::1]":
        address = f"[::1]:{free_port(socket.AF_INET6, '::1')}"
    else:
        address = f"{kind}:{free_port()}"
    site = make_site(socket=address, run="run")
    first = served(site, site.get())
    assert served(site, site.get()) == first
    site.kill_server()
    second = served(site, site.get())
    assert [start["pid"] for start in site.starts()] == [first, second] and site.empty_connections() == 0


@pytest.mark.promises("C2", "C3")
def test_20_19_a_port_that_answers_itself_is_no_server(make_site):
    """On a port of the ephemeral range a connect may meet itself: that should be down, and the server can bind."""
    site = make_site(["hold begun", *SERVE], socket="127.0.0.1:40000", run="run")
    bridge = site.get(wrapper=[str(procs.tool("onenet")), "40000"])
    site.control.wait("begun")
    [guardian] = site.guardians()
    looks = lambda: int(procs.status(guardian)["voluntary_ctxt_switches"])
    before = looks()
    procs.wait_until(lambda: looks() > before + 20, what="twenty looks of the guardian")
    assert bridge.running() and not bridge.stdout
    site.control.go("begun")
    served(site, bridge)
    assert len(site.starts()) == 1


@pytest.mark.promises("X2", "C1", "L7")
@pytest.mark.parametrize("kind", ["path", "abstract", "port"])
def test_20_28_a_strangers_server_gets_nothing(make_site, folder, kind):
    """Another user's server at our address: 502, not a byte of the request, no launch; with `peer-uid` it is used."""
    stranger = 54323
    address = {"path": "public/s", "abstract": f"@rouse.{folder.name}", "port": f"127.0.0.1:{free_port()}"}[kind]
    site = make_site(socket=address, run=None if kind == "path" else "run")
    (site.folder / "public").mkdir(mode=0o777)
    (site.folder / "public").chmod(0o777)
    by_hand = make_site(start=None, owner=stranger)
    listen_at = str(site.app.socket_path) if kind == "path" else address
    null = os.open("/dev/null", os.O_RDWR)
    spawn(by_hand.script, [str(by_hand.script), str(by_hand.folder)], [f"ROUSE_SOCKET={listen_at}".encode()], (null, null, null),
          user=stranger)
    os.close(null)
    by_hand.control.wait("listening")
    if kind == "path":
        os.chmod(site.app.socket_path, 0o777)
    outcome = site.post(pattern(8)).finish()
    assert outcome.code == 502 and outcome.status == 0
    assert by_hand.executed() == {} and by_hand.malformed() == [] and site.starts() == []
    site.app.path.write_text(site.app.path.read_text() + f"peer-uid = {stranger}\n")
    assert served(site, site.get()) == by_hand.starts()[0]["pid"]


# --- time ----------------------------------------------------------------------------------------------------


@pytest.mark.promises("L3", "L1", "R4")
@pytest.mark.parametrize("how", [{}, {"blocked": "all", "ignored": "all"}], ids=["as it is", "every signal blocked and ignored"])
def test_20_20_a_launch_outlives_the_patience_of_its_requests(make_site, how):
    """Requests should answer 503 when their `wait` is over; the launch goes on and the next request uses it."""
    site = make_site(["hold begun", *SERVE], wait=0.4)
    bridges = [site.get(**how) for _ in range(5)]
    for bridge in bridges:
        outcome = bridge.finish()
        assert outcome.code == 503 and outcome.status == 0 and int(outcome.head["retry-after"]) > 0
        assert 0.4 <= outcome.seconds
    assert len(site.guardians()) == 1
    late = site.get()
    site.control.go("begun")
    assert served(site, late) == site.starts()[0]["pid"] and len(site.starts()) == 1


@pytest.mark.promises("C1")
def test_20_21_without_a_start_script_nothing_is_launched(make_site):
    """Down and no `start`: 503 and Retry-After: 5, at once, and no file is made."""
    site = make_site(start=None)
    outcome = site.get().finish()
    assert outcome.code == 503 and outcome.head["retry-after"] == "5" and outcome.seconds < 5
    assert not site.app.run.exists()


# --- requests that a dying server had ------------------------------------------------------------------------


@pytest.mark.promises("W1", "L2", "B2")
@pytest.mark.parametrize("signal_number", [9, 15, 11])
def test_20_22_a_get_whose_server_died_is_repeated(make_site, signal_number):
    """A GET without a byte of answer should be sent again, to a fresh server; a POST should not, and be a 502."""
    site = make_site(["mortal", *SERVE])
    served(site, site.get())
    site.plan(SERVE)
    bridge = site.get(f"die={signal_number}")
    assert served(site, bridge) == site.starts()[1]["pid"] and site.executed()[bridge.token] == 2
    site.plan(["mortal", *SERVE])
    site.kill_server()
    served(site, site.get())
    site.plan(SERVE)
    bridge = site.post(pattern(8), f"die={signal_number}")
    assert bridge.finish().code == 502 and site.executed()[bridge.token] == 1
    served(site, site.get())
    assert len(site.starts()) == 4


@pytest.mark.promises("W1")
@pytest.mark.parametrize("drops, code", [(1, 200), (2, 200), (3, 502)])
def test_20_23_a_get_is_repeated_at_most_twice(make_site, drops, code):
    """Two connections without an answer should be made good, three should be a 502."""
    site = make_site()
    served(site, site.get())
    bridge = site.get(f"drop={drops}")
    outcome = bridge.finish()
    assert outcome.code == code and outcome.status == 0
    assert site.executed()[bridge.token] == 3 if drops > 1 else 2
    assert len(site.starts()) == 1


@pytest.mark.promises("W1", "L7")
@pytest.mark.parametrize("method, resets, code", [("GET", 1, 200), ("GET", 2, 200), ("GET", 3, 502), ("POST", 1, 502)])
def test_20_29_a_reset_proves_nothing(make_site, method, resets, code):
    """A server that closes without reading resets the connection: a GET should be sent again twice, a POST never."""
    site = make_site(["bind", "listen 5", "event listening", f"drop {resets}", "serve"])
    bridge = site.get(method=method, stdin=b"" if method == "GET" else pattern(8))
    outcome = bridge.finish()
    assert outcome.code == code and outcome.status == 0
    assert site.executed() == ({bridge.token: 1} if code == 200 else {})
    assert len(site.starts()) == 1


@pytest.mark.promises("W1")
@pytest.mark.parametrize("method, body", [("POST", b""), ("POST", pattern(8)), ("PUT", pattern(8)), ("DELETE", b""), ("GET", pattern(8))])
def test_20_24_what_may_have_been_done_is_not_repeated(make_site, method, body):
    """A POST, a PUT, a DELETE, and a GET with a body should run at most once, and the answer be 502."""
    site = make_site()
    served(site, site.get())
    bridge = site.get("drop=9", method=method, stdin=body)
    outcome = bridge.finish()
    assert outcome.code == 502 and site.executed()[bridge.token] == 1


@pytest.mark.promises("W1")
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
def test_20_25_the_other_safe_methods_are_repeated(make_site, method):
    """HEAD, OPTIONS and TRACE without a body should be treated as GET."""
    site = make_site()
    served(site, site.get())
    bridge = site.get("drop=1", method=method)
    outcome = bridge.finish()
    assert outcome.code == 200 and site.executed()[bridge.token] == 2


@pytest.mark.promises("W1", "L2")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_20_26_a_request_in_a_dead_servers_queue(make_site, method):
    """Accepted by nobody, the connection breaks with its server: a GET should be answered by the next, a POST 502 or answered once."""
    site = make_site(["bind", "listen 5", "event listening", "hold accept", "serve"])
    body = b"" if method == "GET" else pattern(8)
    bridge = site.get(method=method, stdin=body)
    site.control.wait("accept")
    procs.wait_until(lambda: not site.guardians() and procs.asleep([bridge.pid]))
    site.plan(SERVE)
    site.kill_server()
    outcome = bridge.finish()
    if method == "GET":
        assert outcome.code == 200 and site.executed() == {bridge.token: 1} and len(site.starts()) == 2
    else:
        assert outcome.code == 502 and site.executed() == {}, "its head was accepted by the kernel: it may have been seen"


@pytest.mark.promises("W1", "L2")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_20_27_a_head_that_was_not_wholly_accepted_is_sent_again(make_site, method, protocol):
    """A head larger than the socket's buffer cannot have been acted on: even a POST should go to a fresh server."""
    site = make_site(["bind", "listen 5", "event listening", "hold accept", "serve"])
    count, size = (2, 130_000) if protocol == "http" else (12, 100_000)  # over 256 KiB there is no head in HTTP
    extra = [b"HTTP_X_%d=" % number + b"x" * size for number in range(count)]
    body = b"" if method == "GET" else pattern(8)
    bridge = site.get(method=method, stdin=body, extra=extra)
    site.control.wait("accept")
    procs.wait_until(lambda: not site.guardians() and procs.asleep([bridge.pid]))
    site.plan(SERVE)
    site.kill_server()
    outcome = bridge.finish()
    assert outcome.code == 200 and outcome.body.endswith(b"body=%d wrong=-1\n" % len(body))
    assert len(site.starts()) == 2 and site.executed() == {bridge.token: 1}
