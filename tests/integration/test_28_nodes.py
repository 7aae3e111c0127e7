"""Two machines on one home: each has its own locks, socket and server (here: two UTS namespaces)."""

import os

import pytest

from harness import procs
from harness.server import SERVE

NODES = ("first.example", "second.example")


@pytest.fixture
def site(make_site):
    return make_site(SERVE, socket=None, run="run")


def served(site, node, **how):
    bridge = site.get(node=node, **how)
    return site.answered(bridge.finish(), bridge.token)


@pytest.mark.promises("L9", "L1")
def test_28_01_each_node_has_its_own_server(site):
    """Requests on two nodes should start two servers, and each be answered by its own."""
    pids = {node: served(site, node) for node in NODES}
    assert len(set(pids.values())) == 2 and len(site.starts()) == 2
    assert {node: served(site, node) for node in NODES} == pids
    for node, pid in pids.items():
        assert procs.holders_of(site.app.run / node / "alive.lock") == [pid]
        [start] = [line for line in site.starts() if line["pid"] == pid]
        assert f"ROUSE_SOCKET={site.app.run / node / 'sock'}" in start["env"]
    assert sorted(path.name for path in site.app.run.iterdir()) == [".htaccess", *NODES]


@pytest.mark.promises("L9", "L2", "L4")
def test_28_02_one_node_never_touches_the_other(site):
    """Kill, failure and replacement on one node should leave the other's server, socket and locks as they are."""
    first, second = (served(site, node) for node in NODES)
    names = {path: os.stat(path).st_ino for path in (site.app.run / NODES[1]).iterdir()}
    (site.app.run / NODES[0] / "sock").unlink()
    replaced = served(site, NODES[0])
    assert replaced != first and not procs.alive(first) and procs.alive(second)
    procs.kill(replaced)
    procs.wait_gone(replaced)
    site.plan(["exit 1"])
    assert site.get(node=NODES[0]).finish().code == 503
    assert served(site, NODES[1]) == second
    assert {path: os.stat(path).st_ino for path in (site.app.run / NODES[1]).iterdir()} == names


@pytest.mark.promises("L9", "L1")
def test_28_03_both_start_at_once(site):
    """Launches on two nodes at the same time should not wait for each other."""
    site.plan(["hold begun", *SERVE])
    bridges = {node: [site.get(node=node) for _ in range(4)] for node in NODES}
    site.control.wait("begun", 2)
    for node in NODES:
        procs.wait_until(lambda: len(procs.lock_waiters(site.app.run / node / "start.lock")) == 3)
    site.control.go("begun")
    for node in NODES:
        assert len({site.answered(bridge.finish(), bridge.token) for bridge in bridges[node]}) == 1
    assert len(site.starts()) == 2
