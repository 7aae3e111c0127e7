"""Ten thousand requests through each web server: none fails, no process is left, its error log stays empty.

REQUESTS (default 10000) is how many, with connections kept and not kept, by one client and by eight.
"""

import os

import pytest

from web.answers import answered
from web.load import Load

REQUESTS = int(os.environ.get("REQUESTS", "10000"))
# One client waits for each answer, and Apache sleeps before it sees that a CGI program has ended: its share is small.
PARTS = [(1, False, 0.02), (1, True, 0.02), (8, False, 0.48), (8, True, 0.48)]


@pytest.mark.promises("R4", "S5", "W1")
def test_57_01_none_of_ten_thousand_requests_fails(webserver, make_site):
    """Every request should be answered, by one server, with no process left and nothing in the error log."""
    site = make_site()
    pid, _ = answered(site.get())
    before = webserver.inside.error_log()
    count = 1
    for number, (clients, keep, share) in enumerate(PARTS):
        total = round(REQUESTS * share)
        with Load(webserver, site, clients, total=total, keep=keep, posts=0.2, seed=number + 1) as load:
            pass
        bad = [result for result in load.results if not result.good]
        assert not bad and len(load.results) == total, (len(bad), bad[:5])
        count += total
        kept = f"{load.connections} connections" if keep else "not kept"
        print(f"{webserver.kind}: {clients} clients, {kept}: {total / load.seconds:.0f} requests/s")
        assert load.connections == total if not keep else load.connections < total
    site.wait_quiet()
    executed = site.executed()
    assert sum(executed.values()) == count and site.malformed() == [] and site.empty_connections() == 0
    assert site.processes() == [pid] and len(site.starts()) == 1
    assert webserver.inside.error_log() == before
