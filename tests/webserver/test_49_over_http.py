"""What a case is over HTTP, and what is said against an answer: the pure functions behind test_50, without a web server."""

import copy

import pytest

from harness import fixture_lint, fixtures
from harness.byte_strings import Bytes, FixtureError
from harness.http import HttpParser
from web import in_http, judge, over_http
from web.case_stage import Got, Seen
from web.client import Answer

URL = b"/s1"
PAGE = b"502 Bad Gateway\n\nThe application did not answer.\n\nIncident: 0123456789ab\n"
PAGE_FIELDS = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]


@pytest.fixture
def case(tmp_path):
    """A case of these lines."""
    def read(env="'REQUEST_METHOD=GET'", cgi="", more="", expect='outcome = "served"', http=""):
        path = tmp_path / "cases" / "webserver" / "x.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"""
schema = 1
id = "webserver/x"
title = "A title"
level = "must"
promises = ["F1"]
since = "0.2"
[cgi]
env = [{env}]
{cgi}
{more}
[expect]
{expect}
[http]
{http}
""")
        return fixtures.read_case(path)

    return read


def lines_of(case):
    sent = over_http.request_of(case, URL, {"url": URL})
    return sent.head.split(b"\r\n"), sent.body


@pytest.mark.parametrize("env, http, first", [
    ("'REQUEST_METHOD=GET'", "", b"GET /s1/app.cgi HTTP/1.1"),
    ("'REQUEST_METHOD=PUT', 'PATH_INFO=/a b%/\\xc3\\xa9', 'QUERY_STRING=q=%2F&r'", "",
     b"PUT /s1/app.cgi/a%20b%25/%C3%A9?q=%2F&r HTTP/1.1"),
    ("'QUERY_STRING='", "target = '/a%2Fb?'\nversion = \"1.0\"", b"GET /s1/app.cgi/a%2Fb? HTTP/1.0"),
])
def test_49_01_the_request_line_follows_from_the_variables(case, env, http, first):
    """Method, path and query should be what a web server makes these variables of."""
    assert lines_of(case(env, http=http))[0][0] == first


@pytest.mark.parametrize("env, cgi, http, fields, body", [
    ("'HTTP_X_A=1', 'CONTENT_TYPE=', 'CONTENT_LENGTH='", "stdin = 'ab'", "", [b"Host: localhost", b"X-A: 1", b"Connection: close"], b""),
    ("'CONTENT_TYPE=a/b', 'CONTENT_LENGTH=2'", "stdin = 'ab'", "",
     [b"Host: localhost", b"Content-Type: a/b", b"Content-Length: 2", b"Connection: close"], b"ab"),
    ("'HTTP_HOST=x:1', 'HTTP_TRANSFER_ENCODING=chunked'", "stdin = 'ab'", "",
     [b"Host: x:1", b"Transfer-Encoding: chunked", b"Connection: close"], b"2\r\nab\r\n0\r\n\r\n"),
    ("'HTTP_X_A=1, 2', 'HTTP_X_B=3'", "", "headers = ['X-A: 1', 'x-a:2']",
     [b"Host: localhost", b"X-B: 3", b"X-A: 1", b"x-a: 2", b"Connection: close"], b""),
    ("'CONTENT_LENGTH=2', 'HTTP_TRANSFER_ENCODING=chunked'", "stdin = 'ab'", "body = '2;x\\r\\nab\\r\\n0\\r\\n\\r\\n'",
     [b"Host: localhost", b"Content-Length: 2", b"Transfer-Encoding: chunked", b"Connection: close"], b"2;x\r\nab\r\n0\r\n\r\n"),
])
def test_49_02_fields_and_body_follow_from_the_variables(case, env, cgi, http, fields, body):
    """Every HTTP_ variable should be a field, the length or chunks frame the body, and http.* overrule by name."""
    lines, sent = lines_of(case(env, cgi, http=http))
    assert lines[1:-2] == fields and sent == body


@pytest.mark.parametrize("env, cgi", [
    ("'A=1'", ""), ("'SCGI=1'", ""), ("'NOEQUALS'", ""), ("'HTTP_A=1', 'HTTP_A=2'", ""), ("'REQUEST_METHOD='", ""),
    ("'HTTP_x=1'", ""), ("'HTTP_A=a\\r\\nB: c'", ""), ("'CONTENT_LENGTH= 5'", ""), ("'HTTP_CONTENT_LENGTH=1'", ""),
    ("'QUERY_STRING=a b'", ""), ("'PATH_INFO=/a/../b'", ""), ("'CONTENT_LENGTH=2', 'HTTP_TRANSFER_ENCODING=chunked'", ""),
    ("'HTTP_TRANSFER_ENCODING=gzip'", ""), ("'CONTENT_LENGTH=9'", "stdin = 'a'\nstdin_end = 'hold'"),
])
def test_49_03_what_no_client_can_send_is_refused(case, env, cgi):
    """A case that is marked although no request brings it about should be refused, not run as another."""
    with pytest.raises(FixtureError):
        over_http.request_of(case(env, cgi), URL, {})


@pytest.mark.parametrize("stdout, head, status, fields, body, complete", [
    (b"Content-Type: a/b\r\n\r\nhi", False, 200, [(b"Content-Type", b"a/b")], b"hi", True),
    (b"Status: 404 No\nX-A:  b \n\n\n", False, 404, [(b"X-A", b"b")], b"\n", True),
    (b"Content-Length: 2\r\nServer: x\r\nConnection: close\r\n\r\nhi", False, 200, [], b"hi", True),
    (b"Content-Length: 3\r\n\r\nhi", False, 200, [], b"hi", False),
    (b"Content-Length: 3\r\n\r\n", True, 200, [], b"", True),
    (b"Status: 304 No\r\nContent-Length: 3\r\n\r\n", False, 304, [], b"", True),
    (b"Location: http://x/\r\n\r\n", False, 302, [(b"Location", b"http://x/")], None, True),
    (b"Location: /s1/beside.txt\r\n\r\n", False, 200, [], b"beside\n", True),
    (b"Location: /elsewhere\r\n\r\n", False, 404, [], None, True),
    (b"Status: 302 F\r\nLocation: /x\r\n\r\n", False, 302, [(b"Location", b"/x")], b"", True),
])
def test_49_04_the_answer_follows_from_standard_output(stdout, head, status, fields, body, complete):
    """What the client gets should be what RFC 3875 makes of what the program writes."""
    wanted = over_http.client_gets(stdout, head, URL)
    assert (wanted.status, wanted.fields, wanted.body, wanted.complete) == ([status], fields, body, complete)


def test_49_05_the_variables_of_the_request_are_demanded(case):
    """Those that a client sent should be, with SCRIPT_NAME, and those that must not come should not."""
    one = case("'HTTP_X_A=', 'HTTP_PROXY=x', 'SERVER_NAME=y', 'HTTP_X_B=1'",
               expect='outcome = "served"\n[expect.request]\nheaders = [\'HTTP_X_A=\', \'SERVER_NAME=y\']')
    wanted = over_http.expectation_of(one, URL, {})
    assert wanted.variables == {b"REQUEST_METHOD": b"GET", b"QUERY_STRING": b"", b"SERVER_PROTOCOL": b"HTTP/1.1",
                                b"SCRIPT_NAME": b"/s1/app.cgi", b"HTTP_X_A": b""}
    assert {b"HTTP_PROXY", b"HTTP_X_B"} <= set(wanted.no_variables) and wanted.connections == [1]


def whole(case):
    """An expectation, and an answer and a request that are just so."""
    wanted = over_http.expectation_of(case, URL, {"url": URL})
    request = Got([(b"CONTENT_LENGTH", b"0"), *wanted.variables.items()], wanted.request_body or b"", True)
    answer = Answer(200, "OK", [("Content-Type", "text/plain"), ("Date", "now")], b"ok", True)
    return wanted, answer, Seen([request], plain=Got([*wanted.variables.items()], wanted.request_body or b"", True))


SPOIL = {
    "status": lambda answer, seen: setattr(answer, "status", 201),
    "ended early": lambda answer, seen: setattr(answer, "complete", False),
    "the field Content-Type": lambda answer, seen: answer.fields.pop(0),
    "came 2 times": lambda answer, seen: answer.fields.append(answer.fields[0]),
    "the body of 3 bytes": lambda answer, seen: setattr(answer, "body", b"ok\n"),
    "the server got 0 requests": lambda answer, seen: seen.requests.clear(),
    "HTTP_X_A is missing": lambda answer, seen: seen.requests[0].variables.remove((b"HTTP_X_A", b"1")),
    "HTTP_PROXY was passed on": lambda answer, seen: seen.requests[0].variables.append((b"HTTP_PROXY", b"")),
    "no request": lambda answer, seen: setattr(seen.requests[0], "fault", "a name stands twice"),
    "a body of 1 bytes": lambda answer, seen: setattr(seen.requests[0], "body", b"x"),
    "left behind": lambda answer, seen: seen.left.append("core"),
    "behind": lambda answer, seen: seen.problems.append("bytes behind the body"),
}


@pytest.mark.parametrize("sentence", SPOIL)
def test_49_06_each_fault_is_told(case, sentence):
    """An answer that is just so should have nothing against it, and one with a fault a sentence about that."""
    wanted, answer, seen = whole(case("'HTTP_X_A=1'"))
    assert judge.complaints(wanted, answer, seen) == []
    SPOIL[sentence](answer, seen)
    assert any(sentence in complaint for complaint in judge.complaints(wanted, answer, seen))


@pytest.mark.parametrize("fields, body, sentence", [
    (PAGE_FIELDS, PAGE, None),
    (PAGE_FIELDS[1:], PAGE, "no page of the bridge"),
    (PAGE_FIELDS[:1], PAGE, "may be stored"),
    ([*PAGE_FIELDS, ("Retry-After", "5")], PAGE, "Retry-After"),
    (PAGE_FIELDS, b"502", "no incident"),
])
def test_49_07_a_page_is_known_by_its_head_and_incident(case, fields, body, sentence):
    """Somebody else's 502 should not pass for a page of the bridge."""
    one = case(more="[server]\nanswer = 'x'", expect='outcome = "bridge-5xx"\ncgi = { status = 502 }')
    wanted, _, seen = whole(one)
    found = judge.complaints(wanted, Answer(502, "Bad Gateway", fields, body, True), seen)
    assert found == [] if sentence is None else len(found) == 1 and sentence in found[0]


