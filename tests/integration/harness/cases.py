"""This file knows how one case of the fixtures is run in one variant, and what may be said against the outcome."""

import contextlib
import os
import re
import shutil
import socket
import stat
import sys
import threading
from pathlib import Path

from . import procs
from .bridge import App, run_bridge
from .launches import Launches
from .scripted_server import Events, ScriptedServer, listen, own_network

ORDINARY = 65534  # "nobody": a user that owns nothing here
# Both become the bridge: with standard error on a full pipe that nobody will ever read, or with a standard
# output that does not block.
FULL_STDERR = """
import os, sys
read, write = os.pipe()
os.set_blocking(write, False)
try:
    while True:
        os.write(write, b"x")
except BlockingIOError:
    pass
os.set_blocking(write, True)
os.set_inheritable(read, True)
os.dup2(write, 2)
os.execv(sys.argv[1], sys.argv[1:])
"""
NONBLOCKING_STDOUT = """
import os, sys
os.set_blocking(1, False)
os.execv(sys.argv[1], sys.argv[1:])
"""

PAGE = re.compile(
    rb"Status: (?P<status>[45]\d\d) (?P<reason>[A-Z][A-Za-z ]+)\r?\n"
    rb"Content-Type: text/(?:plain|html); charset=utf-8\r?\n"
    rb"Cache-Control: no-store\r?\n"
    rb"(?:Retry-After: (?P<retry>[1-9]\d*)\r?\n)?"
    rb"(?:[A-Z][A-Za-z-]*: [\x20-\x7e]+\r?\n)*"
    rb"\r?\n(?P<body>[\x20-\x7e\x80-\xff\r\n]*)",
)
REASONS = {
    400: b"Bad Request",
    413: b"Content Too Large",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}
