"""This file knows what a case of the fixtures is over HTTP: the request that a client sends, and what follows from it.

    sent = request_of(case, b"/s1", variables)            the bytes of the request
    wanted = expectation_of(case, b"/s1", variables)      what the client and the SCGI server then get
    wanted = overruled(wanted, row, variables)            the same with a row of http.differs

Pure functions of a case: nothing is started here. fixtures/README.md, "Over HTTP", says the same in words.
"""

import re
from dataclasses import dataclass, field, replace

from harness.byte_strings import FixtureError

from . import in_http
from .case_stage import BESIDE

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 3875, 4.1: what the web server says of itself, of the connection and of its files. A client does not choose it.
OF_THE_WEB_SERVER = re.compile(
    rb"GATEWAY_INTERFACE|SERVER_\w+|REMOTE_\w+|AUTH_TYPE|SCRIPT_NAME|SCRIPT_FILENAME|PATH_TRANSLATED|PATH|REQUEST_URI"
    rb"|REQUEST_SCHEME|DOCUMENT_ROOT|CONTEXT_\w+|UNIQUE_ID")
# RFC 3875, 4.1.18: a web server may keep these to itself, and rouse does.
KEPT_BACK = (b"HTTP_PROXY", b"HTTP_TRANSFER_ENCODING")
# RFC 9110, 7.6.1, and what each web server says in its own way.
OF_THE_CONNECTION = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
                     b"date", b"server", b"content-length", b"accept-ranges"}
WITHOUT_BODY = (204, 304)  # RFC 9110, 6.4.1
PIECE = 8000  # bytes in a chunk


@dataclass
class Sent:
    method: str
    head: bytes
    body: bytes
    short: bool = False  # the client ends before its Content-Length


@dataclass
class Expectation:
    """None where nothing is demanded."""

    status: list
    page: bool = False       # it is a page of the bridge's own
    fields: list = field(default_factory=list)      # (name, value) that stand in the head
    lacks: list = field(default_factory=list)       # names of fields that do not
    body: bytes = None
    contains: list = field(default_factory=list)    # of the answer as text
    without: list = field(default_factory=list)
    complete: bool = True
    own: bool = False        # the web server answers by itself
    connections: list = field(default_factory=list)
    variables: dict = field(default_factory=dict)
    no_variables: list = field(default_factory=list)
    request_body: bytes = None
    incomplete: bool = False  # no request came that looks whole


def environment(case, variables):
    """The variables of the case. A web server makes neither two of one name nor entries that are no variables."""
    found = {}
    for entry in case["cgi"]["env"]:
        name, equals, value = entry.resolve(variables).partition(b"=")
        if not equals or not name or name in found:
            raise FixtureError(f"{case.id}: no web server makes the entry {name[:40]!r}")
        found[name] = value
    return found


