"""rousectl check: what the kernel, suexec and rouse will object to. One test a row, its fault in the first line.

Here the app file and the start script; test_43 is about all that lies behind them."""

import os
import shutil
from pathlib import Path

import pytest

from harness import procs
from harness.owner import NOT, WELL, rousectl

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


# --- all together --------------------------------------------------------------------------------------------------


def test_35_44_all_faults_are_told(make_site):
    """One line each, the first what must be mended first."""
    site = make_site(start=["start.sh"], mode=0o644)
    script_of(site, b"no line")
    site.app.socket_path.write_text("")
    answer = rousectl(site, "check")
    assert answer.status == NOT
    assert [line.partition(" /")[0] for line in answer.out.splitlines()] == [
        "the app file", "the start script", "there is something at the socket's path"]
