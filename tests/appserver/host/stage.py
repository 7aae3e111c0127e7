"""This file knows the host: an Apache with mod_cgid, and a customer's home with rouse and one app of today in it.

It runs as web/stage.py does, in a process of its own: when its standard input ends, whyever, nothing is left behind.
"""

import contextlib
import itertools
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import procs
from web.servers import WebServer, hold_ports
from web.stage import ORDINARY, main

from .servers import SERVERS

# A machine that has much else to do starts an interpreter in many seconds. Apache gives a CGI program 60.
PATIENCE = "wait = 55\nresponse-timeout = 55\n"
# README.md, "Pretty URLs".
PRETTY = """RewriteEngine On
RewriteBase /
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^(.*)$ hello.cgi/$1 [L]
"""
DOWNLOAD = 20 * 1024 * 1024  # bytes


class Home:
    """The home of one customer, and the Apache that shows it. What a user copies is put there as it is, but that the home
    is elsewhere, that the port is one that is free, and that the app file has more patience."""

    def __init__(self, root, server):
        self.server = server
        self.folder = root / "me"
        user = ORDINARY if os.geteuid() == 0 else os.geteuid()
        self.web = WebServer("apache-event-cgid", root, user)
        self.web.documents = self.folder / "public_html"
        self.web.binary = self.folder / "bin" / "rouse"
        for folder in (self.folder, self.folder / "bin", self.web.documents, self.web.documents / "cgi-bin"):
            folder.mkdir(mode=0o755)
        shutil.copy(procs.BINARY, self.web.binary)
        self.web.binary.chmod(0o755)
        [self._port] = hold_ports(1)
        self._name = None
        self.web.start()

    def port(self):
        return self.web.ports[0]

    def where(self):
        return str(self.folder)

    def lay_out(self, name):
        """`hello` or `works`; the one that was there before is gone."""
        self.clear()
        self._name = name
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        for file, text in getattr(self.server, f"{name}_files").items():
            text = text.replace("/home/me", str(self.folder))
            if self.server.port:
                text = text.replace(str(self.server.port), str(self._port.getsockname()[1]))
            if file == f"{name}.cgi":
                below = self.web.documents if name == "hello" and self.server.at == "/" else self.web.documents / "cgi-bin"
                path, text = below / file, text + PATIENCE
                if below == self.web.documents:
                    (below / ".htaccess").write_text(PRETTY)
            else:
                path = folder / file
            path.write_text(text)
            path.chmod(0o755 if file in (f"{name}.cgi", "start") else 0o644)
        if self.server.compiled:
            self._build(folder, self.server.app.replace("hello", name))
        if name == "works":
            (folder / "download.bin").write_bytes(secrets.token_bytes(DOWNLOAD))
            os.mkfifo(folder / "gate")
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                os.lchown(path, self.web.user, self.web.user)

    @staticmethod
    def _build(folder, source):
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "GOCACHE": str(folder / ".cache"), "GOPROXY": "off",
                       "GOFLAGS": "-buildvcs=false", "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
        done = subprocess.run(["/usr/bin/go", "build", source], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        assert done.returncode == 0, done.stdout.decode(errors="replace")
        shutil.rmtree(folder / ".cache")

    def open_gate(self):
        """Until the app waits behind its gate; then it may go on."""
        def opened():
            try:
                return os.open(self.folder / self._name / "gate", os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # ENXIO: nobody reads
                return None

        os.close(procs.wait_until(lambda: (fd := opened()) is not None and [fd], 60, "the app reads its gate")[0])

    def download(self):
        return (self.folder / "works" / "download.bin").read_bytes()

    # --- what runs -------------------------------------------------------------------------------------------

    def processes(self):
        """Living processes that the start script brought up: none of the servers leaves its folder."""
        found = []
        for pid in procs.all_pids():
            try:
                where = os.readlink(f"/proc/{pid}/cwd")
            except OSError:
                continue
            if where == str(self.folder / str(self._name)) and procs.alive(pid):
                found.append(pid)
        return found

    def kill_server(self):
        """kill -9 of all that lives of it, at once, as a host does; answers how many processes that were."""
        found = self.processes()
        sessions = {int(word[3]) for pid in found if (word := procs.stat(pid))}
        for session in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)  # nobody in between sees half of them dead

        def left():
            of_it = [pid for pid in procs.all_pids() if (word := procs.stat(pid)) and int(word[3]) in sessions]
            for pid in of_it:
                procs.kill(pid)
                # A process is a zombie as soon as its first thread has ended; the others may still hold the socket.
                procs.wait_gone(pid, 60)
            return [pid for pid in of_it if procs.alive(pid)]

        procs.wait_until(lambda: not left(), 60, "the server is gone")
        return len(found)

    def bridges(self):
        return self.web.bridges()

    def wait_quiet(self):
        procs.wait_until(lambda: not self.web.bridges(), 60, "neither a bridge nor a guardian is left")

    # --- what happened ---------------------------------------------------------------------------------------

    def log(self):
        """Of rouse and of the server."""
        paths = [*self.folder.glob(f"{self._name}/run/*/log.1"), *self.folder.glob(f"{self._name}/run/*/log")]
        return "".join(path.read_text(errors="backslashreplace") for path in paths).splitlines()

    def launches(self):
        """Why the server was started, each time."""
        return re.findall(r" launch launch=\d+ reason=(\w+) ", "\n".join(self.log()))

    def failures(self):
        """What rouse has written down that should not come about."""
        return [line for line in self.log() if re.search(r"Z (failed|killed|page|cut) ", line)]

    def fault_of(self, incident):
        """What rouse has written down of it."""
        return re.search(rf'page status=\d+ incident={incident} error="([^"]*)"', "\n".join(self.log()))[1]

    def error_log(self):
        return self.web.error_log()

    def clear(self):
        """End the app that was laid out, and remove it."""
        if self._name is None:
            return
        for path in (self.web.documents / "cgi-bin" / f"{self._name}.cgi", self.web.documents / f"{self._name}.cgi",
                     self.web.documents / ".htaccess"):
            path.unlink(missing_ok=True)
        procs.wait_until(lambda: self.kill_server() == 0 and not self.web.bridges(), 90, "all of the app has ended")
        shutil.rmtree(self.folder / self._name)
        self._name = None

    def close(self):
        with contextlib.ExitStack() as last_first:
            last_first.callback(self._port.close)
            last_first.callback(self.web.stop)
            last_first.callback(self.clear)


class Host:
    """What a test may call."""

    def __init__(self, _ports=None):
        self._root = Path(tempfile.mkdtemp(prefix="ra.", dir="/tmp"))
        self._root.chmod(0o755)
        self._numbers = itertools.count(1)
        self._homes = {}

    def make_home(self, name):
        """For the app of that server; answers its number."""
        number = next(self._numbers)
        root = self._root / f"h{number}"
        root.mkdir(mode=0o755)
        self._homes[number] = Home(root, next(server for server in SERVERS if server.name == name))
        return number

    def home(self, number):
        return self._homes[number]

    def close_home(self, number):
        self._homes.pop(number).close()

    def close(self):
        with contextlib.ExitStack() as last_first:
            last_first.callback(shutil.rmtree, self._root, ignore_errors=True)
            for number in list(self._homes):
                last_first.callback(self.close_home, number)


if __name__ == "__main__":
    main(Host)
