"""This file knows what may be said against what came through a web server, and how the table of differences is written.

    complaints(wanted, answer, seen)          sentences; none: it is what was expected
    unlike_plain(case, wanted, answer, plain, seen)   sentences; none: the web server does the same to a plain CGI program
    plain_answer(case, answer, variables)     what that program is to write: the very bytes of the bridge
    table(known, reasons), parse_table(text)  the differences, in Markdown

Pure functions of an answer (client.py), an expectation (over_http.py) and what the stage saw (case_stage.py).
"""

import os
import re

from . import in_http
from .case_stage import plain_name
from .over_http import KEPT_BACK, OF_THE_CONNECTION

# F2: what rouse keeps to itself. What differs from one request to the next is nobody's.
OWN = re.compile(rb"PATH|LD_.*|PWD|OLDPWD|SHLVL|_")
EACH_TIME = (b"REMOTE_PORT", b"UNIQUE_ID", b"CONTENT_LENGTH", b"SCGI")
RIGHT = "right"


def head_text(answer):
    """The answer's head as text, with one space behind each colon."""
    lines = [f"{name}: {value}" for name, value in answer.fields]
    return "".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n"


def pairs_of(answer):
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.fields]


def complaints(wanted, answer, seen):
    found = []

    def demand(holds, sentence):
        if not holds:
            found.append(sentence)

    status = answer.status or 0
    demand(status in wanted.status, f"the status is {status}, not {' or '.join(map(str, wanted.status[:5]))}")
    demand(answer.complete == wanted.complete,
           "the answer looks whole" if answer.complete else "the answer ended early, as the client can tell")
    fields = pairs_of(answer)
    if wanted.page:
        found += _complaints_about_page(wanted, answer, fields, seen)
    for name, value in wanted.fields:
        demand((name.lower(), value) in fields, f"the field {name.decode('latin-1')}: {value[:200]!r} has not come")
        wanted_times = [pair for pair in wanted.fields if pair[0].lower() == name.lower()]
        came = [pair for pair in fields if pair[0] == name.lower()]
        demand(len(came) <= len(wanted_times), f"the field {name.decode('latin-1')} came {len(came)} times")
    for name in wanted.lacks:
        demand(name.lower() not in dict(fields), f"the field {name.decode('latin-1')} has come")
    if wanted.body is not None and answer.body != wanted.body:
        found.append(f"the body of {len(answer.body)} bytes is not the one of {len(wanted.body)}: {answer.body[:80]!r}")
    text = head_text(answer) + answer.body
    for part in wanted.contains:
        demand(part in text, f"the answer lacks {part!r}: {text[:600]!r}")
    for part in wanted.without:
        demand(part not in text, f"the answer holds {part!r}: {text[:600]!r}")
    demand(len(seen.requests) in wanted.connections, f"the server got {len(seen.requests)} requests, not {wanted.connections}")
    for request in seen.requests:
        found += _complaints_about_request(wanted, request)
    return found + seen.problems + [f"left behind in the folder: {name}" for name in seen.left]


def _complaints_about_page(wanted, answer, fields, seen):
    """A page of the bridge's own (fixtures/README.md, the outcome `bridge-4xx`)."""
    named = dict(fields)
    if named.get(b"content-type", b"") not in (b"text/plain; charset=utf-8", b"text/html; charset=utf-8"):
        return [f"it is no page of the bridge: {answer.status} {named} {answer.body[:200]!r}"]
    found = []
    if named.get(b"cache-control") != b"no-store":
        found.append("the page may be stored")
    if (b"retry-after" in named) != (answer.status == 503):
        found.append("Retry-After goes with 503, and with nothing else")
    if wanted.body is None:
        incident = re.search(rb"Incident: (?:<code>)?([0-9a-f]{6,})", answer.body)
        if not incident:
            found.append("the page names no incident")
        elif seen.log and incident[1] not in seen.log:
            found.append("the incident that the page names is not in the log")
    return found


def _complaints_about_request(wanted, request):
    if request.fault:
        return [f"what the server got is no request: {request.fault}"]
    if request.variables is None:
        return []
    found, named = [], dict(request.variables)
    for name, value in wanted.variables.items():
        if named.get(name) != value:
            came = repr(named[name][:80]) if name in named else "missing"
            found.append(f"the variable {name.decode('latin-1')} is {came}, not {value[:80]!r}")
    found += [f"the variable {name.decode('latin-1')} was passed on: {named[name][:80]!r}"
              for name in dict.fromkeys(wanted.no_variables) if name in named]
    if wanted.incomplete:
        if request.complete:
            found.append("the server got a request that looks whole")
    elif wanted.request_body is not None and request.complete and request.body != wanted.request_body:
        found.append(f"the server got a body of {len(request.body)} bytes, not of {len(wanted.request_body)}")
    return found


# The plain CGI program beside it --------------------------------------------------------------------


def plain_answer(case, answer, variables):
    """The very bytes that the bridge wrote: those that the case expects, and of a page those that came."""
    if case["expect"]["outcome"][0] in ("served", "flagged-partial"):
        return case["expect"]["cgi"]["stdout"].resolve(variables)
    lines = [f"Status: {answer.status or 500} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.fields
              if name.lower() in ("content-type", "cache-control", "retry-after")]
    return "".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n" + answer.body


