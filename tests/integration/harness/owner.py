"""This file knows how the owner runs rousectl: a command and an app file, from a shell.

    answer = rousectl(site, "status")
    assert answer.status == 0 and answer.line.startswith("up")
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import procs
from .procs import _open_to_all

_named = os.environ.get("ROUSECTL_BINARY")
BINARY = _open_to_all(Path(_named or procs.ROOT / "build" / "rousectl").resolve())
SHELL = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C"}
WELL, NOT, USAGE, PENDING, UNKNOWN = range(5)


@dataclass
class Answer:
    status: int  # exit status, or minus the signal
    out: str
    complaint: str

    @property
    def line(self):
        """The first line of what it says, wherever it says it."""
        return (self.out or self.complaint).partition("\n")[0]

    @property
    def json(self):
        return json.loads(self.out)


class Run:
    """rousectl under way. `finish()` answers what became of it."""

    def __init__(self, site, *words, environment=None, wrapper=(), cwd="/", user=None, rlimits=None):
        app = [] if site is None else [str(site.app.path if hasattr(site, "app") else site)]

        def limit():
            import resource
            for number, limits in (rlimits or {}).items():
                resource.setrlimit(number, limits)

        self._process = subprocess.Popen(
            [*map(str, wrapper), str(BINARY), *words[:1], *app, *words[1:]], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=SHELL if environment is None else environment, cwd=cwd,
            user=user, group=user, extra_groups=[] if user is not None else None,
            preexec_fn=limit if rlimits else None)
        self.pid = self._process.pid

    def running(self):
        return self._process.poll() is None

    def finish(self, timeout=60.0):
        """The time-out is a watchdog."""
        try:
            out, complaint = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        return Answer(self._process.returncode, out.decode(errors="surrogateescape"), complaint.decode())


def rousectl(site, *words, **how):
    """Run `rousectl WORD APP WORD...` for a site, or an app file's path; answers what it said."""
    return Run(site, *words, **how).finish()