def test_49_08_a_row_says_what_comes_instead(case):
    """Each key of a row should take the place of just what it names."""
    wanted, answer, seen = whole(case("'HTTP_X_A=1', 'HTTP_X_B=2'"))
    row = {"status": [206], "headers": [Bytes("X-C: d")], "lacks": [Bytes("Content-Type")], "body": Bytes("o"), "complete": False,
           "request": {"contains": [Bytes("HTTP_X_A=9")], "lacks": [Bytes("HTTP_X_B")]}}
    other = over_http.overruled(wanted, row, {})
    assert judge.complaints(other, answer, seen)
    seen.requests[0].variables = [(b"HTTP_X_A", b"9") if name == b"HTTP_X_A" else (name, value)
                                  for name, value in seen.requests[0].variables if name != b"HTTP_X_B"]
    assert judge.complaints(other, Answer(206, "", [("X-C", "d")], b"o", False), seen) == []
    own = over_http.overruled(wanted, {"status": [400], "own": True}, {})
    assert judge.complaints(own, Answer(400, "", [], b"anything", True), Seen()) == []
    assert judge.complaints(own, Answer(400, "", [], b"anything", True), seen)
    assert judge.complaints(wanted, answer, whole(case("'HTTP_X_A=1', 'HTTP_X_B=2'"))[2]) == []  # it is left as it was


