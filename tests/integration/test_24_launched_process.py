"""What the start script finds: its session, signals, descriptors, environment, folder and limits; and how it may fail."""

import os
import pwd
import resource
import select
import signal

import pytest

from harness import ledger, procs
from harness.server import SERVE


def launched(site, **how):
    """The start ledger's line of a launch whose request was served."""
    bridge = site.get(**how)
    site.answered(bridge.finish(), bridge.token)
    return site.starts()[-1]


def variables(start):
    return dict(entry.partition("=")[::2] for entry in start["env"])


# --- P1 --------------------------------------------------------------------------------------------------------


POISON = {
    "as it is": {},
    "every signal blocked and ignored": {"blocked": "all", "ignored": "all"},
    "descriptor 0 closed": {"closed": (0,)},
    "descriptor 2 closed": {"closed": (2,)},
    "descriptors 0 and 2 closed": {"closed": (0, 2)},
    "one socket for 0 and 1": {"fds": "socket"},
    "12 descriptors": {"rlimits": {resource.RLIMIT_NOFILE: 12}},
    "SIGCHLD ignored": {"ignored": [signal.SIGCHLD]},
    "SIGALRM blocked": {"blocked": "all"},
}


@pytest.mark.promises("P1", "L5")
@pytest.mark.parametrize("how", POISON.values(), ids=POISON)
def test_24_01_the_script_starts_in_a_clean_world(make_site, how):
    """Own session, default signals, empty mask; 0 null, 1 and 2 the log, and only the alive lock beside them."""
    site = make_site()
    start = launched(site, **how)
    assert start["sid"] == start["pgid"] == start["pid"]
    assert {name: int(start["status"][name], 16) for name in ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd")} == dict.fromkeys(
        ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"), 0)
    log = str(site.app.node_folder / "log")
    rest = {name: path for name, path in start["fds"].items() if name not in "012"}
    assert [start["fds"][name] for name in "012"] == ["/dev/null", log, log]
    assert list(rest.values()) == [str(site.app.alive_lock)] and "3" not in rest, rest
    procs.wait_until(lambda: procs.parent(start["pid"]) == os.getpid(), what="reaped by init (here: by the subreaper)")
    assert procs.holders_of(site.app.start_lock) == []


@pytest.mark.promises("P1", "R4")
@pytest.mark.parametrize("closed", [(1,), (0, 1), (1, 2), (0, 1, 2)])
def test_24_02_without_standard_output_nothing_is_answered_elsewhere(make_site, closed):
    """Exit status 2, and no byte of an answer in whatever got the free number; the launch is well if it was made."""
    site = make_site()
    outcome = site.get(closed=closed).finish()
    assert outcome.status == 2 and outcome.stdout == b"" and not outcome.held
    for path in site.app.run.rglob("*") if site.app.run.exists() else []:
        if path.is_file():
            assert b"Status:" not in path.read_bytes(), path
    site.answered(site.get().finish())
    assert len(site.starts()) == 1


@pytest.mark.promises("P1")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
@pytest.mark.parametrize("plan", [SERVE, ["daemon", *SERVE], ["helper", *SERVE]], ids=["foreground", "daemon", "helper"])
def test_24_03_nothing_of_the_web_server_is_held(make_site, plan, fds):
    """The answer should end with the bridge, although the server lives on: no copy of 0, 1 or 2 is left with it."""
    site = make_site(plan)
    outcome = site.get(fds=fds).finish(grace=1)
    assert not outcome.held and outcome.code == 200
    body = site.post(b"", fds=fds, stdin_end="hold").finish(grace=1)
    assert not body.held


@pytest.mark.promises("P1", "P4")
def test_24_04_what_it_prints_is_in_the_log(make_site):
    """Both streams should end up in the log, nothing of them in an answer, and a megabyte not stop anything."""
    site = make_site(["print hello from the script", "complain woe", "flood 1000000", *SERVE])
    outcome = site.get().finish()
    site.answered(outcome)
    text = "\n".join(site.app.log_lines())
    assert "hello from the script" in text and "woe" in text and text.count("\n") > 15_000
    assert outcome.stderr == b""


@pytest.mark.promises("P1", "L5")
def test_24_22_what_the_web_server_leaked_is_let_go(make_site):
    """A descriptor that a careless web server left open should be held by neither the guardian nor the script."""
    site = make_site(["hold begun", *SERVE])
    read_end, write_end = os.pipe()
    bridge = site.get(leaked={7: write_end, 200: write_end})
    os.close(write_end)
    site.control.wait("begun")
    assert sorted(site.starts()[0]["fds"]) == ["0", "1", "2", "4"]
    assert os.path.exists(f"/proc/{bridge.pid}/fd/7") and len(site.guardians()) == 1
    bridge.kill()
    bridge.wait_ended()
    assert select.select([read_end], [], [], 5)[0] and os.read(read_end, 1) == b"", "somebody holds its other end"
    os.close(read_end)
    site.control.go("begun")
    site.answered(site.get().finish())


@pytest.mark.promises("L4", "L5", "P1")
def test_24_23_the_script_never_holds_start_lock(make_site, folder):
    """From before anything that can block: held just before its exec, it should hold alive.lock and not start.lock."""
    site = make_site()
    killat, report = str(procs.tool("killat")), folder / "report"
    report.write_text("")
    site.answered(site.get(wrapper=[killat, "2", "0", str(report)]).finish())
    count = report.read_text().split()[1]  # the exec is its last call
    site.kill_server()
    os.mkfifo(folder / "report.go")
    report.write_text("")
    hit = site.get(wrapper=[killat, "2", f"-{count}", str(report)])
    procs.wait_until(report.read_text)
    [child] = procs.holders_of(site.app.alive_lock)
    guardian = procs.parent(child)
    assert guardian in site.guardians() and procs.holders_of(site.app.start_lock) == [guardian]
    procs.kill(guardian)
    procs.wait_gone(guardian)
    assert child not in procs.holders_of(site.app.start_lock)
    with open(folder / "report.go", "wb", buffering=0) as let_go:
        let_go.write(b"c")
    site.answered(hit.finish())
    assert [start["pid"] for start in site.starts()][1:] == [child]


# --- P2 --------------------------------------------------------------------------------------------------------


STRANGER = [b"HTTP_PROXY=http://evil", b"HTTP_COOKIE=secret", b"AUTHORIZATION=x", b"REMOTE_USER=eve", b"LD_PRELOAD=/tmp/evil.so",
            b"LD_LIBRARY_PATH=/tmp", b"HTTP_ROUSE_SOCKET=/tmp/evil", b"ROUSE_SOCKET=/tmp/evil", b"ROUSE_APP=x", b"ROUSE_LAUNCH=x",
            b"ROUSE_REASON=x", b"REDIRECT_PATH=/tmp", b"BASH_ENV=/tmp/evil", b"ENV=/tmp/evil", b"IFS=x", b"PYTHONPATH=/tmp", b"PWD=/x",
            b"LANGUAGE=xx", b"LC_ALL=xx", b"noequals", b"=empty"]


@pytest.mark.promises("P2", "X1")
def test_24_05_the_environment_is_its_own(make_site):
    """Exactly the promised names; of the request, whose headers a stranger wrote, nothing."""
    site = make_site()
    start = launched(site, extra=[b"HOME=/home/x", b"USER=x", b"LOGNAME=x", b"SHELL=/bin/x", b"LANG=C.UTF-8", b"TZ=Europe/Paris", *STRANGER])
    found = variables(start)
    assert found.pop("ROUSE_SOCKET") == str(site.app.socket_path)
    assert found.pop("ROUSE_APP") == str(site.app.path)
    assert found.pop("ROUSE_REASON") == "cold"
    lock = os.stat(site.app.alive_lock)
    assert found.pop("ROUSE_LAUNCH") == f"1@{lock.st_dev:x}:{lock.st_ino:x}"
    assert found.pop("PATH") == "/usr/bin:/bin"
    assert found == {"HOME": "/home/x", "USER": "x", "LOGNAME": "x", "SHELL": "/bin/x", "LANG": "C.UTF-8", "TZ": "Europe/Paris"}
    assert len(start["env"]) == len(set(entry.partition("=")[0] for entry in start["env"]))


@pytest.mark.promises("P2")
def test_24_06_without_a_home_it_is_looked_up(make_site):
    """suexec drops HOME and USER: they should come from /etc/passwd, and PATH should be a sane one."""
    site = make_site()
    found = variables(launched(site))
    root = pwd.getpwuid(0)
    assert (found["HOME"], found["USER"], found["LOGNAME"], found["SHELL"]) == (root.pw_dir, root.pw_name, root.pw_name, root.pw_shell)
    assert "/bin" in found["PATH"].split(":")


@pytest.mark.promises("P2")
def test_24_07_an_unknown_user_has_the_highest_folder_of_its_own(make_site):
    """A uid without a line in /etc/passwd: HOME should be the owner's folder above the app file."""
    uid = 54321
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
    site = make_site(owner=uid)
    assert variables(launched(site))["HOME"] == str(site.folder)


@pytest.mark.promises("P2")
def test_24_08_the_reason_says_why(make_site):
    """The first start is cold; one after a kill says that the server died."""
    site = make_site()
    assert variables(launched(site))["ROUSE_REASON"] == "cold"
    site.kill_server()
    second = variables(launched(site))
    assert second["ROUSE_REASON"] == "died" and second["ROUSE_LAUNCH"].startswith("2@")


# --- P3 --------------------------------------------------------------------------------------------------------


@pytest.mark.promises("P3")
@pytest.mark.parametrize("directory, expected", [(None, "."), ("sub", "sub"), ("..", "..")])
def test_24_09_the_working_directory_is_as_set(make_site, directory, expected):
    """`directory` counts from the app file's folder, whatever the web server's working directory is."""
    site = make_site(directory=directory)
    (site.folder / "sub").mkdir()
    assert launched(site, cwd="/usr")["cwd"] == os.path.realpath(site.folder / expected)


@pytest.mark.promises("P3", "P4")
def test_24_10_a_missing_working_directory_is_told_in_words(make_site):
    """A `directory` that is not there should fail the launch at once, naming it in the log."""
    site = make_site(directory="nowhere")
    outcome = site.get().finish()
    assert outcome.code == 503 and outcome.seconds < 5 and site.starts() == []
    assert any("nowhere" in line for line in site.app.log_lines())


@pytest.mark.promises("P3")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007, 0])
def test_24_11_the_umask_is_kept(make_site, mask):
    """The web server's umask should be the script's."""
    assert launched(make_site(), umask=mask)["umask"] == mask


