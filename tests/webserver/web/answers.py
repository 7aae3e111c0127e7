"""This file knows what the server of a site answers (tools/launched.c), and how to tell whether all of it came."""

import re

from harness.server import pattern


def answered(answer, token=None):
    """The server's own whole answer; answers the pid that gave it and the length of the body that it got."""
    assert answer.status == 200 and answer.complete, answer
    match = re.fullmatch(rb"token=(\S*) pid=(\d+) body=(\d+) wrong=-1\n", answer.body)
    assert match and (token is None or match[1].decode() == token), answer
    return int(match[2]), int(match[3])


def is_pattern(body, length):
    """The first bytes of the pattern, all of them."""
    return len(body) == length and body == pattern(length)


def is_page(answer, status):
    """A page of rouse's own, with the incident's id."""
    assert answer.status == status and answer.complete, answer
    assert re.search(rb"Incident: (<code>)?[0-9a-f]{12}", answer.body), answer
    return answer