def request_of(case, url, variables):
    """RFC 3875, section 4, backwards: which request makes a web server set these variables?"""
    found, http = environment(case, variables), case["http"]
    for name in found:
        if not (name.startswith(b"HTTP_") or OF_THE_WEB_SERVER.fullmatch(name)
                or name in (b"REQUEST_METHOD", b"QUERY_STRING", b"PATH_INFO", b"CONTENT_TYPE", b"CONTENT_LENGTH")):
            raise FixtureError(f"{case.id}: a client has no say in {name!r}")
    method = found.get(b"REQUEST_METHOD", b"GET")
    if not TOKEN.fullmatch(method):
        raise FixtureError(f"{case.id}: {method!r} is no method (RFC 9110, 9.1)")
    target = b"".join(_target(case, url, found, variables))
    if re.search(rb"/\.\.?(/|$)", found.get(b"PATH_INFO", b"")) and "target" not in case["http"]:
        raise FixtureError(f"{case.id}: every web server resolves dots in a path (RFC 3986, 5.2.4)")
    fields, body = _fields(case, found, variables), _content(case, variables)
    names = [name.lower() for name, _ in fields]
    # RFC 9112, 6.3: a length, or chunks. RFC 3875, 4.2, knows only the first; Apache gives the second without a length.
    short = False
    if b"content-length" in names and b"transfer-encoding" in names and "body" not in http:
        raise FixtureError(f"{case.id}: with both a length and a transfer coding, http.body must say which is meant")
    if b"content-length" in names and "body" not in http:
        length = fields[names.index(b"content-length")][1]
        short = length.isdigit() and int(length) > len(body)
        if short and case["cgi"]["stdin_end"] == "hold":
            raise FixtureError(f"{case.id}: a client that neither sends nor leaves is a time-out of the web server")
    elif b"transfer-encoding" in names and "body" not in http:
        if fields[names.index(b"transfer-encoding")][1].lower() != b"chunked":
            raise FixtureError(f"{case.id}: only chunks are made here; http.body may be coded otherwise")
        pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif "body" not in http:
        body = b""  # without either there is none: bytes would be the next request
    if b"host" not in names:
        fields.insert(0, (b"Host", b"localhost"))
    if b"connection" not in names:
        fields.append((b"Connection", b"close"))
    head = b"%s %s HTTP/%s\r\n" % (method, target, http.get("version", "1.1").encode())
    head += b"".join(b"%s: %s\r\n" % pair for pair in fields) + b"\r\n"
    return Sent(method.decode(), head, body, short)


def _target(case, url, found, variables):
    """What stands in front of the path, and the path."""
    http = case["http"]
    origin = http["origin"].resolve(variables) if "origin" in http else b""
    return origin, url + b"/" + case["app"]["name"].encode() + _suffix(case, found, variables)


def _suffix(case, found, variables):
    """What stands behind the app file's URL: PATH_INFO (4.1.5) and QUERY_STRING (4.1.7)."""
    if "target" in case["http"]:
        suffix = case["http"]["target"].resolve(variables)
    else:
        path, query = found.get(b"PATH_INFO", b""), found.get(b"QUERY_STRING", b"")
        suffix = b"".join(bytes([byte]) if byte in in_http.IN_PATH else b"%%%02X" % byte for byte in path)
        suffix += b"?" + query if query else b""
    if re.search(rb"[\0-\x20\x7f]", suffix):
        raise FixtureError(f"{case.id}: {suffix!r} would end the request line")
    return suffix


def _fields(case, found, variables):
    """HTTP_* (4.1.18), CONTENT_TYPE (4.1.3) and CONTENT_LENGTH (4.1.2); http.headers overrules those of its names."""
    fields = []
    for name, value in found.items():
        if name in (b"CONTENT_TYPE", b"CONTENT_LENGTH"):
            if value:  # an empty one says that there is none
                fields.append((name.replace(b"_", b"-").title(), value))
        elif name.startswith(b"HTTP_"):
            if name != name.upper() or not TOKEN.fullmatch(name) or name in (b"HTTP_CONTENT_LENGTH", b"HTTP_CONTENT_TYPE"):
                raise FixtureError(f"{case.id}: no header field becomes {name!r}")
            fields.append((name[5:].replace(b"_", b"-").title(), value))
    given = [line.resolve(variables).partition(b":")[::2] for line in case["http"].get("headers", [])]
    given = [(name, value.removeprefix(b" ")) for name, value in given]
    overruled_names = {name.lower() for name, _ in given}
    fields = [pair for pair in fields if pair[0].lower() not in overruled_names] + given
    for name, value in fields:
        if re.search(rb"[\r\n\0]", name + value):
            raise FixtureError(f"{case.id}: a header field cannot hold {value[:40]!r}")
        if value != value.strip(b" \t"):
            raise FixtureError(f"{case.id}: blanks around a field's value are none of it (RFC 9110, 5.5)")
    return fields


def _content(case, variables):
    http, cgi = case["http"], case["cgi"]
    return (http.get("body") or cgi.get("stdin") or _NOTHING).resolve(variables)


class _Nothing:
    @staticmethod
    def resolve(_variables):
        return b""


_NOTHING = _Nothing()


# What follows ---------------------------------------------------------------------------------------


