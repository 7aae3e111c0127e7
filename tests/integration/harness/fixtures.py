"""The fixtures: readable TOML in, exact bytes out. fixtures/README.md says what each key means.

    python3 tests/integration/harness/fixtures.py build/fixtures.json

checks every case and writes all of them, resolved, as one JSON file for readers without TOML.
"""

import array
import base64
import fnmatch
import functools
import json
import pathlib
import re
import sys
import tomllib

HOUSE = pathlib.Path(__file__).resolve().parents[3]
FIXTURES = HOUSE / "fixtures"
FORMAT = 1

TOPICS = ("request", "body", "response", "endpoint", "settings", "lifecycle", "security", "webserver", "http",
          "launch")
# Nothing in these depends on how the web server laid out the descriptors, so everything is run in every way.
VARIED_TOPICS = ("request", "body", "response")
VARIABLES = {
    "binary": "the path of the bridge",
    "dir": "the folder of the case, which holds the app file",
    "port": "the port of the server",
    "socket": "the address of the server as the setting `socket` takes it",
    "start": "the path of the start script",
    "url": "the path of the URL of the case's folder",
}
# The web servers through which a case with [http] is run, each with the way in which it runs a CGI program.
WEB_SERVERS = ("apache-prefork-cgi", "apache-event-cgid", "apache-event-suexec", "lighttpd-cgi", "nginx-fcgiwrap")
# Events that the runner of a case makes by itself; all others are signalled by a step of the case.
RUNNER_EVENTS = ("bridge.parked", "bridge.ended")
# The limits of setrlimit(2) that a case may set.
LIMITS = ("cpu", "fsize", "data", "stack", "core", "nproc", "nofile", "as")
# What an act can be done to beside the clients of a group, and the variables that a process of theirs has only then.
TARGETS = ("started", "helpers")
TAGS = {
    "root": "needs root: another user, or a network of its own",
    "timing": "lasts as long as a time-out that it shows",
    "ipv6": "needs the address ::1",
}
LISTENING = ("listening", "full", "stuck", "dying")
ACCEPTABLE = ("served", "bridge-4xx", "bridge-5xx", "flagged-partial", "silent")
NEVER_ACCEPTABLE = ("lost", "partial", "mangled", "died", "held", "hung")


class FixtureError(Exception):
    """A fixture that cannot be read as the README says."""


# Byte strings ------------------------------------------------------------------------------------

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


# The keys of a case ------------------------------------------------------------------------------
# Each reader takes the TOML value and answers what the program works with, or raises FixtureError.


def text(value):
    if not isinstance(value, str) or not value:
        raise FixtureError(f"not a text: {value!r}")
    return value


def number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise FixtureError(f"not a number from 0: {value!r}")
    return value


def truth(value):
    if value is not True:
        raise FixtureError("only true has a meaning here; leave the key out otherwise")
    return value


def either(value):
    if not isinstance(value, bool):
        raise FixtureError(f"neither true nor false: {value!r}")
    return value


def web_servers(value):
    """Names of web servers; `apache-*` stands for all that begin so."""
    found = []
    for pattern in list_of(text)(value):
        matching = fnmatch.filter(WEB_SERVERS, pattern)
        if not matching:
            raise FixtureError(f"{pattern!r} is none of {', '.join(WEB_SERVERS)}")
        found += matching
    return found


def mode(value):
    if not isinstance(value, str) or not re.fullmatch("0[0-7]{3}", value):
        raise FixtureError(f'not a mode like "0755": {value!r}')
    return int(value, 8)


def limits(value):
    """{ nofile = [soft, hard] }, by the numbers of setrlimit(2)."""
    if not isinstance(value, dict):
        raise FixtureError("not a table")
    for name, pair in value.items():
        if name not in LIMITS:
            raise FixtureError(f"{name} is none of {', '.join(LIMITS)}")
        if len(list_of(number)(pair)) != 2 or pair[0] > pair[1]:
            raise FixtureError(f"not a soft and a hard limit: {pair!r}")
    return value


