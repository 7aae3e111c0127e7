"""A living server: nothing of launching is touched, and little is asked of the kernel."""

import os
import re

import pytest

from harness import procs

MOST_CALLS = 14
CALL = re.compile(r"^\d+ +(\w+)\((.*)$")

# What Apache sets for a small GET of a browser, but its name: what it costs to be gone before Apache looks is test_38's.
BROWSER = [
    b"HTTP_HOST=www.example.org", b"HTTP_USER_AGENT=Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    b"HTTP_ACCEPT=text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", b"HTTP_ACCEPT_LANGUAGE=en,de;q=0.7",
    b"HTTP_ACCEPT_ENCODING=gzip, deflate, br", b"HTTP_CONNECTION=keep-alive", b"HTTP_COOKIE=session=0123456789abcdef",
    b"SERVER_SIGNATURE=", b"SERVER_SOFTWARE=other", b"SERVER_NAME=www.example.org", b"SERVER_ADDR=192.0.2.1", b"SERVER_PORT=443",
    b"REMOTE_ADDR=192.0.2.7", b"DOCUMENT_ROOT=/var/www", b"REQUEST_SCHEME=https", b"CONTEXT_PREFIX=", b"HTTPS=on",
    b"REMOTE_PORT=50000", b"REQUEST_URI=/cgi-bin/app.cgi?length=10", b"PATH_INFO=/x",
]


def traced(site, tmp, **how):
    """The system calls of a served request, as (name, rest of the line): the fewest of seven, because on a busy machine
    a server answers late or in two pieces, and the bridge looks once more. The answer says its length, or the bridge would
    also look for its end, which comes when it likes."""
    return min((traced_once(site, tmp, **how) for _ in range(7)), key=len)


def traced_once(site, tmp, **how):
    log = tmp / "strace"
    log.unlink(missing_ok=True)
    bridge = site.get("length=10", wrapper=["/usr/bin/strace", "-f", "-o", str(log)], extra=BROWSER, **how)
    outcome = bridge.finish(20)
    # A server of HTTP is asked for REQUEST_URI, in which there is no token.
    token = "" if site.protocol == "http" else bridge.token
    assert outcome.status == 0 and outcome.body == f"token={token} pid="[:10].encode()
    matches = (CALL.match(line) for line in log.read_text().splitlines())
    return [(match[1], match[2]) for match in matches if match]


@pytest.mark.promises("C1", "S4")
@pytest.mark.parametrize("fds", ["pipes", "socket"])
def test_27_01_a_warm_get_is_few_system_calls(make_site, folder, fds):
    """At most 14, the exec and the exit among them."""
    site = make_site()
    site.answered(site.get().finish())
    calls = traced(site, folder, fds=fds)
    print(f"\n{len(calls)} system calls:", " ".join(name for name, _ in calls))
    assert 8 < len(calls) <= MOST_CALLS


@pytest.mark.promises("C1", "L9")
def test_27_02_a_warm_get_opens_no_lock_and_no_state_file(make_site, folder):
    """Of the file system it should open the app file and nothing else, lock nothing and start nothing."""
    site = make_site()
    site.answered(site.get().finish())
    before = {path: os.stat(path).st_atime_ns for path in site.app.node_folder.iterdir()}
    calls = traced(site, folder)
    opened = [rest.split('"')[1] for name, rest in calls if name in ("open", "openat", "creat")]
    assert opened == [str(site.app.path)]
    names = {name for name, _ in calls}
    assert not names & {"flock", "fork", "vfork", "clone", "clone3", "mkdir", "mkdirat", "symlink", "symlinkat", "readlink", "readlinkat"}
    unlinked = [rest.split('"')[1] for name, rest in calls if name in ("unlink", "unlinkat")]
    assert unlinked == [str(site.app.node_folder / "hung")], "one, that nobody hangs"
    assert not any(word in rest for _, rest in calls for word in (".lock", "ledger", "/log"))
    assert {path: os.stat(path).st_atime_ns for path in before} == before


@pytest.mark.promises("W2", "W3", "C1")
def test_27_04_what_the_owner_asks_for_costs_little(make_site, folder):
    """Without `start` no call more than before hangs were looked for; with `restart-on` two that look and nothing else."""
    site = make_site()
    site.answered(site.get().finish())
    plain = [name for name, _ in traced(site, folder)]
    text = site.app.path.read_text()
    site.app.path.write_text(text + "restart-on = restart.txt\nmax-waiting = 5\npage = page.html\n")
    site.answered(site.get().finish())  # the first look
    watching = [name for name, _ in traced(site, folder)]
    more = sorted(watching)
    for name in plain:
        more.remove(name)
    assert more == ["newfstatat", "readlinkat"]
    site.app.path.write_text("".join(line for line in text.splitlines(True) if not line.startswith("start ")))
    forwarding = [name for name, _ in traced(site, folder)]
    assert sorted(forwarding + ["unlinkat"]) == sorted(plain)


@pytest.mark.promises("L7", "L1")
def test_27_03_many_warm_requests_leave_no_trace(make_site):
    """A hundred of them: nothing started, nothing written, nothing left running."""
    site = make_site()
    site.answered(site.get().finish())
    procs.wait_until(lambda: not site.guardians())
    state = {path.name: (os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in site.app.node_folder.iterdir()}
    for _ in range(100):
        site.answered(site.get().finish())
    assert {path.name: (os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in site.app.node_folder.iterdir()} == state
    assert len(site.starts()) == 1 and site.empty_connections() == 0 and set(site.executed().values()) == {1}
