"""This file knows the folder of a run's results: that it can be written, before anything is tried, and that one run writes there."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from harness import procs

from .results import UsageError

TOOLS = ("envexec", "launched")
REPORTS = ("junit.xml", "matrix.md", "matrix.html")


def make(folder, what, option):
    """The folder `folder`, made with its parents if need be: what is wanted there cannot be written elsewhere."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(folder, what, option, error) from None
    return folder


def _refused(folder, what, option, error):
    at = "" if str(error.filename) in (str(folder), "None") else f"{error.filename}: "
    why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
    return UsageError(f"cannot write {what} into {folder}: {at}{why}; choose another with {option}")


def make_tools():
    """Compile the suite's helper programs now: a case that finds none would blame nobody in particular."""
    try:
        for name in TOOLS:
            procs.tool(name)
    except (OSError, AssertionError, subprocess.SubprocessError) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise UsageError(f"the suite's helper programs cannot be compiled into {procs.BUILT}: {why}; "
                         "let who owns the tree run the suite once, or copy the tree") from None


class Place:
    """A folder for results that is this run's until this process ends, however it does: the kernel gives the lock back."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.results = self.folder / "results.jsonl"
        self._made = [one for one in (self.folder, *self.folder.parents) if not one.exists()]
        make(self.folder, "results", "--into")
        try:
            self._file = self._lock()
            for name in REPORTS:
                if (self.folder / name).exists():
                    open(self.folder / name, "r+b").close()
            if (self.folder / "failures").exists():
                os.listdir(self.folder / "failures")
        except BlockingIOError:
            raise UsageError(f"another run writes its results into {self.folder}: wait for its end, or choose another folder with --into") from None
        except OSError as error:
            raise _refused(self.folder, "results", "--into", error) from None

    def _lock(self):
        """The results, locked: the file itself, so that nothing else lies in the folder."""
        while True:
            file = open(self.results, "a", encoding="utf-8")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                if os.path.samestat(os.fstat(file.fileno()), os.stat(self.results)):
                    return file
            except FileNotFoundError:
                pass  # a run that judged nothing has taken its empty file away in between

    def begin(self):
        """What was kept of the failures of an earlier run goes."""
        shutil.rmtree(self.folder / "failures", ignore_errors=True)

    def give_up(self):
        """Nothing was judged: leave nothing that was not there before."""
        if os.fstat(self._file.fileno()).st_size == 0:
            self.results.unlink()
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:
                break  # it holds something by now
