"""Requests through each web server: what the client sends arrives, what the server answers comes back."""

import re

import pytest


def answered(answer, token=None):
    """The server's own whole answer; answers the pid that gave it and the length of the body that it got."""
    assert answer.status == 200 and answer.complete, answer
    match = re.fullmatch(rb"token=(\S*) pid=(\d+) body=(\d+) wrong=-1\n", answer.body)
    assert match and (token is None or match[1].decode() == token), answer
    return int(match[2]), int(match[3])


@pytest.mark.promises("L1")
def test_51_01_the_first_request_wakes_the_server(webserver, make_site):
    site = make_site()
    first = answered(site.get())
    assert answered(site.get()) == first and len(site.starts()) == 1
