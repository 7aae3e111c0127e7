"""The instruments of the cases: a parser that lets nothing pass, a server that does what it is told, a judge that sees.

A wrong fake server makes a right bridge look broken (lighttpd's own drops a request whose netstring comes in two
segments), and a blind judge makes a broken one look right. So both are tested against known bytes and known defects.
"""

import os
import select
import shutil
import socket
import struct

import pytest

from harness import byte_strings, fixtures, procs
from harness.cases import Run
from harness.http import HttpError, HttpParser
from harness.scgi import Parser, ScgiError
from harness.scripted_server import Events, ScriptedServer, listen, unread

EXAMPLE = (b"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,"
           b"What is the answer to life?")


def parse(*pieces):
    parser = Parser()
    for piece in pieces:
        parser.feed(piece)
    return parser


def netstring(block):
    return b"%d:%s," % (len(block), block)


# --- the parser ------------------------------------------------------------------------------------------------


def test_12_01_the_example_one_byte_at_a_time():
    """The request should be complete with its last byte and not before."""
    parser = Parser()
    for at, byte in enumerate(EXAMPLE):
        assert not parser.complete, at
        parser.feed(bytes([byte]))
    assert parser.complete and not parser.surplus
    assert parser.headers == [(b"CONTENT_LENGTH", b"27"), (b"SCGI", b"1"), (b"REQUEST_METHOD", b"POST"),
                              (b"REQUEST_URI", b"/deepthought")]
    assert parser.body == b"What is the answer to life?" and parser.wire == EXAMPLE


@pytest.mark.parametrize("at", range(1, len(EXAMPLE)))
def test_12_02_the_example_in_two_pieces(at):
    """Wherever the request is cut in two, behind the colon too, it should be read the same."""
    parser = parse(EXAMPLE[:at], EXAMPLE[at:])
    assert parser.complete and parser.body == b"What is the answer to life?"


def test_12_03_a_large_body_in_pieces():
    """A body of a megabyte should be counted exactly, and what is behind it be seen."""
    body = byte_strings.counter(1 << 20)
    parser = parse(netstring(b"CONTENT_LENGTH\0%d\0SCGI\x001\0" % len(body)))
    for start in range(0, len(body), 7777):
        assert not parser.complete
        parser.feed(body[start : start + 7777])
    assert parser.complete and parser.body == body and parser.surplus == b""
    parser.feed(b"x")
    assert parser.surplus == b"x" and parser.body == body


