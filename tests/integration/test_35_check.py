"""rousectl check: what the kernel, suexec and rouse will object to. One test a row, its fault in the first line."""

import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import ledger, procs
from harness.owner import NOT, PENDING, SHELL, UNKNOWN, WELL, rousectl

NOBODY = 65534
STRANGER = 54323


@pytest.fixture
def outer_folder():
    """Not /tmp, to which check objects."""
    return "/srv" if os.getuid() == 0 else Path.home()


def objects(site, *words, status=NOT, **how):
    """check names the fault in its first line, all `words` among it, and no other fault; answers the line."""
    answer = rousectl(site, "check", **how)
    assert answer.complaint == ""
    missing = [word for word in words if word not in answer.line]
    assert answer.status == status and not missing, (missing, answer)
    lines = [line for line in answer.out.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, answer.out
    return answer.line


def is_well(site, **how):
    answer = rousectl(site, "check", **how)
    assert answer.status == WELL and answer.line.startswith("nothing to object to"), answer


def rewrite(path, first, rest=None):
    """Another first line."""
    old = path.read_bytes().partition(b"\n")[2] if rest is None else rest
    path.write_bytes(first + b"\n" + old)


def script_of(site, first=b"#!/bin/sh", rest=b"exit 0\n"):
    path = site.folder / "start.sh"
    path.write_bytes(first + b"\n" + rest)
    path.chmod(0o755)
    return path


# --- nothing -----------------------------------------------------------------------------------------------------


def test_35_01_nothing_is_wrong(make_site):
    """A site in order should give exit status 0 and leave nothing behind: before it ever ran, and while it runs."""
    site = make_site()
    is_well(site)
    assert not site.app.run.exists()
    site.answered(site.get().finish())
    before = sorted(site.app.run.rglob("*"))
    is_well(site)
    assert sorted(site.app.run.rglob("*")) == before
    rousectl(site, "stop")
    answer = rousectl(site, "check")
    assert answer.status == WELL and "note: it was stopped by its owner" in answer.out


def test_35_02_a_copy_of_rouse_is_well_too(make_site):
    """The binary copied as app.cgi, with its settings beside it, should be judged by them."""
    site = make_site()
    site.app.path.with_name("app.cgi.conf").write_text(site.app.path.read_text().partition("\n")[2])
    shutil.copy(procs.BINARY, site.app.path)
    is_well(site)
    site.app.path.chmod(0o644)
    objects(site, "app.cgi is not executable", "chmod 755")
    site.app.path.unlink()
    site.app.path.symlink_to(procs.BINARY)
    answer = rousectl(site, "check")
    assert answer.status == WELL and "is a symbolic link, which suexec refuses" in answer.out


# --- the app file ------------------------------------------------------------------------------------------------


def test_35_03_app_file_not_there(make_site):
    """A path that is wrong should be said."""
    site = make_site()
    objects(site.folder / "ap.cgi", "ap.cgi", "no such file")


def test_35_04_app_file_not_executable(make_site):
    """The web server could not run it."""
    site = make_site(mode=0o644)
    objects(site, "the app file", "is not executable", "chmod 755")


@pytest.mark.promises("X4")
def test_35_05_app_file_with_crlf(make_site):
    """The kernel looks for "rouse CR"; with " -" behind the path it does not, and the settings may have any ends."""
    site = make_site()
    text = site.app.path.read_bytes()
    site.app.path.write_bytes(text.replace(b"\n", b"\r\n"))
    objects(site, "the app file", "CR LF", "unix line ends")
    site.app.path.write_bytes(text.replace(b"\n", b" -\n", 1).replace(b"\n", b"\r\n"))
    is_well(site)


@pytest.mark.parametrize("length", [127, 128, 255, 256, 2000])
def test_35_06_app_file_with_a_long_first_line(make_site, length):
    """Over 127 bytes the line is cut by some kernels, over 255 by all."""
    site = make_site()
    long = site.folder / "deep"
    while len(str(long)) < length - 60:
        long = long / ("x" * min(50, length - len(str(long)) - 9))
    name = "y" * (length - len(f"#!{long}/"))
    long.mkdir(parents=True)
    shutil.copy(procs.BINARY, long / name)
    rewrite(site.app.path, b"#!" + os.fsencode(long / name))
    assert len(site.app.path.read_bytes().partition(b"\n")[0]) == length
    if length <= 127:
        is_well(site)
    else:
        objects(site, "the app file", f"a #! line of {length} bytes", "Shorten the path")


def test_35_07_app_file_names_a_missing_rouse(make_site):
    """The web server would say "no such file" of a file that is there."""
    site = make_site()
    rewrite(site.app.path, b"#!" + os.fsencode(site.folder / "bin/rouse"))
    objects(site, "the rouse that the app file's #! line names", "bin/rouse does not exist", "mend the line")


def test_35_08_app_file_names_a_rouse_that_is_not_executable(make_site):
    """An upload by FTP lost its mode."""
    site = make_site()
    shutil.copy(procs.BINARY, site.folder / "rouse")
    (site.folder / "rouse").chmod(0o644)
    rewrite(site.app.path, b"#!" + os.fsencode(site.folder / "rouse"))
    objects(site, "the rouse that the app file's #! line names", "is not executable", "chmod 755")


def test_35_09_app_file_with_a_byte_order_mark(make_site):
    """The kernel does not see the #! behind it."""
    site = make_site()
    site.app.path.write_bytes(b"\xef\xbb\xbf" + site.app.path.read_bytes())
    objects(site, "the app file", "byte order mark", "without BOM")


@pytest.mark.parametrize("first", [b"# no line", b"", b"# !/bin/rouse"])
def test_35_10_app_file_without_a_first_line(make_site, first):
    """Text alone is no program."""
    site = make_site()
    rewrite(site.app.path, first, b"socket = s\n")
    objects(site, "the app file", "has no #! line", "Make it the first")


@pytest.mark.promises("X3")
@pytest.mark.parametrize("mode", [0o757, 0o777, 0o775])
def test_35_11_app_file_written_by_others(make_site, mode):
    """rouse refuses it, and so does suexec."""
    site = make_site()
    if mode == 0o775:
        os.chown(site.app.path, -1, STRANGER)
    site.app.path.chmod(mode)
    objects(site, "app.cgi", "Others can write to it", "chmod go-w")


def test_35_12_app_file_of_someone_else(make_site):
    """suexec refuses it, and the server would run as somebody else."""
    site = make_site()
    os.chown(site.app.path, STRANGER, STRANGER)
    objects(site, "the app file", "belongs to uid 54323, and this is root (uid 0)", "chown")


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_35_13_app_file_setuid(make_site, mode):
    """suexec refuses it."""
    site = make_site(mode=mode)
    objects(site, "the app file", "setuid or setgid", "chmod 755")


def test_35_14_app_files_folder_written_by_others(make_site):
    """suexec refuses it: others could put another app file there."""
    site = make_site()
    site.folder.chmod(0o777)
    objects(site, "the app file's folder", "can be written by others", "chmod go-w")


@pytest.mark.promises("X4")
def test_35_15_unknown_key(make_site):
    """Line, key and cure, and never a value."""
    site = make_site()
    with open(site.app.path, "a") as file:
        file.write("strat = secret\n")
    line = objects(site, "app.cgi are wrong, line 4, strat", "there is no such key", "The keys are wait")
    assert "secret" not in line


@pytest.mark.promises("X4")
def test_35_16_neither_socket_nor_run(make_site):
    """Nobody would know where the server listens."""
    site = make_site()
    site.app.path.write_text("".join(line for line in open(site.app.path) if not line.startswith("socket")))
    objects(site, "a run directory is missing", "Set `run`")


@pytest.mark.promises("C1", "X4")
@pytest.mark.parametrize("key", ["socket", "run"])
def test_35_17_socket_path_too_long(make_site, key):
    """Over 107 bytes no socket can be bound, wherever the length comes from."""
    site = make_site()
    lines = [line for line in open(site.app.path) if not line.startswith("socket")]
    site.app.path.write_text("".join([*lines, f"{key} = {'d' * 108}\n"]))
    objects(site, "the socket's path is over 107 bytes", "Shorten it")


# --- the start script --------------------------------------------------------------------------------------------


@pytest.mark.promises("P4")
def test_35_18_start_script_missing(make_site):
    """A name was misspelt."""
    site = make_site(start=["nothing.sh"])
    objects(site, "the start script", "nothing.sh does not exist", "mend `start`")


@pytest.mark.promises("P4")
def test_35_19_start_script_not_executable(make_site):
    """An upload by FTP lost its mode."""
    site = make_site(start=["start.sh"])
    script_of(site).chmod(0o644)
    objects(site, "the start script", "is not executable", "chmod 755")


@pytest.mark.promises("P4")
def test_35_20_start_script_with_crlf(make_site):
    """The interpreter's name would end in CR."""
    site = make_site(start=["start.sh"])
    script_of(site, b"#!/bin/sh\r", b"exit 0\r\n")
    objects(site, "the start script", "CR LF", "unix line ends")


@pytest.mark.promises("P4")
def test_35_21_start_script_without_a_first_line(make_site):
    """A shell would run it; the kernel does not."""
    site = make_site(start=["start.sh"])
    script_of(site, b"exec python3 server.py")
    objects(site, "the start script", "has no #! line")


@pytest.mark.promises("P4")
def test_35_22_start_script_with_a_missing_interpreter(make_site):
    """Another machine had it elsewhere."""
    site = make_site(start=["start.sh"])
    script_of(site, b"#! /usr/local/bin/python9 -u")
    objects(site, "the interpreter that the start script's #! line names", "/usr/local/bin/python9 does not exist", "Install it")


@pytest.mark.promises("X3")
@pytest.mark.parametrize("mode", [0o757, 0o775])
def test_35_23_start_script_written_by_others(make_site, mode):
    """rouse refuses it."""
    site = make_site()
    if mode == 0o775:
        os.chown(site.script, -1, STRANGER)
    site.script.chmod(mode)
    objects(site, "script", "Others can write to it", "chmod go-w")


@pytest.mark.promises("X3")
def test_35_24_start_script_of_someone_else(make_site):
    """rouse refuses it."""
    site = make_site()
    os.chown(site.script, STRANGER, STRANGER)
    objects(site, "script", "another user's", "make a copy")


@pytest.mark.promises("P4")
def test_35_25_working_directory_missing(make_site):
    """The script could not be started there."""
    site = make_site(directory="nowhere")
    objects(site, "the working directory", "nowhere is no folder", "`directory`")


# --- the run directory -------------------------------------------------------------------------------------------


@pytest.mark.promises("X3")
def test_35_26_run_directory_not_makeable(make_site):
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
def test_35_27_run_directory_written_by_others(make_site, mode, which):
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
def test_35_28_run_directory_of_someone_else(make_site):
    """rouse refuses it."""
    site = make_site()
    site.app.run.mkdir(mode=0o700)
    os.chown(site.app.run, STRANGER, STRANGER)
    objects(site, "the run directory", "belongs to uid 54323", "Choose another `run`")


@pytest.mark.promises("X3")
def test_35_29_run_directory_is_none(make_site):
    """A file lies there."""
    site = make_site()
    site.app.run.write_text("")
    objects(site, "the run directory", "is no folder", "Move away")


@pytest.mark.promises("X3")
@pytest.mark.parametrize("text", [None, "Require all granted\n", "require  All   DENIED\n", "Deny from all\n"])
@pytest.mark.parametrize("place", ["beside the app file", "in public_html"])
def test_35_30_run_directory_served(make_site, text, place):
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
def test_35_45_where_the_run_directory_really_is(make_site, way):
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
def test_35_31_flock_fails(make_site):
    """A network file system without locks."""
    site = make_site()
    strace = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"]
    objects(site, "the file system of", "cannot lock files (flock)", "on a disk of this machine", wrapper=strace)


def test_35_32_file_system_full(make_site):
    """No room for a lock file."""
    site, words = mounted_run(make_site, "size=64k", "dd if=/dev/zero of=RUN/all bs=4096 2>/dev/null || true")
    objects(site, "the file system of the run directory", "is full", "Make room", wrapper=words)
    site, words = mounted_run(make_site, "nr_inodes=3", "touch RUN/all")
    objects(site, "the file system of the run directory", "is full", "Make room", wrapper=words)


@pytest.mark.parametrize("call", ["openat", "write"])
def test_35_33_file_system_over_quota(make_site, call):
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


def test_35_34_file_system_noexec(make_site):
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
def test_35_35_something_at_the_sockets_path(make_site, what):
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
def test_35_36_address_held_by_another_user(make_site, folder, stranger_listens, kind):
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


def test_35_37_dead_socket_of_another_user(make_site):
    """It is in the way and cannot be removed."""
    site = make_site()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(site.app.socket_path))
    os.chown(site.app.socket_path, STRANGER, STRANGER)
    objects(site, "the socket", "belongs to uid 54323", "choose another `socket`")


