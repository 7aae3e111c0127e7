"""The output ends when the bridge is gone, not before: Apache sleeps when it still finds the process after the end.

Orphans are part of it, so each bridge here has a PID namespace of its own, with the process 1 that the test wants.
"""

import os
import re
import select
import subprocess

import pytest

from harness import procs

APACHE = [b"SERVER_SOFTWARE=Apache/2.4.71 (Debian)"]
OTHER = [b"SERVER_SOFTWARE=lighttpd/1.4.69"]
ORDINARY = 65534
RUNS = 1000
MOST_CALLS = 18
GETPID, CLONE, EXIT_GROUP = 39, 56, 231  # their numbers on x86-64


class Place:
    """A site with a server that runs, and process 1 of a bridge: its name, and whether it reaps orphans."""

    def __init__(self, site, folder):
        self.site, self.folder = site, folder
        site.answered(site.get().finish())

    def first(self, name="init", reaps="reaps", hidden=False):
        (self.folder / "left").unlink(missing_ok=True)
        return [procs.tool("pidone"), *(["-H"] if hidden else []), name, reaps, self.folder / "left"]

    def left(self):
        return (self.folder / "left").read_text().strip()

    def environment(self, software):
        return dict(entry.split(b"=", 1) for entry in [*self.site.environment("GET", "token=look"), *software])

    def look(self, how, kind, runs=RUNS, *wrapper, software=APACHE, **first):
        """(how often it was gone at once, how often the output was whole) of so many runs, one after the other."""
        report = self.folder / "report"
        command = [*self.first(**first), procs.tool("afterend"), how, kind, str(runs), report, *wrapper, self.site.app.path]
        subprocess.run(command, env=self.environment(software), check=True, stdin=subprocess.DEVNULL, timeout=300)
        gone, equal, length = map(int, report.read_text().split())
        assert length > 50
        return gone, equal

    def get(self, *wrapper, first=(), software=APACHE, **how):
        """One request, answered; what became of it."""
        bridge = self.site.get(extra=software, wrapper=list(map(str, [*self.first(*first), *wrapper])), **how)
        outcome = bridge.finish(60)
        outcome.token = bridge.token
        return outcome

    def killed(self, level, number):
        """What became of a request of which the bridge (0) or the other (1) was killed before that call, and which call it
        was: None, when there were fewer."""
        report = self.folder / "killed"
        report.unlink(missing_ok=True)
        outcome = self.get(procs.tool("killat"), level, number, report)
        word, call = report.read_text().split()[:2]
        return outcome, int(call) if word == "killed" else None

    def calls(self, *wrapper, inject=None, **how):
        """The same under strace: the lines of its calls, and of the one beside it, by process."""
        log = self.folder / "strace"
        options = ["-e", f"inject={inject}"] if inject else []
        outcome = self.get("/usr/bin/strace", "-f", *options, "-o", log, *wrapper, **how)
        if how.get("query"):  # it asks for so many bytes of the answer
            assert outcome.status == 0 and len(outcome.body) == 10
        else:
            self.site.answered(outcome, outcome.token)
        found = {}
        for line in log.read_text().splitlines():
            if match := re.match(r"(\d+) +(\w+\(.*)", line):
                found.setdefault(match[1], []).append(match[2])
        return list(found.values())


@pytest.fixture
def place(make_site, folder):
    return Place(make_site(), folder)


def clones(calls):
    return [line for lines in calls for line in lines if line.startswith("clone")]


@pytest.mark.promises("R4", "S5")
@pytest.mark.parametrize(("how", "kind"), [("waits", "pipe"), ("waits", "socket"), ("asks", "socket")])
def test_38_01_it_is_gone_when_its_output_ends(place, how, kind):
    """Each of a thousand times: for a parent that waits (mod_cgi: a pipe), and for one that asks whether the number is free (mod_cgid:
    a socket). The output should be whole, and no process left."""
    assert place.look(how, kind) == (RUNS, RUNS)
    assert place.left() == "left 0"


@pytest.mark.promises("R4")
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_38_02_who_takes_the_exit_for_the_end_has_every_byte(place, kind):
    """What was not read when the process was gone should still be there."""
    assert place.look("drains", kind, 200) == (200, 200)
    assert place.left() == "left 0"


@pytest.mark.promises("S5")
@pytest.mark.parametrize("name", ["sleep", "process-one", "system"])
def test_38_03_a_process_1_that_does_not_reap_is_left_nothing(place, name):
    """Where orphans would stay as zombies there should be none, and the answer as ever."""
    assert place.look("waits", "pipe", 20, name=name, reaps="never")[1] == 20
    assert place.left() == "left 0"
    assert clones(place.calls(first=(name, "never"))) == []


