"""This file knows how a web server runs one bridge: an app file, an exact environment, and three descriptors.

    app = App(folder, socket="sock", start=["start"], wait=2)
    bridge = run_bridge(app, env=[b"REQUEST_METHOD=GET"], fds="socket")
    outcome = bridge.finish()
    assert outcome.status == 0 and outcome.stdout.startswith(b"Status: 200")

The bridge is executed by `tools/envexec.c`, so an environment may hold entries without "=", one name twice
and any byte, and every signal state of a real web server can be had. Standard output and the end of the
process are watched separately: a process that is gone while its output is still open is `held`.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket as sockets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from . import procs

NODE = os.uname().nodename


class App:
    """An app file in `folder`, and where rouse keeps what belongs to it.

    Every other keyword is a setting, `_` for `-`; a value of None is not written. `start` is a list of words
    or one text. `text` replaces all settings by that text. `binary` is named in the #! line.
    """

    def __init__(self, folder, socket=None, start=None, run=None, wait=None, *, name="app.cgi", binary=None,
                 text=None, mode=0o755, **settings):
        self.folder = Path(folder)
        self.binary = Path(binary or procs.BINARY)
        self.path = self.folder / name
        self.run = None
        if run is not None:
            self.run = self.folder / run
        elif socket is not None and not self._is_port(str(socket)):
            self.run = self.folder / f"{socket}.run"
        self.socket = str(socket) if socket is not None else None
        if text is None:
            words = " ".join(map(str, start)) if isinstance(start, (list, tuple)) else start
            pairs = {"socket": socket, "start": words, "run": run, "wait": wait, **settings}
            text = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in pairs.items() if value is not None)
        content = text if isinstance(text, bytes) else text.encode()
        self.path.write_bytes(b"#!" + os.fsencode(self.binary) + b"\n" + content)
        self.path.chmod(mode)

    def at(self, program):
        """The same place with another executable in the app file's stead, for tests of the harness."""
        self.path = self.binary = Path(program)
        return self

    @staticmethod
    def _is_port(text):
        return text.startswith("@") or (":" in text and "/" not in text)

    @property
    def node_folder(self):
        """Where locks, ledger and log are on this node."""
        return self.run / NODE

    @property
    def socket_path(self):
        """The path of the server's unix socket."""
        return self.folder / self.socket if self.socket else self.node_folder / "sock"

    @property
    def start_lock(self):
        return self.node_folder / "start.lock"

    @property
    def alive_lock(self):
        return self.node_folder / "alive.lock"

    def ledger(self):
        """The ledger's text; empty when there is none."""
        return self._text("ledger")

    def log_lines(self):
        """The lines of the log (what the server printed is among them)."""
        return self._text("log").splitlines()

    def _text(self, name):
        try:
            return (self.node_folder / name).read_text(errors="backslashreplace")
        except (FileNotFoundError, NotADirectoryError):
            return ""


@dataclass
class Outcome:
    stdout: bytes
    stderr: bytes
    status: int  # exit status, or minus the signal; None when hung
    held: bool   # the process was gone but its standard output or error stayed open
    hung: bool   # still there at the end of the time that it was given; it was killed
    seconds: float
    processor: float  # seconds of user and system time

    @property
    def head(self):
        """Names (lower case) and values of the CGI header block; the last of one name counts."""
        block = self.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
        pairs = (line.partition(b":") for line in block.split(b"\n"))
        return {name.decode("latin-1").lower(): value.strip().decode("latin-1") for name, _, value in pairs}

    @property
    def body(self):
        for end in (b"\r\n\r\n", b"\n\n"):
            if end in self.stdout:
                return self.stdout.partition(end)[2]
        return b""

    @property
    def code(self):
        """The number of `Status:`; 200 for a header block without one; None without any output."""
        if not self.stdout:
            return None
        return int(self.head.get("status", "200").split()[0])


def _high(fd):
    """A copy far above the numbers that the child is given, so that moving them cannot overwrite it."""
    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(fd)
    return copy


class Gate:
    """Processes gather at a gate; one close lets all of them go. Without it a race test is worthless."""

    def __init__(self):
        self.read_end, self._write_end = map(_high, os.pipe())
        self._announced, self.announce_end = map(_high, os.pipe())

    def wait_parked(self, count, timeout=60.0):
        """Until `count` processes have said that they stand at the gate."""
        limit = time.monotonic() + timeout
        while count > 0:
            ready, _, _ = select.select([self._announced], [], [], max(0.0, limit - time.monotonic()))
            assert ready, f"{count} processes did not reach the gate within {timeout} s"
            count -= len(os.read(self._announced, count))

    def open(self):
        """Let everybody go; answers the moment, taken before: those who go may take the processor at once."""
        moment = time.monotonic()
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1
        return moment

    def close(self):
        self.open()
        for fd in (self.read_end, self._announced, self.announce_end):
            if fd >= 0:
                os.close(fd)
        self.read_end = self._announced = self.announce_end = -1


