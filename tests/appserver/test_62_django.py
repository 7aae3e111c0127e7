"""Django's admin over gunicorn, over uWSGI and SCGI, and directly: the same pages, but for tokens and dates."""

from pathlib import Path

import pytest

from django_pages import Page, differences
from django_stage import PREFIX
from django_walk import HOST, UPLOADS, Browser, walk
from web.channel import Proxy, open_channel
from web.client import Answer, request

BRIDGED = ["gunicorn", "uwsgi"]
each_bridged = pytest.mark.parametrize("name", BRIDGED)
each_way = pytest.mark.parametrize("name", [*BRIDGED, "direct"])
each_scheme = pytest.mark.parametrize("scheme", ["http", "https"])
pytestmark = pytest.mark.xdist_group("django")


@pytest.fixture(scope="module")
def place():
    channel = open_channel(module="django_stage", folders=[Path(__file__).parent])
    try:
        place = Proxy(channel)
        place.open()
        yield place
    finally:
        channel.close()


class Walk:
    """What a walk along one way has shown."""

    def __init__(self, place, name, scheme):
        place.lay_out(name, scheme == "https")
        # gunicorn believes who speaks to it, which is the client here, and rouse behind Apache.
        fields = [("X-Forwarded-Proto", "https")] if (name, scheme) == ("direct", "https") else []
        browser = Browser(place.port(), PREFIX, scheme, fields)
        try:
            walk(browser, place.kill if name in BRIDGED else lambda: True)
        finally:
            print(place.log())
        self.pages, self.stored = browser.pages, place.stored()
        self.launches, self.failures, self.error_log = place.launches(), place.failures(), place.error_log()
        place.clear()


@pytest.fixture(scope="module")
def walks(place):
    made = {}

    def walk_along(name, scheme):
        if (name, scheme) not in made:
            made[name, scheme] = Walk(place, name, scheme)
        return made[name, scheme]

    return walk_along


@pytest.mark.promises("F2", "F3", "R1", "R2", "H1", "H2", "H3")
@each_scheme
@each_bridged
def test_62_01_the_pages_are_those_of_the_server_itself(walks, name, scheme):
    """Status, fields and body of each page should be what gunicorn answers to a client that speaks to it directly."""
    bridged, direct = walks(name, scheme), walks("direct", scheme)
    found = differences(bridged.pages, direct.pages)
    assert not found, "\n".join(found)
    assert bridged.failures == [] and bridged.error_log == []


@pytest.mark.promises("F3", "S1")
@each_scheme
@each_way
def test_62_02_what_was_uploaded_is_on_disk(walks, name, scheme):
    """Both files should be there byte for byte, under the names that Django makes of theirs, and no other."""
    stored = walks(name, scheme).stored
    assert sorted(stored) == sorted(UPLOADS)
    assert [one for one in UPLOADS if stored[one] != UPLOADS[one]] == []


@pytest.mark.promises("L1", "L2")
@each_scheme
@each_bridged
def test_62_03_a_kill_is_not_seen(walks, name, scheme):
    """Killed halfway, the server should be started once more, and the visitor be logged in still."""
    assert walks(name, scheme).launches == ["cold", "died"]


@pytest.mark.promises("R2", "H3")
@each_scheme
@each_way
def test_62_04_cookies_have_what_django_says(walks, name, scheme):
    """Two in one answer should come in their order with their attributes in theirs: with HTTPS they are Secure."""
    [page] = [page for page in walks(name, scheme).pages if page.step == "login, right password"]
    secure = b"; Secure" if scheme == "https" else b""
    assert page.fields["Set-Cookie"] == [
        b"csrftoken=(token); expires=(date); Max-Age=31449600; Path=/; SameSite=Lax" + secure,
        b"sessionid=(token); expires=(date); HttpOnly; Max-Age=1209600; Path=/; SameSite=Lax" + secure,
    ]


@pytest.mark.promises("H3")
@each_bridged
def test_62_05_whether_it_is_https_says_the_web_server(place, name):
    """A site that is only for HTTPS should send everybody there whom the web server does not call secure."""
    place.lay_out(name, True)

    def visit(*fields):
        answer = request(place.port(), "GET", f"{PREFIX}/admin/login/?a=b", [("Host", HOST), *fields])
        return answer.status, answer.header("Location")

    elsewhere = 301, f"https://{HOST}{PREFIX}/admin/login/?a=b"
    place.call_secure(False)
    assert visit() == elsewhere
    if name == "gunicorn":  # over SCGI the field goes through, and whom to believe is the server's decision
        assert visit(("X-Forwarded-Proto", "https")) == elsewhere
    place.call_secure(True)
    assert visit() == (200, None)
    if name == "gunicorn":
        assert visit(("X-Forwarded-Proto", "http")) == (200, None)
    place.clear()


COOKIES = [("Set-Cookie", "a=b; Path=/"), ("Set-Cookie", "c=d")]


def page(body=b"the body", fields=(("Content-Length", "8"), *COOKIES), status=200):
    answer = Answer(status, "", list(fields), body)
    return Page.of("a step", "/", answer)


@pytest.mark.parametrize("other, said", [
    (page(b"the bodY"), "at byte 7: b'the bodY'"),
    (page(b"the body\n"), "Content-Length"),
    (page(fields=[("Content-Length", "9"), *COOKIES]), "Content-Length"),
    (page(fields=COOKIES), "Content-Length"),
    (page(status=302), "status 302"),
    (page(fields=[("Content-Length", "8"), *reversed(COOKIES)]), "Set-Cookie"),
    (page(fields=[("Content-Length", "8"), ("Set-Cookie", "a=b; path=/"), ("Set-Cookie", "c=d")]), "Set-Cookie"),
    (page(fields=[("Content-Length", "8"), ("Set-Cookie", "a=b; Path=/")]), "Set-Cookie"),
    (page(fields=[("Content-Length", "8"), *COOKIES, ("X-Other", "")]), "X-Other"),
], ids=["body", "longer", "length", "no length", "status", "order", "attribute", "missing", "more"])
def test_62_06_the_comparison_can_fail(other, said):
    """One byte, one field or one place in an order should be enough, and be named."""
    [found] = differences([other], [page()])
    assert said in found
    assert differences([page()], [page()]) == []
    assert differences([page()], []) != []


@pytest.mark.parametrize("fields, same", [([("Content-Length", "8")], True), ([("Content-Length", "7")], False)], ids=["right", "wrong"])
def test_62_07_a_length_may_be_counted_on_the_way(fields, same):
    """Where the server says none Apache may say the right one, and no other."""
    assert (differences([page(fields=[*fields, *COOKIES])], [page(fields=COOKIES)]) == []) == same
