"""Who may wait, and what the others and the unlucky see: `max-waiting` and `page`."""

import socket

import pytest

from harness import procs
from harness.server import SERVE

HELD = ["bind", "hold begun", "listen 128", "event listening", "serve"]
BROWSER = [b"HTTP_ACCEPT=text/html,application/xhtml+xml"]
OWN = "<!DOCTYPE html><title>Ours</title><p>Caf\u00e9 & <b>closed</b>"


def served(site, bridge):
    return site.answered(bridge.finish(), bridge.token)


def waiters(site, count):
    procs.wait_until(lambda: len(procs.lock_waiters(site.app.start_lock)) == count)


@pytest.mark.promises("L1", "R4")
def test_33_01_the_rest_is_told_at_once(make_site):
    """With two that wait, the third should get its 503 at once; the two are served."""
    site = make_site(HELD, max_waiting=2)
    first = site.get()
    site.control.wait("begun")
    second = site.get()
    waiters(site, 1)
    for bridge in [site.get(), site.post(b"x" * 1000), site.get(extra=BROWSER)]:
        outcome = bridge.finish(10)
        assert outcome.status == 0 and outcome.code == 503 and int(outcome.head["retry-after"]) > 0, outcome
    site.control.go("begun")
    assert served(site, first) == served(site, second) and len(site.starts()) == 1
    assert served(site, site.get())


@pytest.mark.promises("L5", "L1")
def test_33_02_a_place_is_free_when_its_holder_is_gone(make_site):
    """A waiter that is killed should leave its place, and one that is served too, while its answer lasts."""
    site = make_site(HELD, max_waiting=2)
    first = site.get("hold=later")
    site.control.wait("begun")
    second = site.get()
    waiters(site, 1)
    procs.kill(second.pid)
    second.finish()
    third = site.get("hold=later")
    waiters(site, 1)
    site.control.go("begun")
    site.control.wait("later", 2)
    site.kill_server()  # both of them had it; they are repeated, and wait again
    site.plan(SERVE)
    site.control.go("later")
    assert served(site, first) == served(site, third)


@pytest.mark.promises("L1")
def test_33_03_who_is_served_has_no_place(make_site):
    """As many answers as there are may last at once."""
    site = make_site(HELD, max_waiting=1)
    first = site.get("hold=later")
    site.control.wait("begun")
    site.control.go("begun")
    site.control.wait("later")
    procs.wait_until(lambda: not site.guardians())
    others = [site.get("hold=later") for _ in range(3)]
    site.control.wait("later", 4)
    old = site.processes()
    assert not procs.holders_of(site.app.node_folder / "waiting")
    site.control.go("later")
    assert {served(site, bridge) for bridge in (first, *others)} == set(old)


@pytest.mark.promises("C1", "L1")
def test_33_04_waiting_for_room_is_waiting(make_site):
    """Behind a full backlog as many should wait as may, and the rest be told."""
    site = make_site(["bind", "listen 0", "event listening", "hold accept", "serve"], max_waiting=2)
    first = site.get()
    site.control.wait("accept")
    procs.wait_until(lambda: not site.guardians())
    bridges = [site.get() for _ in range(2)]
    procs.wait_until(lambda: len(procs.holders_of(site.app.node_folder / "waiting")) == 2
                     and procs.asleep([bridge.pid for bridge in bridges]))
    assert site.get().finish(10).code == 503
    site.control.go("accept")
    assert len({served(site, bridge) for bridge in (first, *bridges)}) == 1 and len(site.starts()) == 1


@pytest.mark.promises("W2", "C1")
def test_33_12_who_was_turned_away_says_nothing_of_the_server(make_site):
    """A request that was not let wait for room should not count as one that the server kept waiting."""
    site = make_site(["bind", "listen 0", "event listening", "hold accept", "serve"], max_waiting=1, response_timeout=0.5)
    assert site.get().finish().code == 504
    site.control.wait("accept")
    procs.wait_until(lambda: not site.guardians())
    waits = site.get()
    procs.wait_until(lambda: procs.holders_of(site.app.node_folder / "waiting") and procs.asleep([waits.pid]))
    assert {site.get().finish(10).code for _ in range(5)} == {503}
    assert (site.app.node_folder / "hung").stat().st_size == 1
    site.control.go("accept")
    served(site, waits)
    assert len(site.starts()) == 1


@pytest.mark.promises("L1")
def test_33_05_no_room_for_the_file_is_no_reason(make_site):
    """If the places cannot be counted, nobody should be turned away for it."""
    site = make_site(HELD, max_waiting=1)
    first = site.get()
    site.control.wait("begun")
    procs.wait_until((site.app.node_folder / "waiting").exists)
    (site.app.node_folder / "waiting").unlink()
    (site.app.node_folder / "waiting").mkdir()
    second = site.get()
    waiters(site, 1)
    site.control.go("begun")
    assert served(site, first) == served(site, second)


