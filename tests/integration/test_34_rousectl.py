"""rousectl: its words and exit statuses, whom it serves, and what status and log tell."""

import json
import os
import re
import socket

import pytest

from harness.owner import NOT, PENDING, SHELL, UNKNOWN, USAGE, WELL, Run, rousectl
from harness.server import SERVE

NOBODY = 65534
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