# What a complaint is about: what the client or the server got, or how the bridge behaved beside that.
REPLY, CONDUCT = "reply", "conduct"
LOG_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z][a-z-]*(?: [a-z_-]+=(?:[\x21-\x7e]*|\"[\x20\x21\x23-\x7e]*\"))*")


class Mark(threading.Event):
    """A step of standard input that is reached when everything before it was taken."""

    def wait(self, timeout=None):
        self.set()
        return True


class Place:
    """What stands at the server's address before the bridge runs, and whether it is still there."""

    def __init__(self, case, folder, port=0):
        self.server = case["server"]
        self.folder = folder
        self.wanted_port = port  # of a bridge that knows one address only; 0: any
        self.listener = None
        self.kept = contextlib.ExitStack()
        self.path = None
        self.port = None
        self.parked = 0
        kind = self.server["kind"]
        if kind == "unix":
            self._make_path()
        elif kind == "abstract":
            self.name = b"rouse-test-%d" % os.getpid() + os.urandom(4).hex().encode()
            if self.server["state"] != "absent":
                self.listener = self._listen(socket.AF_UNIX, b"\0" + self.name)
        else:
            self._make_port("::1" if kind in ("tcp6", "localhost6") else "127.0.0.1")
        if self.server["state"] in ("full", "stuck"):
            self._fill()
        self.before = self.look()

    def variables(self):
        kind = self.server["kind"]
        named = {"dir": os.fsencode(self.folder)}
        if self.port is not None:
            host = {"tcp4": b"127.0.0.1", "tcp6": b"[::1]"}.get(kind, b"localhost")
            named["port"] = b"%d" % self.port
            named["socket"] = host + b":%d" % self.port
        elif kind == "abstract":
            named["socket"] = b"@" + self.name
        else:
            named["socket"] = os.fsencode(self.path)
        return named

    def disturbed(self):
        """A sentence when what stood there is no longer the same."""
        after = self.look()
        return None if after == self.before else f"{self.path} was {self.before} and is {after}"

    def look(self):
        if self.path is None:
            return None
        try:
            seen = os.lstat(self.path)
        except OSError as error:
            return error.errno
        content = self.path.read_bytes() if stat.S_ISREG(seen.st_mode) else None
        return seen.st_ino, seen.st_mode, content

    def _make_path(self):
        place = os.fsdecode(self.server["path"].resolve()) if "path" in self.server else "sock"
        path = self.folder / place
        if "path_length" in self.server:
            path = self.folder / ("p" * (self.server["path_length"] - len(os.fsencode(self.folder)) - 1))
        self.path = path
        state = self.server["state"]
        if self.server.get("decoy"):
            self.listener = self._listen(socket.AF_UNIX, os.fsencode(path)[:107])
            return
        target = path.with_name("target") if self.server.get("link") else path
        if state == "dangling":
            path.symlink_to("nothing")
        elif state == "loop":
            path.symlink_to(path.name)
        elif state == "file":
            path.write_bytes(b"the owner's words\n")
        elif state == "directory":
            path.mkdir()
        elif state == "dgram":
            datagrams = self.kept.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            datagrams.bind(os.fsencode(path))
        elif state == "bound":
            self.kept.enter_context(listen(socket.AF_UNIX, os.fsencode(path), listening=False))
        elif state == "stale":
            listen(socket.AF_UNIX, os.fsencode(path)).close()
        elif state in ("listening", "full", "stuck", "dying"):
            self.listener = self._listen(socket.AF_UNIX, os.fsencode(target))
            target.chmod(self.server["mode"])
        if target != path:
            path.symlink_to(target.name)

    def _make_port(self, host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = self._listen(family, (host, self.wanted_port))
        self.port = self.listener.getsockname()[1]
        if self.server.get("network") == "self-connecting":
            # The only port that the kernel may choose for a client is the server's own.
            Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{self.port} {self.port}")
        if self.server["state"] == "absent":
            self.listener.close()
            self.listener = None

    def _listen(self, family, address):
        user = ORDINARY if self.server.get("user") == "ordinary" else None
        return listen(family, address, backlog=0 if self.server["state"] in ("full", "stuck") else 64, user=user)

    def _fill(self):
        """Connect until the backlog is full. A backlog of 0 has room for one."""
        client = self.kept.enter_context(socket.socket(self.listener.family, socket.SOCK_STREAM))
        client.connect(self.listener.getsockname())
        self.parked = 1


class Run:
    """One case in one variant. `complaints` are the sentences against it; none: it holds."""

    fixed_port = 0         # the server's, for a bridge that knows one address only
    own_network = False    # everything happens in a network of its own, whatever the case says
    removes_stale = True   # the bridge takes away what a dead server has left at its address; else the start script does
    gated = True           # the clients of a crowd meet at a gate, and the start script waits for them

    def __init__(self, case, variant, folder, binary=None):
        self.binary = Path(binary or procs.BINARY)
        self.case = case
        self.variant = variant
        self.folder = Path(folder)
        self.complaints = []
        self.verdicts = {REPLY: [], CONDUCT: []}
        self.outcome = None
        self.expect = case["expect"]  # of the outcome: with several clients, of one after another
        self.launches = None
        self.server = None
        self.bridge = None
        self._bridge_runs = threading.Event()

    def run(self):
        if self.own_network or "network" in self.case["server"]:
            # The credentials of a namespace are a thread's: everything of the case is made by this one.
            thread = threading.Thread(target=self._run_in_own_network)
            thread.start()
            thread.join()
        else:
            self._run()
        return self

    def _run_in_own_network(self):
        try:
            own_network()
            self._run()
        except BaseException as error:  # a thread's failure would be printed and forgotten
            self.demand(False, f"the case could not be run: {type(error).__name__}: {error}")

    def demand(self, holds, sentence, about=REPLY):
        if not holds:
            self.complaints.append(sentence)
            self.verdicts[about].append(sentence)

    # --- running -------------------------------------------------------------------------------------------

    def _run(self):
        case = self.case
        place = Place(case, self.folder, self.fixed_port)
        with place.kept:
            try:
                self.variables = {**place.variables(), "url": b"/case"}
                if "clients" in case.values:
                    self._play()
                    return
                self._make_start()
                app = self._make_app()
                self.events = Events()
                self._serve(place)
                self._ours = self._files()
                self.bridge = self._start_bridge(app)
                self._bridge_runs.set()
                self._follow_client()
                self.outcome = self.bridge.finish(case["timeout"])
                self.events.signal("bridge.ended")
            finally:
                if self.server:
                    self.server.finish()
        disturbed = place.disturbed()
        self.demand(disturbed is None or "start" in case.values and place.server["state"] == "stale", disturbed, CONDUCT)
        self._judge()

    def _play(self):
        """A case with several clients, to its verdict."""
        self.launches = Launches(self, self.gated)
        try:
            self._make_start()
            app = self._make_app()
            self._ours = self._files() | {act["touch"] for act in self.case["acts"] if "touch" in act}
            self.launches.play(app)
        finally:
            self.launches.close()
        self._await_helpers()
        self.launches.judge(REPLY, CONDUCT)
        self._judge_left()
        outcomes = [outcome for group in self.launches.groups for outcome in group.outcomes]
        if outcomes:
            self.outcome = outcomes[0]  # who looks at a case's one outcome sees the first
            self._judge_log(b"".join(one.stderr for one in outcomes))

    def _await_helpers(self):
        """What the bridge left to itself ends with what was started; what does not is left behind."""
        try:
            procs.wait_until(lambda: not self.launches.helpers(), 10.0)
        except AssertionError:
            for pid in self.launches.helpers():
                words = b" ".join(procs.command_line(pid)).decode(errors="backslashreplace")
                self.demand(False, f"a process was left behind: {words[:200]}", CONDUCT)
                procs.kill(pid)
                procs.wait_gone(pid)

    def _files(self):
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*")}

    def _resolve(self, value):
        return value.resolve(self.variables)

    def _make_start(self):
        path = self.folder / "start"
        self.variables["start"] = os.fsencode(path)
        start = self.case.get("start")
        if start is None or start.get("missing"):
            return
        if "run" in start:
            self.launches.write_script(path)
        elif "text" in start:
            path.write_bytes(self._resolve(start["text"]))
        else:
            path.write_text(f"#!/bin/sh\necho started >> {self.folder}/starts\nexit {start.get('exit', 1)}\n")
        path.chmod(start.get("mode", 0o755))
        if "owner" in start:
            os.chown(path, ORDINARY, ORDINARY)

    def _make_app(self):
        case, app = self.case, self.case["app"]
        binary = self.binary
        if "user" in case["cgi"]:  # who may not be able to reach the binary where it was built
            binary = Path(shutil.copy(binary, self.folder / "rouse"))
        self.variables["binary"] = os.fsencode(binary)
        if "text" in app:
            content = self._resolve(app["text"])
        else:
            pairs = {key: self._resolve(value) for key, value in case["settings"].items()}
            if case["server"]["state"] != "none":
                pairs.setdefault("socket", self.variables["socket"])
            if "start" in case.values:
                pairs.setdefault("start", self.variables["start"])
            if case["server"]["protocol"] == "http":
                pairs.setdefault("protocol", b"http")
            lines = b"".join(key.encode() + b" = " + value + b"\n" for key, value in pairs.items())
            content = b"#!" + os.fsencode(binary) + b"\n" + lines
        made = App(self.folder, socket="sock", text=b"", name=app["name"], binary=binary)
        settings_file = made.path
        if app["kind"] != "script":
            made.path.unlink()
            if app["kind"] == "link":
                made.path.symlink_to(binary)
            else:
                shutil.copy(binary, made.path)
            settings_file = made.path.with_name(made.path.name + ".conf")
        if app.get("missing"):
            return made
        settings_file.write_bytes(content)
        settings_file.chmod(app["mode"])
        if "group" in app or "owner" in app:
            os.chown(settings_file, ORDINARY if "owner" in app else -1, ORDINARY if "group" in app else -1)
            settings_file.chmod(app["mode"])
        if "user" in case["cgi"]:
            os.chown(self.folder, ORDINARY, ORDINARY)
            os.chown(settings_file, ORDINARY, ORDINARY)
        return made

    def _serve(self, place):
        if place.listener is None:
            return
        scripts = [
            [{verb: self._resolve(value) if hasattr(value, "resolve") else value for verb, value in step.items()}
             for step in connection["do"]]
            for connection in place.server["conn"]
        ]
        self.server = ScriptedServer(
            place.listener,
            scripts,
            events=self.events,
            parked=place.parked,
            hold_accept={"full": "bridge.parked", "stuck": "bridge.ended"}.get(place.server["state"]),
            never_accept=place.server["state"] == "dying",
            saw=self._client_saw,
            watchdog=self.case["timeout"],
            protocol=place.server["protocol"],
        )

    def _start_bridge(self, app):
        cgi = self.case["cgi"]
        given = {}
        self.taken = Mark()
        steps = []
        if "stdin_steps" in cgi:
            for step in cgi["stdin_steps"]:
                if "send" in step:
                    content = self._resolve(step["send"])
                    size = step.get("piece") or len(content) or 1
                    steps += [content[start : start + size] for start in range(0, len(content), size)]
                else:
                    steps.append(self._event(step["await"]))
        elif "stdin" in cgi:
            steps.append(self._resolve(cgi["stdin"]))
        steps.append(self.taken)
        with contextlib.ExitStack() as ours:
            if cgi["stdin_kind"] == "file":
                content = self.folder / "stdin"
                content.write_bytes(b"".join(step for step in steps if isinstance(step, bytes)))
                given["stdin_from"] = self._open(ours, content, os.O_RDONLY)
            elif cgi["stdin_kind"] == "null":
                given["stdin_from"] = self._open(ours, "/dev/null", os.O_RDONLY)
            if cgi["stdout"] == "full":
                given["stdout_to"] = self._open(ours, "/dev/full", os.O_WRONLY)
            if cgi["stderr"] == "full":
                given["wrapper"] = [sys.executable, "-ISc", FULL_STDERR]
            if cgi["stdout"] == "nonblocking":
                given["wrapper"] = [sys.executable, "-ISc", NONBLOCKING_STDOUT]
            if "cwd" in cgi:
                given["cwd"] = os.fsdecode(self._resolve(cgi["cwd"]))
            if "stdout_wait" in cgi:
                given["read_after"] = self._event(cgi["stdout_wait"])
            if "stdout_leave" in cgi:
                given["leave_at"] = self._resolve(cgi["stdout_leave"])
            if "user" in cgi:
                given["user"] = ORDINARY
            return run_bridge(
                app,
                env=[self._resolve(entry) for entry in cgi["env"]],
                stdin=steps,
                stdin_end=cgi["stdin_end"],
                fds=self.variant["fds"],
                closed=cgi["closed"],
                argv=[os.fsdecode(self._resolve(word)) for word in cgi["argv"]],
                sigpipe=self.variant["sigpipe"],
                blocked="all" if cgi["signals"] == "blocked" else "none",
                **given,
            )

    @staticmethod
    def _open(stack, path, flags):
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        return descriptor

    def _event(self, name):
        """The named event as a threading.Event, which the bridge's harness waits for."""
        one = threading.Event()
        threading.Thread(target=lambda: self.events.wait(name, self.case["timeout"]) and one.set(), daemon=True).start()
        return one

    def _client_saw(self, wanted):
        try:
            self._bridge_runs.wait(self.case["timeout"])  # the server may be faster than our own next line
            self.bridge.wait_for_output(wanted, self.case["timeout"])
            return True
        except AssertionError:
            return False

    def _follow_client(self):
        cgi = self.case["cgi"]
        state = self.case["server"]["state"]
        if state == "dying":
            self.server.wait_queued()  # or the bridge would find nobody, which is another case
        if "bridge.parked" in self._awaited() or state in ("full", "dying"):
            # Nothing announces that a process has come to rest; that it used no processor does. One whose output nobody
            # reads may rest because the answer has not come yet: only with the answer before it does it wait for its output.
            offered = self.server.has_offered if cgi.get("stdout_wait") == "bridge.parked" else lambda: True
            procs.wait_until(lambda: not self.bridge.running() or offered() and procs.asleep([self.bridge.pid]), self.case["timeout"])
            self.events.signal("bridge.parked")
        if state == "dying":
            self.server.die()
        if "stdout_leave" in cgi:
            self.bridge.wait_for_output(self._resolve(cgi["stdout_leave"]), self.case["timeout"])
            self.bridge.close_stdout()

    def _awaited(self):
        cgi = self.case["cgi"]
        steps = [step for connection in self.case["server"]["conn"] for step in connection["do"]]
        return {step["await"] for step in steps + cgi.get("stdin_steps", []) if "await" in step} | {cgi.get("stdout_wait")}

    # --- judging -------------------------------------------------------------------------------------------

    def _judge(self):
        self._judge_conduct()
        self._judge_outcome()
        self._judge_stdout()
        self._judge_requests()
        self._judge_log()

    def _judge_conduct(self):
        self._judge_ending()
        self._judge_left()
        if self.expect.get("drained"):
            self.demand(self.taken.is_set() or _soon(self.taken.is_set), "standard input was not drained", CONDUCT)

    def _judge_ending(self):
        outcome = self.outcome
        self.demand(not outcome.hung, f"hung: the bridge had not ended after {self.case['timeout']} s", CONDUCT)
        self.demand(not outcome.held, "held: the bridge was gone, but its standard output or error stayed open", CONDUCT)
        self.demand(outcome.hung or outcome.status >= 0, f"died: signal {-(outcome.status or 0)}", CONDUCT)
        if "exit" in self.expect["cgi"]:
            self._judge_exit(self.expect["cgi"]["exit"])

    def _judge_left(self):
        left = sorted(path for path in self._files() - self._ours if not self._is_known(path))
        self.demand(not left, f"left behind in the folder: {left}", CONDUCT)

    def _judge_exit(self, wanted):
        status = self.outcome.status
        self.demand(status in wanted, f"the exit status is {status}, not {_or(wanted)}", CONDUCT)

    def _is_known(self, path):
        """Whether the bridge may leave this file in the case's folder."""
        # Without a start script there is no run directory either; a spooled body never has a name that stays.
        state = r"|(sock\.)?run(/[^/]+(/(\.htaccess|start\.lock|alive\.lock|ledger|log))?)?|(sock\.)?run/\.htaccess|starts"
        known = re.compile("log|stdin" + (state if "start" in self.case.values else "") + (r"|requests|sock|sock\.run/[^/]+/touched" if self.launches else ""))
        return known.fullmatch(path)

    def _judge_outcome(self):
        wanted = self.expect.get("outcome")
        if wanted is None:
            return
        found = self._name_outcome()
        self.demand(found in wanted, f"the outcome is {found}, not {_or(wanted)}")

    def _name_outcome(self):
        """The word of the closed vocabulary for what came out."""
        outcome = self.outcome
        if outcome.hung:
            return "hung"
        if outcome.held:
            return "held"
        if outcome.status < 0:
            return "died"
        if not outcome.stdout:
            return "silent" if self._says_nothing_came(outcome.status) else "lost"
        expected = self.expect["cgi"].get("stdout")
        expected = None if expected is None else self._resolve(expected)
        if outcome.status == 0:
            if outcome.stdout == expected:
                return "served"
            page = self._page()
            if page:
                return "bridge-4xx" if page["status"].startswith(b"4") else "bridge-5xx"
            return "partial" if expected and expected.startswith(outcome.stdout) else "mangled"
        if self._says_it_was_cut(outcome.status) and (expected is None or expected.startswith(outcome.stdout)):
            return "flagged-partial"
        return "partial" if expected and expected.startswith(outcome.stdout) else "mangled"

    @staticmethod
    def _says_nothing_came(status):
        return status == 2

    @staticmethod
    def _says_it_was_cut(status):
        return status == 1

    def _page(self):
        """The bridge's own page, judged, if that is what came; else None."""
        page = PAGE.fullmatch(self.outcome.stdout)
        if page:
            self._judge_page(page)
        return page

    def _judge_page(self, page):
        status = int(page["status"])
        self.demand(page["reason"] == REASONS.get(status), f"the reason of {status} is {page['reason']!r}")
        self.demand((page["retry"] is not None) == (status == 503), "Retry-After goes with 503, and with nothing else")
        head = b"REQUEST_METHOD=HEAD" in [entry.resolve(self.variables) for entry in self.case["cgi"]["env"]]
        self.demand(bool(page["body"]) != head, "a page has a body, but for HEAD")
        incident = re.search(rb"Incident: (?:<code>)?([0-9a-f]{6,})", page["body"])
        self.demand(head or incident, "the page names no incident")
        cgi = self.case["cgi"]
        if incident and cgi["stderr"] == "read" and 2 not in cgi["closed"]:
            self.demand(incident[1] in self._said()[1], "the incident that the page names is not in the log")

    def _judge_stdout(self):
        expect, stdout = self.expect["cgi"], self.outcome.stdout
        if "stdout" in expect and self.outcome.stdout != (wanted := self._resolve(expect["stdout"])):
            self.demand(False, f"standard output differs {_difference(stdout, wanted)}")
        if "status" in expect:
            self.demand(self.outcome.code in expect["status"], f"the status is {self.outcome.code}, not {_or(expect['status'])}")
        for part in expect.get("contains", []):
            self.demand(self._resolve(part) in stdout, f"standard output lacks {self._resolve(part)!r}: {stdout[:800]!r}")
        for part in expect.get("lacks", []):
            self.demand(self._resolve(part) not in stdout, f"standard output holds {self._resolve(part)!r}: {stdout[:800]!r}")

    def _judge_requests(self):
        expect = self.case["expect"]
        started = self.folder / "starts"
        starts = len(started.read_bytes().splitlines()) if started.exists() else 0
        self.demand(starts in expect["starts"], f"the start script ran {starts} times, not {_or(expect['starts'])}", CONDUCT)
        if self.server is None:
            return
        for problem in self.server.problems:
            self.demand(False, f"server: {problem}")
        carried = [one for one in self.server.connections if not one.carried_nothing]
        empty = len(self.server.connections) - len(carried)
        if self.case["server"]["conn"] or expect["connections"] != [0]:
            self.demand(len(carried) in expect["connections"], f"{len(carried)} connections carried a request, not {_or(expect['connections'])}", CONDUCT)
        else:
            self.demand(not carried, f"{len(carried)} connections carried a request to somebody who is not the server", CONDUCT)
        self.demand(empty in expect["empty"], f"{empty} connections carried nothing, not {_or(expect['empty'])}", CONDUCT)
        for connection in carried:
            self._judge_request(connection, expect["request"])

    def _judge_request(self, connection, expect):
        parser = connection.parser
        self.demand(connection.fault is None, f"what came is no {parser.protocol} request: {connection.fault}: {parser.wire[:300]!r}")
        self.demand(not parser.surplus, f"bytes behind the body: {parser.surplus[:100]!r}")
        if expect.get("incomplete"):
            self.demand(not parser.complete, "the server got a request that looks whole")
        if parser.headers is None:
            self.demand(not expect or expect.get("incomplete"), "the headers did not come")
            return
        if parser.protocol == "HTTP":
            own = (b"connection", b"content-length")
            pairs = [name + b": " + value for name, value in parser.headers if name not in own]
            if "line" in expect and parser.line != (wanted := self._resolve(expect["line"])):
                self.demand(False, f"the request line is {parser.line!r}, not {wanted!r}")
        else:
            pairs = [name + b"=" + value for name, value in parser.headers if name not in (b"CONTENT_LENGTH", b"SCGI")]
        if "headers" in expect:
            wanted = [self._resolve(entry) for entry in expect["headers"]]
            missing, surplus = _multiset_difference(wanted, pairs)
            self.demand(not missing, f"missing variables: {_short(missing)}")
            self.demand(not surplus, f"variables too many: {_short(surplus)}")
        for entry in expect.get("contains", []):
            self.demand(self._resolve(entry) in pairs, f"the variable {self._resolve(entry)!r} is missing")
        names = {name for name, _ in parser.headers}
        for name in expect.get("lacks", []):
            self.demand(self._resolve(name) not in names, f"the variable {self._resolve(name)!r} was passed on")
        if "body" in expect and parser.body != (wanted := self._resolve(expect["body"])):
            self.demand(False, f"the body differs {_difference(parser.body, wanted)}")
        if "body" in expect and not expect.get("incomplete"):
            self.demand(parser.body_length == len(self._resolve(expect["body"])), f"the length is {parser.body_length}")
        if "wire" in expect and parser.wire != (wanted := self._resolve(expect["wire"])):
            self.demand(False, f"the bytes of the request differ {_difference(parser.wire, wanted)}")

    def _said(self):
        """The log, and that with standard error, where rouse writes what it cannot log."""
        places = [self.folder / "log", *self.folder.glob("*.run/*/log"), *self.folder.glob("run/*/log")]
        logged = b"".join(place.read_bytes() for place in places if place.is_file())
        return logged, logged + self.outcome.stderr

    def _judge_log(self, more=b""):
        logged, said = self._said()
        said += more
        for line in logged.splitlines():
            if "start" not in self.case.values:  # or it may be a line of the script
                self.demand(LOG_LINE.fullmatch(line), f"no line of a log: {line[:200]!r}", CONDUCT)
        self.demand(re.fullmatch(rb"(?:[\x20-\x7e]*\n)*", said), f"unprintable bytes in the log or on standard error: {said[:300]!r}", CONDUCT)
        expect = self.case["expect"]["log"]
        for part in expect.get("contains", []):
            self.demand(self._resolve(part) in said, f"the log lacks {self._resolve(part)!r}: {said[:800]!r}", CONDUCT)
        for part in expect.get("lacks", []):
            self.demand(self._resolve(part) not in said, f"the log holds {self._resolve(part)!r}: {said[:800]!r}", CONDUCT)

    def report(self):
        """Everything that a person needs who wants to know what went wrong."""
        lines = [f"{self.case.id}: {self.case['title']}", *[f"  - {one}" for one in self.complaints]]
        if self.case["why"]:
            lines.append(f"  why it matters: {self.case['why']}")
        if self.launches:
            return "\n".join(lines + self.launches.report())
        if self.outcome:
            lines.append(f"  exit status {self.outcome.status}, {self.outcome.seconds:.2f} s")
            lines.append(f"  stdout {self.outcome.stdout[:600]!r}")
            lines.append(f"  stderr {self.outcome.stderr[:600]!r}")
        for connection in self.server.connections if self.server else []:
            lines.append(f"  connection {connection.number}: {connection.parser.wire[:300]!r} {connection.ended or ''}")
        return "\n".join(lines)


def _or(values):
    return " or ".join(map(str, values))


def _short(entries):
    return [entry[:80] for entry in entries[:5]]


def _multiset_difference(wanted, found):
    counts = {}
    for entry in wanted:
        counts[entry] = counts.get(entry, 0) + 1
    for entry in found:
        counts[entry] = counts.get(entry, 0) - 1
    return [entry for entry, count in counts.items() if count > 0], [entry for entry, count in counts.items() if count < 0]


def _difference(found, wanted):
    at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
    return (f"from byte {at} of {len(wanted)} ({len(found)} came): {found[at:at + 80]!r} instead of {wanted[at:at + 80]!r}")


def _soon(condition):
    try:
        return procs.wait_until(condition, 2.0)
    except AssertionError:
        return False
