"""This file knows what stands at the server's address before the bridge runs, and sees whether it is still there."""

import contextlib
import os
import socket
import stat
from pathlib import Path

from .scripted_server import listen

ORDINARY = 65534  # "nobody": a user that owns nothing here


class Place:
    """What one case has at its server's address."""

    def __init__(self, case, folder, port=0):
        self.server = case["server"]
        self.folder = folder
        self.wanted_port = port  # of a bridge that knows one address only; 0: any
        self.listener = None
        self.kept = contextlib.ExitStack()
        self.path = None
        self.port = None
        self.parked = 0
        kind = self.server["kind"]
        if kind == "unix":
            self._make_path()
        elif kind == "abstract":
            self.name = b"rouse-test-%d" % os.getpid() + os.urandom(4).hex().encode()
            if self.server["state"] != "absent":
                self.listener = self._listen(socket.AF_UNIX, b"\0" + self.name)
        else:
            self._make_port("::1" if kind in ("tcp6", "localhost6") else "127.0.0.1")
        if self.server["state"] in ("full", "stuck"):
            self._fill()
        self.before = self.look()

    def variables(self):
        kind = self.server["kind"]
        named = {"dir": os.fsencode(self.folder)}
        if self.port is not None:
            host = {"tcp4": b"127.0.0.1", "tcp6": b"[::1]"}.get(kind, b"localhost")
            named["port"] = b"%d" % self.port
            named["socket"] = host + b":%d" % self.port
        elif kind == "abstract":
            named["socket"] = b"@" + self.name
        else:
            named["socket"] = os.fsencode(self.path)
        return named

    def disturbed(self):
        """A sentence when what stood there is no longer the same."""
        after = self.look()
        return None if after == self.before else f"{self.path} was {self.before} and is {after}"

    def look(self):
        if self.path is None:
            return None
        try:
            seen = os.lstat(self.path)
        except OSError as error:
            return error.errno
        content = self.path.read_bytes() if stat.S_ISREG(seen.st_mode) else None
        return seen.st_ino, seen.st_mode, content

    def _make_path(self):
        place = os.fsdecode(self.server["path"].resolve()) if "path" in self.server else "sock"
        path = self.folder / place
        if "path_length" in self.server:
            path = self.folder / ("p" * (self.server["path_length"] - len(os.fsencode(self.folder)) - 1))
        self.path = path
        state = self.server["state"]
        if self.server.get("decoy"):
            self.listener = self._listen(socket.AF_UNIX, os.fsencode(path)[:107])
            return
        target = path.with_name("target") if self.server.get("link") else path
        if state == "dangling":
            path.symlink_to("nothing")
        elif state == "loop":
            path.symlink_to(path.name)
        elif state == "file":
            path.write_bytes(b"the owner's words\n")
        elif state == "directory":
            path.mkdir()
        elif state == "dgram":
            datagrams = self.kept.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            datagrams.bind(os.fsencode(path))
        elif state == "bound":
            self.kept.enter_context(listen(socket.AF_UNIX, os.fsencode(path), listening=False))
        elif state == "stale":
            listen(socket.AF_UNIX, os.fsencode(path)).close()
        elif state in ("listening", "full", "stuck", "dying"):
            self.listener = self._listen(socket.AF_UNIX, os.fsencode(target))
            target.chmod(self.server["mode"])
        if target != path:
            path.symlink_to(target.name)

    def _make_port(self, host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = self._listen(family, (host, self.wanted_port))
        self.port = self.listener.getsockname()[1]
        if self.server.get("network") == "self-connecting":
            # The only port that the kernel may choose for a client is the server's own.
            Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{self.port} {self.port}")
        if self.server["state"] == "absent":
            self.listener.close()
            self.listener = None

    def _listen(self, family, address):
        user = ORDINARY if self.server.get("user") == "ordinary" else None
        return listen(family, address, backlog=0 if self.server["state"] in ("full", "stuck") else 64, user=user)

    def _fill(self):
        """Connect until the backlog is full. A backlog of 0 has room for one."""
        client = self.kept.enter_context(socket.socket(self.listener.family, socket.SOCK_STREAM))
        client.connect(self.listener.getsockname())
        self.parked = 1
