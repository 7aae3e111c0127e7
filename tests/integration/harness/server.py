"""This file knows a site: an app file whose start script is `tools/launched.c`, and what it wrote down.

    site = make_site(["bind", "listen 5", "serve"], wait=5)
    assert site.get("a").finish().code == 200
    assert len(site.starts()) == 1
"""

import itertools
import json
import os
import re
import shutil
import signal
from pathlib import Path

from . import procs
from .bridge import App, run_bridge
from .events import Control

SERVERS = Path(__file__).resolve().parents[1] / "servers"
SERVE = ["bind", "event bound", "listen 128", "event listening", "serve"]


def pattern(length):
    """The first bytes of tools/pattern.h."""
    words = (((index + 1) * 0x9E3779B97F4A7C15) % (1 << 64) for index in range((length + 7) // 8))
    return b"".join(word.to_bytes(8, "little") for word in words)[:length]


class Site:
    """A folder with an app file, a start script that follows a plan, and its ledgers."""

    def __init__(self, folder, plan=None, *, socket="s", start="script", owner=None, **settings):
        self.folder = Path(folder)
        self.control = Control(self.folder)
        self.protocol = settings.get("protocol", "scgi")
        self.script = self.folder / "script"
        shutil.copy(procs.tool("launched"), self.script)
        self.script.chmod(0o755)
        self.plan(plan or SERVE)
        if start == "script":
            start = [self.script, self.folder]
        self.app = App(self.folder, socket=socket, start=start, **settings)
        self.owner = owner
        if owner is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner, owner)
        self._tokens = itertools.count(1)

    # --- before a launch -----------------------------------------------------------------------------------

    def plan(self, verbs):
        """What the start script does from its next run on."""
        verbs = ["http", *verbs] if self.protocol == "http" else verbs
        fresh = self.folder / "plan.new"
        fresh.write_text("".join(f"{verb}\n" for verb in verbs))
        fresh.rename(self.folder / "plan")

    def shell(self, text, name="script.sh", mode=0o755):
        """A start script in shell; `$LAUNCHED` runs the plan."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\nLAUNCHED='{self.script} {self.folder}'\n{text}\n")
        path.chmod(mode)
        return path

    # --- requests ------------------------------------------------------------------------------------------

    def token(self):
        return f"t{next(self._tokens)}"

    @staticmethod
    def environment(method="GET", query="", length=None, extra=()):
        """What a web server sets, as far as it matters here."""
        entries = [b"GATEWAY_INTERFACE=CGI/1.1", b"REQUEST_METHOD=" + method.encode(), b"QUERY_STRING=" + query.encode(),
                   b"SCRIPT_NAME=/cgi-bin/app.cgi", b"SERVER_PROTOCOL=HTTP/1.1", b"PATH=/usr/bin:/bin"]
        if length is not None:
            entries.append(b"CONTENT_LENGTH=%d" % length)
        return [*entries, *extra]

    def get(self, query="", *, method="GET", extra=(), **how):
        """Start a bridge with a request of its own token; `bridge.token` tells it."""
        token = self.token()
        query = f"token={token}" + (f"&{query}" if query else "")
        body = how.get("stdin")
        length = how.pop("length", len(body) if isinstance(body, bytes) else None)
        if self.owner is not None:
            how.setdefault("user", self.owner)
        bridge = run_bridge(self.app, env=self.environment(method, query, length, extra), **how)
        bridge.token = token
        return bridge

    def post(self, body=b"", query="", **how):
        return self.get(query, method="POST", stdin=body, **how)

    def answered(self, outcome, token=None):
        """The outcome is the server's own whole answer (to `token`); answers the pid that gave it."""
        assert not outcome.hung and not outcome.held, outcome
        assert outcome.status == 0 and outcome.code == 200, outcome
        match = re.fullmatch(rb"token=(\S*) pid=(\d+) body=\d+ wrong=-1\n", outcome.body)
        assert match and (token is None or match[1].decode() == token), outcome
        return int(match[2])

    # --- what happened -------------------------------------------------------------------------------------

    def _lines(self, name):
        try:
            text = (self.folder / name).read_text(encoding="latin-1")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]

    def starts(self):
        """One dictionary for each run of the start script."""
        return self._lines("starts")

    def connections(self):
        """One dictionary for each connection that the server saw end or deliver a request."""
        return self._lines("requests")

    def executed(self):
        """How often each token was executed."""
        counts = {}
        for line in self.connections():
            if line["kind"] == "request":
                counts[line["token"]] = counts.get(line["token"], 0) + 1
        return counts

    def empty_connections(self):
        return sum(line["kind"] == "empty" for line in self.connections())

    def malformed(self):
        """Connections that broke the protocol; a cut one is counted apart."""
        return [line for line in self.connections() if line["kind"] not in ("request", "empty", "cut", "refused", "reset", "early")]

    def processes(self):
        """Living processes that the start script brought up, itself among them."""
        mark = os.fsencode(self.script)
        return [pid for pid in procs.all_pids() if procs.alive(pid) and mark in procs.command_line(pid)[:1]]

    def listening(self):
        """Living processes that listen at the socket, by its inodes in /proc/net/unix."""
        inodes = set()
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            words = line.split()
            if len(words) == 8 and words[7] == str(self.app.socket_path) and words[5] == "01" and words[3] == "00010000":
                inodes.add(f"socket:[{words[6]}]")
        found = []
        for pid in self.processes():
            try:
                names = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
            except OSError:
                continue
            if inodes & set(names):
                found.append(pid)
        return found

    def guardians(self):
        """Living processes of rouse that no web server started: they are in a session of their own."""
        binary = str(self.app.binary)
        app = os.fsencode(self.app.path)
        return [pid for pid in procs.all_pids()
                if procs.executable(pid) == binary and procs.alive(pid) and app in procs.command_line(pid)
                and int(procs.stat(pid)[3]) == pid]

    def kill_server(self, number=signal.SIGKILL):
        """End all that the start script brought up; answers their pids."""
        found = self.processes()
        for pid in found:
            procs.kill(pid, number)
        for pid in found:
            procs.wait_gone(pid)
        return found

    def close(self):
        self.control.close()
