"""This file knows how cases of the fixtures are laid out behind a web server, on the stage.

    cases = CaseStage(web_server, new_place)
    laid_out = cases.begin(some_cases)                     per id: the path of the URL, and the case's variables
    ... the test speaks HTTP ...
    cases.answer({id: bytes})                              what the plain CGI program of each case is to write
    ... the test speaks HTTP with the plain ones ...
    seen = cases.finish()                                  per id: what the server got, and what the plain one did

All that goes in and out can be pickled. A case has a folder of its own with its app file, its scripted server, the
plain CGI program, and `beside.txt` for who is sent there. Many are begun together: a call may go into a container.
"""

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from harness import procs
from harness.address import Place
from harness.cases import Run
from harness.judgement import LOG_LINE
from harness.scripted_server import Events

from . import in_http

BESIDE = b"beside\n"


def plain_name(case):
    """The plain CGI program's name; a web server may judge by how a name begins or ends."""
    name = case["app"]["name"]
    return name.replace("app", "plain") if "app" in name else "plain-" + name


@dataclass
class Got:
    """One request, as the server got it over one connection, or as the plain CGI program did."""

    variables: list = None   # (name, value)
    body: bytes = b""
    complete: bool = False
    fault: str = None


@dataclass
class Seen:
    requests: list = field(default_factory=list)
    empty: int = 0            # connections that carried nothing
    problems: list = field(default_factory=list)
    starts: int = 0
    log: bytes = b""
    left: list = field(default_factory=list)
    plain: Got = None


class LaidOut(Run):
    """A case whose bridge is run by a web server, not by us."""

    def __init__(self, case, web, folder, url, plain_cgi):
        super().__init__(case, {}, folder, web.binary)
        self.url = url
        self.plain_cgi = plain_cgi
        self.plain = self.folder / plain_name(case)
        self.place = None

    def begin(self):
        self.folder.mkdir()
        self.folder.chmod(0o755)
        (self.folder / "beside.txt").write_bytes(BESIDE)
        os.utime(self.folder / "beside.txt", (10**9, 10**9))  # Apache tags what is younger than a second in another way
        self.place = Place(self.case, self.folder)
        self.variables = {**self.place.variables(), "url": os.fsencode(self.url)}
        self._make_start()
        self._make_app()
        self.answer(b"Status: 500 Nothing To Say\r\n\r\n")
        self.events = Events()
        self._serve(self.place)
        self._hand_over()
        self._ours = self._files()
        self.before = self.place.look()

    def answer(self, content):
        """What the plain program writes. Its file is of the same kind and mode as the app file: some web servers judge."""
        file = self.plain
        if self.case["app"]["kind"] == "link":
            file = self.plain.with_name("plain")
            if not self.plain.is_symlink():
                self.plain.symlink_to(file.name)
        file.write_bytes(b"#!" + os.fsencode(self.plain_cgi) + b"\n" + content)
        file.chmod(self.case["app"]["mode"] if self.case["app"]["kind"] == "script" else 0o755)
        self._hand_over()

    def _hand_over(self):
        """To whom the place belongs in which the folder is: as whom CGI programs run there."""
        owner = os.stat(self.folder.parent)
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
            if path.is_socket() and not path.is_symlink():
                path.chmod(self.case["server"]["mode"] | 0o022)  # who connects must be able to write

    def finish(self):
        seen = Seen()
        if self.place is None:
            return seen  # a case before it could not be laid out
        if self.server:
            self.server.finish()
            for connection in self.server.connections:
                parser = connection.parser
                if connection.carried_nothing:
                    seen.empty += 1
                    continue
                variables = in_http.variables_of(parser) if parser.protocol == "HTTP" else parser.headers
                seen.requests.append(Got(variables, parser.body, parser.complete, connection.fault))
                if parser.surplus:
                    seen.problems.append(f"bytes behind the body: {parser.surplus[:100]!r}")
            seen.problems += self.server.problems
        after = self.place.look()
        if after != self.before and not ("start" in self.case.values and self.place.server["state"] == "stale"):
            seen.problems.append(f"{self.place.path} was {self.before} and is {after}")
        started = self.folder / "starts"
        seen.starts = len(started.read_bytes().splitlines()) if started.exists() else 0
        places = [self.folder / "log", *self.folder.glob("*.run/*/log"), *self.folder.glob("run/*/log")]
        seen.log = b"".join(place.read_bytes() for place in places if place.is_file())
        if "start" not in self.case.values:  # or it may be a line of the script
            seen.problems += [f"no line of a log: {line[:200]!r}" for line in seen.log.splitlines()
                              if not LOG_LINE.fullmatch(line)]
        state = r"|(sock\.)?run(/[^/]+(/(\.htaccess|start\.lock|alive\.lock|ledger|log))?)?|(sock\.)?run/\.htaccess|starts"
        known = re.compile(re.escape(self.plain.name) + r"\.got|log" + (state if "start" in self.case.values else ""))
        seen.left = sorted(path for path in self._files() - self._ours if not known.fullmatch(path))
        seen.plain = self._plain_got()
        return seen

    def _plain_got(self):
        try:
            block, end, body = Path(f"{self.plain}.got").read_bytes().partition(b"\0\0")
        except FileNotFoundError:
            return None  # the web server has not run it
        return Got([entry.partition(b"=")[::2] for entry in block.split(b"\0")], body, bool(end))

    def close(self):
        if self.place is not None:
            self.place.kept.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class CaseStage:
    """Behind one web server; `new_place` answers the path and the URL of a folder that it shows."""

    def __init__(self, web, new_place):
        self._web, self._new_place = web, new_place
        self._laid_out = {}

    def begin(self, cases):
        program = Path(self._web.binary).with_name("plain_cgi")
        shutil.copy(procs.tool("plain_cgi"), program)
        program.chmod(0o755)
        for case in cases:
            self._laid_out[case.id] = LaidOut(case, self._web, *self._new_place(), program)
        for one in self._laid_out.values():
            one.begin()
        return {name: (one.url, one.variables) for name, one in self._laid_out.items()}

    def answer(self, answers):
        for name, content in answers.items():
            self._laid_out[name].answer(content)

    def finish(self):
        """Also when the test has failed: nothing is left of any case."""
        seen = {}
        try:
            for name, one in self._laid_out.items():
                seen[name] = one.finish()
        finally:
            for one in self._laid_out.values():
                one.close()
            self._laid_out = {}
        return seen