@pytest.mark.promises("P3")
def test_24_12_limits_are_raised_to_what_is_allowed(make_site):
    """CPU, AS, DATA, FSIZE and NPROC to the hard ones, NOFILE to at most 4096; CORE and STACK as they were."""
    giga = 1 << 30
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # not even root may go beyond the system's own
    given = {resource.RLIMIT_CPU: (100, 5000), resource.RLIMIT_AS: (giga, 4 * giga), resource.RLIMIT_DATA: (giga, 3 * giga),
             resource.RLIMIT_FSIZE: (giga, 2 * giga), resource.RLIMIT_NPROC: (10_000, 20_000),
             resource.RLIMIT_NOFILE: (64, most), resource.RLIMIT_CORE: (0, giga), resource.RLIMIT_STACK: (1 << 20, 8 << 20)}
    limits = launched(make_site(), rlimits=given)["limits"]
    expected = {number: [hard, hard] for number, (_, hard) in given.items()}
    expected[resource.RLIMIT_NOFILE] = [4096, most]
    expected[resource.RLIMIT_CORE] = [0, giga]
    expected[resource.RLIMIT_STACK] = [1 << 20, 8 << 20]
    assert {number: limits[str(number)] for number in given} == expected


@pytest.mark.promises("P3")
@pytest.mark.parametrize("given, expected", [((64, 1000), [1000, 1000]), ((8000, 9000), [8000, 9000]), ((256, 4096), [4096, 4096])])
def test_24_13_the_descriptor_limit_is_never_lowered(make_site, given, expected):
    """NOFILE should go up to the hard limit or 4096, whichever is less, and stay where it is when it is higher."""
    limits = launched(make_site(), rlimits={resource.RLIMIT_NOFILE: given})["limits"]
    assert limits[str(int(resource.RLIMIT_NOFILE))] == expected


