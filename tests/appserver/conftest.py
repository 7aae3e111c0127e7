"""What every test of real servers may rely on: a host with Apache, and a home in it with an app of each server."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "webserver"), str(HERE.parent / "integration")]

from harness import procs  # noqa: E402
from host.servers import SERVERS, WORKS  # noqa: E402
from web.channel import Proxy, open_channel  # noqa: E402
from web.client import Exchange, request  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "promises(*ids): the promises of rouse that this test shows")


def pytest_report_header():
    return [f"rouse: {procs.GIVEN}", f"servers: {', '.join(server.name for server in SERVERS)}"]


def pytest_generate_tests(metafunc):
    if "server" in metafunc.fixturenames:
        # A process of its own for each server when pytest has several (-n 4 --dist loadgroup): most of a test is waiting.
        metafunc.parametrize("server", [pytest.param(server, id=server.name, marks=pytest.mark.xdist_group(server.name))
                                        for server in SERVERS], scope="session")


@pytest.fixture(scope="session")
def host():
    channel = open_channel(module="host.stage", folders=[HERE])
    yield Proxy(channel)
    channel.close()


class App:
    """An app at `target` as its visitors see it; `home` is it from inside."""

    def __init__(self, home, target):
        self.home, self.target, self.port = home, target, home.port()

    def at(self, path="", token=None):
        return f"{self.target}/echo?token={token}" if token else self.target + path

    def request(self, method="GET", path="", fields=(), body=None, **how):
        return request(self.port, method, self.at(path), fields, body, **how)

    def exchange(self, method="GET", path="", fields=(), body=None, **how):
        return Exchange(self.port, method, self.at(path), fields, body, **how)


@pytest.fixture(scope="session")
def home(host, server):
    number = host.make_home(server.name)
    yield host.home.part(number)
    host.close_home(number)


@pytest.fixture
def hello(home, server):
    """The hello of that server's documentation, not yet started."""
    home.lay_out("hello")
    yield App(home, server.at)
    home.clear()


@pytest.fixture(scope="module")
def works(home):
    """The app that calls for more. It is started by the first request of the first test."""
    home.lay_out("works")
    yield App(home, WORKS)
    home.clear()


def pytest_runtest_makereport(item, call):
    """What the server said, beside a test that fails."""
    if call.excinfo is not None and (home := getattr(item, "funcargs", {}).get("home")) is not None:
        item.add_report_section(call.when, "log of rouse and the server", "\n".join(home.log()[-60:]))
        item.add_report_section(call.when, "error log of the web server", "\n".join(home.error_log()[-20:]))