def test_35_38_server_that_rouse_did_not_start(make_site):
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
def test_35_39_in_a_temporary_folder(make_site, top, key):
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
def test_35_40_limits_too_low(make_site, which, value, words):
    """What the hard limit forbids the server cannot have; a soft one rouse raises."""
    site = make_site()
    objects(site, "too low a limit", words, "Ask the host for more", rlimits={which: (value, value)})
    hard = resource.getrlimit(which)[1]
    is_well(site, rlimits={which: (value, hard)})


@pytest.mark.promises("B1", "P4")
def test_35_41_back_off_window(make_site):
    """With the last reason, in words, and exit status 3."""
    site = make_site(["exit 127"])
    site.get().finish()
    line = objects(site, "the start script failed", "exit status 127 (a program was not found)", "rousectl log", status=PENDING)
    assert "may begin in 1 s" in line


def test_35_42_ledger_of_another_clock(make_site):
    """Times that are yet to come: the run directory is shared with a container whose boot clock is another."""
    site = make_site()
    site.answered(site.get().finish())
    record = ledger.read(site.app)
    ledger.change(site.app, changed=record["changed"] + 10**9)
    objects(site, "the ledger", "a time that is yet to come", "Remove it")


@pytest.mark.promises("B3")
@pytest.mark.parametrize("days", [-2, 2])
def test_35_43_clock_set_since(make_site, days):
    """The wall clock is not where it was when the ledger was written; here the ledger's time is moved instead."""
    site = make_site()
    site.answered(site.get().finish())
    path = site.app.node_folder / "ledger"
    moved = path.stat().st_mtime + days * 86400
    os.utime(path, (moved, moved))
    objects(site, "the clock was set by more than an hour", "Look at the clock")


@pytest.mark.promises("L9")
def test_35_45_ledger_of_another_socket(make_site, folder):
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


def test_35_44_all_faults_are_told(make_site):
    """One line each, the first what must be mended first."""
    site = make_site(start=["start.sh"], mode=0o644)
    script_of(site, b"no line")
    site.app.socket_path.write_text("")
    answer = rousectl(site, "check")
    assert answer.status == NOT
    assert [line.partition(" /")[0] for line in answer.out.splitlines()] == [
        "the app file", "the start script", "there is something at the socket's path"]