def one_of(*words):
    def read(value):
        if value not in words:
            raise FixtureError(f"{value!r} is none of {', '.join(map(str, words))}")
        return value

    return read


def list_of(reader):
    def read(value):
        if not isinstance(value, list):
            raise FixtureError(f"not a list: {value!r}")
        return [reader(part) for part in value]

    return read


def entries(value):
    """A list of byte strings, in which { numbered = 'N', times = 3 } stands for N0=0, N1=1 and N2=2."""
    answer = []
    for entry in list_of(lambda part: part)(value):
        if isinstance(entry, dict) and set(entry) == {"numbered", "times"}:
            answer += [Bytes(f"{entry['numbered']}{number}={number}") for number in range(entry["times"])]
        else:
            answer.append(Bytes(entry))
    return answer


def one_or_more(reader):
    return lambda value: [reader(part) for part in value] if isinstance(value, list) else [reader(value)]


def table(**keys):
    def read(value):
        if not isinstance(value, dict):
            raise FixtureError(f"not a table: {value!r}")
        answer = {}
        for key, part in value.items():
            key = "piece" if key == "in" else key  # `in` is a word of Python
            if key not in keys:
                raise FixtureError(f"unknown key {key}")
            try:
                answer[key] = keys[key](part)
            except FixtureError as error:
                raise FixtureError(f"{key}: {error}") from None
        return answer

    read.keys = keys
    return read


def setting(value):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Bytes(str(value))
    return Bytes(value)


def settings(value):
    if not isinstance(value, dict):
        raise FixtureError("not a table")
    return {key: setting(part) for key, part in value.items()}


def steps(verbs, **manners):
    """A list of tables that each hold exactly one verb, and perhaps how it is done."""

    def read(value):
        found = list_of(table(**verbs, **manners))(value)
        for step in found:
            if len(set(step) - set(manners)) != 1:
                raise FixtureError(f"a step has one verb: {sorted(step)}")
        return found

    return read


def amount(value):
    return value if value in ("request", "headers", "eof") else number(value)


MANNERS = {"piece": number, "cut": truth}
STDIN_STEPS = steps({"send": Bytes, "await": text}, **MANNERS)
SERVER_VERBS = {
    "recv": amount,
    "send": Bytes,
    "await": text,
    "signal": text,
    "await_client": Bytes,
    "expect": one_of("open"),
    "shutdown": one_of("write"),
    "close": one_of("clean", "unread", "rst"),
    "quiet": number,
}
START_VERBS = {
    "await": text,
    "signal": text,
    "print": text,
    "fork": one_of("leave", "daemon", "wrap"),
    "close": one_of("inherited"),
    "bind": truth,
    "listen": number,
    "serve": one_of("answers", "silent"),
    "exit": number,
    "die": number,
    "never": truth,
    "graceful": truth,
}
ACT_VERBS = {
    "kill": list_of(text),
    "terminate": list_of(text),
    "leave": list_of(text),
    "stop": list_of(text),
    "resume": list_of(text),
    "touch": text,
    "quiet": number,
}

# What comes to an HTTP client, and to the SCGI server, where it is not what follows from the rest of the case.
HTTP_ANSWER = {
    "status": one_or_more(number),
    "headers": list_of(Bytes),
    "lacks": list_of(Bytes),
    "body": Bytes,
    "complete": either,
    "own": truth,
    "connections": one_or_more(number),
    "request": table(contains=list_of(Bytes), lacks=list_of(Bytes), body=Bytes),
}

