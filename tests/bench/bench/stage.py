"""This file knows what is measured, where it is laid out, and the server behind it.

Each program is the interpreter in the #! line of a file NAME.cgi, with the server's socket as its one argument; rouse has
its settings there instead. So a web server, which gives no program arguments or variables of ours, can run them all.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from harness import procs

HERE = Path(__file__).resolve().parents[1]
BUILD = procs.ROOT / "build" / "bench"
ELSEWHERE = "-elsewhere"  # behind the name of a rouse: as another web server than Apache runs it

STATIC = ["musl-gcc", "-static", "-no-pie", "-O2", "-s", "-Wl,-z,noseparate-code"]
DYNAMIC = ["gcc", "-O2", "-s"]
PROGRAMS = {
    "floor": ("programs/floor.c", STATIC, []),
    "floor-dynamic": ("programs/floor.c", DYNAMIC, []),
    "limit": ("programs/limit.c", STATIC, []),
    "limit-gone-first": ("programs/limit.c", STATIC, ["-DGONE_FIRST"]),
    "limit-dynamic": ("programs/limit.c", DYNAMIC, []),
}
LOOP = ("programs/limit.c", STATIC, ["-DPATIENT"])
TOOLS = {name: (f"tools/{name}.c", STATIC, []) for name in ("server", "bare", "count", "load", "stream", "crowd")}
INIT = ("tools/init.c", STATIC, [])

# The environment of every request that no web server makes: what Apache sets for a small GET of a browser.
ENVIRONMENT = {
    "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "QUERY_STRING": "x", "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "www.example.org", "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "HTTP_ACCEPT_LANGUAGE": "en,de;q=0.7",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br", "HTTP_CONNECTION": "keep-alive", "HTTP_COOKIE": "session=0123456789abcdef",
    "PATH": "/usr/local/bin:/usr/bin:/bin", "SERVER_SIGNATURE": "", "SERVER_SOFTWARE": "Apache", "SERVER_NAME": "www.example.org",
    "SERVER_ADDR": "192.0.2.1", "SERVER_PORT": "443", "REMOTE_ADDR": "192.0.2.7", "DOCUMENT_ROOT": "/var/www",
    "REQUEST_SCHEME": "https", "CONTEXT_PREFIX": "", "CONTEXT_DOCUMENT_ROOT": "/var/www", "SERVER_ADMIN": "[no address given]",
    "SCRIPT_FILENAME": "/var/www/cgi-bin/app.cgi", "REMOTE_PORT": "50000", "REQUEST_URI": "/cgi-bin/app.cgi?x",
    "SCRIPT_NAME": "/cgi-bin/app.cgi",
}


def compiled(name, source, command, options):
    BUILD.mkdir(parents=True, exist_ok=True)
    binary = BUILD / name
    subprocess.run([*command, *options, "-Wall", "-Wextra", "-Werror", "-o", binary, HERE / source], check=True)
    return binary


class Stage:
    """`peers` are other bridges, name -> path; one whose name begins with rouse is another rouse.
    `root` is a new folder that others may enter."""

    def __init__(self, root, peers=None, port=None):
        self.root = root
        self._bin, self._sockets = root / "bin", root / "s"
        for folder in (self._bin, self._sockets):
            folder.mkdir(mode=0o755)
        built = {name: compiled(name, *how) for name, how in {**PROGRAMS, **TOOLS, "loop": LOOP}.items()}
        built.update(rouse=procs.GIVEN, **(peers or {}))
        # Copies: an ordinary user, as whom a web server runs, need not be let into the tree.
        self.binaries = {name: Path(shutil.copy(path, self._bin / name)) for name, path in built.items()}
        self.names = [*PROGRAMS, *(peers or {}), "rouse"]
        self.socket = self._sockets / "warm"
        self._ports = [f"127.0.0.1:{port}"] if port else []

    def __enter__(self):
        """Start the server of all warm requests: on each address two processes, so that none waits for another."""
        note = self.root / "warm.note"
        self._server = subprocess.Popen([self.binaries["server"], "0", note, "2", *self._ports, self.socket])
        procs.wait_until(note.exists, 20, "the server listens")
        return self

    def __exit__(self, *_):
        self._server.kill()
        self._server.wait()

    # --- programs as files that can be executed ---------------------------------------------------------------

    def lay_out(self, folder, names, owner=None):
        """NAME.cgi for each of the programs, with the warm server behind them; answers their paths."""
        folder.mkdir(mode=0o755, exist_ok=True)
        return [self.app(folder, name, self.socket, owner=owner) for name in names]

    def app(self, folder, name, socket, start="/bin/false", owner=None):
        path = folder / f"{name}.cgi"
        if name.startswith("rouse"):
            text = f"#!{self.binaries[name]} -\nsocket = {socket}\nstart = {start}\n"
        else:
            text = f"#!{self.binaries[name]} {socket}\n"
        path.write_text(text)
        path.chmod(0o755)
        if owner is not None and os.geteuid() == 0:
            os.chown(path, owner, owner)
        return path

    # --- a server that is down ----------------------------------------------------------------------------------

    def cold(self, name, boot):
        """A site whose server takes so many milliseconds to listen; answers the site."""
        return Cold(self, name, boot)

    # --- measuring ------------------------------------------------------------------------------------------------

    def tool(self, name, *words, **variables):
        """Lines of numbers that a measuring program writes."""
        return self.begin(name, *words, **variables)()

    def begin(self, name, *words, **variables):
        """The same beside others: answers a function that waits for the lines."""
        tool = subprocess.Popen([self.binaries[name], *map(str, words)], env={**ENVIRONMENT, **variables}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True)

        def lines():
            try:
                output = tool.communicate(timeout=900)[0]
            finally:
                tool.kill()
            if tool.returncode != 0:
                raise subprocess.CalledProcessError(tool.returncode, name)
            return [[int(word) for word in line.split()] for line in output.splitlines()]
        return lines

    def left(self):
        """Processes of the programs that are measured, which should all have ended."""
        mine = {str(self.binaries[name]) for name in self.names}
        return [pid for pid in procs.all_pids() if procs.executable(pid) in mine and procs.alive(pid)]


class Cold:
    """A socket where nobody listens, with rouse or the loop that waits in front of it, and who starts the server."""

    def __init__(self, stage, name, boot):
        self.stage, self.boot = stage, boot
        self.folder = stage.root / f"cold-{name}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o755)
        self.note, self.socket = self.folder / "note", self.folder / "sock"
        self.server = [stage.binaries["server"], boot, self.note, "1"]
        self.app = stage.app(self.folder, name, self.socket, start=" ".join(map(str, self.server)))

    def listening_since(self):
        """(process, moment in ns) of the server that listens."""
        return tuple(map(int, self.note.read_text().split()))

    def kill(self):
        """kill -9 and, at once, whoever asks next finds it down."""
        if self.note.exists():
            pid = self.listening_since()[0]
            self.note.unlink()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            procs.wait_until(lambda: not procs.alive(pid), 10, "the server is gone")
