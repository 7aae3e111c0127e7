"""A customer's walk: an account with a home, a folder for CGI programs, suexec, and nothing but FTP.

What the customer does is put, make a folder, chmod, rename, get; what the host does is kill.
"""

import re

import pytest

from harness import procs

SAMPLE = procs.ROOT / "src" / "demo" / "sample_app"
APP_FILE = "#!{home}/bin/rouse -\r\nrun   = ../../app/run\r\nstart = ../../app/start\r\nrestart-on = ../../app/start\r\n"
pytestmark = [pytest.mark.only("apache-event-suexec")]


class Customer:
    """One account; `page()` is what its visitors see."""

    def __init__(self, web):
        self._web = web
        self.number = web.stage.new_user()
        self._inside = web.stage.user.part(self.number)
        self.home = str(self._inside.home.value())
        self.name = self._inside.name.value()
        self.url = f"/~{self.name}/cgi-bin/app.cgi"

    def __getattr__(self, name):
        return getattr(self._inside, name)

    def rouse(self):
        """The binary that is tested: in a container it is the container's."""
        return self._web.stage.procs.BINARY.read_bytes()

    def visit(self):
        return self._web.request("GET", self.url, [("Accept", "text/html")])

    def page(self):
        """The sample app's page: what it says about itself."""
        answer = self.visit()
        assert answer.status == 200, answer
        return dict(re.findall(r'<span id="(\w+)">([^<]*)</span>', answer.body.decode()))


@pytest.fixture
def customer(webserver):
    one = Customer(webserver)
    yield one
    procs.wait_until(lambda: not one.bridges(), 10, "no bridge of the customer's is left")


def install(customer):
    """The README's three files."""
    for folder in ("bin", "app", "public_html/cgi-bin"):
        customer.make_folder(folder)
    customer.put("bin/rouse", customer.rouse())
    customer.chmod("bin/rouse", 0o755)
    customer.put("app/start", SAMPLE.read_bytes())
    customer.chmod("app/start", 0o755)
    customer.put("public_html/cgi-bin/app.cgi", APP_FILE.format(home=customer.home))
    customer.chmod("public_html/cgi-bin/app.cgi", 0o755)


@pytest.mark.promises("L1", "L2", "P2", "W3", "X4")
def test_56_01_a_customer_with_nothing_but_ftp(webserver, customer):
    """First request, kill, deploy, a mistake in the settings, its cure."""
    install(customer)
    first = int(customer.page()["pid"])
    assert customer.processes("app/start") == [first] and int(customer.page()["requests"]) == 2

    webserver.stage.procs.kill(first)  # the host does
    second = int(customer.page()["pid"])
    assert second != first and customer.processes("app/start") == [second]

    text = SAMPLE.read_text().replace("This page comes from", "The second version comes from")
    customer.put("app/start.new", text)
    customer.chmod("app/start.new", 0o755)
    customer.rename("app/start.new", "app/start")
    answer = customer.visit()
    assert answer.status == 200 and b"The second version comes from process" in answer.body, answer
    [third] = customer.processes("app/start")
    assert third != second

    good = APP_FILE.format(home=customer.home)
    customer.put("public_html/cgi-bin/app.cgi", good.replace("start = ", "strat = "))
    answer = customer.visit()
    assert answer.status == 500 and b"app.cgi" in answer.body and b"line 3" in answer.body and b"strat" in answer.body, answer
    assert customer.home.encode() not in answer.body
    customer.put("public_html/cgi-bin/app.cgi", good)
    assert int(customer.page()["pid"]) == third and customer.processes("app/start") == [third]
    log = customer.get(f"app/run/{customer.names('app/run')[-1]}/log").decode()
    assert [line.split()[3] for line in log.splitlines() if " launch launch=" in line] == ["reason=cold", "reason=died", "reason=touched"]


@pytest.mark.promises("L1", "X3")
def test_56_02_a_move_to_another_home(webserver, customer):
    """Everything got and put again, as another user: the binary copied as app.cgi, the settings in app.cgi.conf."""
    install(customer)
    first = int(customer.page()["pid"])
    other = Customer(webserver)
    for folder in ("bin", "app"):
        webserver.stage.move(customer.number, folder, other.number)
    other.make_folder("public_html/cgi-bin")
    other.put("public_html/cgi-bin/app.cgi", other.rouse())
    other.chmod("public_html/cgi-bin/app.cgi", 0o755)
    other.put("public_html/cgi-bin/app.cgi.conf", "run = ../../app/run\nstart = ../../app/start\n")
    second = int(other.page()["pid"])
    assert second != first and other.processes("app/start") == [second]
    assert int(customer.page()["pid"]) == first and customer.processes("app/start") == [first]


@pytest.mark.promises("X3", "R4")
@pytest.mark.parametrize("mistake, said", [
    (lambda c: c.chmod("app/start", 0o644), b"Make it executable"),
    (lambda c: c.chmod("app/start", 0o777), b"Others"),
    (lambda c: c.rename("app/start", "app/started"), b"start"),
    (lambda c: c.put("app/start", "#!/usr/bin/pythom3\n"), b"interpreter"),
], ids=["not executable", "open to all", "missing", "interpreter"])
def test_56_03_a_mistake_is_said_to_who_has_only_the_page(webserver, customer, mistake, said):
    """errors = show: the page says what is wrong with the start script; mended, the next visit is served."""
    install(customer)
    path = "public_html/cgi-bin/app.cgi"
    customer.put(path, APP_FILE.format(home=customer.home) + "errors = show\r\n")
    mistake(customer)
    answer = customer.visit()
    assert answer.status in (500, 503) and said in answer.body, answer
    customer.put("app/start", SAMPLE.read_bytes())
    customer.chmod("app/start", 0o755)
    assert customer.page()["pid"]