CASE = table(
    schema=one_of(FORMAT),
    id=text,
    title=text,
    level=one_of("must", "should", "may", "check"),
    promises=list_of(text),
    since=text,
    why=text,
    tags=list_of(one_of(*TAGS)),
    timeout=number,
    retired=text,
    cgi=table(
        env=entries,
        argv=list_of(Bytes),
        stdin=Bytes,
        stdin_steps=STDIN_STEPS,
        stdin_end=one_of("eof", "hold"),
        stdin_kind=one_of("stream", "file", "null"),
        stdout=one_of("read", "full", "nonblocking"),
        stdout_wait=text,
        stdout_leave=Bytes,
        stderr=one_of("read", "full"),
        fds=one_of("pipes", "socket"),
        sigpipe=one_of("default", "ignored"),
        signals=one_of("default", "blocked"),
        closed=list_of(one_of(0, 1, 2)),
        user=one_of("ordinary"),
        cwd=Bytes,
        umask=mode,
        limits=limits,
        leaks=list_of(one_of(*range(6, 100))),
    ),
    settings=settings,
    app=table(
        text=Bytes,
        mode=mode,
        name=text,
        kind=one_of("script", "link", "copy"),
        missing=truth,
        group=one_of("ordinary"),
        owner=one_of("ordinary"),
    ),
    server=table(
        state=one_of(
            "listening", "full", "stuck", "dying", "absent", "stale", "bound", "file", "directory", "dgram", "dangling",
            "loop", "none",
        ),
        protocol=one_of("scgi", "http"),
        kind=one_of("unix", "abstract", "tcp4", "tcp6", "localhost", "localhost6"),
        path=Bytes,
        path_length=number,
        link=truth,
        decoy=truth,
        mode=mode,
        user=one_of("ordinary"),
        network=one_of("private", "self-connecting"),
        answer=Bytes,
        conn=list_of(table(do=steps(SERVER_VERBS, **MANNERS))),
    ),
    start=table(
        exit=number,
        mode=mode,
        owner=one_of("ordinary"),
        missing=truth,
        text=Bytes,
        run=list_of(table(do=steps(START_VERBS))),
    ),
    clients=list_of(table(
        name=text,
        count=number,
        at=text,
        method=one_of("GET", "POST"),
        stdin=Bytes,
        node=text,
        answer_at=text,
        outcome=one_or_more(one_of(*ACCEPTABLE)),
        status=one_or_more(number),
    )),
    acts=list_of(table(name=text, at=text, **ACT_VERBS)),
    expect=table(
        outcome=one_or_more(one_of(*ACCEPTABLE)),
        connections=one_or_more(number),
        empty=one_or_more(number),
        starts=one_or_more(number),
        start=table(
            session=truth,
            signals=one_of("default"),
            own=truth,
            directory=Bytes,
            null=truth,
            umask=mode,
            limits=limits,
            contains=list_of(Bytes),
            lacks=list_of(Bytes),
            apart=list_of(number),
        ),
        alive=one_or_more(number),
        drained=truth,
        request=table(
            line=Bytes,
            headers=entries,
            contains=list_of(Bytes),
            lacks=list_of(Bytes),
            body=Bytes,
            wire=Bytes,
            incomplete=truth,
        ),
        cgi=table(
            stdout=Bytes,
            status=one_or_more(number),
            contains=list_of(Bytes),
            lacks=list_of(Bytes),
            exit=one_or_more(number),
        ),
        log=table(contains=list_of(Bytes), lacks=list_of(Bytes)),
    ),
    http=table(
        version=one_of("1.0", "1.1"),
        origin=Bytes,
        target=Bytes,
        headers=list_of(Bytes),
        body=Bytes,
        expect=table(**HTTP_ANSWER),
        differs=list_of(table(servers=web_servers, why=text, **HTTP_ANSWER)),
    ),
)

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
# All that a case with several clients has of these tables, and what no other case has of them.
WITH_CLIENTS = {
    "cgi": ("env", "fds", "sigpipe", "signals", "closed", "cwd", "umask", "limits", "leaks"),
    "server": ("state", "kind", "network", "protocol"),
    "expect": ("starts", "start", "alive", "empty", "log"),
}
ONLY_WITH_CLIENTS = {"cgi": ("umask", "limits", "leaks"), "server": (), "expect": ("start", "alive")}
REQUIRED = ("schema", "id", "title", "level", "promises", "since", "expect")


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
        said = values
        values = _with_defaults(_with_defaults(said, LAUNCH_DEFAULTS), DEFAULTS) if "clients" in said else _with_defaults(said, DEFAULTS)
        if "clients" in said:
            values["clients"] = [_with_defaults(one, CLIENT_DEFAULTS) for one in said["clients"]]
        _fill_in_the_answer(values)
        return Case(path, values, said)
    except (FixtureError, tomllib.TOMLDecodeError) as error:
        raise FixtureError(f"{path}: {error}") from None


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


