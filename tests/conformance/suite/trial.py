"""This file knows how one case is run against somebody else's bridge."""

import fnmatch
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import bridge, byte_strings, cases, procs
from harness.address import ORDINARY
from harness.judgement import CONDUCT, REPLY
from harness.scripted_server import own_network

from . import capabilities, plan, programs
from .adapter import fill
from .claims import ByClaims

UNSUPPORTED = 77  # a hook's exit status, as automake's tests use it; 127 would be a program that is not there


class Unsupported(Exception):
    """The adapter's hook says that its bridge cannot be had as the case wants it; the text is its reason."""


class AdapterBroken(Exception):
    """The adapter's hook failed, or what the adapter names cannot be executed; the text is for who wrote it."""


@dataclass
class Program:
    """What is executed, and in which folder."""

    folder: Path
    path: Path
    binary: Path


class Trial(cases.Run):
    """One case in one variant against the bridge of an adapter."""

    judgement = ByClaims

    def __init__(self, case, variant, folder, adapter, program, gated=True):
        reduced, self.unjudged = capabilities.reduce(case, adapter)
        super().__init__(reduced, variant, folder, binary=program)
        self.adapter = adapter
        self.gated = gated
        self.fixed_port = adapter.fixed_port
        # Nobody else can have the address there, and nothing of the case before is in the way.
        crowd = "clients" in case.values
        port = crowd and reduced["server"]["kind"] not in ("unix", "abstract")
        self.own_network = bool(adapter.fixed or port) and plan.has_own_networks()
        self.removes_stale = "stale" in adapter.claims

    def run(self):
        before = set(procs.descendants())
        self._broken = None
        self._hooked = set()  # files that the adapter's hook made
        super().run()
        if self._broken:
            raise self._broken
        self._judge_processes(before)
        return self

    def _run_in_own_network(self):
        """In a thread: what goes wrong there is the suite's own failure, not the bridge's, and must not end with the thread."""
        try:
            own_network()
            self._run()
        except Exception as error:
            self._broken = error

    def _follow_client(self):
        """A bridge that does not do what the client waits for is a wrong one; the rest of the case goes on without it."""
        try:
            super()._follow_client()
        except AssertionError as missed:
            self.demand(False, f"the client waited in vain: {missed}")

    def _judge_processes(self, before):
        """Nothing may run on; what does is ended. A moment is given to what was told to end."""
        def left():
            found = [pid for pid in procs.descendants() if pid not in before]
            return [pid for pid in found if procs.alive(pid) or not procs.reap(pid) and procs.parent(pid) != os.getpid()]

        try:
            procs.wait_until(lambda: not left(), 3.0)
        except AssertionError:
            for pid in left():
                words = b" ".join(procs.command_line(pid)).decode(errors="backslashreplace")
                self.demand(False, f"a process was left behind: {words[:200]}", CONDUCT)
                procs.kill(pid, signal.SIGKILL)
                procs.wait_gone(pid)
                procs.reap(pid)

    # --- what tells the bridge where its server is ----------------------------------------------------------

    def _make_app(self):
        if "app-file" in self.adapter.claims and capabilities.is_about_app_files(self.case):
            return super()._make_app()
        binary, ordinary = self.binary, "user" in self.case["cgi"]
        if ordinary:  # who may not be able to reach it where it was built
            binary = Path(shutil.copy(binary, self.folder / self.binary.name))
        self.variables["binary"] = os.fsencode(binary)
        values = self._values(binary)
        for one in self.adapter.files:
            path = self.folder / one["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fill(one["text"], values))
            path.chmod(one["mode"])
        if self.adapter.hook:
            self._ask_hook(values)
        if ordinary:
            for path in (self.folder, *(self.folder / one["path"] for one in self.adapter.files)):
                os.chown(path, ORDINARY, ORDINARY)
        given = [byte_strings.Bytes({"hex": fill(entry, values).hex()}) for entry in self.adapter.environment]
        words = [byte_strings.Bytes({"hex": fill(word, values).hex()}) for word in self.adapter.arguments]
        cgi = self.case["cgi"]
        cgi["env"], cgi["argv"] = given + cgi["env"], words + cgi["argv"]
        program = Path(os.fsdecode(fill(self.adapter.program, values)))
        if why := programs.why_not(program):
            raise AdapterBroken(f"{'the hook ended with 0 but' if self.adapter.hook else 'run.program:'} {program} {why}")
        return Program(self.folder, program, program)

    def starts(self):
        """How often the start script ran."""
        record = self.folder / "starts"
        return len(record.read_bytes().splitlines()) if record.exists() else 0

    def _ask_hook(self, values):
        """Let the adapter's hook put whatever the bridge needs into the folder, or say that it cannot."""
        text = {name: os.fsdecode(value) for name, value in values.items() if name != "settings"}
        told = {"format": 1, "case": self.case.id, "variant": self.variant, "kind": self.case["server"]["kind"], **text,
                "settings": {name: os.fsdecode(self.resolve(value)) for name, value in self.case["settings"].items()},
                "start": os.fsdecode(self.variables["start"]) if "start" in self.case.values else None}
        try:
            done = subprocess.run([self.adapter.hook, "configure"], input=json.dumps(told), capture_output=True, text=True,
                                  cwd=self.folder, timeout=60, check=False)
        except subprocess.TimeoutExpired as error:
            raise AdapterBroken(f"the hook {self.adapter.hook} had not ended after {error.timeout} s") from None
        except OSError:
            raise AdapterBroken(f"cannot execute the hook {self.adapter.hook}: {programs.refusal(self.adapter.hook)}") from None
        if done.returncode == UNSUPPORTED:
            raise Unsupported(done.stdout.strip() or "the hook")
        if done.returncode != 0:
            raise AdapterBroken(f"the hook {self.adapter.hook} ended with {done.returncode}: {done.stderr.strip()[:500]}")
        self._hooked = self._files()

    def _values(self, binary):
        socket = self.variables.get("socket", b"")
        host, _, port = socket.rpartition(b":")
        values = {"bridge": os.fsencode(binary), "dir": os.fsencode(self.folder), "socket": socket, "host": host, "port": port,
                  "path": socket}
        lines = []
        for name, value in self.case["settings"].items():
            if name == "socket":
                values["socket"] = values["path"] = self.resolve(value)
            else:
                lines.append(fill(self.adapter.setting(name), {"name": name.encode(), "value": self.resolve(value)}))
        if "start" in self.case.values:
            lines.append(fill(self.adapter.start, {"start": self.variables["start"]}))
        if self.case["server"]["protocol"] == "http" and "protocol" not in self.case["settings"]:
            lines.append(fill(self.adapter.setting("protocol"), {"name": b"protocol", "value": b"http"}))
        return {**values, "settings": b"".join(lines)}

    def _is_known(self, path):
        written = self._hooked | {one["path"] for one in self.adapter.files} | {"stdin"} | ({"starts"} if "start" in self.case.values else set())
        written |= {"requests", os.path.basename(os.fsdecode(self.variables["socket"]))} if self.launches else set()
        return path in written or any(fnmatch.fnmatchcase(path, pattern) for pattern in self.adapter.leaves)


def verdicts(trial):
    """{"reply": [sentences], "conduct": [sentences]}; both empty: it holds."""
    return {REPLY: list(trial.verdicts[REPLY]), CONDUCT: list(trial.verdicts[CONDUCT])}


def release():
    """End whatever an interrupted case left."""
    for one in [*bridge._running]:
        one.release()
