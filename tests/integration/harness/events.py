"""This file knows what start scripts and servers tell a test while they run, and lets them go on.

A script says `event NAME` or `hold NAME` (tools/launched.c, servers/plain.py): one connection to the seqpacket
socket FOLDER/ctl each, with the sender's pid and its monotonic clock. A hold lasts until `go(NAME)`.
"""

import os
import select
import socket
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    name: str
    pid: int
    time: float  # the sender's monotonic clock


class Control:
    """The events of one folder, in the order in which they came."""

    def __init__(self, folder):
        self.path = str(folder / "ctl")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self.path)
        os.chmod(self.path, 0o777)  # scripts may run as another user
        self._listener.listen(4096)
        self._changed = threading.Condition()
        self.events = []
        self._held = []  # (name, connection)
        self._open = set()
        self._watching = {}  # what to do at an event, in the thread that receives it: name -> function
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        poller.register(self._stop_read, select.POLLIN)
        peers = {}
        while True:
            for fd, _ in poller.poll():
                if fd == self._stop_read:
                    for peer in peers.values():
                        peer.close()
                    return
                if fd == self._listener.fileno():
                    peer, _ = self._listener.accept()
                    peers[peer.fileno()] = peer
                    poller.register(peer, select.POLLIN)
                    continue
                poller.unregister(fd)
                self._receive(peers.pop(fd))

    def _receive(self, peer):
        kind, name, pid, moment = (peer.recv(256).decode().split(" ") + [""] * 4)[:4]
        if not moment:
            peer.close()
            return
        event = Event(name, int(pid), float(moment))
        if name in self._watching:
            self._watching[name](event)
        with self._changed:
            self.events.append(event)
            if kind == "hold" and name not in self._open:
                self._held.append((name, peer))
            else:
                self._release(peer)
            self._changed.notify_all()

    @staticmethod
    def _release(peer):
        try:
            peer.send(b"go")
        except OSError:
            pass  # it was killed while it was held
        peer.close()

    def named(self, name):
        with self._changed:
            return [event for event in self.events if event.name == name]

    def wait(self, name, count=1, timeout=15.0):
        """Until `name` has come `count` times; answers that event."""
        with self._changed:
            seen = lambda: [event for event in self.events if event.name == name]
            came = self._changed.wait_for(lambda: len(seen()) >= count, timeout)
            assert came, f"event {name} came {len(seen())} times, not {count}, only {[e.name for e in self.events][-20:]}"
            return seen()[count - 1]

    def at(self, name, action):
        """Do `action(event)` when `name` comes, before whoever is held there can go on."""
        self._watching[name] = action

    def go(self, name):
        """Let those go that are held at `name`, now and from now on; answers the moment."""
        moment = time.monotonic()
        with self._changed:
            self._open.add(name)
            for held, peer in self._held:
                if held == name:
                    self._release(peer)
            self._held = [(held, peer) for held, peer in self._held if held != name]
        return moment

    def stop_at(self, name):
        """Hold again at `name`."""
        with self._changed:
            self._open.discard(name)

    def settle(self):
        """Until everything that was told before now is among the events: who told it may have ended meanwhile."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as last:
            last.connect(self.path)
            last.send(b"settle")  # no event: it has no moment
            last.recv(1)

    def close(self):
        """Whoever is still held ends."""
        os.write(self._stop_write, b"x")
        self._thread.join(5)
        for _, peer in self._held:
            peer.close()
        self._listener.close()
        os.close(self._stop_read)
        os.close(self._stop_write)
