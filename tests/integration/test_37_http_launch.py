"""Servers that speak HTTP are woken, waited for, replaced and shown as those that speak SCGI are.

The tests of the other files are run once more with `protocol = http` and a server that reads nothing else: they are
imported, and find the other `protocol` here. Behind them stands what only HTTP has.
"""

import pytest

from harness import procs
from harness.owner import NOT, rousectl
from harness.server import SERVE, pattern

# A cold start, alone and in a crowd, with bodies.
from test_20_launch import (
    test_20_01_a_dead_server_is_started_and_answers,
    test_20_02_a_living_server_is_used_as_it_is,
    test_20_05_a_python_server_works,
    test_20_18_ports_and_abstract_names_are_launched_alike,
)
from test_21_crowds import (
    test_21_03_a_crowd_on_a_port,
    test_21_04_a_crowd_before_a_failing_script_fails_together,
    test_21_06_a_crowd_with_bodies_is_spooled_whole,
)
from test_26_streams import (
    test_26_02_a_large_response_into_a_socket,
    test_26_03_a_body_that_waits_for_the_launch,
    test_26_04_the_web_server_leaves,
    test_26_06_a_server_that_dies_in_its_answer,
)
from test_27_warm_path import (
    test_27_01_a_warm_get_is_few_system_calls,
    test_27_02_a_warm_get_opens_no_lock_and_no_state_file,
)

# Servers that die with a request: what may have been done is done at most once.
from test_20_launch import (
    test_20_22_a_get_whose_server_died_is_repeated,
    test_20_23_a_get_is_repeated_at_most_twice,
    test_20_24_what_may_have_been_done_is_not_repeated,
    test_20_25_the_other_safe_methods_are_repeated,
    test_20_26_a_request_in_a_dead_servers_queue,
    test_20_27_a_head_that_was_not_wholly_accepted_is_sent_again,
    test_20_29_a_reset_proves_nothing,
)
from test_22_kills import (
    test_22_01_bridges_die_while_the_script_starts,
    test_22_13_a_server_killed_again_and_again_under_load,
)

# Servers that hang, and those whose owner changed a file.
from test_31_hung import (
    test_31_02_a_stopped_server_is_one_that_hangs,
    test_31_05_many_time_outs_at_once_are_one_replacement,
)
from test_32_touched import (
    test_32_01_a_change_restarts_once,
    test_32_05_a_hundred_notice_one_touch,
    test_32_07_work_is_finished_first,
    test_32_08_touches_under_load_lose_no_request,
    watched,
)

# What the owner sees and does.
from test_34_rousectl import (
    test_34_06_status_follows_the_server,
    test_34_07_status_knows_every_address,
    test_34_29_a_server_that_hangs_is_named,
)
from test_36_doctor import test_36_05_the_page_tells_all
from test_39_owner import test_39_01_start_brings_it_up, test_39_05_stop_until_start, test_39_08_restart_replaces_it
from test_42_owner_in_a_crowd import test_42_01_stop_under_load


@pytest.fixture
def protocol():
    """What the servers of these tests speak."""
    return "http"


def served(site, bridge):
    return site.answered(bridge.finish(), bridge.token)


@pytest.mark.promises("H1", "L1")
def test_37_01_the_server_reads_http_and_nothing_else(make_site):
    """The app file alone should decide what is spoken: the same server should not understand a bridge that speaks SCGI."""
    site = make_site()
    served(site, site.get())
    assert site.executed() == {"t1": 1} and site.malformed() == []
    text = site.app.path.read_text()
    site.app.path.write_text(text.replace("protocol = http\n", ""))
    assert site.post(pattern(8)).finish().code == 502
    assert [line["kind"] for line in site.malformed()] == ["request line"]
    site.app.path.write_text(text)
    served(site, site.get())
    assert len(site.starts()) == 1


@pytest.mark.promises("H4", "L1", "B1")
def test_37_02_a_head_that_cannot_be_sent_wakes_nobody(make_site):
    """A request that is refused with 400 should start no server, and not be a failure of it."""
    site = make_site()
    assert site.get(extra=[b"HTTP_X=a\r\nb"]).finish().code == 400
    assert site.starts() == [] and not site.app.node_folder.exists()
    served(site, site.get())
    assert len(site.starts()) == 1


