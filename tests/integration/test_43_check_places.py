"""rousectl check, beyond the app file and the start script (test_35): the run directory and its file system, the address,
limits, clock and ledger."""

import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from harness import ledger
from harness.owner import PENDING, SHELL, UNKNOWN, rousectl
from test_35_check import STRANGER, is_well, objects, outer_folder  # the last is a fixture

NOBODY = 65534


# --- the run directory -------------------------------------------------------------------------------------------


@pytest.mark.promises("X3")
def test_43_01_run_directory_not_makeable(make_site):
    """The folder above is missing, or not ours to write in."""
    site = make_site(socket=None, run="above/run")
    objects(site, "the run directory", "above/run is missing, and so is the folder above it", "Make that folder")
    (site.folder / "above").mkdir()
    is_well(site)
    for path in (site.app.path, site.script):
        os.chown(path, NOBODY, NOBODY)
    objects(site, "no file can be made in the folder above the run directory", "above: permission denied",
            "Make it writable", user=NOBODY)


@pytest.mark.promises("X3")
@pytest.mark.parametrize("mode", [0o757, 0o770])
@pytest.mark.parametrize("which", ["run", "node"])
def test_43_02_run_directory_written_by_others(make_site, mode, which):
    """rouse refuses it."""
    site = make_site()
    site.app.node_folder.mkdir(parents=True, mode=0o700)
    site.app.run.chmod(0o700)
    (site.app.run / ".htaccess").write_text("Require all denied\n")
    path = site.app.run if which == "run" else site.app.node_folder
    os.chown(path, -1, STRANGER)
    path.chmod(mode)
    objects(site, str(path), "can be written by others", "chmod 700")


@pytest.mark.promises("X3")
def test_43_03_run_directory_of_someone_else(make_site):
    """rouse refuses it."""
    site = make_site()
    site.app.run.mkdir(mode=0o700)
    os.chown(site.app.run, STRANGER, STRANGER)
    objects(site, "the run directory", "belongs to uid 54323", "Choose another `run`")


@pytest.mark.promises("X3")
def test_43_04_run_directory_is_none(make_site):
    """A file lies there."""
    site = make_site()
    site.app.run.write_text("")
    objects(site, "the run directory", "is no folder", "Move away")


@pytest.mark.promises("X3")
@pytest.mark.parametrize("text", [None, "Require all granted\n", "require  All   DENIED\n", "Deny from all\n"])
@pytest.mark.parametrize("place", ["beside the app file", "in public_html"])
def test_43_05_run_directory_served(make_site, text, place):
    """Inside the document root somebody must deny it: the log and the ledger would be shown."""
    site = make_site(socket=None, run="run")
    if place == "in public_html":
        cgi = site.folder / "public_html" / "cgi-bin"
        cgi.mkdir(parents=True)
        site.app.path.write_text(site.app.path.read_text().replace("run = run", "run = ../run"))
        site.app.path = site.app.path.rename(cgi / "app.cgi")
        site.app.run = cgi.parent / "run"
    site.app.run.mkdir(mode=0o700)
    if text is not None:
        (site.app.run / ".htaccess").write_text(text)
    if text is None or "granted" in text:
        objects(site, "the run directory", "may be served to visitors", "Require all denied")
    else:
        is_well(site)


@pytest.mark.promises("X3")
@pytest.mark.parametrize("way", ["out by ..", "in by a link"])
def test_43_06_where_the_run_directory_really_is(make_site, way):
    """Neither ".." nor a link should mislead: what lies outside is well, what a link brings in is not."""
    site = make_site(socket=None, run="run")
    cgi = site.folder / "public_html" / "cgi-bin"
    cgi.mkdir(parents=True)
    outside = site.folder / "run"
    outside.mkdir(mode=0o700)
    text = site.app.path.read_text()
    site.app.path = site.app.path.rename(cgi / "app.cgi")
    if way == "out by ..":
        site.app.path.write_text(text.replace("run = run", "run = ../..//./run"))
        is_well(site)
    else:
        (site.folder / "mine").symlink_to("public_html")
        (cgi.parent / "run").mkdir(mode=0o700)
        site.app.path.write_text(text.replace("run = run", f"run = {site.folder}/mine/run"))
        objects(site, "the run directory", "may be served to visitors", f"{site.folder}/public_html.")