def expectation_of(case, url, variables):
    """What must come to the client and to the SCGI server when the web server is right and the bridge is."""
    expect, (outcome,) = case["expect"], case["expect"]["outcome"]
    found = environment(case, variables)
    head = found.get(b"REQUEST_METHOD") == b"HEAD"
    if outcome.startswith("bridge-"):
        cgi = expect["cgi"]
        wanted = Expectation(
            status=list(cgi.get("status", range(400, 600))), page=True, body=b"" if head else None,
            contains=[part.resolve(variables) for part in cgi.get("contains", [])],
            without=[part.resolve(variables) for part in cgi.get("lacks", [])])
    else:
        if "stdout" not in expect["cgi"]:
            raise FixtureError(f"{case.id}: what comes out is not said")
        wanted = client_gets(expect["cgi"]["stdout"].resolve(variables), head, url)
    wanted.connections = list(expect["connections"])
    _request_expectation(case, url, found, variables, wanted)
    return overruled(wanted, case["http"].get("expect", {}), variables)


def parse_cgi(stdout):
    """RFC 3875, section 6.2, as (fields, body)."""
    end = re.search(rb"\r?\n\r?\n", stdout)
    block, body = (stdout[: end.start()], stdout[end.end() :]) if end else (stdout, b"")
    pairs = (line.partition(b":") for line in re.split(rb"\r?\n", block) if line)
    return [(name, value.strip(b" \t")) for name, _, value in pairs], body


def client_gets(stdout, head, url):
    """What a web server makes of a CGI response: RFC 3875, 6.2 and 6.3, and RFC 9110, 6.4.1 and 8.6."""
    fields, body = parse_cgi(stdout)
    named = {name.lower(): value for name, value in fields}
    local = named.get(b"location", b"").startswith(b"/") and b"status" not in named
    if local:  # 6.2.2: the answer to a request for that path, and but for beside.txt there is nothing
        found = named[b"location"] == url + b"/beside.txt"
        return Expectation(status=[200 if found else 404], lacks=[b"Location"], body=BESIDE if found else None)
    status = int(named[b"status"][:3]) if b"status" in named else 302 if b"location" in named else 200
    length = named.get(b"content-length")
    if head or status in WITHOUT_BODY:
        body, length = b"", None
    elif b"location" in named and b"status" not in named:
        body = body or None  # 6.2.3: the web server may add some words
    return Expectation(
        status=[status],
        fields=[pair for pair in fields if pair[0].lower() not in OF_THE_CONNECTION | {b"status"}],
        body=body,
        # Of a response that says how long it is, whoever gets less must be able to tell (RFC 9112, 8).
        complete=length is None or len(body or b"") >= int(length))


def _request_expectation(case, url, found, variables, wanted):
    """The variables that derive from the request; a web server adds others, which are its own business."""
    if case["server"]["protocol"] == "http":
        _http_request_expectation(case, url, found, variables, wanted)
        return
    expect, settings = case["expect"]["request"], case["settings"]
    script = settings["script-name"].resolve(variables) if "script-name" in settings else None
    wanted.variables = {
        b"REQUEST_METHOD": b"GET", b"QUERY_STRING": b"",  # 4.1.7: it is set also where there is none
        b"SERVER_PROTOCOL": b"HTTP/" + case["http"].get("version", "1.1").encode(),
        **{name: value for name, value in found.items()
           if name.startswith(b"HTTP_") or name in (b"REQUEST_METHOD", b"QUERY_STRING", b"PATH_INFO", b"CONTENT_TYPE")},
        b"SCRIPT_NAME": url + b"/" + case["app"]["name"].encode() if script is None else script,
    }
    if not found.get(b"CONTENT_TYPE"):
        wanted.variables.pop(b"CONTENT_TYPE", None)
    wanted.no_variables = [*KEPT_BACK, *(name.resolve(variables) for name in expect.get("lacks", []))]
    if "headers" in expect:
        kept = {entry.resolve(variables).partition(b"=")[0] for entry in expect["headers"]}
        wanted.no_variables += [name for name in wanted.variables if name in found and name not in kept]
    for name in wanted.no_variables:
        wanted.variables.pop(name, None)
    _body_expectation(case, found, variables, wanted)


