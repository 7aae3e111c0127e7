"""The hello of each server's own documentation, behind plain CGI with one app file and a start script."""

import re

import pytest

from harness import procs
from host import readme


def hello_answered(server, answer):
    assert answer.status == 200 and answer.complete and answer.body == server.body, answer
    return answer


@pytest.mark.promises("H1", "L1", "L2", "R2", "P1")
def test_60_01_the_hello_of_its_documentation_is_served(server, hello):
    """The first request should start it, and so should the first after a kill -9."""
    hello_answered(server, hello.request())
    assert hello.home.launches() == ["cold"]
    hello_answered(server, hello.request())
    assert hello.home.kill_server() > 0 and hello.home.processes() == []
    hello_answered(server, hello.request())
    hello.home.wait_quiet()
    assert hello.home.launches() == ["cold", "died"] and hello.home.failures() == []


def test_60_02_a_user_copies_little(server):
    """The start script should have at most three lines, and the app file none that another app of its kind does not have."""
    files = server.hello_files
    assert len(files["start"].splitlines()) <= 3
    wanted = readme.app_file(server)
    assert files["hello.cgi"] == wanted
    for name in ("hello.cgi", "start"):
        assert readme.path_of(server, name).stat().st_mode & 0o777 == 0o755, name


def test_60_03_readme_prints_what_is_tested():
    """README.md should show the three files of each server as they are, and what each needed."""
    text = readme.section()
    (procs.ROOT / "build").mkdir(exist_ok=True)
    (procs.ROOT / "build/appservers.md").write_text(text)
    shown = (procs.ROOT / "README.md").read_text()
    assert text in shown, "README.md shows other files than tests/appserver/apps has: put build/appservers.md there"
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= set(re.findall(r"^### (.*)$", shown, re.M))
