"""What is asked of an app beside a hello, of each server in turn: links, forms, uploads, streams, cookies, redirects, deaths."""

import hashlib
import html
import re
import secrets
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from harness import procs
from web.load import Load

LARGE = 20 * 1024 * 1024  # bytes
# What rouse writes down of a server that died when it had sent a part of its answer: such a GET is not repeated.
HALF = ("it ended before its Content-Length", "a header without an end")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def served(answer):
    assert answer.status == 200 and answer.complete, answer
    return answer.body


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.promises("H1", "H3")
def test_61_01_it_can_be_crawled(works):
    """Every link should lead to a page below the app file: the app knows where it is, and gets its path as it was sent."""
    base = f"http://localhost{works.target}/"
    found, look = {}, [works.target + "/"]
    while look:
        path = look.pop()
        answer = works.request(path=path.removeprefix(works.target))
        page = served(answer).decode()
        assert (answer.header("Content-Type") or "").lower().startswith("text/html"), answer
        found[path] = re.search("<h1>(.*?)</h1>", page)[1]
        links = {urlsplit(urljoin(base, html.unescape(link))).path for link in re.findall(r'href="([^"]*)"', page)}
        look += [link for link in links if link not in found and link not in look]
    assert {unquote(path): title for path, title in found.items()} == {
        f"{works.target}/": "index", f"{works.target}/page/one": "one", f"{works.target}/page/two words": "two words",
        f"{works.target}/page/café": "café"}


@pytest.mark.promises("F3", "H1")
def test_61_02_a_form_is_posted(works):
    """Its fields should come as they were filled in."""
    answer = works.request("POST", "/form", [FORM], b"name=Zo%C3%AB+%26+co&text=a%3Db%0Ac")
    assert served(answer).decode() == "name=Zoë & co\ntext=a=b\nc\n"


@pytest.mark.promises("F3", "S1", "S4")
def test_61_03_a_large_file_is_uploaded(works):
    """20 MB should arrive byte for byte."""
    body = secrets.token_bytes(LARGE)
    answer = works.request("POST", "/upload", [("Content-Type", "application/octet-stream")], body, timeout=120)
    assert served(answer).decode() == f"{LARGE} {digest(body)}\n"


@pytest.mark.promises("S1", "S4", "R3")
def test_61_04_a_large_file_is_downloaded(works):
    """20 MB should arrive byte for byte."""
    body = served(works.request(path="/download", timeout=120))
    assert len(body) == LARGE and digest(body) == digest(works.home.download())


@pytest.mark.promises("S2")
def test_61_05_a_stream_comes_as_it_is_sent(works):
    """The client should have the first piece before the server is allowed to make the second."""
    with works.exchange(path="/stream") as exchange:
        exchange.wait_for(b"first\n")
        assert exchange.body == b"first\n" and not exchange.ended
        works.home.open_gate()
        assert served(exchange.finish()) == b"first\nsecond\n"


@pytest.mark.promises("H2")
def test_61_06_cookies_go_both_ways(works):
    """Two should be set, in their order, and what the client has should come to the app."""
    answer = works.request(path="/cookies", fields=[("Cookie", "first=a; second=b")])
    assert served(answer) == b"first=a; second=b"
    cookies = [value.split(";")[0] for name, value in answer.fields if name.lower() == "set-cookie"]
    assert cookies == ["first=1", "second=2"]


@pytest.mark.promises("H3", "R2")
def test_61_07_redirects_lead_back_to_the_app(works):
    """Whether it is a path or a whole URL, it should be one that the visitor can follow, and reach the client as it was sent."""
    host = f"visitor.example:{works.port}"
    for kind, front in (("path", ""), ("url", f"http://{host}")):
        answer = works.request(path=f"/redirect/{kind}", fields=[("Host", host)])
        assert answer.status in (302, 303) and answer.complete, answer
        location = answer.header("Location")
        assert location == f"{front}{works.target}/page/one"
        assert b"<h1>one</h1>" in served(works.request(path=urlsplit(location).path.removeprefix(works.target)))


@pytest.mark.promises("L2", "W1", "B2")
def test_61_08_it_is_killed_under_load(works):
    """Every GET should be answered, but for those of whose answer a part had come when the server died (W1); a POST may fail
    only while a server dies. Then all is quiet, and a request after another kill wakes it once more."""
    served(works.request(path="/echo?token=a"))
    before = len(works.home.launches())
    dying = set()
    with Load(works, works, clients=6, posts=0.2) as load:
        for _ in range(2):
            count = load.served()
            procs.wait_until(lambda: load.served() >= count + 20, 90, "the clients are being served")
            first = min({*load.under_way(), load.begun()})
            assert works.home.kill_server() > 0
            hit = load.under_way()
            dying.update(range(first, load.begun() + 1))
            # A request is repeated at most twice: the next kill must not find it again.
            procs.wait_until(lambda: not hit & load.under_way(), 90, "who was hit has been answered")
        count = load.served()
        procs.wait_until(lambda: load.served() >= count + 20, 90, "the clients are being served again")
    gets = [result for result in load.results if result.method == "GET"]
    posts = [result for result in load.results if result.method == "POST"]
    failed = [result for result in load.results if not result.good]
    for result in failed:
        turn = int(result.token.rpartition("n")[2])
        assert result.status == 502 and turn in dying, result
        if result.method == "GET":
            assert works.home.fault_of(re.search(r"Incident: (\w+)", result.seen)[1]) in HALF, result
    assert sum(result.good for result in gets) > 20
    works.home.wait_quiet()
    assert works.home.launches()[before:] == ["died"] * 2
    lost = [sum(result.method == method for result in failed) for method in ("GET", "POST")]
    print(f"{len(gets)} GETs, {lost[0]} lost with half of an answer, and {len(posts)} POSTs, {lost[1]} lost")

    assert works.home.kill_server() > 0
    served(works.request(path="/echo?token=b"))
    works.home.wait_quiet()
    assert works.home.launches()[before:] == ["died"] * 3 and works.home.error_log() == []
