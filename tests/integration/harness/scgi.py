"""This file knows what a strict SCGI server reads (SCGI protocol.txt, 2008-06-23): one byte too few or too many is said.

    parser = Parser()
    parser.feed(b"24:CONTENT_LENGTH\\x000\\x00SCGI\\x001\\x00,")
    parser.complete, parser.headers, parser.body
"""

from .request import RequestError, RequestParser

LONGEST_LENGTH = 10  # digits of a netstring's length that are read before it is called none


class ScgiError(RequestError):
    """The bytes are no SCGI request; the sentence says why."""


class Parser(RequestParser):
    protocol = "SCGI"

    def __init__(self):
        super().__init__()
        self._block_starts = None
        self._block_length = None

    def feed(self, data):
        self._wire += data
        if self._block_length is None:
            self._read_length()
        if self._block_length is not None and self.headers is None:
            self._read_block()

    def _read_length(self):
        end = self._wire.find(b":")
        digits = bytes(self._wire if end < 0 else self._wire[:end])
        if digits and not (digits.isdigit() and digits.isascii()):
            raise ScgiError(f"the netstring's length is no decimal number: {digits[:20]!r}")
        if len(digits) > 1 and digits[0:1] == b"0":
            raise ScgiError(f"the netstring's length begins with a zero: {digits[:20]!r}")
        if len(digits) > LONGEST_LENGTH:
            raise ScgiError(f"the netstring's length is absurd: {digits[:20]!r}")
        if end < 0:
            return
        if not digits:
            raise ScgiError("the netstring has no length")
        self._block_starts, self._block_length = end + 1, int(digits)

    def _read_block(self):
        end = self._block_starts + self._block_length
        if len(self._wire) <= end:
            return
        if self._wire[end : end + 1] != b",":
            raise ScgiError(f"no comma but {bytes(self._wire[end : end + 1])!r} behind the {self._block_length} bytes of headers")
        self.headers = self._pairs(bytes(self._wire[self._block_starts : end]))
        length = self.headers[0][1]
        self.body_length = int(length)
        self._body_starts = end + 1

    @staticmethod
    def _pairs(block):
        if not block.endswith(b"\0"):
            raise ScgiError("the headers do not end with NUL")
        words = block[:-1].split(b"\0")
        if len(words) % 2:
            raise ScgiError("a name without a value")
        pairs = list(zip(words[::2], words[1::2]))
        names = [name for name, _ in pairs]
        if b"" in names:
            raise ScgiError("an empty name")
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1}) if len(names) < 1000 else "many"
            raise ScgiError(f"a name stands twice: {twice}")
        if names[0] != b"CONTENT_LENGTH":
            raise ScgiError(f"the first name is {names[0]!r}, not CONTENT_LENGTH")
        length = pairs[0][1]
        if not (length.isdigit() and length.isascii()) or length != str(int(length)).encode():
            raise ScgiError(f"CONTENT_LENGTH is not written as a plain decimal number: {length!r}")
        if dict(pairs).get(b"SCGI") != b"1":
            raise ScgiError("SCGI is not 1")
        return pairs
