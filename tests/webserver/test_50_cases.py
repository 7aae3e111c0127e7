"""Every case that can be spoken over HTTP, through every web server, with a plain CGI program beside it.

The web server is not started again for a case: all cases of one are laid out at once, each in a folder of its own, and
asked for several at a time. What differs from what the case says stands in its `http.differs`, and in the table that
the last test of each writes: build/webservers.md.
"""

import concurrent.futures
import json

import pytest

from harness import byte_strings, case_keys, fixtures, procs
from web import judge, over_http
from web.client import Answer, request

README = procs.ROOT / "tests" / "webserver" / "README.md"
CASES = [case for case in fixtures.read_cases() if "http" in case.values]
AT_ONCE = 8     # requests
LAID_OUT = 100  # cases: each has a listener and some descriptors, and select() knows 1024


class Spoken:
    """What came of one case through one web server."""

    def __init__(self, case, url, variables):
        self.case, self.url, self.variables = case, url, variables
        self.answer = self.plain = self.seen = None
        self.late = []

    def ask(self, port, plain=False):
        sent = over_http.request_of(self.case, self.url.encode(), self.variables)
        head = sent.head
        if plain:
            own = f"{self.url}/{self.case['app']['name']}".encode()
            head = head.replace(own, f"{self.url}/{judge.plain_name(self.case)}".encode(), 1)
        try:
            return request(port, sent.method, body=sent.body, head=head, half=sent.short, timeout=self.case["timeout"] + 5)
        except (AssertionError, OSError) as fault:
            self.late.append(f"through {'the plain program' if plain else 'rouse'}: {fault}")
            return Answer()

    def row(self, kind):
        rows = [row for row in self.case["http"].get("differs", []) if kind in row["servers"]]
        return rows[0] if rows else None

    def wanted(self):
        return over_http.expectation_of(self.case, self.url.encode(), self.variables)

    def complaints(self, row=None):
        wanted = self.wanted() if row is None else over_http.overruled(self.wanted(), row, self.variables)
        return self.late + judge.complaints(wanted, self.answer, self.seen)

    def unlike_plain(self):
        return judge.unlike_plain(self.case, self.wanted(), self.answer, self.plain, self.seen)

    def report(self, sentences):
        lines = [f"{self.case.id}: {self.case['title']}", *(f"  - {sentence}" for sentence in sentences)]
        for who, came in (("rouse", self.answer), ("plain", self.plain)):
            lines.append(f"  {who}: {came.status} {came.reason} {came.fields} {came.body[:300]!r} complete={came.complete}")
        lines += [f"  server: {one.variables} {len(one.body)} bytes {one.fault or ''}" for one in self.seen.requests]
        return "\n".join(lines)


def speak(web, cases):
    """All of them through one web server; by id."""
    came = {}
    cases = sorted(cases, key=lambda case: "timing" not in case["tags"])  # those that last go first, side by side
    for start in range(0, len(cases), LAID_OUT):
        came.update(speak_some(web, cases[start : start + LAID_OUT]))
    return came


def speak_some(web, cases):
    stage = web.stage.cases.part(web.kind)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as crowd:
        try:
            laid_out = stage.begin(cases)
            spoken = [Spoken(case, *laid_out[case.id]) for case in cases]
            for one, answer in zip(spoken, crowd.map(lambda one: one.ask(web.port), spoken)):
                one.answer = answer
            stage.answer({one.case.id: judge.plain_answer(one.case, one.answer, one.variables) for one in spoken})
            for one, answer in zip(spoken, crowd.map(lambda one: one.ask(web.port, plain=True), spoken)):
                one.plain = answer
        finally:
            seen = stage.finish()
    for one in spoken:
        one.seen = seen[one.case.id]
    return {one.case.id: one for one in spoken}


