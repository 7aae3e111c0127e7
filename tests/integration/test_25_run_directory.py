"""The run directory: made private, refused when it is not, and what happens when it cannot be written."""

import os
import re
import shutil
import stat
import subprocess

import pytest

from harness import ledger, procs
from harness.server import SERVE

NOBODY = 65534
STRANGER = 54323


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def settings_error(site, **how):
    """A request that must be refused as a settings error: 500 in words, no path, nothing started."""
    outcome = site.get(**how).finish()
    assert outcome.status == 0 and outcome.code == 500 and len(outcome.body) > 40, outcome
    assert os.fsencode(site.folder) not in outcome.body
    assert site.starts() == [] and site.guardians() == []
    return outcome.body.decode()


def served(site, **how):
    bridge = site.get(**how)
    return site.answered(bridge.finish(), bridge.token)


# --- how it is made --------------------------------------------------------------------------------------------


@pytest.mark.promises("X3", "L9")
@pytest.mark.parametrize("umask", [0o022, 0, 0o077])
def test_25_01_it_is_made_private(make_site, umask):
    """0700, files 0600, and an .htaccess that denies all, whatever the umask."""
    site = make_site()
    served(site, umask=umask)
    run = site.app.run
    assert mode(run) == mode(site.app.node_folder) == 0o700
    assert "denied" in (run / ".htaccess").read_text() and mode(run / ".htaccess") & 0o400
    names = sorted(path.name for path in site.app.node_folder.iterdir())
    assert names == ["alive.lock", "ledger", "log", "start.lock"]
    assert {mode(site.app.node_folder / name) for name in names} == {0o600}


@pytest.mark.promises("X3")
def test_25_02_an_existing_one_is_not_changed(make_site):
    """A run directory of the owner's own making should stay as it is, without an .htaccess of ours."""
    site = make_site()
    site.app.run.mkdir()
    site.app.run.chmod(0o755)
    served(site)
    assert mode(site.app.run) == 0o755 and not (site.app.run / ".htaccess").exists()


def writable_by_all(path):
    path.chmod(0o777)


def writable_by_a_group(path):
    os.chown(path, -1, STRANGER)
    path.chmod(0o770)


def of_a_stranger(path):
    os.chown(path, STRANGER, STRANGER)
    path.chmod(0o700)


@pytest.mark.promises("X3")
@pytest.mark.parametrize("what", ["run", "node"])
@pytest.mark.parametrize("spoil", [writable_by_all, writable_by_a_group, of_a_stranger], ids=lambda f: f.__name__)
def test_25_03_others_may_not_write_there(make_site, what, spoil):
    """A folder in which others can write, or that is a stranger's, should be refused and left as it is."""
    site = make_site()
    site.app.node_folder.mkdir(parents=True, mode=0o700)
    site.app.run.chmod(0o700)
    path = site.app.run if what == "run" else site.app.node_folder
    spoil(path)
    before = os.stat(path)
    settings_error(site)
    assert not [file.name for file in site.app.run.rglob("*") if file.is_file()], "not even the log"
    after = os.stat(path)
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@pytest.mark.promises("X3")
def test_25_04_ones_own_group_may_write(make_site):
    """umask 002 with a group of one's own is no danger: our own primary group should not count."""
    site = make_site(owner=NOBODY)
    site.app.run.mkdir()
    os.chown(site.app.run, NOBODY, NOBODY)
    site.app.run.chmod(0o770)
    site.script.chmod(0o775)
    site.app.path.chmod(0o775)
    served(site)


@pytest.mark.promises("X3")
@pytest.mark.parametrize("what", ["run", "node"])
@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_25_05_it_must_be_a_folder(make_site, what, kind):
    """A link is not followed, a file not taken for a folder."""
    site = make_site()
    path = site.app.run if what == "run" else site.app.node_folder
    path.parent.mkdir(mode=0o700, exist_ok=True)
    elsewhere = site.folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "file":
        path.write_text("")
    else:
        os.mkfifo(path)
    settings_error(site)
    assert not list(elsewhere.iterdir()), "not even the log"