# What the README demands beyond the form ----------------------------------------------------------


def _events(case):
    signalled, awaited = set(RUNNER_EVENTS), set()
    scripts = [connection["do"] for connection in case["server"]["conn"]]
    for step in [step for script in scripts for step in script] + case["cgi"].get("stdin_steps", []):
        if "signal" in step:
            signalled.add(step["signal"])
        if "await" in step:
            awaited.add(step["await"])
    if "stdout_wait" in case["cgi"]:
        awaited.add(case["cgi"]["stdout_wait"])
    return signalled, awaited


def complaints(case, promises):
    """Sentences about a case that can be read but breaks a rule of the README."""
    found = []

    def demand(holds, sentence):
        if not holds:
            found.append(f"{case.id}: {sentence}")

    expect, server, cgi = case["expect"], case["server"], case["cgi"]
    demand(case.path.match(f"cases/{case.id}.toml"), "the id is not the name of the file")
    demand(case.topic in TOPICS, "unknown topic")
    demand(re.fullmatch("[a-z]+/[a-z0-9-]+", case.id), "an id is a topic and a slug of small letters, digits and dashes")
    demand(case["promises"] and len(set(case["promises"])) == len(case["promises"]), "name each promise once, at least one")
    for promise in case["promises"]:
        demand(promise in promises, f"unknown promise {promise}")
    title = case["title"]
    demand("should" not in title.lower() and not title.endswith("."), "the title is a plain statement without a full stop")
    demand(len(title) <= 110 and title[0].isupper(), "the title is at most 110 characters and begins with a capital")
    if "clients" in case.values:
        return found + _complaints_about_clients(case)
    demand("run" not in case.get("start", {}) and "acts" not in case.values, "start.run and acts are for cases with clients")
    for place, keys in ONLY_WITH_CLIENTS.items():
        for key in keys:
            demand(key not in case.said.get(place, {}), f"{place}.{key} is for cases with clients")
    demand("outcome" in expect or "exit" in expect["cgi"], "neither an outcome nor an exit status is expected")
    if expect.get("outcome") == ["served"]:
        demand("stdout" in expect["cgi"], "what is served is not said")
    demand(not ("stdin" in cgi and "stdin_steps" in cgi), "stdin and stdin_steps exclude each other")
    demand("text" not in case["app"] or not case["settings"], "app.text and settings exclude each other")
    demand(expect["starts"] == [0] or "start" in case.values, "a start is expected, but there is no start script")
    demand(server["state"] in LISTENING or not server["conn"], "nobody is there to follow server.conn")
    quiet = [step for connection in server["conn"] for step in connection["do"] if "quiet" in step]
    demand(not quiet or "timing" in case["tags"], "quiet needs the tag timing")
    needs_root = (
        "user" in cgi or "user" in server or "network" in server or "start" in case.values and "owner" in case["start"]
        or "group" in case["app"] or "owner" in case["app"]
    )
    demand(not needs_root or "root" in case["tags"], "another user or network needs the tag root")
    demand(server["kind"] not in ("tcp6", "localhost6") or "ipv6" in case["tags"], "::1 needs the tag ipv6")
    demand("line" not in expect["request"] or server["protocol"] == "http", "only a request in HTTP has a request line")
    signalled, awaited = _events(case)
    for event in sorted(awaited - signalled):
        demand(False, f"nobody signals the event {event}")
    if "http" in case.values:
        found += _complaints_about_http(case)
    return found


