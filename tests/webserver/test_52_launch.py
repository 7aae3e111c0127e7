"""Launches through each web server: one start, whatever the web server does meanwhile to the requests that wait."""

import os
import threading
import time

import pytest

from harness import procs
from harness.server import SERVE, pattern
from web.answers import answered, is_page
from web.load import Load

SECONDS = float(os.environ.get("SECONDS", "4"))
HELD = ["hold begun", *SERVE]
LARGE = 3_000_000


def together(site, count, **how):
    """So many requests at once; answers their answers."""
    exchanges = [site.begin(**how) for _ in range(count)]
    return [exchange.finish() for exchange in exchanges]


@pytest.mark.promises("L1", "L6")
def test_52_01_fifty_clients_find_the_server_dead(make_site):
    """Once cold, once with the stale socket of a killed server: one start, and one server answers all."""
    site = make_site()
    for round in (1, 2):
        pids = {answered(answer)[0] for answer in together(site, 50)}
        assert len(pids) == 1 and len(site.starts()) == round
        assert all(count == 1 for count in site.executed().values())
        site.kill_server()
    assert site.empty_connections() == 0 and len(site.executed()) == 100


@pytest.mark.promises("L1", "F3")
def test_52_02_a_large_first_request_survives_a_slow_start(webserver, make_site):
    """The web server wants the body off its hands within 2 s, and the server boots for longer: all of it arrives."""
    site = make_site(HELD)
    with site.begin(method="POST", body=pattern(LARGE), port=webserver.input_port) as exchange:
        begun = site.control.wait("begun")
        procs.wait_until(lambda: time.monotonic() > begun.time + 4, 10, "the time-out for input is over")
        assert not exchange.ended, exchange.finish()
        site.control.go("begun")
        assert answered(exchange.finish())[1] == LARGE


@pytest.mark.promises("L3")
def test_52_03_a_web_server_that_loses_patience_does_not_stop_the_launch(webserver, make_site):
    """It ends the request after 3 s of silence; the launch goes on, and the next request is served by it."""
    site = make_site(HELD)
    with site.begin(port=webserver.output_port) as exchange:
        site.control.wait("begun")
        assert exchange.finish().status in (500, 502, 503, 504)
    site.control.go("begun")
    answered(site.get())
    site.wait_quiet()
    assert len(site.starts()) == 1 and len(site.processes()) == 1


@pytest.mark.promises("L3", "F3")
def test_52_04_our_own_wait_ends_first_where_it_is_the_shorter(webserver, make_site):
    """503 with Retry-After within the web server's patience, the 3 MB taken whole; the launch goes on."""
    site = make_site(HELD, wait=1)
    answer = is_page(site.post(pattern(LARGE), port=webserver.output_port), 503)
    assert int(answer.header("Retry-After")) > 0 and answer.unsent == 0
    site.control.go("begun")
    procs.wait_until(lambda: answered_or_none(site), 15, "the server is up")
    assert len(site.starts()) == 1


def answered_or_none(site):
    answer = site.get()
    return answer.status == 200 and answered(answer)


@pytest.mark.promises("L2", "W1", "B2")
def test_52_05_the_server_is_killed_again_and_again_under_load(webserver, make_site):
    """Every GET is answered by a fresh server, every POST is executed at most once, and never two servers live."""
    site = make_site(["mortal", *SERVE])
    answered(site.get())
    with Load(webserver, site, clients=8, posts=0.3) as load:
        kills, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end or kills < 3:  # on a machine that has much else to do, for longer
            before = load.served()
            procs.wait_until(lambda: load.served() >= before + 20, 30, "the clients are being served")
            kills += len(site.kill_server()) > 0
            hit = load.under_way()  # a request is repeated at most twice: the next kill must not find it again
            procs.wait_until(lambda: not hit & load.under_way(), 30, "who was hit has been answered")
    bad = [result for result in load.results if result.method == "GET" and result.status != 200]
    assert not bad, bad[:5]
    executed = site.executed()
    for result in load.results:
        if result.method == "POST":
            assert result.status in (200, 502), result
            assert executed.get(result.token, 0) <= 1, result
        if result.status == 200:
            assert executed.get(result.token, 0) >= 1, result
    site.wait_quiet()
    starts = len(site.starts())
    print(f"{webserver.kind}: {kills} kills, {starts} starts, {len(load.results)} requests, "
          f"{sum(result.status == 502 for result in load.results)} POSTs answered 502")
    assert kills - 1 <= starts <= kills + 1 and len(site.processes()) <= 1
