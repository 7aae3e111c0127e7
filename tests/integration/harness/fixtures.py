"""This file knows where the fixtures lie and how they are read: a case with the defaults filled in, and the promises."""

import pathlib
import tomllib

from .byte_strings import Bytes, FixtureError
from .case_keys import CASE, LISTENING, REQUIRED

HOUSE = pathlib.Path(__file__).resolve().parents[3]
FIXTURES = HOUSE / "fixtures"

# Nothing in these depends on how the web server laid out the descriptors, so everything is run in every way.
VARIED_TOPICS = ("request", "body", "response")

DEFAULTS = {
    "why": "",
    "tags": [],
    "timeout": 10,
    "cgi": {
        "env": [],
        "argv": [],
        "stdin_end": "eof",
        "stdin_kind": "stream",
        "stdout": "read",
        "stderr": "read",
        "signals": "default",
        "closed": [],
        "limits": {},
        "leaks": [],
    },
    "settings": {},
    "app": {"mode": 0o755, "name": "app.cgi", "kind": "script"},
    "server": {"state": "listening", "protocol": "scgi", "kind": "unix", "mode": 0o755, "conn": []},
    "expect": {"empty": [0], "starts": [0], "start": {}, "request": {}, "cgi": {}, "log": {}},
}
# What a case with several clients has instead: nobody is there before the start script is run.
LAUNCH_DEFAULTS = {"timeout": 60, "server": {"state": "absent"}, "acts": []}
CLIENT_DEFAULTS = {"count": 1, "method": "GET"}
ANSWER = r"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nok"
HTTP_ANSWER_BYTES = r"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nok"


class Case:
    """One case, read and with the defaults filled in. `case["cgi"]["env"]` and so on."""

    def __init__(self, path, values, said=None):
        self.path = path
        self.values = values
        self.said = values if said is None else said  # what stands in the file, without the defaults

    def __getitem__(self, key):
        return self.values[key]

    def get(self, key, default=None):
        return self.values.get(key, default)

    @property
    def id(self):
        return self.values["id"]

    @property
    def topic(self):
        return self.id.split("/")[0]

    def variants(self):
        """How the web server runs the bridge: every way, unless the case pins one or its topic does not care."""
        cgi = self["cgi"]
        varied = self.topic in VARIED_TOPICS
        return [
            {"fds": fds, "sigpipe": sigpipe}
            for fds in ([cgi["fds"]] if "fds" in cgi else ["pipes", "socket"] if varied else ["pipes"])
            for sigpipe in ([cgi["sigpipe"]] if "sigpipe" in cgi else ["default", "ignored"] if varied else ["default"])
        ]


def _with_defaults(values, defaults):
    answer = dict(values)
    for key, value in defaults.items():
        if isinstance(value, dict):
            answer[key] = _with_defaults(answer.get(key, {}), value)
        else:
            answer.setdefault(key, value)
    return answer


def read_case(path):
    """The case in the file `path`; FixtureError when the README forbids what stands there."""
    source = path.read_text(encoding="utf-8")
    try:
        values = CASE(tomllib.loads(source))
        for key in REQUIRED:
            if key not in values:
                raise FixtureError(f"the key {key} is missing")
        check_strings(source)
        return whole_case(path, values)
    except (FixtureError, tomllib.TOMLDecodeError) as error:
        raise FixtureError(f"{path}: {error}") from None


def whole_case(path, said):
    """The case of what is said, as CASE reads it, and of the README's defaults; `path` is only a name."""
    values = _with_defaults(_with_defaults(said, LAUNCH_DEFAULTS), DEFAULTS) if "clients" in said else _with_defaults(said, DEFAULTS)
    if "clients" in said:
        values["clients"] = [_with_defaults(one, CLIENT_DEFAULTS) for one in said["clients"]]
    _fill_in_the_answer(values)
    return Case(path, values, said)


def _fill_in_the_answer(values):
    """Without a script the server reads the request and answers; what is served is then that answer."""
    server, expect = values["server"], values["expect"]
    served = expect.get("outcome") == ["served"]
    expect.setdefault("connections", [1 if served or server["conn"] or "answer" in server else 0])
    if server["conn"]:
        if "answer" in server:
            raise FixtureError("server.answer and server.conn exclude each other")
        return
    if server["state"] not in LISTENING:
        return
    speaks_http = server["protocol"] == "http"
    said = "answer" in server
    answer = server.setdefault("answer", Bytes(HTTP_ANSWER_BYTES if speaks_http else ANSWER))
    server["conn"] = [{"do": [{"recv": "request"}, {"send": answer}]}]
    if served and not (speaks_http and said):  # of an answer in HTTP the case says what becomes of it
        expect["cgi"].setdefault("stdout", Bytes(ANSWER) if speaks_http else answer)


def check_strings(source):
    """A basic string with a backslash would be read by TOML's rules, whose \\x is a code point, not a byte."""
    position = 0
    while position < len(source):
        if source[position] == "#":
            position = source.find("\n", position) % (len(source) + 1)
            continue
        for quote in ("'''", '"""', "'", '"'):
            if source.startswith(quote, position):
                end = source.index(quote, position + len(quote))
                content = source[position + len(quote) : end]
                if quote[0] == '"' and "\\" in content:
                    raise FixtureError(f"a backslash in a basic string; write '...': {content[:40]!r}")
                position = end + len(quote)
                break
        else:
            position += 1


def read_promises(folder=FIXTURES):
    return tomllib.loads((folder / "promises.toml").read_text(encoding="utf-8"))["promises"]


def awaited_promises(folder=FIXTURES):
    """Those of which it is known that no case shows them yet."""
    return tomllib.loads((folder / "promises.toml").read_text(encoding="utf-8")).get("without-case", [])


def read_cases(folder=FIXTURES):
    """Every case that is not retired, by id."""
    cases = [read_case(path) for path in sorted((folder / "cases").glob("*/*.toml"))]
    return [case for case in cases if not case.get("retired")]
