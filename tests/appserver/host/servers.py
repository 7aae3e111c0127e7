"""This file knows which servers are tried, and what README.md says of each.

What a user copies is in apps/NAME: the hello that the server's own documentation shows first, the app file hello.cgi,
and the start script. works/NAME has the app of the other tests, which calls for more.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
HELLO = "/cgi-bin/hello.cgi"
WORKS = "/cgi-bin/works.cgi"


@dataclass(frozen=True)
class Server:
    name: str
    title: str     # in README.md
    packages: str  # of Debian
    app: str       # the hello in apps/NAME
    body: bytes    # what it answers
    needed: str    # to work below the path of an app file, in README.md
    at: str = HELLO
    port: int = None    # that the hello has in its source; None where the start script says where to listen
    compiled: bool = False
    works_in: str = None  # the folder of works that has the app, when it is another server's too

    @property
    def hello_files(self):
        """Name -> content of what a user copies, in the order in which README.md shows it."""
        folder = FOLDER / "apps" / self.name
        return {name: (folder / name).read_text() for name in ("hello.cgi", "start", self.app)}

    @property
    def works_files(self):
        """The same for the app of the other tests. Its app file is the hello's; it always listens on a unix socket."""
        app = self.app.replace("hello", "works")
        cgi = "".join(line for line in self.hello_files["hello.cgi"].replace("hello", "works").splitlines(keepends=True)
                      if not line.startswith("socket "))
        return {"works.cgi": cgi, "start": (FOLDER / "works" / self.name / "start").read_text(),
                app: (FOLDER / "works" / (self.works_in or self.name) / app).read_text()}


SERVERS = [
    Server("gunicorn", "gunicorn", "gunicorn", "hello.py", b"Hello, World!\n",
           "`SCRIPT_NAME=/cgi-bin/app.cgi` in the environment of gunicorn: Flask and Django build their URLs with it. Not "
           "`x_prefix=1` of Werkzeug's ProxyFix, which wants a path that the prefix was cut from"),
    Server("waitress", "waitress, with Flask", "python3-waitress python3-flask", "hello.py", b"<p>Hello, World!</p>",
           "`--url-prefix`, as here; Flask wants the `/` behind the prefix, and redirects", at=f"{HELLO}/", works_in="gunicorn"),
    Server("uvicorn", "uvicorn", "uvicorn", "hello.py", b"Hello, world!",
           "`--root-path /cgi-bin/app.cgi`; `--forwarded-allow-ips='*'` for the visitor's address and scheme: nobody but rouse "
           "can reach the socket"),
    Server("puma", "puma", "puma ruby-rack", "hello.ru", b"get rack'd",
           "`map '/cgi-bin/app.cgi' do run App end` in the rackup file; `export LANG=C.UTF-8` in the start script when that file is "
           "not plain ASCII, because Apache's service has `LANG=C`"),
    Server("starman", "Starman", "starman", "hello.psgi", b"Hello World",
           "`builder { mount '/cgi-bin/app.cgi' => $app }` (Plack::Builder)"),
    Server("node", "Node", "nodejs", "hello.js", b"Hello World",
           "the app takes `X-Forwarded-Prefix` from the path by itself; `listen(process.env.ROUSE_SOCKET)` and no `socket` for a unix socket",
           port=3000),
    Server("express", "Express", "nodejs node-express", "hello.js", b"Hello World",
           "its hello answers at `/` alone: put it at the root of a site ([Pretty URLs](#pretty-urls)). Else "
           "`app.use('/cgi-bin/app.cgi', router)`; `app.set('trust proxy', true)` for the visitor's address and scheme. "
           "`NODE_PATH` says where Debian's packages are; npm's need none",
           at="/", port=3000),
    Server("go", "Go", "golang-go", "hello.go", b"Hi there, I love cgi-bin/hello.cgi!",
           "`http.StripPrefix(\"/cgi-bin/app.cgi\", mux)`; `net.Listen(\"unix\", os.Getenv(\"ROUSE_SOCKET\"))` and no `socket` "
           "for a unix socket", port=8080, compiled=True),
    Server("uwsgi", "uWSGI, over SCGI", "uwsgi-core uwsgi-plugin-python3", "hello.py", b"Hello World",
           "nothing: SCGI says what `SCRIPT_NAME` and what `PATH_INFO` is"),
]