# --- P4 --------------------------------------------------------------------------------------------------------


def missing(site):
    site.script.unlink()
    return "No such file"


def not_executable(site):
    site.script.chmod(0o644)
    return "ermission"


def bad_interpreter(site):
    site.script.write_text("#!/no/such/interpreter\n")
    return "interpreter"


def carriage_return(site):
    site.script.write_bytes(b"#!/bin/sh\r\nexit 0\r\n")
    return "CR"


def no_format(site):
    site.script.write_text("just some text\n")
    return "#!"


def a_folder(site):
    site.script.unlink()
    site.script.mkdir(mode=0o755)
    return "ermission"


@pytest.mark.promises("P4", "B1", "R4")
@pytest.mark.parametrize("spoil", [missing, not_executable, bad_interpreter, carriage_return, no_format, a_folder], ids=lambda f: f.__name__)
def test_24_14_a_script_that_cannot_be_run_is_told_apart(make_site, spoil):
    """503 at once, and in the log in words what it is; nothing of it in the answer."""
    site = make_site()
    word = spoil(site)
    outcome = site.get().finish()
    assert outcome.code == 503 and outcome.status == 0 and outcome.seconds < 5
    lines = [line for line in site.app.log_lines() if " failed " in line]
    assert lines and word.lower() in lines[-1].lower() and "script" in lines[-1], lines
    assert os.fsencode(site.folder) not in outcome.body
    assert site.starts() == []


