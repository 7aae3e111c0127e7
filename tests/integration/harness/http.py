"""This file knows what a strict HTTP/1.0 server reads (RFC 9112, RFC 9110): one byte too few or too many is said.

    parser = HttpParser()
    parser.feed(b"GET / HTTP/1.0\\r\\nHost: a\\r\\n\\r\\n")
    parser.complete, parser.line, parser.headers, parser.body

It has the face of scgi.Parser. The names of fields are in lower case; their values as they came.
"""

import re

from .request import RequestError, RequestParser

LINE = re.compile(rb"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+) (?P<target>/[\x21-\x7e\x80-\xff]*) HTTP/1\.0")
FIELD = re.compile(rb"(?P<name>[!#$%&'*+.^`|~0-9A-Za-z-]+):[ \t]*(?P<value>[\t\x20-\x7e\x80-\xff]*?)[ \t]*")
# RFC 9110, 7.6.1, and what a gateway must not let through. Connection is judged apart.
FORBIDDEN = re.compile(rb"keep-alive|te|trailer|transfer-encoding|upgrade|expect|proxy-.*|proxy")
ONCE = (b"host", b"content-length", b"content-type", b"connection", b"authorization", b"x-forwarded-for",
        b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix")


class HttpError(RequestError):
    """The bytes are no request in HTTP/1.0; the sentence says why."""


class HttpParser(RequestParser):
    protocol = "HTTP"

    def __init__(self):
        super().__init__()
        self.line = None  # the request line, without its end

    def feed(self, data):
        self._wire += data
        if self.headers is None:
            self._read_head()

    def _read_head(self):
        end = self._wire.find(b"\r\n\r\n")
        if end < 0:
            return
        line, *fields = bytes(self._wire[:end]).split(b"\r\n")
        if not LINE.fullmatch(line):
            raise HttpError(f"no request line of HTTP/1.0: {line[:80]!r}")
        pairs = [self._field(one) for one in fields]
        names = [name for name, _ in pairs]
        for name in ONCE:
            if names.count(name) > 1:
                raise HttpError(f"a field stands twice: {name!r}")
        found = dict(pairs)
        if b"host" not in found or not found[b"host"]:
            raise HttpError("there is no Host")
        if found.get(b"connection") != b"close":
            raise HttpError("there is no `Connection: close`")
        length = found.get(b"content-length", b"0")
        if not (length.isdigit() and length.isascii()) or length != str(int(length)).encode():
            raise HttpError(f"Content-Length is not written as a plain decimal number: {length!r}")
        self.line, self.headers, self.body_length, self._body_starts = line, pairs, int(length), end + 4

    @staticmethod
    def _field(line):
        match = FIELD.fullmatch(line)
        if not match:
            raise HttpError(f"no field: {line[:80]!r}")
        name = match["name"].lower()
        if FORBIDDEN.fullmatch(name):
            raise HttpError(f"a field that is not for the server: {line[:80]!r}")
        return name, match["value"]