def _http_request_expectation(case, url, found, variables, wanted):
    """The same of a server that speaks HTTP. What rouse says itself is judged by the plain CGI program's environment."""
    expect = case["expect"]["request"]
    wanted.variables = {
        b"REQUEST_METHOD": found.get(b"REQUEST_METHOD", b"GET"), b"REQUEST_URI": _target(case, url, found, variables)[1],
        **{name: value for name, value in found.items()
           if (name.startswith(b"HTTP_") or name == b"CONTENT_TYPE" and value) and name not in in_http.ROUSES_OWN}}
    if "origin" in case["http"]:
        wanted.variables.pop(b"HTTP_HOST", None)

    def variable_of(field):
        upper = field.partition(b":")[0].upper().replace(b"-", b"_")
        return upper if upper == b"CONTENT_TYPE" else b"HTTP_" + upper

    wanted.no_variables = [variable_of(name.resolve(variables)) for name in expect.get("lacks", [])]
    if "headers" in expect:
        kept = {variable_of(entry.resolve(variables)) for entry in expect["headers"]}
        wanted.no_variables += [name for name in wanted.variables
                                if (name.startswith(b"HTTP_") or name == b"CONTENT_TYPE") and name not in kept]
    wanted.no_variables += [name for name in found if in_http.LEFT_BEHIND.fullmatch(name)]
    for name in wanted.no_variables:
        wanted.variables.pop(name, None)
    _body_expectation(case, found, variables, wanted)


def _body_expectation(case, found, variables, wanted):
    expect = case["expect"]["request"]
    wanted.incomplete = "incomplete" in expect
    if "body" in expect:
        wanted.request_body = expect["body"].resolve(variables)
    else:
        content = case["cgi"]["stdin"].resolve(variables) if "stdin" in case["cgi"] else b""
        length = found.get(b"CONTENT_LENGTH")
        if not length and not found.get(b"HTTP_TRANSFER_ENCODING"):
            content = b""
        wanted.request_body = content[: int(length)] if length and length.isdigit() else content


def overruled(wanted, row, variables):
    """`wanted` with what a row says instead. Fields and variables are overruled one by one, by their names."""
    wanted = replace(wanted)
    if "status" in row:
        wanted.status = list(row["status"])
    if row.get("own"):
        return Expectation(status=wanted.status, own=True, connections=list(row.get("connections", [0])),
                           complete=wanted.status != [0], incomplete=wanted.incomplete)
    if "status" in row and wanted.page:
        wanted.page, wanted.contains, wanted.body = False, [], None
    if "headers" in row:
        lines = [line.resolve(variables).partition(b":")[::2] for line in row["headers"]]
        given = [(name, value.strip()) for name, value in lines]
        names = {name.lower() for name, _ in given}
        wanted.fields = [pair for pair in wanted.fields if pair[0].lower() not in names] + given
        wanted.lacks = [name for name in wanted.lacks if name.lower() not in names]
    if "lacks" in row:
        wanted.lacks = [name.resolve(variables) for name in row["lacks"]]
        names = {name.lower() for name in wanted.lacks}
        wanted.fields = [pair for pair in wanted.fields if pair[0].lower() not in names]
    if "body" in row:
        wanted.body = row["body"].resolve(variables)
    if "complete" in row:
        wanted.complete = row["complete"]
    if "connections" in row:
        wanted.connections = list(row["connections"])
    request = row.get("request", {})
    wanted.variables = dict(wanted.variables)
    for entry in request.get("contains", []):
        name, _, value = entry.resolve(variables).partition(b"=")
        wanted.variables[name] = value
        wanted.no_variables = [one for one in wanted.no_variables if one != name]
    for name in request.get("lacks", []):
        wanted.variables.pop(name.resolve(variables), None)
        wanted.no_variables = [*wanted.no_variables, name.resolve(variables)]
    if "body" in request:
        wanted.request_body = request["body"].resolve(variables)
    return wanted
