"""This file knows how one case is run against somebody else's bridge, and what counts against it."""

import fnmatch
import os
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from harness import bridge, cases, fixtures, procs
from harness.cases import CONDUCT, REPLY

from . import capabilities
from .adapter import fill

# A page of the bridge's own, of whatever form: an answer of CGI (RFC 3875, 6.2) that says that something failed.
PAGE = re.compile(rb"Status: (?P<status>[45]\d\d)(?: [^\r\n]*)?\r?\n(?:[A-Za-z0-9-]+:[^\r\n]*\r?\n)*\r?\n(?P<body>.*)", re.S)
FIELD = re.compile(rb"^Content-Type: *\S", re.I | re.M)


@dataclass
class Program:
    """What is executed, and in which folder."""

    folder: Path
    path: Path
    binary: Path


class Trial(cases.Run):
    """One case in one variant against the bridge of an adapter."""

    def __init__(self, case, variant, folder, adapter, program):
        reduced, self.unjudged = capabilities.reduce(case, adapter)
        super().__init__(reduced, variant, folder, binary=program)
        self.adapter = adapter
        self.fixed_port = adapter.fixed_port
        # Nobody else can have the address there, and nothing of the case before is in the way.
        self.own_network = bool(adapter.fixed) and os.geteuid() == 0

    def run(self):
        before = set(procs.descendants())
        super().run()
        self._judge_processes(before)
        return self

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
        if ordinary:
            for path in (self.folder, *(self.folder / one["path"] for one in self.adapter.files)):
                os.chown(path, cases.ORDINARY, cases.ORDINARY)
        given = [fixtures.Bytes({"hex": fill(entry, values).hex()}) for entry in self.adapter.environment]
        words = [fixtures.Bytes({"hex": fill(word, values).hex()}) for word in self.adapter.arguments]
        cgi = self.case["cgi"]
        cgi["env"], cgi["argv"] = given + cgi["env"], words + cgi["argv"]
        program = Path(os.fsdecode(fill(self.adapter.program, values)))
        return Program(self.folder, program, program)

    def _values(self, binary):
        socket = self.variables.get("socket", b"")
        host, _, port = socket.rpartition(b":")
        values = {"bridge": os.fsencode(binary), "dir": os.fsencode(self.folder), "socket": socket, "host": host, "port": port,
                  "path": socket}
        lines = []
        for name, value in self.case["settings"].items():
            if name == "socket":
                values["socket"] = values["path"] = self._resolve(value)
            else:
                lines.append(fill(self.adapter.setting(name), {"name": name.encode(), "value": self._resolve(value)}))
        if "start" in self.case.values:
            lines.append(fill(self.adapter.start, {"start": self.variables["start"]}))
        if self.case["server"]["protocol"] == "http" and "protocol" not in self.case["settings"]:
            lines.append(fill(self.adapter.setting("protocol"), {"name": b"protocol", "value": b"http"}))
        return {**values, "settings": b"".join(lines)}

    # --- judging: what rouse's own form is judged by only where it is claimed ----------------------------------

    def _is_known(self, path):
        written = {one["path"] for one in self.adapter.files} | {"stdin"} | ({"starts"} if "start" in self.case.values else set())
        return path in written or any(fnmatch.fnmatchcase(path, pattern) for pattern in self.adapter.leaves)

    def _judge_exit(self, wanted):
        if "exit-status" in self.adapter.claims:
            super()._judge_exit(wanted)
            return
        status = self.outcome.status
        self.demand(status in wanted, f"the exit status is {status}, not {'0' if wanted == [0] else 'one that says that something failed'}", CONDUCT)

    def _says_nothing_came(self, status):
        return super()._says_nothing_came(status) if "exit-status" in self.adapter.claims else status != 0

    def _says_it_was_cut(self, status):
        return super()._says_it_was_cut(status) if "exit-status" in self.adapter.claims else status != 0

    def _page(self):
        if "page-form" in self.adapter.claims:
            return super()._page()
        page = PAGE.fullmatch(self.outcome.stdout)
        if not page or self._came_from_the_server():
            return None
        head = b"REQUEST_METHOD=HEAD" in [entry.resolve(self.variables) for entry in self.case["cgi"]["env"]]
        self.demand(FIELD.search(self.outcome.stdout[:page.start("body")]), "a page has a Content-Type")
        self.demand(not head or not page["body"], "the answer to HEAD has no body")
        return page

    def _came_from_the_server(self):
        """Whether it is what the server sent: an error of the server's is no page of the bridge."""
        sent = b"".join(self._resolve(step["send"]) for one in self.case["server"]["conn"] for step in one["do"] if "send" in step)
        return bool(sent) and self.outcome.stdout in sent

    def _judge_request(self, connection, expect):
        parser = connection.parser
        stripped = [is_one for name, is_one in capabilities.STRIPPED.items() if name in self.unjudged]
        hidden = {name.encode() for name in self.adapter.hidden}
        if parser.headers is not None and (stripped or hidden):
            parser.headers = [(name, value) for name, value in parser.headers
                              if name not in hidden and not any(is_one(name) for is_one in stripped)]
        super()._judge_request(connection, expect)

    def _judge_log(self):
        if "log" in self.adapter.claims:
            super()._judge_log()


def verdicts(trial):
    """{"reply": [sentences], "conduct": [sentences]}; both empty: it holds."""
    return {REPLY: list(trial.verdicts[REPLY]), CONDUCT: list(trial.verdicts[CONDUCT])}


def release():
    """End whatever an interrupted case left."""
    for one in [*bridge._running]:
        one.release()
