"""Every case that can be spoken over HTTP, through every web server, with a plain CGI program beside it.

The web server is not started again for a case: all cases of one are laid out at once, each in a folder of its own, and
asked for several at a time. What differs from what the case says stands in its `http.differs`, and in the table that
the last tests write: build/webservers.md.
"""

import concurrent.futures

import pytest

from harness import fixtures, procs
from web import judge, over_http
from web.client import Answer, request

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
    tool = procs.tool("plain_cgi").read_bytes()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as crowd:
        try:
            laid_out = stage.begin(cases, tool)
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

    of.came = came
    return of


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_50_01_the_case_is_a_request(case):
    """A marked case should be one that a client can bring about, and say what the client then gets."""
    variables = {name: b"/x" for name in fixtures.VARIABLES}
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


def test_50_03_the_table_is_written(through, request):
    """What differs between the web servers of this run should stand in build/webservers.md, and in README.md as it is there."""
    kinds = [kind for kind in fixtures.WEB_SERVERS if kind in through.came]
    table = judge.Table(kinds)
    for kind in kinds:
        for one in through.came[kind].values():
            row = one.row(kind)
            table.add(one.case, kind, row and cell(one, row), row and row["why"])
    target = procs.ROOT / "build" / "webservers.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(table.text())
    if any(len(came) < len(CASES) for came in through.came.values()):
        return  # a run of chosen cases has nothing to say about all
    kept = judge.parse_table((procs.ROOT / "tests/webserver/README.md").read_text())
    found = judge.parse_table(target.read_text())
    unlike = [f"{name}, {kind}: {kept.get(name, {}).get(kind, 'no row')!r} is {cells[kind]!r}"
              for name, cells in found.items() for kind in (*kinds, "why") if kept.get(name, {}).get(kind) != cells[kind]
              and (kind != "why" or len(kinds) == len(fixtures.WEB_SERVERS))]
    unlike += [f"{name}: {kind} does not differ" for name, cells in kept.items() for kind in kinds
               if name not in found and cells.get(kind) != judge.RIGHT]
    assert not unlike, "tests/webserver/README.md does not say what build/webservers.md says:\n" + "\n".join(unlike)


def cell(one, row):
    """What came through rouse and, beside it, through the plain CGI program."""
    of_rouse = judge.describe(row, one.answer, one.seen.requests[0] if one.seen.requests else None)
    of_plain = judge.describe(row, one.plain, one.seen.plain)
    return of_rouse.replace(one.url, ""), of_plain.replace(one.url, "")