@pytest.mark.promises("X3")
@pytest.mark.parametrize("what", ["app", "script"])
@pytest.mark.parametrize("spoil", [writable_by_all, writable_by_a_group], ids=lambda f: f.__name__)
def test_25_06_what_others_can_write_is_not_run(make_site, what, spoil):
    """An app file or start script that others can write should be refused."""
    site = make_site()
    path = site.app.path if what == "app" else site.script
    spoil(path)
    path.chmod(path.stat().st_mode | 0o555)
    settings_error(site)


@pytest.mark.promises("X3")
def test_25_07_a_strangers_script_is_not_run(make_site):
    """A start script that is neither ours nor root's nor the app file's owner's should be refused."""
    site = make_site()
    os.chown(site.script, STRANGER, STRANGER)
    settings_error(site)
    os.chown(site.app.path, STRANGER, STRANGER)  # then it is the app file's owner's
    served(site)


# --- names that point elsewhere ----------------------------------------------------------------------------------


@pytest.mark.promises("X3", "X4")
@pytest.mark.parametrize("name", ["start.lock", "alive.lock", "ledger"])
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_25_08_state_files_are_not_followed(make_site, name, kind):
    """A link or folder in a state file's place should neither be written through nor hang anybody."""
    site = make_site(wait=5)
    site.app.node_folder.mkdir(parents=True, mode=0o700)
    site.app.run.chmod(0o700)
    victim = site.folder / "victim"
    victim.write_text("precious")
    path = site.app.node_folder / name
    if kind == "link":
        path.symlink_to(victim)
    else:
        path.mkdir()
    outcome = site.get().finish()
    assert outcome.status == 0 and outcome.code in (500, 503) and site.starts() == []
    assert victim.read_text() == "precious"


@pytest.mark.promises("X4")
@pytest.mark.parametrize("name", ["start.lock", "alive.lock", "ledger", "log"])
def test_25_09_a_fifo_stops_nobody(make_site, name):
    """A FIFO in a state file's place should not make anybody wait for its other end."""
    site = make_site(wait=5)
    site.app.node_folder.mkdir(parents=True, mode=0o700)
    site.app.run.chmod(0o700)
    os.mkfifo(site.app.node_folder / name, 0o600)
    outcome = site.get().finish(8)
    assert not outcome.hung and outcome.status == 0 and outcome.code in (200, 500, 503)
    assert len(site.starts()) <= 1


# --- nowhere to write --------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(folder):
    """Mount something for one test."""
    points = []

    def mount(point, *words):
        point.mkdir(exist_ok=True, parents=True)
        subprocess.run(["mount", *words, str(point)], check=True, timeout=10)
        points.append(point)
        return point

    yield mount
    for point in reversed(points):
        subprocess.run(["umount", "-l", str(point)], check=True, timeout=10)


@pytest.mark.promises("C1", "X3", "R4")
def test_25_10_a_run_directory_without_permission(make_site):
    """EACCES for an ordinary user: a settings error, no launch, and no unlocked way around it."""
    site = make_site(owner=NOBODY)
    site.app.run.mkdir(mode=0o755)  # root's
    settings_error(site)
    assert list(site.app.run.iterdir()) == []


@pytest.mark.promises("C1", "X3")
def test_25_11_a_lock_without_permission(make_site):
    """A lock that may not be opened should be a settings error too."""
    site = make_site(owner=NOBODY)
    served(site)
    site.kill_server()
    os.chown(site.app.start_lock, 0, 0)
    outcome = site.get().finish()
    assert outcome.code == 500 and len(site.starts()) == 1


