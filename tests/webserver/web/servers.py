"""This file knows how each web server is started, told to go on, and stopped, in a folder and on ports of its own.

    server = WebServer("lighttpd-cgi", Path("/tmp/w"), user=65534)
    server.start()
    server.port, server.documents, server.error_log()

Nothing of the machine's own configuration is read or written. Suexec alone needs root and a real user.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from harness import procs

CONF = Path(__file__).resolve().parents[1] / "conf"
HTTPD_CONF = procs.ROOT / "docker" / "httpd"
HTTPD_MODULES = "/usr/lib/apache2/modules"
APACHE = {"apache-prefork-cgi": "prefork-cgi", "apache-event-cgid": "event-cgid", "apache-event-suexec": "event-suexec"}
KINDS = [*APACHE, "lighttpd-cgi", "nginx-fcgiwrap"]
NOISE = re.compile(r"resuming normal operations|Command line: |caught SIG|server started|server stopped|Graceful restart requested"
                   r"|SIGUSR1 received|SIGHUP received|SIGTERM|configured -- resuming|graceful shutdown|logfile cycled"
                   r"|suEXEC mechanism enabled")


def hold_ports(count):
    """Sockets that keep ports of the loopback for us: Linux lets a server listen on the port of such a socket when both
    say SO_REUSEADDR, and gives it to nobody who asks for any port, also while the server is stopped."""
    holders = [socket.socket() for _ in range(count)]
    for holder in holders:
        holder.bind(("127.0.0.1", 0))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holders


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class WebServer:
    """`root` is a new folder; `ports` are three: patient, slow input is cut off, a silent program is cut off."""

    def __init__(self, kind, root, user, *, ports=None, address="127.0.0.1", homes=None):
        self.kind, self.root, self.user, self.homes = kind, Path(root), user, homes
        self._holders = [] if ports else hold_ports(3)
        self.ports = list(ports or (holder.getsockname()[1] for holder in self._holders))
        self.address = address
        self.documents = self.root / "htdocs"
        self.binary = self.root / "bin" / "rouse"
        self.own = self.root / "web"
        self._processes = []
        for folder in (self.root, self.documents, self.binary.parent, self.own):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        shutil.copy(procs.BINARY, self.binary)
        self.binary.chmod(0o755)
        self.conf = shutil.copytree(HTTPD_CONF, self.root / "conf")  # an ordinary user need not be let into the tree
        self.as_root = kind == "apache-event-suexec"
        if os.geteuid() == 0 and not self.as_root:
            for folder in (self.documents, self.own):
                os.chown(folder, user, user)

    # --- start and stop --------------------------------------------------------------------------------------

    def start(self):
        if self.kind in APACHE:
            self._spawn(*self._httpd(), "-D", "FOREGROUND")
        elif self.kind == "lighttpd-cgi":
            self._spawn("/usr/sbin/lighttpd", "-D", "-f", self._fill("lighttpd.conf"))
        else:
            self._fill("nginx-locations.conf", "locations")
            sock = self.own / "fcgiwrap.sock"
            sock.unlink(missing_ok=True)
            self._spawn("/usr/sbin/fcgiwrap", "-c", "16", "-s", f"unix:{sock}", "-f")
            self._spawn("/usr/sbin/nginx", "-p", f"{self.own}/", "-c", self._fill("nginx.conf"), "-e", f"{self.own}/error.log")
            procs.wait_until(sock.exists, 15, "fcgiwrap's socket")
        procs.wait_until(lambda: self._all_answer() or not self.running(), 30, f"{self.kind} listens")
        assert self.running(), f"{self.kind} has ended: {self.error_log()}"

    def _all_answer(self):
        return all(map(answers, self.ports))

    def _httpd(self, *more):
        return ["/usr/sbin/apache2", "-f", str(self.conf / f"{APACHE[self.kind]}.conf"), *more]

    def _environment(self):
        named = {"HTTPD": self.own, "HTTPD_DOCUMENTS": self.documents, "HTTPD_ADDRESS": self.address,
                 "HTTPD_MODULES": HTTPD_MODULES, "HTTPD_CONF": self.conf, "HTTPD_HOMES": self.homes or self.root,
                 "HTTPD_PORT": self.ports[0], "HTTPD_INPUT_PORT": self.ports[1], "HTTPD_OUTPUT_PORT": self.ports[2]}
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", **{name: str(value) for name, value in named.items()}}

    def _fill(self, name, result=None):
        text = (CONF / name).read_text()
        values = {"root": self.own, "documents": self.documents, "port": self.ports[0], "input_port": self.ports[1],
                  "output_port": self.ports[2]}
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.own / (result or name)
        path.write_text(text)
        return str(path)

    def _identity(self):
        if self.as_root or os.geteuid() != 0:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}

    def _spawn(self, *command):
        """In a session of its own, so that a signal for its process group ends there."""
        with open(self.own / "output", "ab") as output:
            self._processes.append(subprocess.Popen(
                list(map(str, command)), cwd="/", env=self._environment(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, **self._identity()))

    def running(self):
        return bool(self._processes) and all(process.poll() is None for process in self._processes)

    def tell(self, word):
        """`graceful`, `restart` or `stop`, as the web server's own command does it; a restart that only Apache has is
        for the others a stop, and start() then."""
        main = self._processes[-1]
        if self.kind in APACHE:  # what apachectl calls
            resumed = self._resumed()
            subprocess.run(self._httpd("-k", word), env=self._environment(), check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, **self._identity())
            if word != "stop":  # or the old one might still answer, and end in the middle of the next request
                procs.wait_until(lambda: self._resumed() > resumed, 30, f"{self.kind} has read its settings again")
        elif word == "graceful":
            main.send_signal(signal.SIGUSR1 if self.kind == "lighttpd-cgi" else signal.SIGHUP)
        else:
            main.terminate()

    def _resumed(self):
        """How often httpd has said that it goes on with the settings that it has read."""
        return (self.own / "error.log").read_text(errors="backslashreplace").count("resuming normal operations")

    def stop(self):
        """Until none of its processes is left."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        left = lambda: [pid for process in self._processes for pid in procs.all_pids() if self._in_session(pid, process.pid)]
        try:
            procs.wait_until(lambda: not left(), 5)
        except AssertionError:
            for pid in left():
                procs.kill(pid)
        self._processes = []

    @staticmethod
    def _in_session(pid, session):
        words = procs.stat(pid)
        return words is not None and int(words[3]) == session and words[0] != b"Z"

    # --- what happened ---------------------------------------------------------------------------------------

    def main_pid(self):
        return self._processes[-1].pid

    def error_log(self):
        """Its lines, but for those that only say that it comes and goes."""
        try:
            lines = (self.own / "error.log").read_text(errors="backslashreplace").splitlines()
        except FileNotFoundError:
            lines = []
        lines += (self.own / "output").read_text(errors="backslashreplace").splitlines()
        return [line for line in lines if not NOISE.search(line)]

    def bridges(self):
        """Living processes of rouse, guardians among them."""
        return [pid for pid in procs.all_pids() if procs.executable(pid) == str(self.binary) and procs.alive(pid)]
