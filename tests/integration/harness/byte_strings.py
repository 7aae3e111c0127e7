"""This file knows how exact bytes are written in a fixture: escapes, tables such as { hex = ... }, what only a run knows.

Of all that reads the fixtures it is the lowest, and so it has the error that all of it raises.
"""

import array
import base64
import functools
import json
import re
import sys

VARIABLES = {
    "binary": "the path of the bridge",
    "dir": "the folder of the case, which holds the app file",
    "port": "the port of the server",
    "socket": "the address of the server as the setting `socket` takes it",
    "start": "the path of the start script",
    "url": "the path of the URL of the case's folder",
}


class FixtureError(Exception):
    """A fixture that cannot be read as the README says."""


_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|n|r|t|0|\\)?", re.S)
_SIMPLE = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def unescape(text):
    def one(match):
        escape = match.group(1)
        if escape is None:
            raise FixtureError(f"unknown escape near {text[match.start():match.start() + 6]!r}")
        return bytes.fromhex(escape[1:].decode()) if escape[:1] == b"x" else _SIMPLE[escape]

    text = text.encode()
    return _ESCAPE.sub(one, text)


@functools.lru_cache(maxsize=8)
def counter(size):
    """4-byte big-endian numbers 0, 1, 2 ...: loss, doubling and reordering all show."""
    numbers = array.array("I", range((size + 3) // 4))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()[:size]


class Bytes:
    """A byte string of a fixture. It may name what is known only when the case runs ({ var = ... })."""

    def __init__(self, value):
        self.value = value
        self._check(value)

    def _check(self, value):
        if isinstance(value, str):
            unescape(value)
        elif isinstance(value, list):
            for part in value:
                self._check(part)
        elif isinstance(value, dict):
            keys = set(value)
            if keys == {"hex"}:
                bytes.fromhex(value["hex"])
            elif keys == {"repeat", "times"} and isinstance(value["times"], int):
                self._check(value["repeat"])
            elif keys == {"counter"} and isinstance(value["counter"], int):
                pass
            elif keys == {"netstring"}:
                self._check(value["netstring"])
            elif keys == {"var"} and value["var"] in VARIABLES:
                pass
            else:
                raise FixtureError(f"not a byte string: {value!r}")
        else:
            raise FixtureError(f"not a byte string: {value!r}")

    def resolve(self, variables=None):
        return self._resolve(self.value, variables or {})

    def _resolve(self, value, variables):
        if isinstance(value, str):
            return unescape(value)
        if isinstance(value, list):
            return b"".join(self._resolve(part, variables) for part in value)
        if "hex" in value:
            return bytes.fromhex(value["hex"])
        if "repeat" in value:
            return self._resolve(value["repeat"], variables) * value["times"]
        if "counter" in value:
            return counter(value["counter"])
        if "netstring" in value:
            content = self._resolve(value["netstring"], variables)
            return b"%d:%s," % (len(content), content)
        if value["var"] not in variables:
            raise FixtureError(f"the variable {value['var']} is not known here")
        return variables[value["var"]]

    def names(self):
        """The variables that this byte string needs."""
        found = set()

        def walk(value):
            if isinstance(value, list):
                for part in value:
                    walk(part)
            elif isinstance(value, dict):
                if "var" in value:
                    found.add(value["var"])
                for key in ("repeat", "netstring"):
                    if key in value:
                        walk(value[key])

        walk(self.value)
        return found

    def as_json(self):
        """{"b64": ...}, or {"parts": [...]} when it is large or needs a variable."""
        if not self.names():
            content = self.resolve()
            if len(content) <= 65536:
                return _b64(content)
        if self.names() and "netstring" in json.dumps(self.value):
            raise FixtureError("a netstring with a variable in it cannot be written down before the case runs")
        return {"parts": self._parts(self.value)}

    def _parts(self, value):
        if isinstance(value, list):
            return [piece for part in value for piece in self._parts(part)]
        if isinstance(value, dict):
            if "repeat" in value:
                return [{"repeat": _b64(self._resolve(value["repeat"], {})), "times": value["times"]}]
            if "counter" in value or "var" in value:
                return [dict(value)]
        return [_b64(self._resolve(value, {}))]


def _b64(content):
    return {"b64": base64.b64encode(content).decode("ascii")}