@pytest.mark.promises("C1", "R4", "X4")
def test_25_12_a_read_only_file_system(make_site, mounted, folder):
    """Down: refused in words, no launch. A server that lives is used all the same."""
    read_only = mounted(folder / "mount", "-t", "tmpfs", "-o", "ro,mode=700", "tmpfs")
    site = make_site(run="mount/run", socket="@rouse." + folder.name)
    settings_error(site)
    by_hand = make_site(start=None)
    pid = os.posix_spawn(by_hand.script, [str(by_hand.script), str(by_hand.folder)], {"ROUSE_SOCKET": site.app.socket})
    by_hand.control.wait("listening")
    assert served(site) == pid
    assert list(read_only.iterdir()) == []


@pytest.fixture
def full(mounted, folder):
    """FOLDER/mount, which has no room for a byte."""
    point = mounted(folder / "mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs")
    with open(point / "filler", "wb", buffering=0) as filler:
        with pytest.raises(OSError):
            while True:
                filler.write(b"x" * 4096)
    return point


@pytest.mark.promises("W2", "W3")
def test_25_24_a_full_disk_hides_no_hang_and_no_touch(make_site, full, folder):
    """The server that hangs should be replaced after three time-outs all the same, and by a touch once."""
    site = make_site(["bind", "listen 5", "event listening", "accept-only"], run="mount/run", socket="@rouse." + folder.name,
                     response_timeout=0.3, restart_on="stamp")
    assert [site.get().finish().code for _ in range(2)] == [504, 504] and len(site.starts()) == 1
    site.plan(SERVE)
    assert site.get().finish().code == 504
    hung = served(site)
    (folder / "stamp").touch()
    assert served(site) != hung and served(site) != hung and len(site.starts()) == 3
    assert full.stat().st_dev == site.app.node_folder.stat().st_dev and site.app.ledger() == ""


@pytest.mark.promises("L1", "R4", "X4")
def test_25_13_a_full_disk(make_site, full, folder):
    """No room for log and ledger: requests should go on without them, and a crowd still be one launch."""
    site = make_site(["hold begun", *SERVE], run="mount/run", socket="@rouse." + folder.name)
    bridges = [site.get() for _ in range(10)]
    site.control.wait("begun")
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 9)
    site.control.go("begun")
    assert len({site.answered(bridge.finish(), bridge.token) for bridge in bridges}) == 1
    assert len(site.starts()) == 1 and site.app.ledger() == "" and site.app.log_lines() == []
    site.kill_server()
    served(site)
    assert len(site.starts()) == 2
    (full / "filler").unlink()
    site.kill_server()
    served(site)
    assert ledger.read(site.app)["outcome"] == "ready" and site.app.log_lines(), "with room again all is recorded"


@pytest.mark.promises("R4", "C1")
def test_25_14_no_room_for_a_lock_file(make_site, mounted, folder):
    """A lock that cannot be made for want of room: 503, no launch; and well again when there is room."""
    point = mounted(folder / "mount", "-t", "tmpfs", "-o", "nr_inodes=4,mode=700", "tmpfs")
    for number in range(3):
        (point / f"filler{number}").touch()
    site = make_site(run="mount/run", socket="@rouse." + folder.name)
    outcome = site.get().finish()
    assert outcome.code == 503 and outcome.status == 0 and site.starts() == []
    subprocess.run(["mount", "-o", "remount,nr_inodes=100", str(point)], check=True, timeout=10)
    served(site)


@pytest.mark.promises("R4", "X4")
@pytest.mark.parametrize("log", ["/dev/full", "folder", "no/such/folder/log", "fifo", "link", "forbidden"])
def test_25_15_a_log_that_cannot_be_written(make_site, log):
    """It should never fail a request, whatever it is."""
    site = make_site(["print one", "complain two", *SERVE], log=log, owner=NOBODY)
    path = site.folder / log
    victim = site.folder / "victim"
    if log == "folder":
        path.mkdir()
    elif log == "fifo":
        os.mkfifo(path, 0o666)
    elif log == "link":
        victim.write_text("precious")
        victim.chmod(0o666)
        path.symlink_to(victim)
    elif log == "forbidden":
        path.write_text("")
        path.chmod(0o600)  # root's
    served(site)
    served(site)
    site.kill_server()
    site.plan(["exit 1"])
    assert site.get().finish().code == 503
    assert len(site.starts()) == 2
    assert not victim.exists() or victim.read_text() == "precious"