def test_49_09_what_is_done_to_rouse_alone_is_told(case):
    """Whatever the web server does, it should do to a plain program too; their names and what rouse keeps do not count."""
    one = case("'HTTP_X_A=1'")
    wanted, answer, seen = whole(one)
    seen.plain.variables = [(name, value.replace(b"app.cgi", b"plain.cgi")) for name, value in seen.plain.variables]
    seen.plain.variables += [(b"PATH", b"/bin"), (b"HTTP_PROXY", b"x"), (b"REMOTE_PORT", b"7"), (b"HTTP_X_A", b"2")]
    plain = copy.deepcopy(answer)
    plain.fields.append(("Content-Length", "2"))
    assert judge.unlike_plain(one, wanted, answer, plain, seen) == []
    for name, value in (("status", 500), ("reason", "Fine"), ("complete", False), ("body", b""), ("fields", [])):
        other = copy.deepcopy(plain)
        setattr(other, name, value)
        assert judge.unlike_plain(one, wanted, answer, other, seen), name
    seen.plain.variables.append((b"HTTP_X_NEW", b"1"))
    assert "environment" in judge.unlike_plain(one, wanted, answer, plain, seen)[0]


@pytest.mark.parametrize("http, complaint", [
    ("[[http.differs]]\nservers = ['lighttpd-cgi']\nwhy = 'x'", "what comes instead"),
    ("[[http.differs]]\nservers = ['lighttpd-cgi']\nstatus = 400", "lacks why"),
    ("[[http.differs]]\nservers = ['apache-*', 'apache-event-cgid']\nwhy = 'x'\nstatus = 400", "twice"),
])
def test_49_10_a_row_that_says_too_little_is_refused(case, http, complaint):
    """A row should say of whom it speaks, why, and what comes."""
    found = fixture_lint.complaints(case(http=http), {"F1": "x"})
    assert any(complaint in sentence for sentence in found), found