def in_mounts(script):
    """The words that run a command in a mount namespace of its own, after `script`: it ends with the command."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}\nexec "$@"', "sh"]


def mounted_run(make_site, options, then=""):
    """A site and the words that mount a tmpfs as its run directory."""
    site = make_site()
    site.app.run.mkdir(mode=0o700)
    run = shlex.quote(str(site.app.run))
    return site, in_mounts(f"mount -t tmpfs -o mode=0700,{options} none {run}\n"
                           f"echo 'Require all denied' >{run}/.htaccess\n" + then.replace("RUN", run))


@pytest.mark.promises("L5")
def test_43_07_flock_fails(make_site):
    """A network file system without locks."""
    site = make_site()
    strace = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"]
    objects(site, "the file system of", "cannot lock files (flock)", "on a disk of this machine", wrapper=strace)


def test_43_08_file_system_full(make_site):
    """No room for a lock file."""
    site, words = mounted_run(make_site, "size=64k", "dd if=/dev/zero of=RUN/all bs=4096 2>/dev/null || true")
    objects(site, "the file system of the run directory", "is full", "Make room", wrapper=words)
    site, words = mounted_run(make_site, "nr_inodes=3", "touch RUN/all")
    objects(site, "the file system of the run directory", "is full", "Make room", wrapper=words)


@pytest.mark.parametrize("call", ["openat", "write"])
def test_43_09_file_system_over_quota(make_site, call):
    """The owner has used up what is allowed; it shows when the file is made, or when it is written."""
    site = make_site()
    site.app.run.mkdir(mode=0o700)
    (site.app.run / ".htaccess").write_text("Require all denied\n")
    if call == "openat":  # the one with O_TMPFILE: counted, and then made to fail
        log = site.folder / "calls"
        rousectl(site, "check", wrapper=["strace", "-qq", "-o", str(log), "-e", "trace=openat"])
        number = [index for index, line in enumerate(log.read_text().splitlines(), 1) if "O_TMPFILE" in line][0]
        which = f"when={number}"
    else:
        which = "when=1"
    words = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EDQUOT:{which}"]
    objects(site, "the file system of the run directory", "the disk quota is used up", "ask for more space", wrapper=words)


def test_43_10_file_system_noexec(make_site):
    """Of the run directory, of the app file, of the start script."""
    site, words = mounted_run(make_site, "noexec")
    objects(site, "the file system of the run directory", "mounted noexec", "Set `run`", wrapper=words)
    site = make_site(start=["other/start.sh"])
    other = site.folder / "other"
    other.mkdir()
    mount = f"mount -t tmpfs -o mode=0755,noexec none {shlex.quote(str(other))}\n"
    script = f"printf '#!/bin/sh\\n' >{shlex.quote(str(other))}/start.sh\nchmod 755 {shlex.quote(str(other))}/start.sh\n"
    objects(site, "the start script", "mounted noexec", "Move it", wrapper=in_mounts(mount + script))


# --- the address -------------------------------------------------------------------------------------------------


@pytest.mark.promises("C1")
@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_43_11_something_at_the_sockets_path(make_site, what):
    """rouse never removes what is no socket."""
    site = make_site()
    if what == "file":
        site.app.socket_path.write_text("")
    elif what == "folder":
        site.app.socket_path.mkdir()
    else:
        site.app.socket_path.symlink_to("nowhere")
    objects(site, "there is something at the socket's path", "that is no socket", "Move it away")


@pytest.fixture
def stranger_listens(folder):
    """Let another user listen at an address, for one test."""
    children = []

    def listen(family, address):
        ready, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            one = socket.socket(family)
            one.bind(address)
            one.listen()
            os.write(theirs, b"%d" % (one.getsockname()[1] if family == socket.AF_INET else 0))
            signal.pause()
        children.append(child)
        os.close(theirs)
        answer = int(os.read(ready, 16))
        os.close(ready)
        return answer

    yield listen
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.promises("X2")
@pytest.mark.parametrize("kind", ["path", "abstract", "port"])
def test_43_12_address_held_by_another_user(make_site, folder, stranger_listens, kind):
    """rouse sends it nothing."""
    if kind == "path":
        site = make_site(socket="open/s")
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        stranger_listens(socket.AF_UNIX, str(folder / "open/s"))
        (folder / "open").chmod(0o755)
    elif kind == "abstract":
        site = make_site(socket=f"@{folder.name}", run="run")
        stranger_listens(socket.AF_UNIX, f"\0{folder.name}")
    else:
        port = stranger_listens(socket.AF_INET, ("127.0.0.1", 0))
        site = make_site(socket=f"127.0.0.1:{port}", run="run")
    objects(site, "is held by a server of uid 54323", "Choose another `socket`")


def test_43_13_dead_socket_of_another_user(make_site):
    """It is in the way and cannot be removed."""
    site = make_site()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(site.app.socket_path))
    os.chown(site.app.socket_path, STRANGER, STRANGER)
    objects(site, "the socket", "belongs to uid 54323", "choose another `socket`")


def test_43_14_server_that_rouse_did_not_start(make_site):
    """A request is served, but nobody would know when to start it again, nor how to stop it."""
    site = make_site()
    by_hand = subprocess.Popen([site.script, site.folder], stdin=subprocess.DEVNULL,
                               env={**SHELL, "ROUSE_SOCKET": str(site.app.socket_path)})
    site.control.wait("listening")
    objects(site, "a server is up", "that rouse did not start", f"process {by_hand.pid}", "Stop it")
    by_hand.kill()
    by_hand.wait()


@pytest.mark.parametrize("top", ["/tmp", "/var/tmp", "/dev/shm"])
@pytest.mark.parametrize("key", ["socket", "run"])
def test_43_15_in_a_temporary_folder(make_site, top, key):
    """The web server may have one of its own, and cleaners take old files away."""
    place = tempfile.mkdtemp(prefix="rouse.", dir=top)
    try:
        site = make_site(**{"socket": None, "run": None, key: f"{place}/it"})
        objects(site, f"{place}/it", f"lies in {top}/", "PrivateTmp", "Choose a folder in your home")
    finally:
        shutil.rmtree(place)


# --- limits, clock, ledger ---------------------------------------------------------------------------------------


@pytest.mark.promises("P3")
@pytest.mark.parametrize("which, value, words", [
    (resource.RLIMIT_NPROC, 12, "12 processes (NPROC)"),
    (resource.RLIMIT_AS, 64 << 20, "64 MiB of memory (AS)"),
    (resource.RLIMIT_CPU, 30, "30 s of processor time (CPU)"),
    (resource.RLIMIT_NOFILE, 64, "64 open files (NOFILE)"),
], ids=["NPROC", "AS", "CPU", "NOFILE"])
def test_43_16_limits_too_low(make_site, which, value, words):
    """What the hard limit forbids the server cannot have; a soft one rouse raises."""
    site = make_site()
    objects(site, "too low a limit", words, "Ask the host for more", rlimits={which: (value, value)})
    hard = resource.getrlimit(which)[1]
    is_well(site, rlimits={which: (value, hard)})


@pytest.mark.promises("B1", "P4")
def test_43_17_back_off_window(make_site):
    """With the last reason, in words, and exit status 3."""
    site = make_site(["exit 127"])
    site.get().finish()
    line = objects(site, "the start script failed", "exit status 127 (a program was not found)", "rousectl log", status=PENDING)
    assert "may begin in 1 s" in line


def test_43_18_ledger_of_another_clock(make_site):
    """Times that are yet to come: the run directory is shared with a container whose boot clock is another."""
    site = make_site()
    site.answered(site.get().finish())
    record = ledger.read(site.app)
    ledger.change(site.app, changed=record["changed"] + 10**9)
    objects(site, "the ledger", "a time that is yet to come", "Remove it")


@pytest.mark.promises("B3")
@pytest.mark.parametrize("days", [-2, 2])
def test_43_19_clock_set_since(make_site, days):
    """The wall clock is not where it was when the ledger was written; here the ledger's time is moved instead."""
    site = make_site()
    site.answered(site.get().finish())
    path = site.app.node_folder / "ledger"
    moved = path.stat().st_mtime + days * 86400
    os.utime(path, (moved, moved))
    objects(site, "the clock was set by more than an hour", "Look at the clock")


@pytest.mark.promises("L9")
def test_43_20_ledger_of_another_socket(make_site, folder):
    """A `socket` that was changed after a launch: requests are refused with 500, and check and status should say why, as long
    as nobody listens there."""
    site = make_site(run="run", socket=f"@rouse.a.{folder.name}")
    served_by = site.answered(site.get().finish())
    site.kill_server()
    text = site.app.path.read_text()
    site.app.path.write_text(text.replace("@rouse.a.", "@rouse.b."))
    assert site.get().finish().code == 500
    objects(site, "It is another socket's: set a `run` of its own, or remove its ledger.")
    answer = rousectl(site, "status")
    assert answer.status == UNKNOWN and "another socket's" in answer.line, answer
    site.app.path.write_text(text)
    assert site.answered(site.get().finish()) != served_by
    is_well(site)