# --- the locks ---------------------------------------------------------------------------------------------------


@pytest.mark.promises("L5", "L1", "L4")
@pytest.mark.parametrize("how", ["unlinked", "replaced", "renamed"])
def test_25_16_a_lock_file_that_is_replaced_while_held(make_site, how):
    """A cleaner takes start.lock away while the script starts: old and new waiters should be served by one start."""
    site = make_site(["hold begun", *SERVE])
    bridges = [site.get() for _ in range(5)]
    site.control.wait("begun")
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 4)
    if how == "unlinked":
        site.app.start_lock.unlink()
    elif how == "renamed":
        site.app.start_lock.rename(site.app.node_folder / "old")
    else:
        replace_lock(site)
    bridges += [site.get() for _ in range(5)]
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 4, what="the new ones wait as well")
    site.control.go("begun")
    assert len({site.answered(bridge.finish(), bridge.token) for bridge in bridges}) == 1
    assert len(site.starts()) == 1 and len(site.listening()) == 1


def replace_lock(site):
    fresh = site.app.node_folder / "fresh"
    fresh.touch(0o600)
    fresh.rename(site.app.start_lock)


@pytest.mark.promises("L5", "L1")
def test_25_23_a_lock_that_is_replaced_under_a_bridge(make_site, folder):
    """Replaced after the bridge got it and before its guardian runs the script: the guardian should not run it. The
    server closes all descriptors here: alive.lock would hide the mistake."""
    site = make_site(["close-all", "hold begun", *SERVE])
    killat, report, gate = str(procs.tool("killat")), folder / "report", folder / "report.go"
    os.mkfifo(gate)
    moments = 0
    for number in range(1, 1000):
        report.write_text("")
        starts = len(site.starts())
        hit = site.get(wrapper=[killat, "0", str(-number), str(report)])
        said = procs.wait_until(lambda: report.read_text() or len(site.starts()) > starts)
        held = said is not True and procs.lock_holders(site.app.start_lock) and not site.guardians()
        if held:
            replace_lock(site)
            other = site.get()
            site.control.wait("begun", starts + 1)
            moments += 1
        if said is not True:
            with open(gate, "wb", buffering=0) as let_go:
                let_go.write(b"c")
        if held:
            # It comes back to the new lock and waits there, or, before it had looked at the old one, at once.
            procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 1 or len(site.starts()) > starts + 1)
        site.control.go("begun")
        for bridge in (hit, *([other] if held else [])):
            site.answered(bridge.finish(), bridge.token)
        assert len(site.starts()) == starts + 1, f"before call {number}: {said}"
        site.control.stop_at("begun")
        procs.wait_until(lambda: not site.guardians())
        site.kill_server()
        if said is True or (moments and not held):
            break
    assert moments >= 5


@pytest.mark.promises("L5")
def test_25_17_lock_files_stay(make_site):
    """They are made once: launches, failures and kills should leave the same files in place, and nobody's lock."""
    site = make_site()
    served(site)
    inodes = {path: os.stat(path).st_ino for path in (site.app.start_lock, site.app.alive_lock)}
    site.kill_server()
    served(site)
    site.kill_server()
    site.plan(["exit 1"])
    assert site.get().finish().code == 503
    procs.wait_until(lambda: not site.guardians())
    assert {path: os.stat(path).st_ino for path in inodes} == inodes
    assert all(procs.lock_holders(path) == [] and procs.holders_of(path) == [] for path in inodes)


@pytest.mark.promises("L4", "L9", "B3")
def test_25_18_an_alive_lock_of_another_boot(make_site):
    """Held, and the ledger is another kernel's: a settings error; nothing is stopped, removed or run."""
    site = make_site()
    old = served(site)
    ledger.change(site.app, boot="00000000-1111-2222-3333-444444444444")
    site.app.socket_path.unlink()
    outcome = site.get().finish()
    assert outcome.code == 500 and len(site.starts()) == 1 and procs.alive(old)


