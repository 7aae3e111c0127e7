"""Django's admin over gunicorn, over uWSGI and SCGI, and directly: the same pages, but for tokens and dates."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "webserver"), str(HERE.parent / "integration")]

from django_pages import differences  # noqa: E402
from django_site import PREFIX, Place  # noqa: E402
from django_walk import UPLOADS, Browser, walk  # noqa: E402

SECURE = "mysite.settings_secure"
SETTINGS = ["mysite.settings", SECURE]
BRIDGED = ["gunicorn", "uwsgi"]


@pytest.fixture(scope="module")
def place():
    root = Path(tempfile.mkdtemp(prefix="rd.", dir="/tmp"))
    root.chmod(0o755)
    place = None
    try:
        place = Place(root)
        yield place
    finally:
        if place is not None:
            place.close()
        shutil.rmtree(root)


class Walk:
    """What a walk along one way has shown."""

    def __init__(self, place, name, settings):
        is_secure = settings == SECURE
        # What tells a server that nothing but a client stands in front of that the client came by HTTPS.
        fields = [("X-Forwarded-Proto", "https")] if is_secure and name == "direct" else []
        with place.way(name, settings) as way:
            way.secure(is_secure)
            browser = Browser(way.port, PREFIX, "https" if is_secure else "http", fields)
            try:
                walk(browser, PREFIX, way.kill)
            finally:
                if name != "direct": print(way.log())
            self.pages, self.stored = browser.pages, way.stored()
            self.launches = way.launches() if name in BRIDGED else []


@pytest.fixture(scope="module")
def walks(place):
    made = {}

    def walk_along(name, settings):
        if (name, settings) not in made:
            made[name, settings] = Walk(place, name, settings)
        return made[name, settings]

    return walk_along


@pytest.mark.promises("F2", "F3", "R2", "H1", "H2", "H3")
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", BRIDGED)
def test_62_01_the_pages_are_those_of_the_server_itself(walks, name, settings):
    """Status, fields and body of each page should be what gunicorn answers to a client that speaks to it directly."""
    found = differences(walks(name, settings).pages, walks("direct", settings).pages)
    assert not found, "\n".join(found)