@pytest.fixture(scope="session")
def through(request):
    """What came of the cases that are tested in this run, by web server: spoken when the first of them is wanted."""
    wanted = {}
    for item in request.session.items:
        if getattr(item, "originalname", "") == "test_50_02_the_case_holds":
            wanted.setdefault(item.callspec.params["kind"], []).append(item.callspec.params["case"])
    came, failed = {}, {}

    def of(web):
        if web.kind in failed:
            pytest.fail(f"the cases of {web.kind} could not be run: {failed[web.kind]}", pytrace=False)
        if web.kind not in came:
            try:
                came[web.kind] = speak(web, wanted[web.kind])
            except Exception as fault:
                failed[web.kind] = repr(fault)  # once is enough
                raise
        return came[web.kind]

    return of


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_50_01_the_case_is_a_request(case):
    """A marked case should be one that a client can bring about, and say what the client then gets."""
    variables = {name: b"/x" for name in byte_strings.VARIABLES}
    sent = over_http.request_of(case, b"/x", variables)
    wanted = over_http.expectation_of(case, b"/x", variables)
    assert sent.head.endswith(b"\r\n\r\n") and wanted.status


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id, marks=pytest.mark.promises(*case["promises"])) for case in CASES])
def test_50_02_the_case_holds(webserver, through, case):
    """What the case says should come through the web server, or what its row says; to a plain program no less."""
    one = through(webserver)[case.id]
    row = one.row(webserver.kind)
    as_said = one.complaints()
    found = one.complaints(row) if row else as_said
    if row and not as_said:
        found = [*found, "nothing differs: the row of http.differs has lost its reason"]
    found += one.unlike_plain()
    if found:
        pytest.fail(one.report(found), pytrace=False)


def test_50_03_the_table_is_written(webserver, through):
    """What differs in this web server should stand in README.md; build/webservers.md is made anew of what is known of all."""
    kind, cases = webserver.kind, through(webserver).values()
    found = {one.case.id: judge.in_cell(*cell(one, one.row(kind))) for one in cases if one.row(kind)}
    parts = procs.ROOT / "build" / "webservers"
    parts.mkdir(parents=True, exist_ok=True)
    judge.replace(parts / f"{kind}.json", json.dumps({"cells": found, "right": len(cases) - len(found)}))
    known = {path.stem: json.loads(path.read_text()) for path in parts.glob("*.json")}
    table = judge.table({one: known[one] for one in case_keys.WEB_SERVERS if one in known}, reasons())
    judge.replace(parts.with_suffix(".md"), table)

    kept = {name: cells[kind] for name, cells in judge.parse_table(README.read_text()).items()}
    unlike = [f"{name}: {kept.get(name, 'no row')!r} is {cell!r}" for name, cell in found.items() if kept.get(name) != cell]
    if len(cases) == len(CASES):  # a run of chosen cases has nothing to say about the others
        unlike += [f"{name} does not differ" for name, cell in kept.items() if name not in found and cell != judge.RIGHT]
    assert not unlike, "tests/webserver/README.md does not say what build/webservers.md says:\n" + "\n".join(unlike)


def test_50_04_the_table_says_why():
    """Every reason of a case's rows should stand behind it in README.md, and no other."""
    kept = {name: cells["why"] for name, cells in judge.parse_table(README.read_text()).items()}
    assert kept == reasons()


def reasons():
    """Why each case differs, in the order of the web servers."""
    found = {}
    for case in CASES:
        rows = [row["why"] for kind in case_keys.WEB_SERVERS for row in case["http"].get("differs", []) if kind in row["servers"]]
        if rows:
            found[case.id] = "; ".join(dict.fromkeys(rows))
    return found


def cell(one, row):
    """What came through rouse and, beside it, through the plain CGI program."""
    of_rouse = judge.describe(row, one.answer, one.seen.requests[0] if one.seen.requests else None)
    of_plain = judge.describe(row, one.plain, one.seen.plain)
    return of_rouse.replace(one.url, ""), of_plain.replace(one.url, "")
