"""This file knows the stage: the machine, or the container, on which web servers, bridges and servers run.

It is a process of its own (python3 -m web.stage), which carries out what tests call through channel.py. When its
standard input ends, whyever, it stops and removes all that it made: also when the tests were killed.
"""

import contextlib
import itertools
import os
import pickle
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from harness import procs
from harness.server import Site

from .case_stage import CaseStage
from .channel import receive, send
from .servers import KINDS, WebServer

ORDINARY = 65534  # "nobody": an ordinary user


class WebSite(Site):
    """A site in a folder that the web server shows; `target` is the path of its app file's URL."""

    def __init__(self, server, folder, target, plan=None, **settings):
        folder.mkdir()
        folder.chmod(0o755)
        self.web = server
        name = settings.get("name", "app.cgi")
        super().__init__(folder, plan, owner=server.user if os.geteuid() == 0 else None, binary=server.binary, **settings)
        self.target = f"{target}/{name}"
        self.place = target  # the URL path of the folder

    def write(self, name, content, mode=0o644):
        """A file of the owner's, as an FTP program puts it there: under another name first."""
        path = self.folder / name
        fresh = path.with_name(path.name + ".part")
        fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
        fresh.chmod(mode)
        if self.owner is not None:
            os.chown(fresh, self.owner, self.owner)
        fresh.rename(path)
        return str(path)

    def serve_directly(self):
        """The same server once more, for the web server's own SCGI module, which has it at /direct."""
        how = {"user": self.owner, "group": self.owner, "extra_groups": []} if self.owner and not self.web.as_root else {}
        path = self.web.own / "direct.sock"
        path.unlink(missing_ok=True)
        subprocess.Popen([self.script, self.folder], env={"ROUSE_SOCKET": str(path)}, stdin=subprocess.DEVNULL,
                         start_new_session=True, umask=0, **how)

    def log(self):
        return self.app.log_lines()

    def quiet(self):
        """Whether neither a bridge nor a guardian is left."""
        return not self.web.bridges()

    def wait_quiet(self, timeout=10.0):
        procs.wait_until(self.quiet, timeout, f"no bridge is left; there are {self.web.bridges()}")

    def wait_bridges(self, count, timeout=15.0):
        """Until so many processes of rouse live."""
        return procs.wait_until(lambda: len(found := self.web.bridges()) == count and found, timeout,
                                f"{count} processes of rouse")

    def close(self):
        self.kill_server()
        super().close()
        self.kill_server()
        procs.wait_until(self.quiet, 10, f"no bridge is left; there are {self.web.bridges()}")
        shutil.rmtree(self.folder, ignore_errors=True)