_running = set()  # bridges that no test has finished yet; conftest ends them


def environment_file(entries):
    """A descriptor from which the raw entries can be read, each ended by NUL."""
    fd = os.memfd_create("environment", os.MFD_CLOEXEC)
    os.write(fd, b"".join(entry + b"\0" for entry in entries))
    os.lseek(fd, 0, os.SEEK_SET)
    return _high(fd)


def spawn(path, argv, env, stdio, *, gate=None, closed=(), ignored=(), blocked="none", rlimits=None, cwd=None,
          user=None, umask=None, node=None, session=False, leaked=None, alone=False):
    """Start `path` through envexec with descriptors 0, 1, 2 = `stdio`; answers the pid."""
    options = []
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)]
    environment = environment_file(env)
    actions.append((os.POSIX_SPAWN_DUP2, environment, 3))
    options += ["-e", "3"]
    if gate is not None:
        actions += [(os.POSIX_SPAWN_DUP2, gate.announce_end, 5), (os.POSIX_SPAWN_DUP2, gate.read_end, 4)]
        options += ["-a", "5", "-g", "4"]
    for number, fd in (leaked or {}).items():
        actions.append((os.POSIX_SPAWN_DUP2, fd, number))
        options += ["-k", str(number)]
    for fd in closed:
        options += ["-c", str(fd)]
    if ignored == "all":
        options += ["-i", "all"]
    elif ignored:
        options += ["-i", ",".join(str(int(number)) for number in ignored)]
    if blocked == "all":
        options += ["-b", "all"]
    for number, limits in (rlimits or {}).items():
        soft, hard = limits if isinstance(limits, tuple) else (limits, limits)
        options += ["-r", f"{number}:{soft}:{hard}"]
    if umask is not None:
        options += ["-m", f"{umask:o}"]
    if node is not None:
        options += ["-n", node]
    if session:
        options.append("-s")
    if alone:
        options.append("-N")
    if cwd is not None:
        options += ["-d", str(cwd)]
    if user is not None:
        uid, gid = user if isinstance(user, tuple) else (user, user)
        options += ["-u", f"{uid}:{gid}"]
    helper = procs.tool("envexec")
    try:
        return os.posix_spawn(helper, ["envexec", *options, "--", str(path), *argv], {}, file_actions=actions)
    finally:
        os.close(environment)