@pytest.mark.promises("F4", "H1", "L1")
def test_37_03_a_chunked_upload_before_a_dead_server(make_site):
    """A body without a length should be measured while the server starts, and arrive once and whole."""
    site = make_site(["hold begun", *SERVE])
    bridges = [site.get(method="POST", stdin=pattern(300_000), length=None, extra=[b"HTTP_TRANSFER_ENCODING=chunked"])
               for _ in range(3)]
    site.control.wait("begun")
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == 2)
    site.control.go("begun")
    for bridge in bridges:
        outcome = bridge.finish()
        assert outcome.code == 200 and outcome.body.endswith(b"body=300000 wrong=-1\n")
    assert len(site.starts()) == 1 and set(site.executed().values()) == {1}


@pytest.mark.promises("W1", "H1", "L2")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_37_04_killed_with_a_request_in_hand(make_site, method):
    """KILL between the last byte of the request and the first of the answer: a GET should be answered by the next server,
    a POST be 502 and executed once; the next request of either kind is served."""
    site = make_site(["mortal", *SERVE])
    served(site, site.get())
    site.plan(SERVE)
    body = b"" if method == "GET" else pattern(100_000)
    bridge = site.get("die=9", method=method, stdin=body)
    outcome = bridge.finish()
    if method == "GET":
        assert site.answered(outcome, bridge.token) == site.starts()[1]["pid"] and site.executed()[bridge.token] == 2
    else:
        assert outcome.code == 502 and outcome.status == 0 and site.executed()[bridge.token] == 1
        assert b"did not answer" in outcome.body
    after = site.post(pattern(8))
    assert served_post(after, 8) and site.executed()[after.token] == 1 and len(site.starts()) == 2


def served_post(bridge, size):
    outcome = bridge.finish()
    return outcome.code == 200 and outcome.body.endswith(b"body=%d wrong=-1\n" % size)


@pytest.mark.promises("H2", "H3")
def test_37_05_what_the_server_is_told(make_site):
    """Fields should arrive under their names in HTTP, with rouse's own word about who asks, also after a launch."""
    site = make_site()
    wanted = "HTTP_X_A,HTTP_X_FORWARDED_FOR,HTTP_X_FORWARDED_PREFIX,HTTP_HOST,REQUEST_PATH"
    extra = [b"HTTP_X_A=b", b"REMOTE_ADDR=2001:db8::7", b"HTTP_X_FORWARDED_FOR=6.6.6.6", b"HTTP_HOST=example.org"]
    for _ in range(2):
        outcome = site.get(f"show={wanted}", extra=extra).finish()
        assert outcome.body.splitlines() == [
            b"HTTP_X_A=b", b"HTTP_X_FORWARDED_FOR=2001:db8::7", b"HTTP_X_FORWARDED_PREFIX=/cgi-bin/app.cgi",
            b"HTTP_HOST=example.org", b"REQUEST_PATH=/cgi-bin/app.cgi"]


@pytest.mark.promises("S2", "R2")
def test_37_06_events_tick(make_site):
    """Server-sent events should reach the visitor when the server sends them."""
    site = make_site()
    bridge = site.get("ticks=tick")
    for number in (b"1", b"2", b"3"):
        site.control.go(f"tick{number.decode()}")
        bridge.wait_for_output(b"data: " + number + b"\n\n")
    outcome = bridge.finish()
    assert outcome.status == 0 and outcome.code == 200 and outcome.head["content-type"] == "text/event-stream"


@pytest.mark.promises("S3", "R2")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_37_07_an_answer_before_the_body_was_read(make_site, fds):
    """413 of a server that closes with the body unread should be delivered whole, and the body be drained."""
    site = make_site()
    served(site, site.get())
    bridge = site.post(pattern(3_000_000), "early=1000", fds=fds)
    outcome = bridge.finish()
    assert (outcome.status, outcome.code, outcome.body) == (0, 413, pattern(1000))


@pytest.mark.promises("X4")
def test_37_08_check_knows_the_setting(make_site):
    """`check` should object to another protocol, with line and key, and to `http` no more than to its absence."""
    site = make_site()
    served(site, site.get())
    text = site.app.path.read_text()
    as_it_is = rousectl(site, "check").out
    site.app.path.write_text(text.replace("protocol = http\n", ""))
    assert rousectl(site, "check").out == as_it_is and "protocol" not in as_it_is
    site.app.path.write_text(text.replace("protocol = http", "protocol = https"))
    answer = rousectl(site, "check")
    assert answer.status == NOT and "line 4, protocol: " in answer.line