@pytest.mark.promises("L5", "L4")
def test_25_19_locks_that_others_hold_for_ever(make_site):
    """Somebody's own process sits on start.lock: 503 when `wait` is over, no launch, and well when it lets go."""
    site = make_site(wait=0.3)
    site.app.node_folder.mkdir(parents=True, mode=0o700)
    site.app.run.chmod(0o700)
    site.app.start_lock.touch(0o600)
    with subprocess.Popen(["/usr/bin/flock", site.app.start_lock, "/bin/cat"], stdin=subprocess.PIPE) as holder:
        procs.wait_until(lambda: procs.lock_holders(site.app.start_lock))
        outcome = site.get().finish()
        assert outcome.code == 503 and outcome.seconds > 0.3 - procs.CLOCK and site.starts() == []
    assert holder.returncode == 0
    served(site)


# --- the log -----------------------------------------------------------------------------------------------------


@pytest.mark.promises("X1", "X4")
def test_25_20_every_event_is_one_line_of_a_closed_list(make_site):
    """Time in UTC, the event, key=value: whatever happened."""
    site = make_site(["hold begun", *SERVE], stop_timeout=0.2)
    bridge = site.get("a=%0aforged&b=\r\nforged\x1b[0m", extra=[b"HTTP_X=\r\n2026-01-01T00:00:00.000Z ready launch=9"])
    site.control.wait("begun")
    [guardian] = site.guardians()
    procs.kill(guardian)
    procs.wait_until(lambda: any(" adopted " in line for line in site.app.log_lines()))
    site.control.go("begun")
    bridge.finish()
    site.app.socket_path.unlink()
    served(site)
    site.kill_server()
    site.plan(["die 9"])
    site.get().finish()
    ledger.change(site.app, killed=0, failures=0, outcome="none")
    site.plan(["exit 7"])
    site.get().finish()
    lines = site.app.log_lines()
    event = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\w+)((?: \w+=(?:\"[ !#-~]*\"|[!#-~]+))*)")
    kinds = set()
    for line in lines:
        match = event.fullmatch(line)
        assert match, line
        kinds.add(match[1])
    assert kinds <= {"page", "cut", "launch", "adopted", "ready", "failed", "killed", "stopping"}
    assert kinds >= {"launch", "adopted", "ready", "stopping", "killed", "failed", "page"}
    assert "forged" not in "\n".join(lines) and "launch=9" not in "\n".join(lines)


@pytest.mark.promises("P1", "S4")
def test_25_21_a_large_log_is_put_aside_at_a_launch(make_site):
    """Over 1 MiB it becomes log.1; the request before it, which launches nothing, leaves it alone."""
    site = make_site()
    served(site)
    log = site.app.node_folder / "log"
    with open(log, "a") as file:
        file.write("x" * 1_100_000 + "\n")
    served(site)
    assert not (site.app.node_folder / "log.1").exists()
    site.kill_server()
    served(site)
    assert (site.app.node_folder / "log.1").stat().st_size > 1_000_000 and log.stat().st_size < 10_000


@pytest.mark.promises("L9", "X3")
def test_25_22_a_run_directory_belongs_to_one_socket(make_site):
    """Two app files with one `run` and two sockets would share locks: the second should be refused in words."""
    site = make_site(run="run", socket="@rouse.a." + str(os.getpid()))
    served(site)
    other = make_site(run="run", socket="@rouse.b." + str(os.getpid()))
    shutil.rmtree(other.folder / "run", ignore_errors=True)
    other.app.path.write_text(other.app.path.read_text().replace("run = run", f"run = {site.app.run}"))
    outcome = other.get().finish()
    assert outcome.code == 500 and other.starts() == [] and len(site.starts()) == 1