def unlike_plain(case, wanted, answer, plain, seen):
    """What the web server does to the bridge's answer, or gives to the bridge, and not to a plain CGI program's."""
    app, other = case["app"]["name"].encode(), plain_name(case).encode()
    found = []

    def same(what, of_rouse, of_plain):
        if of_rouse != of_plain:
            found.append(f"{what} is {str(of_rouse)[:300]}, of a plain CGI program {str(of_plain)[:300]}")

    def comparable(one):
        return sorted((name, value.replace(other, app)) for name, value in pairs_of(one) if name not in OF_THE_CONNECTION)

    same("the status line", (answer.status, answer.reason), (plain.status, plain.reason))
    same("whether it looks whole", answer.complete, plain.complete)
    same("the head", comparable(answer), comparable(plain))
    same("the body", answer.body, plain.body.replace(other, app))
    if seen.requests and seen.requests[0].variables is not None and seen.plain and seen.plain.complete:
        if case["server"]["protocol"] == "http":
            same("what the server is told", sorted(dict(seen.requests[0].variables).items()),
                 sorted(_told(case, seen.plain.variables, other, app).items()))
        else:
            # The setting script-name may stand in the app file's own words; what is expected then knows it.
            renamed = not wanted.variables.get(b"SCRIPT_NAME", b"/" + app).endswith(b"/" + app)
            same("the environment", _passed_on(seen.requests[0].variables, renamed, app, app),
                 _passed_on(seen.plain.variables, renamed, other, app))
        if seen.requests[0].complete:
            same("the body of the request", seen.requests[0].body, seen.plain.body)
    return found


def _passed_on(variables, renamed, own_name, name):
    mine = (*EACH_TIME, *KEPT_BACK, *([b"SCRIPT_NAME"] if renamed else []))
    first = {}
    for one, value in variables:
        first.setdefault(one, value)  # F1: no name twice, and the first counts
    return sorted((one, value.replace(own_name, name)) for one, value in first.items()
                  if one not in mine and not OWN.fullmatch(one))


def _told(case, variables, own_name, name):
    settings = {key: value.resolve({}) for key, value in case["settings"].items() if key in ("script-name", "trust-forwarded")}
    return in_http.told([(one, value.replace(own_name, name)) for one, value in variables],
                         settings.get("trust-forwarded") == b"yes", settings.get("script-name"))


# The table ------------------------------------------------------------------------------------------


def describe(row, answer, request):
    """What came, as far as the row is about it. `request` is what the server got, or the plain program."""
    words = []
    if answer.status is None:
        words.append("no answer")
    elif {"status", "own"} & set(row) or not words and set(row) <= {"servers", "why", "request"}:
        words.append(str(answer.status))
    if "body" in row:
        words.append(f"{len(answer.body)} bytes")
    if "complete" in row:
        words.append("looks whole" if answer.complete else "cut, and the client can tell")
    named = dict(pairs_of(answer))
    for line in row.get("headers", []) + row.get("lacks", []):
        name = _name(line, b":")
        came = named.get(name.lower())
        words.append(f"no {name.decode()}" if came is None else f"{name.decode()}: {_shown(came)}")
    variables = dict(request.variables or []) if request else {}
    for entry in row.get("request", {}).get("contains", []) + row.get("request", {}).get("lacks", []):
        name = _name(entry, b"=")
        came = variables.get(name)
        words.append(f"no {name.decode()}" if came is None else f"{name.decode()}={_shown(came)}")
    if "body" in row.get("request", {}):
        words.append(f"a body of {len(request.body) if request else 0} bytes")
    return ", ".join(words)


def _name(line, end):
    try:
        return line.resolve({"url": b""}).partition(end)[0]
    except Exception as fault:
        raise AssertionError(f"a row of http.differs whose name needs a variable: {fault}") from None


def _shown(value):
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in value[:60])


def in_cell(of_rouse, of_plain):
    """What came through rouse and, beside it, through the plain CGI program."""
    return f"{of_rouse}<br>plain: {'the same' if of_plain == of_rouse else of_plain}"


def table(known, reasons):
    """Rows: cases with a difference. Columns: web servers, `known` in their order."""

    def line(words):
        return "| " + " | ".join(str(word).replace("|", "\\|") for word in words) + " |"

    columns = list(known.values())
    lines = [line(["case", *known, "why"]), line(["---"] * (len(known) + 2))]
    for name in sorted({name for one in columns for name in one["cells"]}):
        lines.append(line([f"`{name}`", *(one["cells"].get(name, RIGHT) for one in columns), reasons.get(name, "")]))
    lines.append(line(["cases that are right", *(one["right"] for one in columns), ""]))
    lines.append(line(["cases that differ", *(len(one["cells"]) for one in columns), ""]))
    return "\n".join(lines) + "\n"


def replace(path, text):
    """Web servers may be tested side by side: nobody reads half a file."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(text)
    fresh.rename(path)


def parse_table(text):
    """{case: {column: cell}} of the first table in `text` whose first column is `case`; without the totals."""
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()
            if line.startswith("|")]
    start = next((index for index, row in enumerate(rows) if row[0] == "case"), None)
    if start is None:
        return {}
    heads, found = rows[start], {}
    for row in rows[start + 2 :]:
        if len(row) != len(heads):
            break
        if row[0].startswith("`"):
            found[row[0].strip("`")] = dict(zip(heads[1:], row[1:]))
    return found
