"""This file knows how to run hundreds of bridges at once and note when each has answered.

    with Crowd(site, 500) as crowd:
        crowd.park()              # all are set up and stand at one gate
        crowd.open()              # one close lets them go
        answers = crowd.gather()

One thread, one epoll: the measuring may not cost more than what is measured.
"""

import os
import select
import signal
import time
from dataclasses import dataclass

from . import procs
from .bridge import Gate, _high, spawn


@dataclass
class Answer:
    token: str
    pid: int
    output: bytes = b""
    status: int = None      # exit status, or minus the signal
    last_byte: float = None  # monotonic: when the last byte came
    ended: float = None     # monotonic: when the process was gone
    closed: bool = False    # standard output has ended

    @property
    def code(self):
        if not self.output:
            return None
        for line in self.output.split(b"\r\n\r\n")[0].split(b"\r\n"):
            if line.lower().startswith(b"status:"):
                return int(line.split()[1])
        return 200

    @property
    def whole(self):
        """The server's whole answer to this request."""
        wanted = b"token=%s pid=" % self.token.encode()
        return self.status == 0 and self.code == 200 and wanted in self.output and self.output.endswith(b"wrong=-1\n")


class Crowd:
    def __init__(self, site, count, query="", method="GET"):
        self.site = site
        self.gate = Gate()
        self.answers = []
        self._by_output, self._by_process = {}, {}
        self._poller = select.epoll()
        self._null = _high(os.open("/dev/null", os.O_RDWR))
        self.opened = None
        user = site.owner
        for _ in range(count):
            token = site.token()
            read_end, write_end = os.pipe()
            high = _high(write_end)
            path = str(site.app.path)
            env = site.environment(method, f"token={token}" + (f"&{query}" if query else ""), 0 if method == "POST" else None)
            pid = spawn(path, [path], env, (self._null, high, self._null), gate=self.gate, cwd=site.folder, user=user)
            os.close(high)
            answer = Answer(token, pid)
            self.answers.append(answer)
            self._by_output[read_end] = answer
            process = os.pidfd_open(pid)
            self._by_process[process] = answer
            self._poller.register(read_end, select.EPOLLIN)
            self._poller.register(process, select.EPOLLIN)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for answer in self.answers:
            if answer.status is None:
                procs.kill(answer.pid)
        self.gate.close()
        self.gather(10, strict=False)
        for fd in (*self._by_output, *self._by_process, self._null):
            os.close(fd)
        self._poller.close()

    def park(self):
        self.gate.wait_parked(len(self.answers))

    def open(self):
        self.opened = self.gate.open()
        return self.opened

    def __iter__(self):
        return iter(self.answers)

    @property
    def pids(self):
        return [answer.pid for answer in self.answers]

    def living(self):
        return [answer for answer in self.answers if answer.status is None]

    def _take(self, fd):
        answer = self._by_output.get(fd)
        if answer is not None:
            try:
                data = os.read(fd, 1 << 16)
            except OSError:
                data = b""
            if data:
                answer.output += data
                answer.last_byte = time.monotonic()
            else:
                answer.closed = True
                self._poller.unregister(fd)
                del self._by_output[fd]
                os.close(fd)
            return
        answer = self._by_process.pop(fd)
        self._poller.unregister(fd)
        os.close(fd)
        answer.status = os.waitstatus_to_exitcode(os.waitpid(answer.pid, 0)[1])
        answer.ended = time.monotonic()

    def gather(self, timeout=60, until=None, strict=True):
        """Until all have answered and are gone (or `until()`); answers the list."""
        limit = time.monotonic() + timeout
        while self._by_output or self._by_process:
            if until is not None and until():
                break
            left = limit - time.monotonic()
            events = self._poller.poll(max(0.0, min(left, 0.05 if until else left)), 256)
            if not events and left <= 0:
                if strict:
                    rest = self.living()
                    sample = [(a.token, a.pid, procs.state(a.pid), a.output[:80]) for a in rest[:5]]
                    raise AssertionError(f"{len(rest)} of {len(self.answers)} bridges did not end within {timeout} s: {sample}")
                break
            for fd, _ in events:
                self._take(fd)
        return self.answers

    def kill(self, answers, number=signal.SIGKILL):
        for answer in answers:
            procs.kill(answer.pid, number)

    # --- summaries -----------------------------------------------------------------------------------------

    def whole(self):
        return [answer for answer in self.answers if answer.whole]

    def codes(self):
        """How many answers of which kind: {200: 500}; a signal is minus its number, no output at all is None."""
        counts = {}
        for answer in self.answers:
            kind = answer.status if answer.status is not None and answer.status < 0 else answer.code
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def last_answer(self):
        return max(answer.last_byte for answer in self.answers if answer.last_byte is not None)
