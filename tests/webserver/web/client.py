"""This file knows HTTP/1.1 as a client: one request on one connection, byte for byte as the test says.

    answer = request(port, "POST", "/app.cgi?a=b", body=b"...")
    with Exchange(port, "GET", "/app.cgi") as exchange:
        exchange.wait_for(b"data: 1")
        exchange.leave()

Body and answer move at once, and an answer that comes before the body is through is read to its end: no library
of Python's does that.
"""

import socket
import threading
import time
from dataclasses import dataclass, field

PIECE = 65536
LIMIT = 60.0  # seconds: a watchdog


@dataclass
class Answer:
    status: int = None
    reason: str = ""
    fields: list = field(default_factory=list)  # (name, value) as they came
    body: bytes = b""
    complete: bool = False   # ended as its head said it would, or by the connection's end where that is allowed
    raw: bytes = b""
    unsent: int = 0          # bytes of the body that the web server did not take

    def header(self, name, default=None):
        """The last field of that name."""
        values = [value for one, value in self.fields if one.lower() == name.lower()]
        return values[-1] if values else default


class Parser:
    """RFC 9112, sections 4 to 6, of one response."""

    def __init__(self, method):
        self._method = method
        self.raw = bytearray()
        self.answer = Answer()
        self._body_at = None
        self._at = None      # what of `raw` has been understood
        self.body = bytearray()
        self.done = False

    def feed(self, data):
        self.raw += data
        if self._body_at is None:
            self._read_head()
        if self._body_at is not None and not self.done:
            self._read_body()

    def end(self):
        """The connection has ended."""
        if self._body_at is not None and not self.done and not self._chunked and self._length is None:
            self.done = True
        self.answer.complete = self.done
        self.answer.body = bytes(self.body)
        self.answer.raw = bytes(self.raw)
        return self.answer

    def _read_head(self):
        while (end := self.raw.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self.raw[:end]).decode("latin-1").split("\r\n")
            version, _, rest = lines[0].partition(" ")
            code, _, reason = rest.partition(" ")
            if not version.startswith("HTTP/1."):
                raise ValueError(f"no answer in HTTP: {lines[0]!r}")
            if code.startswith("1"):  # 100 Continue
                del self.raw[: end + 4]
                continue
            answer = self.answer
            answer.status, answer.reason = int(code), reason
            answer.fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
            self._body_at = self._at = end + 4
            length = answer.header("Content-Length")
            self._length = int(length) if length is not None else None
            self._chunked = (answer.header("Transfer-Encoding") or "").lower() == "chunked"
            if self._method == "HEAD" or int(code) in (204, 304):
                self._length, self._chunked = 0, False
            return

    def _read_body(self):
        if not self._chunked:
            self.body += self.raw[self._at :]
            self._at = len(self.raw)
            if self._length is not None and len(self.body) >= self._length:
                self.done = True
            return
        while True:
            end = self.raw.find(b"\r\n", self._at)
            if end < 0:
                return
            size = int(bytes(self.raw[self._at : end]).partition(b";")[0], 16)
            if len(self.raw) < end + 2 + size + 2:
                return
            self.body += self.raw[end + 2 : end + 2 + size]
            self._at = end + 2 + size + 2
            if size == 0:
                self.done = True
                return


def head_of(method, target, fields, version="HTTP/1.1"):
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Exchange:
    """One request under way. `body` is bytes, or a list of pieces that are sent as chunks.

    `head` is sent as it is; with `half` the client's side is closed behind the body.
    """

    def __init__(self, port, method="GET", target="/", fields=(), body=None, *, version="HTTP/1.1", host="127.0.0.1",
                 head=None, keep=False, half=False):
        self.method = method
        self.began = time.monotonic()
        self.pieces = []  # (moment, how many bytes had come)
        self._parser = Parser(method)
        self._changed = threading.Condition()
        self._ended = False
        self._fault = None
        self._unsent = 0
        self._half = half
        if head is None:
            fields = list(fields)
            names = {name.lower() for name, _ in fields}
            if "host" not in names:
                fields.insert(0, ("Host", "localhost"))
            if isinstance(body, list):
                fields.append(("Transfer-Encoding", "chunked"))
            elif body is not None and "content-length" not in names:
                fields.append(("Content-Length", str(len(body))))
            if not keep and "connection" not in names:
                fields.append(("Connection", "close"))
            head = head_of(method, target, fields, version)
        if isinstance(body, list):
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"
        self.socket = socket.create_connection((host, port), timeout=LIMIT)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._writer = threading.Thread(target=self._write, args=(head + (body or b""),), daemon=True)
        self._writer.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def _write(self, data):
        view = memoryview(data)
        try:
            while view:
                view = view[self.socket.send(view[:PIECE]) :]
            if self._half:
                self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._unsent = len(view)

    def _read(self):
        try:
            while not self._parser.done:
                data = self.socket.recv(PIECE)
                if not data:
                    break
                with self._changed:
                    self._parser.feed(data)
                    self.pieces.append((time.monotonic(), len(self._parser.raw)))
                    self._changed.notify_all()
        except (OSError, ValueError) as fault:
            self._fault = fault
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def body(self):
        """What has come of it."""
        with self._changed:
            return bytes(self._parser.body)

    @property
    def ended(self):
        return self._ended

    def wait_for(self, part, timeout=LIMIT):
        """Until `part` has come in the body."""
        with self._changed:
            came = self._changed.wait_for(lambda: part in self._parser.body or self._ended, timeout)
            assert came and part in self._parser.body, f"{part!r} has not come: {bytes(self._parser.raw)[:600]!r}"

    def finish(self, timeout=LIMIT):
        """The answer; one that ended early, or did not come at all, is not `complete`."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, timeout), (
                f"no answer within {timeout} s, only {bytes(self._parser.raw)[:600]!r}")
        self.leave()
        answer = self._parser.end()
        answer.unsent = self._unsent
        return answer

    def leave(self):
        """What a browser does whose user presses Stop."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join(LIMIT)
        self._writer.join(LIMIT)
        self.socket.close()


def request(port, method="GET", target="/", fields=(), body=None, timeout=LIMIT, **how):
    return Exchange(port, method, target, fields, body, **how).finish(timeout)


class Client:
    """Requests one after another, on one connection as long as the web server keeps it, for load."""

    def __init__(self, port, keep, host="127.0.0.1"):
        self._address, self._keep, self._socket = (host, port), keep, None
        self.connections = 0

    def request(self, method, target, body=None):
        fields = [("Host", "localhost")] + ([] if self._keep else [("Connection", "close")])
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        data = head_of(method, target, fields) + (body or b"")
        if self._socket is None:
            self._connect()
        try:
            self._socket.sendall(data)
            return self._receive(method)
        except (BrokenPipeError, ConnectionResetError):
            self.close()  # the web server may end a kept connection at any time (RFC 9112, 9.6)
            self._connect()
            self._socket.sendall(data)
            return self._receive(method)

    def _connect(self):
        self._socket = socket.create_connection(self._address, timeout=LIMIT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1

    def _receive(self, method):
        parser = Parser(method)
        while not parser.done:
            data = self._socket.recv(PIECE)
            if not data:
                if not parser.raw and self._keep:
                    raise ConnectionResetError("the kept connection was closed")
                break
            parser.feed(data)
        answer = parser.end()
        if not self._keep or not parser.done or (answer.header("Connection") or "").lower() == "close":
            self.close()
        return answer

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None