@pytest.mark.promises("S5")
def test_38_04_one_is_left_where_none_reaps_in_spite_of_its_name(place):
    """The other side of the test before: it can see what is left."""
    assert place.look("waits", "pipe", 20, reaps="never") == (20, 20)
    assert place.left() == "left 20"


@pytest.mark.promises("S5")
def test_38_05_it_costs_nothing_where_it_brings_nothing(place):
    """Another web server should not be looked at twice: no call more than in a warm request."""
    lines = place.calls(software=OTHER)
    assert len(lines) == 1 and not clones(lines)
    assert not any("/proc" in line or "getp" in line for line in lines[0])


@pytest.mark.promises("S5")
def test_38_06_it_costs_few_calls(place):
    """One to know itself, one to make the other, and nothing behind that but the exit. The two that see who reaps are
    made while the server works. Behind a pipe, where somebody waits, the other does not look at /proc."""
    bridge, other = place.calls()
    names = [re.match(r"\w+", line)[0] for line in bridge]
    assert names[-3:] == ["getpid", "clone", "exit_group"]
    sent = names.index("sendmsg")
    assert names[sent + 1:sent + 4] == ["openat", "read", "ppoll"] and "/proc/1/comm" in bridge[sent + 1]
    assert len(other) <= 9 and not any("/proc" in line for line in other)


@pytest.mark.promises("S5")
def test_38_16_behind_a_socket_the_number_must_be_free(place):
    """Who asks by number would find the bridge in the moment in which it is neither running nor gone: the other should ask
    before it lets the output end, and look at what it is that is still there."""
    log = place.folder / "strace"
    still_there = "inject=kill:retval=0:when=1"
    assert place.look("waits", "socket", 1, "/usr/bin/strace", "-f", "-o", log, "-e", still_there)[1] == 1
    text = log.read_text()
    number = re.search(r" kill\((\d+), 0\)", text)[1]
    assert f'"/proc/{number}/stat"' in text


@pytest.mark.promises("C1", "S5")
def test_38_14_a_warm_get_is_few_system_calls_with_it(place):
    """At most 18, the exec and the exit among them, when the answer says its length: the fewest of seven, because a server
    may answer in two pieces."""
    calls = min((place.calls(query="length=10")[0] for _ in range(7)), key=len)
    print(f"\n{len(calls)} system calls:", " ".join(re.match(r"\w+", line)[0] for line in calls))
    assert 10 < len(calls) <= MOST_CALLS


@pytest.mark.promises("S4")
def test_38_15_a_warm_get_touches_few_pages(place):
    """Hardly more than a static program that does nothing: what it writes lies together."""
    def fewest(*program):
        command = [*place.first(), procs.tool("faults"), "20", *program]
        return int(subprocess.run(command, env=place.environment(APACHE), check=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, timeout=120).stdout)

    nothing, bridge = fewest(procs.tool("faults")), fewest(place.site.app.path)
    print(f"\n{bridge} minor faults; of nothing {nothing}")
    assert 2 < bridge <= nothing + 2
    assert place.left() == "left 0"


@pytest.mark.promises("R4", "S5")
@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM", "ENOSYS", "EPERM"])
def test_38_07_without_a_clone_it_exits_as_ever(place, error):
    """The answer should be whole and nothing left."""
    calls = place.calls(inject=f"clone:error={error}:when=1")
    assert len(clones(calls)) == 1 and error in clones(calls)[0] and len(calls) == 1
    assert place.left() == "left 0"


@pytest.mark.promises("R4", "S5")
@pytest.mark.parametrize(("call", "kind"), [
    *((call, kind) for kind in ("pipe", "socket") for call in (
        "openat:error=ENOENT:when=2", "openat:error=EACCES:when=2", "read:error=EIO:when=2", "prctl:error=EPERM",
        "rt_sigtimedwait:error=ENOSYS", "wait4:error=ENOSYS", "getsockname:error=ENOSYS", "close_range:error=ENOSYS",
        "rt_sigprocmask:error=EPERM")),
    ("kill:error=EPERM", "socket"), ("sched_yield:error=EPERM", "socket")])
