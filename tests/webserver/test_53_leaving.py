"""Clients that leave, and time-outs of the web server before ours and after: nothing is left behind, no server suffers."""

import pytest

from harness import procs
from harness.server import SERVE
from web.answers import answered, is_page

HELD = ["hold begun", *SERVE]


@pytest.mark.promises("L3", "S5")
def test_53_01_the_client_leaves_while_the_server_starts(make_site):
    """The launch goes on for the others, and for whoever comes next."""
    site = make_site(HELD)
    with site.begin():
        site.control.wait("begun")
    others = [site.begin() for _ in range(3)]
    site.control.go("begun")
    pids = {answered(other.finish())[0] for other in others}
    assert pids == {answered(site.get())[0]} and len(site.starts()) == 1
    site.wait_quiet()


@pytest.mark.promises("S5")
def test_53_02_the_client_leaves_while_the_server_is_silent(make_site):
    """A client that leaves before the answer should leave the server alive and no bridge behind."""
    site = make_site()
    pid, _ = answered(site.get())
    with site.begin("hold=silent"):
        site.control.wait("silent")
    site.control.go("silent")
    site.wait_quiet()
    assert answered(site.get())[0] == pid and len(site.starts()) == 1


@pytest.mark.promises("S5")
def test_53_03_the_client_leaves_while_the_server_streams(make_site):
    """The server learns that nobody takes its stream any more, and no bridge stays."""
    site = make_site()
    pid, _ = answered(site.get())
    with site.begin("stream=gone") as exchange:
        exchange.wait_for(b"data: a line")
    site.control.wait("gone", timeout=30)
    site.wait_quiet()
    assert answered(site.get())[0] == pid


@pytest.mark.promises("S5", "W1")
def test_53_04_the_web_server_loses_patience_first(webserver, make_site):
    """Its own error after 3 s, while our time-out is 30; the server's late answer hurts nobody."""
    site = make_site(response_timeout=30)
    pid, _ = answered(site.get())
    with site.begin("hold=late", port=webserver.output_port) as exchange:
        site.control.wait("late")
        assert exchange.finish().status in (500, 502, 503, 504)
    site.control.go("late")
    site.wait_quiet()
    assert answered(site.get())[0] == pid and len(site.starts()) == 1


@pytest.mark.promises("R4")
def test_53_05_our_patience_ends_first(webserver, make_site):
    """A page that says what is wrong, in the stead of the web server's own error."""
    site = make_site(response_timeout=1)
    pid, _ = answered(site.get())
    with site.begin("hold=late", port=webserver.output_port) as exchange:
        site.control.wait("late")
        is_page(exchange.finish(), 504)
    site.control.go("late")
    site.wait_quiet()
    assert answered(site.get())[0] == pid
