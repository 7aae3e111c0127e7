"""This file knows processes as the kernel shows them, and how to wait without sleeping blindly."""

import atexit
import ctypes
import fcntl
import functools
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path


def _open_to_all(binary):
    """`binary`, or a copy that an ordinary user can reach too: a tree in root's home is closed to them."""
    if not binary.exists() or os.getuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in binary.parents):
        return binary
    folder = Path(tempfile.mkdtemp(prefix="rouse-binary.", dir="/tmp"))
    folder.chmod(0o755)
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder))
    return Path(shutil.copy(binary, folder))


ROOT = Path(__file__).resolve().parents[3]
CLOCK = 0.001  # rouse counts whole milliseconds: a wait may end that much early
GIVEN = Path(os.environ.get("ROUSE_BINARY") or ROOT / "build" / "rouse").resolve()
TOOLS = Path(__file__).resolve().parents[1] / "tools"
BUILT = ROOT / "build" / "tools"


@functools.cache
def __getattr__(name):
    """BINARY: what tests run. The copy, if there must be one, is made by the process that wants it, which removes it."""
    if name == "BINARY":
        return _open_to_all(GIVEN)
    raise AttributeError(name)


def wait_until(condition, timeout=10.0, what=None):
    """Call `condition` until it answers something true, and return that.

    The one place of these tests that sleeps. It is for facts that nothing announces (a state in /proc);
    whatever can be announced is waited for with poll(). The time-out is a watchdog, never a verdict.
    """
    limit = time.monotonic() + timeout
    pause = 0.0005
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > limit:
            raise AssertionError(f"not within {timeout} s: {what or getattr(condition, '__doc__', None) or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def now():
    """The clock of all events."""
    return time.monotonic()


def tool(name):
    """The path of a C helper of `tools`, compiled the first time that it is wanted."""
    source = TOOLS / f"{name}.c"
    binary = BUILT / name
    newest = max(path.stat().st_mtime for path in (source, *TOOLS.glob("*.h")))

    def is_fresh():
        return binary.exists() and binary.stat().st_mtime >= newest

    if is_fresh():  # no lock, then: who does not own the tree may use what is there
        return binary
    BUILT.mkdir(parents=True, exist_ok=True)
    with open(BUILT / ".lock", "w") as lock:  # several test runs may share the tree
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_fresh():
            compiler = shutil.which("musl-gcc") or shutil.which("cc") or shutil.which("gcc")
            assert compiler, "no C compiler for the test tools: install musl-tools"
            fresh = binary.with_suffix(f".{os.getpid()}")
            command = [compiler, "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(fresh), str(source)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=120)
            fresh.rename(binary)
    return binary


def become_subreaper():
    """Daemons that tests start become our children: they can be waited for and nothing escapes."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become subreaper")


def stat(pid):
    """The words of /proc/PID/stat behind the name (state is the first), or None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def state(pid):
    """One letter: R, S, D, T, Z ...; None when there is no such process."""
    words = stat(pid)
    return words[0].decode() if words else None


def alive(pid):
    """Runs, sleeps or is stopped; a zombie is not alive."""
    return state(pid) not in (None, "Z", "X")


def parent(pid):
    words = stat(pid)
    return int(words[1]) if words else None


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        return ""


def status(pid):
    """/proc/PID/status as a dictionary."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(root=None):
    """Every process below `root` (this process), zombies among them."""
    children = {}
    for pid in all_pids():
        children.setdefault(parent(pid), []).append(pid)
    found, look = [], [root or os.getpid()]
    while look:
        below = children.get(look.pop(), [])
        found += below
        look += below
    return found


def reap(pid):
    """Collect a zombie child; answers whether there was one."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def wait_gone(pid, timeout=10.0):
    """Until the process has ended (its zombie may stay), by an event of the kernel."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([fd], [], [], timeout)
    finally:
        os.close(fd)
    assert ready, f"process {pid} {command_line(pid)} has not ended within {timeout} s"


def _locks(path):
    try:
        wanted = Path(path).stat().st_ino
    except FileNotFoundError:
        return
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        waits = "->" in words
        if waits:
            words.remove("->")
        if words[1] == "FLOCK" and int(words[5].rsplit(":", 1)[1]) == wanted:
            yield waits, int(words[4])


def lock_holders(path):
    """Pids that /proc/locks names as owners (it names who locked, who may be dead while a copy lives)."""
    return [pid for waits, pid in _locks(path) if not waits]


def lock_waiters(path):
    """Pids that are blocked in flock() on the file."""
    return [pid for waits, pid in _locks(path) if waits]


def holders_of(path):
    """Pids that have the file open, by device and inode."""
    try:
        wanted = Path(path).stat()
    except FileNotFoundError:
        return []
    found = []
    for pid in all_pids():
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                seen = os.stat(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(pid)
                break
    return found


def asleep(pids):
    """Whether every one of the living is asleep and has used no processor since it was looked at."""

    def look():
        seen = [stat(pid) for pid in pids]
        return [words and (words[0], words[11], words[12]) for words in seen]

    before = look()
    if any(words and words[0] not in (b"S", b"Z") for words in before):
        return False
    return all(look() == before for _ in range(4))