@pytest.mark.parametrize("cgi, more, complaint", [
    ("argv = ['x']", "", "cgi.argv"), ("closed = [1]", "", "cgi.closed"), ("", "[server]\nstate = 'full'", "come to rest"),
    ("", "[[server.conn]]\ndo = [{ await_client = 'x' }]", "cannot await"),
])
def test_49_11_what_only_the_harness_can_do_is_refused(case, cgi, more, complaint):
    """A marked case that needs more than a client should be refused."""
    found = fixture_lint.complaints(case(cgi=cgi, more=more, expect='outcome = "served"\ncgi = { stdout = "x" }'), {"F1": "x"})
    assert any(complaint in sentence for sentence in found), found


def test_49_12_the_table_can_be_read_again():
    """The rows that are written should be those that are read, bars and all."""
    known = {"lighttpd-cgi": {"cells": {}, "right": 1},
             "nginx-fcgiwrap": {"cells": {"webserver/x": judge.in_cell("400", "400")}, "right": 0}}
    text = "# x\n\n" + judge.table(known, {"webserver/x": "why | not"})
    assert judge.parse_table(text) == {"webserver/x": {
        "lighttpd-cgi": "right", "nginx-fcgiwrap": "400<br>plain: the same", "why": "why | not"}}


def in_words(case, env, http="", settings="", expect=""):
    return case(env, more=f"{settings}[server]\nprotocol = \"http\"", expect='outcome = "served"\n' + expect, http=http)


def test_49_13_what_a_server_of_http_must_get_follows(case):
    """Method, target and fields should be demanded under the names of CGI, and what stays behind should not come."""
    one = in_words(case, "'REQUEST_URI=/x', 'HTTP_X_A=1', 'HTTP_PROXY=x', 'HTTP_X_FORWARDED_FOR=x', 'HTTP_X_B=2', 'CONTENT_TYPE=a/b'",
                   http="target = '/a%2Fb?c'", expect="[expect.request]\nheaders = ['x-a: 1', 'content-type: a/b']")
    wanted = over_http.expectation_of(one, URL, {})
    assert wanted.variables == {b"REQUEST_METHOD": b"GET", b"REQUEST_URI": b"/s1/app.cgi/a%2Fb?c", b"HTTP_X_A": b"1", b"CONTENT_TYPE": b"a/b"}
    assert {b"HTTP_PROXY", b"HTTP_X_B"} <= set(wanted.no_variables) and b"HTTP_X_FORWARDED_FOR" not in wanted.no_variables
    one = in_words(case, "'HTTP_HOST=a'", http="origin = 'http://b:1'")
    assert lines_of(one)[0][:2] == [b"GET http://b:1/s1/app.cgi HTTP/1.1", b"Host: a"]
    wanted = over_http.expectation_of(one, URL, {})
    assert wanted.variables == {b"REQUEST_METHOD": b"GET", b"REQUEST_URI": b"/s1/app.cgi"}


def test_49_14_what_came_in_http_is_named_as_in_cgi():
    """Fields should be variables, but for those that the parser has judged; without a head there are none."""
    parser = HttpParser()
    assert in_http.variables_of(parser) is None
    parser.feed(b"POST /a?b HTTP/1.0\r\nHost: h\r\nX-A: 1\r\nContent-Type: a/b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert in_http.variables_of(parser) == [(b"REQUEST_METHOD", b"POST"), (b"REQUEST_URI", b"/a?b"), (b"HTTP_HOST", b"h"),
                                            (b"HTTP_X_A", b"1"), (b"CONTENT_TYPE", b"a/b")]


