"""This file knows how one case of the fixtures is run in one variant, from the server's address to the verdict."""

import contextlib
import os
import re
import shutil
import sys
import threading
from pathlib import Path

from . import procs
from .address import ORDINARY, Place
from .bridge import App, run_bridge
from .judgement import CONDUCT, Complaints, Judgement
from .launches import Launches
from .scripted_server import Events, ScriptedServer, own_network

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


class Mark(threading.Event):
    """A step of standard input that is reached when everything before it was taken."""

    def wait(self, timeout=None):
        self.set()
        return True


class Run(Complaints):
    """One case in one variant, and what is wrong with it."""

    fixed_port = 0         # the server's, for a bridge that knows one address only
    own_network = False    # everything happens in a network of its own, whatever the case says
    removes_stale = True   # the bridge takes away what a dead server has left at its address; else the start script does
    gated = True           # the clients of a crowd meet at a gate, and the start script waits for them
    judgement = Judgement  # who judges each outcome

    def __init__(self, case, variant, folder, binary=None):
        super().__init__()
        self.binary = Path(binary or procs.BINARY)
        self.case = case
        self.variant = variant
        self.folder = Path(folder)
        self.outcome = None
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
        self.launches.judge()
        self._judge_left()
        outcomes = [outcome for group in self.launches.groups for outcome in group.outcomes]
        if outcomes:
            self.outcome = outcomes[0]  # who looks at a case's one outcome sees the first
            self.judgement(self, self.outcome, self.case["expect"], self).judge_log(b"".join(one.stderr for one in outcomes))

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

    def resolve(self, value):
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
            path.write_bytes(self.resolve(start["text"]))
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
            content = self.resolve(app["text"])
        else:
            pairs = {key: self.resolve(value) for key, value in case["settings"].items()}
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
            [{verb: self.resolve(value) if hasattr(value, "resolve") else value for verb, value in step.items()}
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
                    content = self.resolve(step["send"])
                    size = step.get("piece") or len(content) or 1
                    steps += [content[start : start + size] for start in range(0, len(content), size)]
                else:
                    steps.append(self._event(step["await"]))
        elif "stdin" in cgi:
            steps.append(self.resolve(cgi["stdin"]))
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
                given["cwd"] = os.fsdecode(self.resolve(cgi["cwd"]))
            if "stdout_wait" in cgi:
                given["read_after"] = self._event(cgi["stdout_wait"])
            if "stdout_leave" in cgi:
                given["leave_at"] = self.resolve(cgi["stdout_leave"])
            if "user" in cgi:
                given["user"] = ORDINARY
            return run_bridge(
                app,
                env=[self.resolve(entry) for entry in cgi["env"]],
                stdin=steps,
                stdin_end=cgi["stdin_end"],
                fds=self.variant["fds"],
                closed=cgi["closed"],
                argv=[os.fsdecode(self.resolve(word)) for word in cgi["argv"]],
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
            self.bridge.wait_for_output(self.resolve(cgi["stdout_leave"]), self.case["timeout"])
            self.bridge.close_stdout()

    def _awaited(self):
        cgi = self.case["cgi"]
        steps = [step for connection in self.case["server"]["conn"] for step in connection["do"]]
        return {step["await"] for step in steps + cgi.get("stdin_steps", []) if "await" in step} | {cgi.get("stdout_wait")}

    # --- judging -------------------------------------------------------------------------------------------

    def _judge(self):
        one = self.judgement(self, self.outcome, self.case["expect"], self)
        one.judge_ending()
        self._judge_left()
        if self.case["expect"].get("drained"):
            self.demand(self.taken.is_set() or _soon(self.taken.is_set), "standard input was not drained", CONDUCT)
        one.judge_outcome()
        one.judge_stdout()
        one.judge_requests()
        one.judge_log()

    def _judge_left(self):
        left = sorted(path for path in self._files() - self._ours if not self._is_known(path))
        self.demand(not left, f"left behind in the folder: {left}", CONDUCT)

    def _is_known(self, path):
        """Whether the bridge may leave this file in the case's folder."""
        # Without a start script there is no run directory either; a spooled body never has a name that stays.
        state = r"|(sock\.)?run(/[^/]+(/(\.htaccess|start\.lock|alive\.lock|ledger|log))?)?|(sock\.)?run/\.htaccess|starts"
        known = re.compile("log|stdin" + (state if "start" in self.case.values else "") + (r"|requests|sock|sock\.run/[^/]+/touched" if self.launches else ""))
        return known.fullmatch(path)

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


def _soon(condition):
    try:
        return procs.wait_until(condition, 2.0)
    except AssertionError:
        return False