@pytest.mark.promises("P4", "C1")
def test_24_15_no_processes_left_is_a_shortage(make_site):
    """fork() that fails for want of processes: 503, nothing counted as a failure, and the next request launches."""
    uid = 54322
    site = make_site(owner=uid)
    outcome = site.get(rlimits={resource.RLIMIT_NPROC: 1}).finish()
    assert outcome.code == 503 and outcome.status == 0 and site.starts() == []
    assert ledger.read(site.app).get("failures", 0) == 0
    site.answered(site.get().finish())


@pytest.mark.promises("P4", "C1")
def test_24_16_no_process_left_for_the_script_is_told_in_words(make_site):
    """When the guardian can be forked and the script cannot: 503, in words in the log, and no failure of the script's."""
    uid = 54322
    site = make_site(owner=uid)
    outcome = site.get(rlimits={resource.RLIMIT_NPROC: 2}).finish()
    assert outcome.code == 503 and outcome.status == 0 and site.starts() == []
    assert any("process" in line for line in site.app.log_lines())
    site.answered(site.get().finish())


@pytest.mark.promises("C1", "P1", "R4")
@pytest.mark.parametrize("most", range(3, 16))
def test_24_17_with_hardly_any_descriptors(make_site, most):
    """However few descriptors there may be, the answer should be a whole one, and a launch be made once or not at all."""
    site = make_site()
    outcome = site.get(rlimits={resource.RLIMIT_NOFILE: most}).finish()
    assert outcome.status == 0 and outcome.code in ((200,) if most >= 12 else (200, 500, 503)), outcome
    assert len(site.starts()) <= 1
    site.answered(site.get().finish())
    assert len(site.starts()) == 1


# --- P5 --------------------------------------------------------------------------------------------------------


@pytest.mark.promises("P5", "B1")
@pytest.mark.parametrize("plan", [["exit 1"], ["exit 127"], ["complain no database", "exit 3"], ["bind", "exit 1"]],
                         ids=["1", "127", "says why", "bound"])
def test_24_18_an_exit_status_ends_the_launch_at_once(make_site, plan):
    """Not zero: 503 long before start-timeout, the status in the log, one run."""
    site = make_site(plan, start_timeout=60)
    outcome = site.get().finish()
    assert outcome.code == 503 and outcome.seconds < 5 and len(site.starts()) == 1
    status = plan[-1].split()[1]
    assert any(" failed " in line and status in line for line in site.app.log_lines())
    if "complain no database" in plan:
        assert "no database" in site.app.log_lines() and b"no database" not in outcome.body


@pytest.mark.promises("P5", "L4")
def test_24_19_a_failed_script_leaves_nothing(make_site):
    """What it left behind holding the alive lock should be stopped before the launch counts as failed."""
    site = make_site(["helper", "escape", "exit 1"], stop_timeout=0.2)
    assert site.get().finish().code == 503
    assert site.processes() == [] and procs.holders_of(site.app.alive_lock) == []


@pytest.mark.promises("P5", "B1", "L4")
@pytest.mark.parametrize("plan", [["never"], ["fork", "never"], ["daemon", "never"], ["helper", "never"], ["escape", "never"],
                                  ["ignore 15", "never"], ["bind", "never"]],
                         ids=["foreground", "forks", "daemon", "helper", "escape", "ignores TERM", "bound"])
def test_24_20_a_server_that_never_listens_is_given_up(make_site, plan):
    """At start-timeout the launch should fail for all that wait, and its whole tree be stopped."""
    site = make_site(plan, start_timeout=0.5, stop_timeout=0.2)
    bridges = [site.get() for _ in range(5)]
    for bridge in bridges:
        outcome = bridge.finish()
        assert outcome.code == 503 and outcome.status == 0
    assert len(site.starts()) == 1 and site.processes() == []
    assert ledger.read(site.app)["outcome"] == "failed"
    assert 0.5 <= (ledger.read(site.app)["changed"] - ledger.read(site.app)["started"]) / 1000
    site.plan(SERVE)
    ledger.change(site.app, changed=ledger.boot_clock() - 5000)
    site.answered(site.get().finish())


@pytest.mark.promises("P5", "L8")
def test_24_21_listening_wins_over_an_exit_status(make_site):
    """A script that ends with a status although its server listens (one last connect) should count as ready."""
    site = make_site(["bind", "listen 5", "event listening", "fork", "serve"])
    shell = site.shell("$LAUNCHED\nwhile ! [ -S \"$ROUSE_SOCKET\" ]; do :; done\nexit 3")
    site.app.path.write_text(site.app.path.read_text().replace(f"start = {site.script} {site.folder}", f"start = {shell}"))
    site.answered(site.get().finish())
    site.answered(site.get().finish())
    assert len(site.starts()) == 1