@pytest.mark.parametrize("wire, fault", [
    (b":", "no length"),
    (b" 5:", "decimal"),
    (b"-5:", "decimal"),
    (b"+5:", "decimal"),
    (b"A:", "decimal"),
    (b"\xd9\xa5:", "decimal"),
    (b"024:" + b"CONTENT_LENGTH\x000\x00SCGI\x001\x00,", "begins with a zero"),
    (b"99999999999", "absurd"),
    (b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00;", "comma"),
    (b"23:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", "comma"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x001"), "do not end with NUL"),
    (netstring(b""), "do not end with NUL"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x00"), "without a value"),
    (netstring(b"SCGI\x001\x00CONTENT_LENGTH\x000\x00"), "first name"),
    (netstring(b"SCGI\x001\x00"), "first name"),
    (netstring(b"CONTENT_LENGTH\x00\x00SCGI\x001\x00"), "plain decimal"),
    (netstring(b"CONTENT_LENGTH\x0005\x00SCGI\x001\x00"), "plain decimal"),
    (netstring(b"CONTENT_LENGTH\x00 5\x00SCGI\x001\x00"), "plain decimal"),
    (netstring(b"CONTENT_LENGTH\x00-1\x00SCGI\x001\x00"), "plain decimal"),
    (netstring(b"CONTENT_LENGTH\x000\x00"), "SCGI"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x002\x00"), "SCGI"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x00\x00"), "SCGI"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x001\x00SCGI\x001\x00"), "twice"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x001\x00CONTENT_LENGTH\x000\x00"), "twice"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x001\x00A\x002\x00"), "twice"),
    (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x001\x00\x00x\x00"), "empty name"),
])
def test_12_04_what_is_no_request_is_refused(wire, fault):
    """Each fault of the framing should be told by a sentence about just that, in one piece and byte by byte."""
    with pytest.raises(ScgiError, match=fault):
        parse(wire)
    with pytest.raises(ScgiError, match=fault):
        parse(*(bytes([byte]) for byte in wire))


def test_12_05_empty_values_are_a_request():
    """A name may have an empty value, and a value any byte but NUL."""
    parser = parse(netstring(b"CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00\x00B\x00=\n\xff:,\x00"))
    assert parser.complete and parser.value(b"A") == b"" and parser.value(b"B") == b"=\n\xff:,"


# --- the server ------------------------------------------------------------------------------------------------


@pytest.fixture
def serve(folder):
    """Start a server for scripts; answers it and a function that connects to it."""
    servers, clients = [], []

    def start(*scripts, **options):
        path = os.fsencode(folder / "sock")
        listener = listen(socket.AF_UNIX, path, backlog=options.pop("backlog", 16))

        def connect():
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            clients.append(client)
            client.connect(path)  # blocking: a full backlog is waited for
            client.settimeout(10)
            return client

        if options.pop("parked", 0):
            connect()
            options["parked"] = 1
        server = ScriptedServer(listener, list(scripts), **options)
        servers.append(server)
        return server, connect

    yield start
    for client in clients:
        client.close()
    for server in servers:
        if server.connections is not None:
            server.finish()


def read_all(client):
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def finish(server, *clients):
    for client in clients:
        client.close()
    server.finish()
    found, server.connections = server.connections, None
    return found


def test_12_06_a_request_is_answered_and_remembered(serve):
    """The server should answer, read to the end, and keep every byte."""
    server, connect = serve([{"recv": "request"}, {"send": b"answer"}])
    client = connect()
    client.sendall(EXAMPLE)
    assert read_all(client) == b"answer"
    [connection] = finish(server, client)
    assert connection.parser.wire == EXAMPLE and connection.ended == "eof"
    assert connection.fault is None and server.problems == []


@pytest.mark.parametrize("cut", [3, 17, 60])
def test_12_07_a_request_in_two_segments_is_answered(serve, cut):
    """A request that comes in two segments, cut behind the colon too, should be waited for."""
    server, connect = serve([{"recv": 3 if cut == 3 else 1}, {"signal": "first"}, {"recv": "request"}, {"send": b"ok"}])
    client = connect()
    client.sendall(EXAMPLE[:cut])
    assert server.events.wait("first")
    client.sendall(EXAMPLE[cut:])
    assert read_all(client) == b"ok"
    [connection] = finish(server, client)
    assert connection.parser.wire == EXAMPLE


def test_12_08_a_connection_that_carries_nothing_is_only_counted(serve):
    """Connecting and closing should neither end the server nor use up a script's answer."""
    server, connect = serve([{"recv": "request"}, {"send": b"ok"}])
    connect().close()
    client = connect()
    client.sendall(EXAMPLE)
    assert read_all(client) == b"ok"
    connections = finish(server, client)
    assert [one.carried_nothing for one in connections] == [True, False] and server.problems == []


def test_12_09_each_connection_has_its_script_and_the_last_goes_on(serve):
    """The first connection should follow the first script, all from the last on the last."""
    server, connect = serve([{"send": b"1"}], [{"send": b"2"}])
    answers = []
    for _ in range(4):
        client = connect()
        answers.append(client.recv(10))
        client.close()
    assert answers == [b"1", b"2", b"2", b"2"]


def test_12_10_headers_leave_the_body_where_it_is(serve):
    """Reading the headers should take not one byte of the body."""
    server, connect = serve([{"recv": "headers"}, {"signal": "read"}, {"await": "go"}, {"recv": "request"}])
    client = connect()
    client.sendall(EXAMPLE)
    assert server.events.wait("read")
    assert server.connections[0].parser.body == b""
    server.events.signal("go")
    client.shutdown(socket.SHUT_WR)
    assert read_all(client) == b""
    [connection] = finish(server, client)
    assert connection.parser.complete


def test_12_11_bytes_behind_the_body_are_seen(serve):
    """A byte too many should be found, however late it comes."""
    server, connect = serve([{"recv": "request"}, {"send": b"ok"}])
    client = connect()
    client.sendall(EXAMPLE)
    assert read_all(client) == b"ok"
    client.sendall(b"!")
    [connection] = finish(server, client)
    assert connection.parser.surplus == b"!"


def test_12_12_no_request_is_a_fault_and_not_a_crash(serve):
    """Noise should be noted as a fault of that connection; the next one should be served."""
    server, connect = serve([{"recv": "request"}, {"send": b"ok"}])
    noise, client = connect(), connect()
    noise.sendall(b"GET / HTTP/1.0\r\n\r\n")
    client.sendall(EXAMPLE)
    assert read_all(client) == b"ok"
    assert noise.recv(10) == b""
    first, second = finish(server, noise, client)
    assert "decimal" in first.fault and second.fault is None


def test_12_13_unread_is_a_reset_behind_the_answer(serve):
    """close = unread should let the peer read the answer, and then give it ECONNRESET."""
    server, connect = serve([{"recv": 10}, {"send": b"answer"}, {"close": "unread"}])
    client = connect()
    client.sendall(EXAMPLE)
    assert client.recv(100) == b"answer"
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    finish(server, client)
    assert server.problems == []


def test_12_14_unread_without_input_is_told(serve):
    """close = unread with nothing to be unread would be an ordinary close: the case should not pass for what it is not."""
    server, connect = serve([{"recv": "request"}, {"close": "unread"}], watchdog=0.2)
    client = connect()
    client.sendall(EXAMPLE)
    assert read_all(client) == b""
    finish(server, client)
    assert ["unread" in problem or "nothing" in problem for problem in server.problems] == [True]


def test_12_15_clean_takes_what_has_come(serve):
    """close = clean should be an end of file for the peer, not a reset."""
    server, connect = serve([{"recv": 10}, {"await": "sent"}, {"send": b"answer"}, {"close": "clean"}])
    client = connect()
    client.sendall(EXAMPLE)
    server.events.signal("sent")
    assert read_all(client) == b"answer"
    [connection] = finish(server, client)
    assert connection.parser.wire == EXAMPLE


def test_12_16_rst_over_tcp_is_a_reset():
    """close = rst should give a TCP peer ECONNRESET."""
    listener = listen(socket.AF_INET, ("127.0.0.1", 0))
    server = ScriptedServer(listener, [[{"recv": "request"}, {"close": "rst"}]])
    with socket.create_connection(listener.getsockname(), 10) as client:
        client.sendall(EXAMPLE)
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    server.finish()


def test_12_17_pieces_are_pieces(serve):
    """`in` should bound what is read and written at once."""
    server, connect = serve([{"recv": "request", "piece": 1}, {"send": b"abcdef", "piece": 4}])
    client = connect()
    client.sendall(EXAMPLE)
    assert read_all(client) == b"abcdef"
    [connection] = finish(server, client)
    assert connection.parser.complete


def test_12_18_an_event_that_does_not_happen_is_told(serve):
    """A script that waits in vain should end with a sentence, not hang the test."""
    server, connect = serve([{"recv": 1}, {"await": "never"}], watchdog=0.1)
    client = connect()
    client.sendall(EXAMPLE[:1])
    assert client.recv(10) == b""
    finish(server, client)
    assert server.problems == ["connection 0: the event never did not happen"]


def test_12_19_open_is_neither_more_bytes_nor_an_end(serve):
    """expect = open should fail when the peer sent more, and when it closed its side."""
    script = [{"recv": "request", "piece": 1}, {"await": "go"}, {"expect": "open"}, {"send": b"open"}]
    server, connect = serve(script)
    quiet, more, closed = connect(), connect(), connect()
    for client in (quiet, more, closed):
        client.sendall(EXAMPLE)
    more.sendall(b"x")
    closed.shutdown(socket.SHUT_WR)
    server.events.signal("go")
    assert [client.recv(10) for client in (quiet, more, closed)] == [b"open", b"", b""]
    finish(server, quiet, more, closed)
    assert len(server.problems) == 2 and all("closed its side" in problem for problem in server.problems)


def test_12_20_a_parked_connection_is_no_connection(serve):
    """The harness's own connection in the backlog should be taken first and not be counted."""
    server, connect = serve([{"recv": "request"}, {"send": b"ok"}], parked=1, hold_accept="go", backlog=0)
    with pytest.raises(BlockingIOError), socket.socket(socket.AF_UNIX) as busy:
        busy.setblocking(False)
        busy.connect(os.fsencode(server._listener.getsockname()))
    server.events.signal("go")
    client = connect()
    client.sendall(EXAMPLE)
    assert read_all(client) == b"ok"
    assert len(finish(server, client)) == 1


def test_12_21_a_listener_of_another_user_shows_as_one(folder):
    """SO_PEERCRED should name the user for whom the harness listens."""
    user = 65534 if os.geteuid() == 0 else None
    listener = listen(socket.AF_UNIX, os.fsencode(folder / "sock"), user=user)
    with listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fsencode(folder / "sock"))
        _, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        assert uid == (user if user is not None else os.geteuid())
        assert os.geteuid() != uid or user is None


def test_12_22_events_happen_once_and_for_all():
    """An event that has happened should be seen by whoever asks later."""
    events = Events()
    assert not events.wait("x", 0)
    events.signal("x")
    assert events.wait("x", 0) and not events.wait("y", 0)


def test_12_23_unread_counts_what_stands_in_the_queue():
    """The number that close = unread relies on should be that of the bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert unread(ours) == 0
        theirs.sendall(b"12345")
        select.select([ours], [], [], 10)
        assert unread(ours) == 5


@pytest.mark.parametrize("size", [5, 8_000_000], ids=["all of it", "as much as is taken"])
def test_12_28_an_answer_is_offered_when_no_more_can_be_sent(serve, size):
    """Before the answer nobody should be taken to wait for anything else; with all of it sent, or no room for more, he may be."""
    server, connect = serve([{"recv": "request"}, {"await": "go"}, {"send": b"x" * size}])
    assert not server.has_offered()
    client = connect()
    client.sendall(EXAMPLE)
    procs.wait_until(lambda: server.connections and server.connections[0].parser.complete)
    assert not server.has_offered()
    server.events.signal("go")
    procs.wait_until(server.has_offered)
    assert server.connections[0].sent == (size == 5)
    assert len(read_all(client)) == size
    finish(server, client)


# --- HTTP --------------------------------------------------------------------------------------------------------

HTTP = b"POST /a?b HTTP/1.0\r\nHOST: h\r\nX-A: 1\r\nCONTENT-LENGTH: 3\r\nCONNECTION: close\r\n\r\nabc"


def test_12_26_a_request_in_http_one_byte_at_a_time():
    """It should be complete with its last byte and not before."""
    parser = HttpParser()
    for at, byte in enumerate(HTTP):
        assert not parser.complete, at
        parser.feed(bytes([byte]))
    assert parser.complete and not parser.surplus
    assert parser.line == b"POST /a?b HTTP/1.0" and parser.body == b"abc" and parser.wire == HTTP
    assert parser.headers == [(b"host", b"h"), (b"x-a", b"1"), (b"content-length", b"3"), (b"connection", b"close")]
    parser.feed(b"d")
    assert parser.surplus == b"d"


@pytest.mark.parametrize("old, new, fault", [
    (b"HTTP/1.0", b"HTTP/1.1", "request line"),
    (b"/a?b", b"a?b", "request line"),
    (b"/a?b", b"/a b", "request line"),
    (b"POST ", b"POST  ", "request line"),
    (b"POST", b"PO:ST", "request line"),
    (b"HOST: h", b"X: h", "no Host"),
    (b"HOST: h", b"HOST: ", "no Host"),
    (b"X-A: 1", b"Host: i", "twice"),
    (b"X-A: 1", b"X-Forwarded-For: a\r\nX-Forwarded-For: b", "twice"),
    (b"X-A: 1", b"X_A: 1", "no field"),
    (b"X-A: 1", b"X-A : 1", "no field"),
    (b"X-A: 1", b" X-A: 1", "no field"),
    (b"X-A: 1", b"X-A: 1\r\n b", "no field"),
    (b"X-A: 1", b"X-A: 1\nB: c", "no field"),
    (b"X-A: 1", b"X-A: \x00", "no field"),
    (b"X-A: 1", b"X-A", "no field"),
    (b"X-A: 1", b"Transfer-Encoding: x", "not for the server"),
    (b"X-A: 1", b"PROXY-X: x", "not for the server"),
    (b"X-A: 1", b"Te: x", "not for the server"),
    (b"X-A: 1", b"Content-Length: 3", "twice"),
    (b"LENGTH: 3", b"LENGTH: 03", "plain decimal"),
    (b"LENGTH: 3", b"LENGTH: 3, 3", "plain decimal"),
    (b"close", b"keep-alive", "Connection: close"),
])
def test_12_27_what_is_no_request_in_http_is_refused(old, new, fault):
    """Each fault should be told by a sentence about just that."""
    assert HTTP.count(old) == 1
    with pytest.raises(HttpError, match=fault):
        HttpParser().feed(HTTP.replace(old, new))


# --- the judge -------------------------------------------------------------------------------------------------


def judge(defect, case_id, folder, fds="pipes", timeout=None):
    binary = folder / f"stand-in-{defect}"
    shutil.copy(procs.TOOLS / "stand_in.py", binary)
    binary.chmod(0o755)
    case = fixtures.read_case(fixtures.FIXTURES / "cases" / f"{case_id}.toml")
    if timeout:
        case.values["timeout"] = timeout
    return Run(case, {"fds": fds, "sigpipe": "default"}, folder, binary).run()


DEFECTS = [
    ("netstring", "request/get-minimal", "is no SCGI request"),
    ("order", "request/get-minimal", "first name"),
    ("zeros", "body/one-byte", "plain decimal"),
    ("empty-name", "request/empty-name", "empty name"),
    ("twice", "request/duplicate-name", "stands twice"),
    ("proxy", "request/http-proxy", "too many"),
    ("text", "request/non-utf8-value", "missing variables"),
    ("half-close", "request/no-half-close", "closed its side"),
    ("to-eof", "body/stdin-left-open", "hung"),
    ("longer", "body/stdin-longer", "bytes behind the body"),
    ("surplus", "body/one-byte", "bytes behind the body"),
    ("body-first", "body/answer-while-uploading", "the client has not got"),
    ("lenient", "body/cl-leading-space", "outcome is"),
    ("undrained", "body/page-drains-stdin", "not drained"),
    ("probe", "request/get-minimal", "carried nothing"),
    ("twice-sent", "body/one-byte", "2 connections"),
    ("replay", "response/not-repeated-post", "2 connections"),
    ("trust", "response/short-27-of-100", "outcome is mangled"),
    ("lose-early", "response/early-answer-unread", "outcome is silent"),
    ("buffer", "response/streaming", "the client has not got"),
    ("blank", "response/empty-post", "outcome is lost"),
    ("litter", "response/passthrough", "left behind in the folder"),
    ("exit", "response/passthrough", "flagged-partial, not served"),
    ("died", "response/passthrough", "died"),
    ("held", "response/passthrough", "held"),
    ("hang", "response/passthrough", "hung"),
    ("unlink", "endpoint/file-no-start", "sock was"),
    ("start", "endpoint/file", "start script ran 1 times"),
    ("no-retry-after", "endpoint/absent", "Retry-After"),
    ("head-body", "endpoint/absent-head", "but for HEAD"),
    ("incident", "endpoint/absent", "not in the log"),
    ("argv", "lifecycle/argv-help", "outcome is mangled"),
    ("leak", "security/page-503-leaks-nothing", "holds"),
    ("forge", "security/log-down-not-forged", "ready launch=7"),
]


@pytest.mark.parametrize("case_id", sorted({case_id for _, case_id, _ in DEFECTS}))
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_12_24_a_right_bridge_is_not_accused(case_id, fds, folder):
    """The stand-in without a defect should pass every case that convicts the others."""
    run = judge("none", case_id, folder, fds)
    assert run.complaints == [], run.report()


@pytest.mark.parametrize("defect, case_id, complaint", DEFECTS)
def test_12_25_a_defect_is_seen(defect, case_id, complaint, folder):
    """Each defect should be told by a sentence about just that."""
    slow = defect in ("to-eof", "body-first", "buffer", "hang")
    run = judge(defect, case_id, folder, timeout=1 if slow else None)
    assert any(complaint in sentence for sentence in run.complaints), run.complaints
    assert case_id in run.report()