TOLD = [(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/a"), (b"HTTP_HOST", b"h"), (b"REMOTE_ADDR", b"192.0.2.7"), (b"SCRIPT_NAME", b"/s t")]
OURS = {b"REQUEST_METHOD": b"GET", b"REQUEST_URI": b"/a", b"HTTP_HOST": b"h", b"HTTP_X_FORWARDED_FOR": b"192.0.2.7",
        b"HTTP_X_FORWARDED_PROTO": b"http", b"HTTP_X_FORWARDED_HOST": b"h", b"HTTP_X_FORWARDED_PREFIX": b"/s%20t"}


@pytest.mark.parametrize("more, how, differs", [
    ([], {}, {}),
    ([(b"HTTP_X_A", b"1"), (b"HTTP_X_A", b"2"), (b"HTTP_CONNECTION", b"close, X-B"), (b"HTTP_X_B", b"1"), (b"HTTP_TE", b"x")], {},
     {b"HTTP_X_A": b"1"}),
    ([(b"HTTP_X_FORWARDED_FOR", b"6.6.6.6"), (b"HTTP_X_FORWARDED_PORT", b"1"), (b"HTTP_X_REAL_IP", b"6.6.6.6")], {}, {}),
    ([(b"HTTP_X_FORWARDED_FOR", b"a"), (b"HTTP_X_FORWARDED_PROTO", b"https"), (b"HTTP_X_REAL_IP", b"a")], {"trusts": True},
     {b"HTTP_X_FORWARDED_FOR": b"a, 192.0.2.7", b"HTTP_X_FORWARDED_PROTO": b"https", b"HTTP_X_REAL_IP": b"a"}),
    ([], {"script_name": b""}, {b"HTTP_X_FORWARDED_PREFIX": None}),
    ([(b"HTTPS", b"on"), (b"CONTENT_TYPE", b"a/b"), (b"REDIRECT_HTTP_AUTHORIZATION", b"x")], {},
     {b"HTTP_X_FORWARDED_PROTO": b"https", b"CONTENT_TYPE": b"a/b", b"HTTP_AUTHORIZATION": b"x"}),
])
def test_49_15_what_a_server_is_told_follows_from_the_environment(more, how, differs):
    """The oracle should say what README.md says, so that rouse is compared with the words."""
    wanted = {name: value for name, value in {**OURS, **differs}.items() if value is not None}
    assert in_http.told(TOLD + more, **how) == wanted


def test_49_16_an_absolute_target_names_the_host():
    """RFC 9112, 3.2.2: Host does not count."""
    found = in_http.told([(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"HTTP://other:1?q"), (b"HTTP_HOST", b"h")])
    assert (found[b"REQUEST_URI"], found[b"HTTP_HOST"], found[b"HTTP_X_FORWARDED_HOST"]) == (b"/?q", b"other:1", b"other:1")


def test_49_17_what_is_told_otherwise_is_told(case):
    """A field that rouse changed, made up or lost should be named, whichever it is."""
    one = in_words(case, "'HTTP_X_A=1'")
    wanted = over_http.expectation_of(one, URL, {})
    environment = [(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/s1/plain.cgi"), (b"HTTP_HOST", b"h"), (b"HTTP_X_A", b"1"),
                   (b"REMOTE_ADDR", b"::1"), (b"SCRIPT_NAME", b"/s1/plain.cgi")]
    good = [(name, value.replace(b"plain", b"app")) for name, value in in_http.told(environment).items()]
    answer = Answer(200, "OK", [("Content-Type", "text/plain")], b"ok", True)
    spoilt = [good[:at] + good[at + 1 :] for at in range(len(good))]
    spoilt += [good[:at] + [(good[at][0], b"x")] + good[at + 1 :] for at in range(len(good))]
    spoilt.append([*good, (b"HTTP_MADE_UP", b"")])
    for variables, is_good in [(good, True), *((one, False) for one in spoilt)]:
        seen = Seen([Got(variables, b"", True)], plain=Got(environment, b"", True))
        assert (judge.unlike_plain(one, wanted, answer, answer, seen) == []) == is_good, variables