def _complaints_about_clients(case):
    """Sentences about a case with several clients."""
    found = []

    def demand(holds, sentence):
        if not holds:
            found.append(f"{case.id}: {sentence}")

    for place, keys in WITH_CLIENTS.items():
        for key in set(case.said.get(place, {})) - set(keys):
            demand(False, f"{place}.{key} is for cases without clients")
    groups, acts, start = case["clients"], case["acts"], case.get("start", {})
    demand(case["server"]["state"] in ("absent", "stale"), "a case with clients begins without a server")
    demand("start" in case.values, "a case with clients has a start script")
    demand("run" in start or set(start) & {"missing", "text", "mode"}, "start.run does not say what the script does")
    names = [one.get("name", "") for one in groups + acts]
    demand(all(names) and len(set(names)) == len(names) and not set(names) & {"start", "server", *TARGETS},
           "each of clients and acts has a name of its own")
    hit = {name for act in acts for verb in ("kill", "terminate", "leave") for name in act.get(verb, [])}
    for act in acts:
        demand("at" in act, f"{act.get('name')}: an act is done at an event")
        demand(len(set(act) & set(ACT_VERBS)) == 1, f"{act.get('name')}: an act has one verb")
        demand("quiet" not in act or "timing" in case["tags"], "quiet needs the tag timing")
        for name in [name for verb in ("kill", "terminate", "stop", "resume") for name in act.get(verb, [])]:
            demand(name in TARGETS or name in {one.get("name") for one in groups}, f"{act.get('name')}: nobody is called {name}")
        for name in act.get("leave", []):
            demand(name in {one.get("name") for one in groups}, f"{act.get('name')}: no client is called {name}")
    for one in groups:
        demand(("outcome" in one) != (one.get("name") in hit), f"{one.get('name')}: an outcome is expected of whoever is neither killed nor leaves, and of no other")
        demand("node" not in one or one["count"] == 1 and "root" in case["tags"], "a node has one client, and needs the tag root")
    for run in start.get("run", []):
        last = run["do"][-1] if run["do"] else {}
        demand(set(last) & {"serve", "exit", "die", "never"}, "a run of the start script ends with serve, exit, die or never")
    steps_of = [step for run in start.get("run", []) for step in run["do"]]
    known = {*(f"{one.get('name')}.{what}" for one in groups for what in ("waiting", "ended")), *(act.get("name") for act in acts),
             *(step["signal"] for step in steps_of if "signal" in step)}
    known |= {"stopping"} if any("graceful" in step for step in steps_of) else set()
    silent = any(step.get("serve") == "silent" for step in steps_of) or any("answer_at" in one for one in groups)
    for event in {one[key] for one in groups + acts for key in ("at", "answer_at") if key in one} | {step["await"] for step in steps_of if "await" in step}:
        demand(event in known or re.fullmatch(r"start\.[1-9]" + (r"|server\.[1-9]\d*" if silent else ""), event), f"nobody signals the event {event}")
    return found


# What only who runs the bridge itself can do or see. A client of a web server can do nothing of the kind.
NOT_OVER_HTTP = {
    "cgi": ("argv", "stdin_steps", "stdin_kind", "stdout", "stdout_wait", "stdout_leave", "stderr", "signals", "closed",
            "user", "cwd"),
    "app": ("group", "owner"),
    "server": ("network", "user"),
    "start": ("owner",),
}


