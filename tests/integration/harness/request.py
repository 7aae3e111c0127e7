"""This file knows what SCGI and HTTP have in common for a strict server: a head that says how long the body is, and the body.

A parser says of its protocol when the head is whole: it sets `headers`, `body_length` and where the body starts.
"""


class RequestError(Exception):
    """The bytes are no request; the sentence says why."""


class RequestParser:
    """Takes the bytes of one connection in any pieces. What it has read stays readable after an error."""

    def __init__(self):
        self.headers = None      # list of (name, value), once the head is whole
        self.body_length = None
        self._wire = bytearray()  # everything that came
        self._body_starts = None

    @property
    def wire(self):
        return bytes(self._wire)

    @property
    def body(self):
        """What has come of the body."""
        if self._body_starts is None:
            return b""
        return bytes(self._wire[self._body_starts : self._body_starts + self.body_length])

    @property
    def surplus(self):
        """What came behind the body: always a fault."""
        return bytes(self._wire[self._body_starts + self.body_length :]) if self._body_starts is not None else b""

    @property
    def complete(self):
        return self._body_starts is not None and len(self._wire) >= self._body_starts + self.body_length

    def value(self, name):
        return dict(self.headers)[name]
