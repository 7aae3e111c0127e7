"""This file knows what may be said against what came out of one bridge: its answer, its end, its requests and its log."""

import re

PAGE = re.compile(
    rb"Status: (?P<status>[45]\d\d) (?P<reason>[A-Z][A-Za-z ]+)\r?\n"
    rb"Content-Type: text/(?:plain|html); charset=utf-8\r?\n"
    rb"Cache-Control: no-store\r?\n"
    rb"(?:Retry-After: (?P<retry>[1-9]\d*)\r?\n)?"
    rb"(?:[A-Z][A-Za-z-]*: [\x20-\x7e]+\r?\n)*"
    rb"\r?\n(?P<body>[\x20-\x7e\x80-\xff\r\n]*)",
)
REASONS = {
    400: b"Bad Request",
    413: b"Content Too Large",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}
# What a complaint is about: what the client or the server got, or how the bridge behaved beside that.
REPLY, CONDUCT = "reply", "conduct"
LOG_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z][a-z-]*(?: [a-z_-]+=(?:[\x21-\x7e]*|\"[\x20\x21\x23-\x7e]*\"))*")


class Complaints:
    """Sentences against a bridge. None: it holds."""

    def __init__(self):
        self.complaints = []
        self.verdicts = {REPLY: [], CONDUCT: []}

    def demand(self, holds, sentence, about=REPLY):
        if not holds:
            self.complaints.append(sentence)
            self.verdicts[about].append(sentence)


class Judgement:
    """One outcome of a run, and what the case expects of it. What is wrong is said to `complaints`."""

    def __init__(self, run, outcome, expect, complaints):
        self.run, self.case, self.outcome, self.expect = run, run.case, outcome, expect
        self.demand, self.resolve = complaints.demand, run.resolve

    def judge_ending(self):
        outcome = self.outcome
        self.demand(not outcome.hung, f"hung: the bridge had not ended after {self.case['timeout']} s", CONDUCT)
        self.demand(not outcome.held, "held: the bridge was gone, but its standard output or error stayed open", CONDUCT)
        self.demand(outcome.hung or outcome.status >= 0, f"died: signal {-(outcome.status or 0)}", CONDUCT)
        if "exit" in self.expect["cgi"]:
            self._judge_exit(self.expect["cgi"]["exit"])

    def _judge_exit(self, wanted):
        status = self.outcome.status
        self.demand(status in wanted, f"the exit status is {status}, not {_or(wanted)}", CONDUCT)

    def judge_outcome(self):
        wanted = self.expect.get("outcome")
        if wanted is None:
            return
        found = self.name_outcome()
        self.demand(found in wanted, f"the outcome is {found}, not {_or(wanted)}")

    def name_outcome(self):
        """The word of the closed vocabulary for what came out."""
        outcome = self.outcome
        if outcome.hung:
            return "hung"
        if outcome.held:
            return "held"
        if outcome.status < 0:
            return "died"
        if not outcome.stdout:
            return "silent" if self._says_nothing_came(outcome.status) else "lost"
        expected = self.expect["cgi"].get("stdout")
        expected = None if expected is None else self.resolve(expected)
        if outcome.status == 0:
            if outcome.stdout == expected:
                return "served"
            page = self._page()
            if page:
                return "bridge-4xx" if page["status"].startswith(b"4") else "bridge-5xx"
            return "partial" if expected and expected.startswith(outcome.stdout) else "mangled"
        if self._says_it_was_cut(outcome.status) and (expected is None or expected.startswith(outcome.stdout)):
            return "flagged-partial"
        return "partial" if expected and expected.startswith(outcome.stdout) else "mangled"

    @staticmethod
    def _says_nothing_came(status):
        return status == 2

    @staticmethod
    def _says_it_was_cut(status):
        return status == 1

    def _page(self):
        """The bridge's own page, judged, if that is what came; else None."""
        page = PAGE.fullmatch(self.outcome.stdout)
        if page:
            self._judge_page(page)
        return page

    def _judge_page(self, page):
        status = int(page["status"])
        self.demand(page["reason"] == REASONS.get(status), f"the reason of {status} is {page['reason']!r}")
        self.demand((page["retry"] is not None) == (status == 503), "Retry-After goes with 503, and with nothing else")
        head = b"REQUEST_METHOD=HEAD" in [entry.resolve(self.run.variables) for entry in self.case["cgi"]["env"]]
        self.demand(bool(page["body"]) != head, "a page has a body, but for HEAD")
        incident = re.search(rb"Incident: (?:<code>)?([0-9a-f]{6,})", page["body"])
        self.demand(head or incident, "the page names no incident")
        cgi = self.case["cgi"]
        if incident and cgi["stderr"] == "read" and 2 not in cgi["closed"]:
            self.demand(incident[1] in self._said()[1], "the incident that the page names is not in the log")

    def judge_stdout(self):
        expect, stdout = self.expect["cgi"], self.outcome.stdout
        if "stdout" in expect and self.outcome.stdout != (wanted := self.resolve(expect["stdout"])):
            self.demand(False, f"standard output differs {_difference(stdout, wanted)}")
        if "status" in expect:
            self.demand(self.outcome.code in expect["status"], f"the status is {self.outcome.code}, not {_or(expect['status'])}")
        for part in expect.get("contains", []):
            self.demand(self.resolve(part) in stdout, f"standard output lacks {self.resolve(part)!r}: {stdout[:800]!r}")
        for part in expect.get("lacks", []):
            self.demand(self.resolve(part) not in stdout, f"standard output holds {self.resolve(part)!r}: {stdout[:800]!r}")

    def judge_requests(self):
        expect = self.case["expect"]
        started = self.run.folder / "starts"
        starts = len(started.read_bytes().splitlines()) if started.exists() else 0
        self.demand(starts in expect["starts"], f"the start script ran {starts} times, not {_or(expect['starts'])}", CONDUCT)
        if self.run.server is None:
            return
        for problem in self.run.server.problems:
            self.demand(False, f"server: {problem}")
        carried = [one for one in self.run.server.connections if not one.carried_nothing]
        empty = len(self.run.server.connections) - len(carried)
        if self.case["server"]["conn"] or expect["connections"] != [0]:
            self.demand(len(carried) in expect["connections"], f"{len(carried)} connections carried a request, not {_or(expect['connections'])}", CONDUCT)
        else:
            self.demand(not carried, f"{len(carried)} connections carried a request to somebody who is not the server", CONDUCT)
        self.demand(empty in expect["empty"], f"{empty} connections carried nothing, not {_or(expect['empty'])}", CONDUCT)
        for connection in carried:
            self._judge_request(connection, expect["request"])

    def _judge_request(self, connection, expect):
        parser = connection.parser
        self.demand(connection.fault is None, f"what came is no {parser.protocol} request: {connection.fault}: {parser.wire[:300]!r}")
        self.demand(not parser.surplus, f"bytes behind the body: {parser.surplus[:100]!r}")
        if expect.get("incomplete"):
            self.demand(not parser.complete, "the server got a request that looks whole")
        if parser.headers is None:
            self.demand(not expect or expect.get("incomplete"), "the headers did not come")
            return
        if parser.protocol == "HTTP":
            own = (b"connection", b"content-length")
            pairs = [name + b": " + value for name, value in parser.headers if name not in own]
            if "line" in expect and parser.line != (wanted := self.resolve(expect["line"])):
                self.demand(False, f"the request line is {parser.line!r}, not {wanted!r}")
        else:
            pairs = [name + b"=" + value for name, value in parser.headers if name not in (b"CONTENT_LENGTH", b"SCGI")]
        if "headers" in expect:
            wanted = [self.resolve(entry) for entry in expect["headers"]]
            missing, surplus = _multiset_difference(wanted, pairs)
            self.demand(not missing, f"missing variables: {_short(missing)}")
            self.demand(not surplus, f"variables too many: {_short(surplus)}")
        for entry in expect.get("contains", []):
            self.demand(self.resolve(entry) in pairs, f"the variable {self.resolve(entry)!r} is missing")
        names = {name for name, _ in parser.headers}
        for name in expect.get("lacks", []):
            self.demand(self.resolve(name) not in names, f"the variable {self.resolve(name)!r} was passed on")
        if "body" in expect and parser.body != (wanted := self.resolve(expect["body"])):
            self.demand(False, f"the body differs {_difference(parser.body, wanted)}")
        if "body" in expect and not expect.get("incomplete"):
            self.demand(parser.body_length == len(self.resolve(expect["body"])), f"the length is {parser.body_length}")
        if "wire" in expect and parser.wire != (wanted := self.resolve(expect["wire"])):
            self.demand(False, f"the bytes of the request differ {_difference(parser.wire, wanted)}")

    def _said(self):
        """The log, and that with standard error, where rouse writes what it cannot log."""
        places = [self.run.folder / "log", *self.run.folder.glob("*.run/*/log"), *self.run.folder.glob("run/*/log")]
        logged = b"".join(place.read_bytes() for place in places if place.is_file())
        return logged, logged + self.outcome.stderr

    def judge_log(self, more=b""):
        logged, said = self._said()
        said += more
        for line in logged.splitlines():
            if "start" not in self.case.values:  # or it may be a line of the script
                self.demand(LOG_LINE.fullmatch(line), f"no line of a log: {line[:200]!r}", CONDUCT)
        self.demand(re.fullmatch(rb"(?:[\x20-\x7e]*\n)*", said), f"unprintable bytes in the log or on standard error: {said[:300]!r}", CONDUCT)
        expect = self.case["expect"]["log"]
        for part in expect.get("contains", []):
            self.demand(self.resolve(part) in said, f"the log lacks {self.resolve(part)!r}: {said[:800]!r}", CONDUCT)
        for part in expect.get("lacks", []):
            self.demand(self.resolve(part) not in said, f"the log holds {self.resolve(part)!r}: {said[:800]!r}", CONDUCT)


def _or(values):
    return " or ".join(map(str, values))


def _short(entries):
    return [entry[:80] for entry in entries[:5]]


def _multiset_difference(wanted, found):
    counts = {}
    for entry in wanted:
        counts[entry] = counts.get(entry, 0) + 1
    for entry in found:
        counts[entry] = counts.get(entry, 0) - 1
    return [entry for entry, count in counts.items() if count > 0], [entry for entry, count in counts.items() if count < 0]


def _difference(found, wanted):
    at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
    return (f"from byte {at} of {len(wanted)} ({len(found)} came): {found[at:at + 80]!r} instead of {wanted[at:at + 80]!r}")