def _complaints_about_http(case):
    """Sentences about a case that is marked as one that a client of a web server can bring about."""
    found = []
    for part, keys in NOT_OVER_HTTP.items():
        for key in keys:
            given = case.get(part, {}).get(key)
            if given is not None and given != DEFAULTS.get(part, {}).get(key):
                found.append(f"{case.id}: {part}.{key} cannot be had over HTTP")
    if case["server"]["state"] in ("full", "stuck", "dying"):
        found.append(f"{case.id}: nobody sees over HTTP when a bridge has come to rest")
    steps = [step for connection in case["server"]["conn"] for step in connection["do"]]
    if any(event in step.get("await", "") for step in steps for event in RUNNER_EVENTS) or any(
            "await_client" in step for step in steps):
        found.append(f"{case.id}: the server cannot await what goes on in the bridge or the client over HTTP")
    if case["expect"].get("outcome") not in (["served"], ["flagged-partial"], ["bridge-4xx"], ["bridge-5xx"]):
        found.append(f"{case.id}: over HTTP it is one outcome, and one in which something comes out")
    told = [server for row in case["http"].get("differs", []) for server in row["servers"]]
    if len(told) != len(set(told)):
        found.append(f"{case.id}: http.differs names a web server twice")
    for row in case["http"].get("differs", []):
        for key in ("servers", "why"):
            if key not in row:
                found.append(f"{case.id}: a row of http.differs lacks {key}")
        if len(row) < 3:
            found.append(f"{case.id}: a row of http.differs does not say what comes instead")
    return found


def lint(folder=FIXTURES):
    """Everything that is wrong with the fixtures, as sentences."""
    found = []
    promises = read_promises(folder)
    cases = []
    for path in sorted((folder / "cases").rglob("*")):
        if path.is_dir():
            continue
        try:
            cases.append(read_case(path))
        except (FixtureError, UnicodeDecodeError) as error:
            found.append(str(error))
    for case in cases:
        found += complaints(case, promises)
    for value in ("id", "title"):
        seen = {}
        for case in cases:
            if case[value] in seen:
                found.append(f"{case.path}: the {value} is also that of {seen[case[value]]}")
            seen[case[value]] = case.path
    if not found:  # a case that cannot be read might be the one
        found += promise_complaints(cases, promises, awaited_promises(folder))
    return found


def promise_complaints(cases, promises, awaited):
    """Each promise has a case that shows it, but for those that are known to await one; and of these none has."""
    shown = {promise: case for case in cases if not case.get("retired") for promise in case["promises"]}
    found = [f"promises.toml: no case shows {promise}" for promise in promises if promise not in shown and promise not in awaited]
    found += [f"promises.toml: {promise} is shown by {shown[promise].id}, and must leave without-case" for promise in awaited if promise in shown]
    return found + [f"promises.toml: without-case names {promise}, which is no promise" for promise in awaited if promise not in promises]


# The same for readers without TOML ----------------------------------------------------------------


def as_json(value):
    if isinstance(value, Bytes):
        return value.as_json()
    if isinstance(value, dict):
        return {"in" if key == "piece" else key: as_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    return value


def written_down(case):
    """The case for readers without TOML: with the defaults that the README gives to such a case, and no others."""
    values, crowd = dict(case.values), "clients" in case.values
    for place, keys in WITH_CLIENTS.items():
        values[place] = {key: value for key, value in values[place].items()
                         if (key in keys if crowd else key not in ONLY_WITH_CLIENTS[place])}
    values["server"].pop("answer", None)  # server.conn says the same, and of two scripts one would have to count
    values["cgi"].setdefault("cwd", Bytes({"var": "dir"}))
    return {**as_json(values), "ways": case.variants()}


def document():
    """Everything, as it is written down for readers without TOML."""
    suite = tomllib.loads((FIXTURES / "SUITE.toml").read_text(encoding="utf-8"))
    cases = [written_down(case) for case in read_cases()]
    return {"format": suite["format"], "suite": suite["suite"], "promises": read_promises(), "cases": cases}


def write(content, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments):
    if len(arguments) != 1:
        print("usage: fixtures.py FILE.json", file=sys.stderr)
        return 2
    faults = lint()
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    content = document()
    write(content, pathlib.Path(arguments[0]))
    print(f"{arguments[0]}: {len(content['cases'])} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
