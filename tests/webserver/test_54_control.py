"""The web server is told to read its settings again, to restart, to stop: the application's server is none of its children."""

import pytest

from harness import procs
from harness.server import SERVE
from web.answers import answered

HELD = ["hold begun", *SERVE]


def served_again(webserver, site):
    """Once the web server serves again: the pid that answers."""
    def look():
        try:
            answer = site.get()
        except OSError:
            return None
        return answered(answer)[0] if answer.status == 200 else None

    return procs.wait_until(look, 30, f"{webserver.kind} serves again")


@pytest.mark.promises("P1", "L3")
def test_54_01_graceful_keeps_request_and_server(webserver, make_site):
    """A request that is under way is finished; the server lives on."""
    site = make_site()
    pid, _ = answered(site.get())
    with site.begin("hold=under_way") as exchange:
        site.control.wait("under_way")
        webserver.inside.tell("graceful")
        if webserver.kind != "lighttpd-cgi":  # there nobody else is served before the old requests are finished
            assert served_again(webserver, site) == pid
        site.control.go("under_way")
        assert answered(exchange.finish())[0] == pid
    assert served_again(webserver, site) == pid
    assert len(site.starts()) == 1


@pytest.mark.promises("P1", "L3")
@pytest.mark.parametrize("word", ["restart", "stop"])
def test_54_02_the_server_outlives_the_web_server(webserver, make_site, word):
    """Whatever becomes of the request that is under way: no bridge stays, and the same server answers the next."""
    site = make_site()
    pid, _ = answered(site.get())
    with site.begin("hold=under_way") as exchange:
        site.control.wait("under_way")
        webserver.inside.tell(word)
        if word == "stop" or not webserver.is_apache:
            webserver.inside.stop()
            webserver.start()
        site.control.go("under_way")
        assert served_again(webserver, site) == pid
        exchange.finish()
    site.wait_quiet()
    assert len(site.starts()) == 1 and site.processes() == [pid]


@pytest.mark.promises("L3", "L1")
def test_54_03_a_launch_outlives_the_web_server(webserver, make_site):
    """It is restarted while the server boots: one start, and the next request is served."""
    site = make_site(HELD)
    with site.begin() as exchange:
        site.control.wait("begun")
        webserver.inside.stop()
        webserver.start()
        site.control.go("begun")
        served_again(webserver, site)
        exchange.finish()
    site.wait_quiet()
    assert len(site.starts()) == 1