def test_38_08_whatever_is_refused_the_answer_is_whole(place, call, kind):
    """A kernel or a filter that lacks a call may cost the order, never a byte, and leaves nothing."""
    log = place.folder / "strace"
    strace = ["/usr/bin/strace", "-f", "-A", "-o", log, "-e", f"inject={call}"]
    assert place.look("waits", kind, 5, *strace)[1] == 5
    # Whether it waits for being told, and whether it finds the bridge half gone, is a matter of time.
    assert "(INJECTED)" in log.read_text() or call.startswith(("rt_sigtimedwait", "sched_yield"))
    assert place.left() == "left 0"


@pytest.mark.promises("R4", "S5")
def test_38_09_no_process_is_left_to_the_user(make_site, folder):
    """At the user's limit of processes (RLIMIT_NPROC) it should exit as ever."""
    place = Place(make_site(owner=ORDINARY), folder)
    calls = place.calls("/usr/bin/setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups",
                        "/usr/bin/prlimit", "--nproc=0:0", user=(0, 0))
    assert len(clones(calls)) == 1 and "EAGAIN" in clones(calls)[0]
    assert place.left() == "left 0"


@pytest.mark.promises("R4", "S5")
def test_38_10_killed_at_any_call_it_leaves_nothing(place):
    """Before each call of a request: what was written should be whole, and nobody be left. How many calls there are depends
    on the server's speed, so this goes on until each of the last ones was hit."""
    number, last, runs = 0, {GETPID, CLONE, EXIT_GROUP}, 0
    while last:
        number, runs = number + 1, runs + 1
        assert runs < 300
        outcome, killed = place.killed(0, number)
        assert not outcome.held and place.left() == "left 0"
        assert outcome.stdout == b"" or outcome.stdout.endswith(b"wrong=-1\n")
        if killed is None:
            number -= 6
        elif killed in (GETPID, CLONE, EXIT_GROUP):
            assert outcome.stdout, "all was written before"
            last.discard(killed)


@pytest.mark.promises("R4", "S5")
def test_38_11_the_other_killed_at_any_call_costs_nothing(place):
    """Nobody but the order should suffer: the answer is whole, the exit status 0, and nobody is left."""
    number, killed = 0, 0
    while killed is not None:
        number += 1
        outcome, killed = place.killed(1, number)
        place.site.answered(outcome, outcome.token)
        assert not outcome.held and place.left() == "left 0"
    assert number > 7


@pytest.mark.promises("R4", "S5")
def test_38_12_the_output_ends_behind_the_bridge_and_not_before(place):
    """While the other is held before its first call, the bridge ends, and the output does not; once it goes on it finds that
    its parent is another one, although it was told of nothing."""
    def adopted(pid, outer):
        """It is held, and a child of process 1, which is a child of `outer`."""
        above = procs.parent(pid)
        return procs.state(pid) == "t" and above and procs.parent(above) == outer

    report = place.folder / "held"
    os.mkfifo(f"{report}.go")
    command = [*place.first(), procs.tool("killat"), "1", "-1", report, place.site.app.path]
    with subprocess.Popen(command, env=place.environment(APACHE), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as first:
        try:
            procs.wait_until(report.exists, 60, "the other is held")
            procs.wait_until(lambda: any(adopted(pid, first.pid) for pid in procs.descendants(first.pid)), 60, "the bridge has ended")
            poller = select.poll()
            poller.register(first.stdout, select.POLLIN)
            output = os.read(first.stdout.fileno(), 65536)
            assert output.endswith(b"wrong=-1\n")
            assert poller.poll(0) == [], "no byte more, and no end"
            with open(f"{report}.go", "w") as go:
                go.write("g")
            assert first.stdout.read() == b"" and first.wait(60) == 0
        finally:
            first.kill()  # and its namespace with it
    assert place.left() == "left 0"


@pytest.mark.promises("S5")
def test_38_13_a_hidden_process_1_is_a_hosts(make_site, folder):
    """Where /proc shows nobody's processes but one's own (hidepid), process 1 is not a container's."""
    place = Place(make_site(owner=ORDINARY), folder)
    log = folder / "strace"
    bridge = place.site.get(extra=APACHE, user=(0, 0), wrapper=list(map(str, [
        *place.first("process-one", hidden=True), "/usr/bin/strace", "-f", "-o", log, "/usr/bin/setpriv", f"--reuid={ORDINARY}",
        f"--regid={ORDINARY}", "--clear-groups"])))
    place.site.answered(bridge.finish(60), bridge.token)
    assert re.search(r'openat\(.*"/proc/1/comm".*ENOENT', log.read_text()) and "clone(" in log.read_text()
    assert place.left() == "left 0"