class Bridge:
    """One bridge that runs. `finish()` answers what became of it."""

    def __init__(self, app, env, stdin, stdin_end, fds, closed, argv, ignored, blocked, rlimits, cwd, gate, user,
                 umask, node, leaked, wrapper, read_after, stdin_from, stdout_to, leave_at, alone):
        self.app = app
        self._leave_at = leave_at
        self.began = time.monotonic()
        self._output = {1: bytearray(), 2: bytearray()}
        self._changed = threading.Condition()
        self._open = set()
        self._let_go = False    # nothing looks at standard output any more
        self._ended = None      # the moment at which the process was gone
        self._status = None
        self._processor = None
        self._stop = False
        self._steps = [stdin] if isinstance(stdin, (bytes, bytearray)) else list(stdin)
        self._stdin_end = stdin_end
        self._read_after = read_after

        theirs, self._stdin, self._stdout, self._stderr = self._descriptors(fds, stdin_from, stdout_to)
        path = str(app.path)
        words = [path, path, *argv] if not wrapper else [wrapper[0], *wrapper, path, *argv]
        self.pid = spawn(words[0], words[1:], env, theirs, gate=gate, closed=closed, ignored=ignored,
                         blocked=blocked, rlimits=rlimits, cwd=app.folder if cwd is None else cwd, user=user,
                         umask=umask, node=node, leaked=leaked, alone=alone)
        self.given = {os.readlink(f"/proc/self/fd/{fd}") for fd in theirs}  # what the kernel calls its 0, 1 and 2
        self._pidfd = os.pidfd_open(self.pid)
        for fd in set(theirs):
            os.close(fd)
        _running.add(self)
        self._wake_read, self._wake_write = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _descriptors(self, fds, stdin_from, stdout_to):
        """(theirs: 0, 1, 2), ours: where to write the body, where to read output and errors (-1: nowhere)."""
        error_read, error_write = os.pipe()
        if fds == "socket":
            assert stdin_from is None and stdout_to is None
            ours, theirs = sockets.socketpair()
            self._socket = ours
            end = _high(theirs.detach())
            # Two numbers for one socket on our side, so that writing and reading can be closed apart.
            return (end, end, _high(error_write)), os.dup(ours.fileno()), os.dup(ours.fileno()), error_read
        assert fds == "pipes", fds
        self._socket = None
        if stdin_from is None:
            their_input, our_input = os.pipe()
        else:
            their_input, our_input = os.dup(stdin_from), -1
        if stdout_to is None:
            our_output, their_output = os.pipe()
        else:
            their_output, our_output = os.dup(stdout_to), -1
        return (_high(their_input), _high(their_output), _high(error_write)), our_input, our_output, error_read

    # --- threads -------------------------------------------------------------------------------------------

    def _feed(self):
        if self._stdin < 0:
            return
        try:
            for step in self._steps:
                if isinstance(step, threading.Event):
                    while not step.wait(0.1):
                        if self._stop:
                            return
                else:
                    rest = memoryview(step)
                    while rest:
                        rest = rest[os.write(self._stdin, rest):]
        except OSError:
            pass  # the bridge reads no more: that is its right
        if self._stdin_end == "eof":
            self.end_stdin()

    def _read(self):
        poller = select.poll()
        names = {self._pidfd: 0, self._wake_read: -1}
        for number, fd in ((1, self._stdout), (2, self._stderr)):
            if fd >= 0:
                names[fd] = number
                self._open.add(number)
        for fd, number in names.items():
            if number != 1 or self._read_after is None:
                poller.register(fd, select.POLLIN)
        waiting = self._read_after
        if waiting is not None and self._stdout >= 0:
            def admit():
                waiting.wait()
                self._wake()
            threading.Thread(target=admit, daemon=True).start()
        def forget(fd):
            try:
                poller.unregister(fd)
            except KeyError:
                pass  # it was not looked at yet, or both a wake and its own end said so

        while not self._stop and (self._open or self._ended is None):
            for fd, _ in poller.poll():
                number = names[fd]
                if number == -1:
                    os.read(fd, 100)
                    if waiting is not None and waiting.is_set() and 1 in self._open:
                        poller.register(self._stdout, select.POLLIN)
                        waiting = None
                elif number == 0:
                    forget(fd)
                    _, status, usage = os.wait4(self.pid, 0)
                    with self._changed:
                        self._processor = usage.ru_utime + usage.ru_stime
                        self._ended = time.monotonic()
                        self._status = os.waitstatus_to_exitcode(status)
                        self._changed.notify_all()
                elif number in self._open:
                    try:
                        data = os.read(fd, 1 << 20)
                    except OSError:
                        data = b""  # a socket whose peer left input unread ends with a reset
                    with self._changed:
                        if data:
                            self._output[number] += data
                            if number == 1 and self._leave_at is not None and self._leave_at in self._output[1]:
                                # Whoever is about to leave reads no more, or a slow test would take all that comes.
                                self._open.discard(1)
                        else:
                            self._open.discard(number)
                            forget(fd)
                        self._changed.notify_all()
            if 1 not in self._open and self._stdout >= 0:
                forget(self._stdout)  # close_stdout
                self._say_let_go()
        self._say_let_go()

    def _say_let_go(self):
        with self._changed:
            self._let_go = True
            self._changed.notify_all()

    def _wake(self):
        try:
            os.write(self._wake_write, b"x")
        except OSError:
            pass

    # --- what a test does ----------------------------------------------------------------------------------

    @property
    def stdout(self):
        """What has come so far."""
        with self._changed:
            return bytes(self._output[1])

    def wait_for_output(self, wanted, timeout=10.0):
        """Until `wanted` has come on standard output; answers all that has come."""
        with self._changed:
            came = self._changed.wait_for(lambda: wanted in self._output[1] or self._is_over(), timeout)
            assert came and wanted in self._output[1], f"{wanted!r} has not come, only {bytes(self._output[1])[-300:]!r}"
            return bytes(self._output[1])

    def _is_over(self):
        return self._ended is not None and not self._open

    def wait_ended(self, timeout=10.0):
        """Until the process is gone, whatever its descriptors do; answers the moment."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended is not None, timeout), f"bridge {self.pid} still runs"
            return self._ended

    def running(self):
        return self._ended is None

    def end_stdin(self):
        """Say that no more of the body will come."""
        if self._socket is not None:
            try:
                self._socket.shutdown(sockets.SHUT_WR)
            except OSError:
                pass
        fd, self._stdin = self._stdin, -1
        if fd >= 0:
            os.close(fd)

    def close_stdout(self):
        """The client is gone: nobody reads the answer any more."""
        with self._changed:
            self._open.discard(1)
        self._wake()
        if self._socket is not None:
            self._socket.shutdown(sockets.SHUT_RDWR)
            return
        # A poll(2) that is under way keeps the pipe open, whatever becomes of its number.
        with self._changed:
            assert self._changed.wait_for(lambda: self._let_go, 10), "the reader did not let go of standard output"
        # A pipe is closed by putting another file in its place: the number stays ours until release().
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, self._stdout, inheritable=False)
        os.close(null)

    def kill(self, number=signal.SIGKILL):
        signal.pidfd_send_signal(self._pidfd, number)

    def _end(self):
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself, and is not noted yet
            self.kill()

    def finish(self, timeout=10.0, grace=2.0):
        """Wait for the end of the process and of its output, and answer what it did.

        `grace` is how long output may stay open behind a process that is gone before it counts as held.
        """
        with self._changed:
            hung = not self._changed.wait_for(lambda: self._ended is not None, timeout)
        if hung:
            self._end()
        with self._changed:
            self._changed.wait_for(lambda: self._ended is not None, 10)
            held = not self._changed.wait_for(lambda: not self._open, grace) and not hung
            outcome = Outcome(bytes(self._output[1]), bytes(self._output[2]), None if hung else self._status, held,
                              hung, (self._ended or time.monotonic()) - self.began, self._processor)
        self.release()
        return outcome

    def release(self):
        """Give back every descriptor; ends the process if it still runs."""
        if self not in _running:
            return
        _running.discard(self)
        if self._ended is None:
            self._end()
            self.wait_ended()
        self._stop = True
        if self._read_after is not None:
            self._read_after.set()
        self._wake()
        self._reader.join(5)
        self._feeder.join(0.2)  # it may be blocked behind a pipe that something still holds
        if not self._feeder.is_alive() and self._stdin >= 0:
            os.close(self._stdin)
        if self._socket is not None:
            self._socket.close()
        for fd in (self._stdout, self._stderr, self._pidfd, self._wake_read, self._wake_write):
            if fd >= 0:
                os.close(fd)


def run_bridge(app, env=(b"REQUEST_METHOD=GET",), stdin=b"", stdin_end="eof", fds="pipes", closed=(), argv=(),
               sigpipe="default", ignored=(), blocked="none", rlimits=None, cwd=None, gate=None, user=None,
               umask=None, node=None, leaked=None, wrapper=(), read_after=None, stdin_from=None, stdout_to=None,
               leave_at=None, alone=False):
    """Start a bridge for `app` and answer it as a `Bridge`.

    env        raw entries of the environment, bytes, exactly these
    stdin      bytes, or steps: bytes to write and threading.Events to wait for
    stdin_end  "eof", or "hold": the web server keeps it open
    fds        "pipes": three pipes, as mod_cgi; "socket": one unix socket for 0 and 1, a pipe for 2, as mod_cgid
    closed     descriptors that are closed at the exec
    sigpipe    "default" or "ignored"; `ignored` is a list of signals or "all"; `blocked` is "none" or "all"
    rlimits    {resource.RLIMIT_NOFILE: 12} or (soft, hard)
    cwd        the app file's folder (RFC 3875, 7.2) unless given
    gate       a Gate at which it waits, set up and ready, before it becomes the bridge
    user       uid, or (uid, gid)
    node       the node name that it and what it starts see
    alone      it and what it starts have a network of their own
    leaked     {number: descriptor} that a careless web server leaves open
    wrapper    words in front, such as ["/usr/bin/strace", "-f", "-o", "log"]
    leave_at   bytes behind which nothing more of standard output is read; close_stdout() is to follow
    read_after an Event: standard output is not read before it
    stdin_from, stdout_to   descriptors to use as they are instead of pipes of the harness
    """
    assert app.binary.exists(), f"{app.binary} is not there: run make first"
    ignore = "all" if ignored == "all" else [*ignored, *([signal.SIGPIPE] if sigpipe == "ignored" else [])]
    return Bridge(app, list(env), stdin, stdin_end, fds, closed, [str(word) for word in argv], ignore, blocked,
                  rlimits, cwd, gate, user, umask, node, leaked, list(wrapper), read_after, stdin_from, stdout_to, leave_at, alone)