class User:
    """A real user with a home, for suexec; gone with remove()."""

    def __init__(self, name, home):
        self.name, self.home = name, Path(home)
        subprocess.run(["/usr/sbin/useradd", "--create-home", "--home-dir", str(home), "--shell", "/bin/sh",
                        "--user-group", "--key", "HOME_MODE=0711", name], check=True, stdin=subprocess.DEVNULL,
                       stderr=subprocess.PIPE)
        entry = pwd.getpwnam(name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self.folder(self.home / "public_html")

    def folder(self, path, mode=0o755):
        Path(path).mkdir()
        Path(path).chmod(mode)
        os.chown(path, self.uid, self.gid)

    # What an FTP program can do: put, make a folder, chmod, rename, delete, look. Paths are from the home.

    def put(self, path, content, mode=0o644):
        """A file that is written under its own name, as FTP does it; answers nothing."""
        path = self.home / path
        fresh = not path.exists()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.chown(path, self.uid, self.gid)
        if fresh:
            path.chmod(mode)

    def make_folder(self, path):
        self.folder(self.home / path)

    def chmod(self, path, mode):
        (self.home / path).chmod(mode)

    def rename(self, path, to):
        (self.home / path).rename(self.home / to)

    def get(self, path):
        return (self.home / path).read_bytes()

    def names(self, path):
        return sorted(os.listdir(self.home / path))

    def take_over(self, other, path):
        """A folder of another home, got and put file by file, with what the modes were."""
        source = other.home / path
        self.make_folder(path)
        for entry in sorted(os.listdir(source)):
            status = os.lstat(source / entry)
            if stat.S_ISDIR(status.st_mode):
                self.take_over(other, f"{path}/{entry}")
            elif stat.S_ISREG(status.st_mode):
                self.put(f"{path}/{entry}", (source / entry).read_bytes())
                self.chmod(f"{path}/{entry}", stat.S_IMODE(status.st_mode))
        self.chmod(path, stat.S_IMODE(source.stat().st_mode))

    # What only the host sees.

    def processes(self, word=""):
        """Living processes of the user that are about something in the home, those with `word` in their command line.

        The number of the user is not enough: a container may have one of the same number.
        """
        found = []
        for pid in procs.all_pids():
            words = b" ".join(procs.command_line(pid)).decode(errors="replace")
            identity = procs.status(pid).get("Uid", "").split()
            if identity and int(identity[0]) == self.uid and procs.alive(pid) and str(self.home) in words and word in words:
                found.append(pid)
        return found

    def bridges(self):
        """Living processes of a binary in the home, which may be rouse under any name."""
        return [pid for pid in procs.all_pids() if procs.executable(pid).startswith(f"{self.home}/") and procs.alive(pid)]

    def remove(self):
        for pid in {*self.bridges(), *self.processes()}:
            procs.kill(pid)
            procs.wait_gone(pid)
        subprocess.run(["/usr/sbin/userdel", self.name], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(self.home, ignore_errors=True)


class Stage:
    """What a test may call. Web servers are started when they are first wanted and live until close()."""

    def __init__(self, ports=None):
        self._ports = ports or {}
        self._root = Path(tempfile.mkdtemp(prefix="rw.", dir="/tmp"))
        self._root.chmod(0o755)
        self._numbers = itertools.count(1)
        self._users_named = f"rouse-{secrets.token_hex(3)}"  # no process id: a machine may have one twice
        self._servers, self._users, self._sites, self._cases = {}, {}, {}, {}
        self.procs = procs

    def server(self, kind):
        """Start that web server if it is not running; answers its ports."""
        if kind not in self._servers:
            root = self._root / f"w{KINDS.index(kind)}"
            root.mkdir()
            root.chmod(0o755)
            user, homes = ORDINARY if os.geteuid() == 0 else os.geteuid(), None
            if kind == "apache-event-suexec":
                assert os.geteuid() == 0, "suexec can only be tested by root: it changes users"
                homes = root / "home"
                homes.mkdir(mode=0o755)
                Path("/var/log/apache2").mkdir(exist_ok=True)  # suexec does nothing unless it can write its log there
                self._users[kind] = User(self._users_named, homes / "u")
                user = self._users[kind].uid
            address = "0.0.0.0" if self._ports else "127.0.0.1"
            server = WebServer(kind, root, user, ports=self._ports.get(kind), address=address, homes=homes)
            server.start()
            self._servers[kind] = server
        if not self._servers[kind].running():
            self._servers[kind].stop()
            self._servers[kind].start()
        return self._servers[kind].ports

    def of(self, kind):
        return self._servers[kind]

    def user(self, kind):
        return self._users[kind]

    def move(self, number, path, to):
        """A folder of one customer's home, got and put into another's."""
        self._users[to].take_over(self._users[number], path)

    def new_user(self):
        """A customer of the host that has suexec, with a home of its own; answers its number."""
        number = next(self._numbers)
        homes = self._servers["apache-event-suexec"].homes
        self._users[number] = User(f"{self._users_named}-{number}", homes / f"u{number}")
        return number

    def new_place(self, kind):
        """A new folder's path that this web server shows, and the path of its URL."""
        name = f"s{next(self._numbers)}"
        if kind in self._users:
            user = self._users[kind]
            return user.home / "public_html" / name, f"/~{user.name}/{name}"
        return self._servers[kind].documents / name, f"/{name}"

    def make_site(self, kind, plan=None, **settings):
        """Answers the site's number."""
        number = next(self._numbers)
        folder, target = self.new_place(kind)
        self._sites[number] = WebSite(self._servers[kind], folder, target, plan, **settings)
        return number

    def site(self, number):
        return self._sites[number]

    def cases(self, kind):
        """Where cases of the fixtures are laid out behind that web server."""
        return self._cases.setdefault(kind, CaseStage(self._servers[kind], lambda: self.new_place(kind)))

    def close_site(self, number):
        self._sites.pop(number).close()

    def close(self):
        """All of it is tried; the first thing that fails is said afterwards."""
        with contextlib.ExitStack() as last_first:
            last_first.callback(shutil.rmtree, self._root, ignore_errors=True)
            for user in self._users.values():
                last_first.callback(user.remove)
            for server in self._servers.values():
                last_first.callback(server.stop)
            for number in list(self._sites):
                last_first.callback(self.close_site, number)


def follow(stage, path, arguments, names):
    """`path` is a list of attribute names and of (arguments, names) of the calls on the way."""
    value = stage
    for step in path:
        value = getattr(value, step) if isinstance(step, str) else value(*step[0], **step[1])
    return value(*arguments, **names)


def main(make_stage=Stage):
    """Serve the calls that come on standard input until it ends."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    stage, lock = make_stage(receive(sys.stdin.buffer)), threading.Lock()

    def carry_out(number, path, arguments, names):
        try:
            data = pickle.dumps((number, True, follow(stage, path, arguments, names)))
        except BaseException as fault:  # pytest's own outcomes are no Exceptions
            try:
                data = pickle.dumps((number, False, fault))
            except Exception:
                data = pickle.dumps((number, False, AssertionError(f"{type(fault).__name__}: {fault}")))
        with lock:
            send(output, data)

    try:
        while (message := receive(sys.stdin.buffer)) is not None:
            threading.Thread(target=carry_out, args=message, daemon=True).start()
    finally:
        stage.close()


if __name__ == "__main__":
    main()
