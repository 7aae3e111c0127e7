"""What every web-server test may rely on: a web server of each kind, here or in a container, and sites in it.

    pytest tests/webserver                    five web servers of this machine
    pytest tests/webserver --image rouse-test three kinds of Apache in a container of that image
"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from harness import procs  # noqa: E402
from web.channel import Proxy, open_channel  # noqa: E402
from web.client import Exchange, request  # noqa: E402
from web.servers import APACHE, KINDS  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--image", help="a Docker image with the stage: its Apaches are tested instead of this machine's web servers")


def pytest_configure(config):
    config.addinivalue_line("markers", "promises(*ids): the promises of rouse that this test shows")
    config.addinivalue_line("markers", "only(*kinds): the web servers that this is about")
    config.addinivalue_line("markers", "images: about the Docker images themselves, and collected only with --image")


def pytest_report_header(config):
    return [f"rouse: {procs.GIVEN}", f"web servers: {', '.join(kinds_of(config))}"
            + (f" in {config.getoption('--image')}" if config.getoption("--image") else " of this machine")]


def kinds_of(config):
    return list(APACHE) if config.getoption("--image") else KINDS


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("only")
        kinds = [kind for kind in kinds_of(metafunc.config) if mark is None or kind in mark.args]
        if mark is not None and not kinds:
            metafunc.definition.add_marker(pytest.mark.elsewhere)
        # A process of its own for each web server when pytest has several (-n 5 --dist loadgroup): most of a test is waiting.
        metafunc.parametrize("kind", [pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in kinds], scope="session")


def pytest_collection_modifyitems(config, items):
    """A test about a web server that the container does not have, or about the images, belongs to the other run, and is
    not collected here."""
    away = [item for item in items if item.get_closest_marker("elsewhere")
            or item.get_closest_marker("images") and not config.getoption("--image")]
    items[:] = [item for item in items if item not in away]


@pytest.fixture(scope="session")
def channel(request):
    """Where the web servers run."""
    channel = open_channel(request.config.getoption("--image"))
    yield channel
    channel.close()


@pytest.fixture(scope="session")
def stage(channel):
    return Proxy(channel)


class Web:
    """One web server as its clients see it; `inside` is it on the stage."""

    def __init__(self, kind, stage, outside):
        self.kind, self.stage = kind, stage
        self.inside = stage.of.part(kind)
        self._outside = outside
        self.start()

    def start(self):
        """Start it if it is not running."""
        self.port, self.input_port, self.output_port = map(self._outside, self.stage.server(self.kind))

    def request(self, method="GET", target="/", fields=(), body=None, port=None, **how):
        return request(port or self.port, method, target, fields, body, **how)

    def exchange(self, method="GET", target="/", fields=(), body=None, port=None, **how):
        return Exchange(port or self.port, method, target, fields, body, **how)

    @property
    def is_apache(self):
        return self.kind in APACHE


@pytest.fixture
def webserver(kind, stage, channel):
    """A running web server of that kind. After the test its error log must have nothing that the test did not expect."""
    web = Web(kind, stage, channel.outside)
    yield web
    web.start()


class SiteProxy:
    """A site on the stage: what Site and WebSite can do, and requests to it."""

    def __init__(self, web, number):
        self._web, self.number = web, number
        self._inside = web.stage.site.part(number)
        self.target = self._inside.target.value()
        self.place = self._inside.place.value()
        self.folder = self._inside.folder.value()
        self._tokens = 0

    def __getattr__(self, name):
        return getattr(self._inside, name)

    def token(self):
        self._tokens += 1
        return f"t{self._tokens}"

    def at(self, query="", rest="", token=None):
        """The target of a request with a token of its own, which the server repeats and records."""
        token = token or self.token()
        return f"{self.target}{rest}?token={token}" + (f"&{query}" if query else "")

    def get(self, query="", rest="", method="GET", **how):
        return self._web.request(method, self.at(query, rest), **how)

    def post(self, body, query="", rest="", method="POST", **how):
        return self._web.request(method, self.at(query, rest), body=body, **how)

    def begin(self, query="", rest="", method="GET", **how):
        """A request under way."""
        return self._web.exchange(method, self.at(query, rest), **how)


@pytest.fixture
def make_site(webserver):
    """Make an app in a folder that the web server shows, with a start script that follows a plan."""
    made = []

    def make(plan=None, **settings):
        settings.setdefault("socket", "s")
        made.append(SiteProxy(webserver, webserver.stage.make_site(webserver.kind, plan, **settings)))
        return made[-1]

    yield make
    webserver.start()
    for site in made:
        webserver.stage.close_site(site.number)