@pytest.mark.promises("R4")
def test_33_06_the_page_refreshes_itself_until_the_app_is_there(make_site):
    """What a browser is told while the server starts should lead it to the app by itself."""
    site = make_site(HELD, wait=0.3)
    first = site.get(extra=BROWSER)
    outcome = first.finish()
    assert outcome.code == 503 and outcome.head["content-type"] == "text/html; charset=utf-8"
    seconds = int(outcome.head["retry-after"])
    assert f'http-equiv="refresh" content="{seconds}"'.encode() in outcome.body and seconds > 0
    site.control.go("begun")
    site.control.wait("listening")
    served(site, site.get(extra=BROWSER))
    assert len(site.starts()) == 1


# --- `page` ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(make_site, folder):
    """A site with a page of its own."""
    (folder / "page.html").write_text(OWN)

    def make(plan=None, **how):
        return make_site(plan, page="page.html", **how)

    return make


def is_own(outcome, code):
    assert outcome.status == 0 and outcome.code == code, outcome
    assert outcome.head["content-type"] == "text/html; charset=utf-8" and outcome.head["cache-control"] == "no-store"
    assert outcome.body.startswith(OWN.encode() + b"\n<!-- %d " % code) and outcome.body.endswith(b" -->\n"), outcome
    return outcome.body.split(b"incident ")[1].split()[0].decode()


@pytest.mark.promises("R4")
def test_33_07_the_owners_page_is_shown_for_502_503_and_504(own):
    """Byte for byte, with the incident that also stands in the log; a browser that waits is led on."""
    site = own(response_timeout=0.5)
    served(site, site.get())
    incidents = [is_own(site.post(b"", "drop=9").finish(), 502), is_own(site.get("hold=slow").finish(), 504)]
    site.kill_server()
    site.plan(["exit 1"])
    outcome = site.get(extra=BROWSER).finish()
    incidents.append(is_own(outcome, 503))
    assert outcome.head["refresh"] == outcome.head["retry-after"]
    assert "refresh" not in site.get().finish().head
    log = "\n".join(site.app.log_lines())
    assert all(f"incident={incident}" in log for incident in incidents)


@pytest.mark.promises("R4")
def test_33_08_other_pages_are_rouses_own(own):
    """A mistake of the client or the owner should be said in words, and a HEAD have no body."""
    site = own()
    bad = site.get(extra=[b"CONTENT_LENGTH=x"]).finish()
    assert bad.code == 400 and bad.head["content-type"].startswith("text/plain") and OWN.encode() not in bad.body
    site.plan(["exit 1"])
    head = site.get(method="HEAD").finish()
    assert head.code == 503 and head.head["content-type"].startswith("text/html") and head.body == b""


def missing(path):
    path.unlink()


def writable(path):
    path.chmod(0o666)


def too_large(path):
    path.write_bytes(b"x" * 65536)


def link(path):
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def pipe(path):
    import os
    path.unlink()
    os.mkfifo(path)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.promises("R4", "X3", "X4")
@pytest.mark.parametrize("spoil", [missing, writable, too_large, link, pipe, empty])
def test_33_09_a_page_that_cannot_be_used_is_no_page(own, folder, spoil):
    """Then rouse's own should be shown, at once."""
    site = own(["exit 1"])
    spoil(folder / "page.html")
    outcome = site.get().finish(10)
    assert outcome.status == 0 and outcome.code == 503
    assert outcome.head["content-type"].startswith("text/plain") and b"could not be started" in outcome.body


@pytest.mark.promises("R4")
def test_33_10_a_large_page_is_shown_whole(own, folder):
    """Up to 64 KiB."""
    site = own(["exit 1"])
    (folder / "page.html").write_bytes(b"y" * 65535)
    assert site.get().finish(10).body.startswith(b"y" * 65535 + b"\n<!-- 503 ")


@pytest.mark.promises("R4")
def test_33_11_an_owner_who_wants_to_see_errors_sees_them(own):
    """With `errors = show` the page should be rouse's, with what the log has."""
    site = own(["complain something broke", "exit 1"], errors="show")
    assert b"something broke" in site.get().finish().body


@pytest.mark.promises("C1", "R4")
def test_33_13_without_a_run_directory_there_are_no_places(make_site, folder):
    """rouse that only forwards to a name has no folder to count in: who waits is waiting, and the log is kept."""
    site = make_site(start=None, socket=f"@{folder}/a", log="log", max_waiting=1, wait=0.2)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(f"\0{folder}/a")
        server.listen(0)
        first.connect(f"\0{folder}/a")
        outcome = site.get().finish()
    assert outcome.code == 503 and outcome.stderr == b"", outcome
    assert "status=503" in (folder / "log").read_text()
