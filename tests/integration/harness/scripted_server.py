"""This file knows a server that does what a script says, step by step, and remembers what came.

    server = ScriptedServer(listener, [[{"recv": "request"}, {"send": b"Status: 200 OK\\r\\n\\r\\n"}]])
    ...
    server.finish()
    server.connections[0].parser.complete

It listens before the bridge is started, so nothing waits for readiness. Each connection follows the next
script, the last script serves all that come after. A connection is in one thread; the threads meet each
other and the test at named events, never at a moment in time. fixtures/README.md says what each verb means.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import termios
import threading

from .http import HttpParser
from .request import RequestError
from .scgi import Parser

WATCHDOG = 10.0  # seconds: turns a hang into a sentence, never into a verdict


class Events:
    """Named things that happen once."""

    def __init__(self):
        self._happened = set()
        self._changed = threading.Condition()

    def signal(self, name):
        with self._changed:
            self._happened.add(name)
            self._changed.notify_all()

    def wait(self, name, timeout=WATCHDOG):
        """Whether it has happened, at the latest after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: name in self._happened, timeout)


class _Step(Exception):
    """A step that could not be done; the sentence is for the report."""


class Connection:
    """What came over one connection, and how it ended."""

    def __init__(self, number, protocol="scgi"):
        self.number = number
        self.parser = HttpParser() if protocol == "http" else Parser()
        self.fault = None      # why what came is no request
        self.ended = None      # "eof" or "reset": how the bridge closed, as far as somebody looked
        self.problem = None    # a step of the script that could not be done

        self.left_unread = False
        self.peer = None
        self.sent = False      # an answer, in whole

    @property
    def carried_nothing(self):
        return not self.parser.wire and not self.left_unread


class ScriptedServer:
    """Serves `listener` until finish(). `parked`: connections of the harness itself, which come first.

    `hold_accept` names an event before which nothing is accepted, `never_accept` says that nothing ever is;
    `saw` answers whether the client got some bytes.
    """

    def __init__(self, listener, scripts, *, events=None, parked=0, hold_accept=None, never_accept=False,
                 saw=None, watchdog=WATCHDOG, protocol="scgi"):
        self.events = events or Events()
        self.connections = []
        self.problems = []
        self._listener = listener
        self._scripts = scripts
        self._parked = parked
        self._hold_accept = hold_accept
        self._never_accept = never_accept
        self._saw = saw
        self._watchdog = watchdog
        self._protocol = protocol
        self._lock = threading.Lock()
        self._threads = []
        self._stop_read, self._stop_write = os.pipe()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def wait_queued(self):
        """Until somebody stands in the backlog."""
        select.select([self._listener], [], [], self._watchdog)

    def has_offered(self):
        """Whether the bridge has got, or could read, as much of an answer as can be sent: if it rests, not for want of it."""
        for connection in [*self.connections]:
            try:
                if connection.sent or not select.select([], [connection.peer], [], 0)[1]:
                    return True
            except (OSError, ValueError):  # it has been closed
                pass
        return False

    def die(self):
        """Stop listening without having accepted: who stands in the backlog is reset."""
        os.close(self._stop_write)
        self._stop_write = -1
        self._acceptor.join(self._watchdog)
        self._listener.close()

    def finish(self):
        """Take what still stands in the backlog, then end every thread. The bridge has ended before."""
        if self._stop_write >= 0:
            os.close(self._stop_write)
        self._acceptor.join(self._watchdog)
        for thread in self._threads:
            thread.join(self._watchdog)
            if thread.is_alive():
                self.problems.append("a connection of the server has not ended")
        self._listener.close()
        os.close(self._stop_read)
        self.problems += [f"connection {one.number}: {one.problem}" for one in self.connections if one.problem]

    # --- accepting -----------------------------------------------------------------------------------------

    def _accept(self):
        if self._hold_accept and not self.events.wait(self._hold_accept, self._watchdog):
            self.problems.append(f"the event {self._hold_accept} did not happen, so nothing was accepted")
        self._listener.setblocking(False)
        if self._never_accept:
            select.select([self._stop_read], [], [])
            return
        while True:
            ready, _, _ = select.select([self._listener, self._stop_read], [], [])
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                if self._stop_read in ready:
                    return
                continue
            except ConnectionAbortedError:
                continue
            peer.setblocking(True)
            if self._parked:
                self._parked -= 1
                peer.close()
                continue
            connection = Connection(len(self.connections), self._protocol)
            connection.peer = peer
            self.connections.append(connection)
            script = self._scripts[min(connection.number, len(self._scripts) - 1)] if self._scripts else []
            thread = threading.Thread(target=self._follow, args=(connection, peer, script), daemon=True)
            self._threads.append(thread)
            thread.start()

    # --- one connection ------------------------------------------------------------------------------------

    def _follow(self, connection, peer, script):
        try:
            for step in script:
                self._do(connection, peer, step)
            if peer.fileno() >= 0:  # the script did not say how to end: as a well-mannered server does
                self._shutdown(peer)
                self._receive(connection, peer, "eof", None)
        except _Step as failure:
            if not connection.carried_nothing:  # one that carried nothing is counted, not explained
                connection.problem = str(failure)
        except RequestError as fault:
            connection.fault = str(fault)
        except OSError as error:
            connection.problem = f"{type(error).__name__}: {error}"
        finally:
            peer.close()

    def _do(self, connection, peer, step):
        piece = step.get("piece")
        if "recv" in step:
            self._receive(connection, peer, step["recv"], piece)
        elif "send" in step:
            self._send(peer, step["send"], piece, step.get("cut"))
            connection.sent = True
        elif "await" in step:
            if not self.events.wait(step["await"], self._watchdog):
                raise _Step(f"the event {step['await']} did not happen")
        elif "signal" in step:
            self.events.signal(step["signal"])
        elif "await_client" in step:
            if not self._saw(step["await_client"]):
                raise _Step(f"the client has not got {step['await_client'][:60]!r}")
        elif "quiet" in step:
            threading.Event().wait(step["quiet"])  # the time-out that the case shows passes, or does not
        elif "shutdown" in step:
            self._shutdown(peer)
        elif "expect" in step:
            if select.select([peer], [], [], 0)[0]:
                raise _Step(f"the bridge sent more or closed its side: {peer.recv(100)!r}")
        elif "close" in step:
            self._close(connection, peer, step["close"])

    def _receive(self, connection, peer, what, piece):
        parser = connection.parser
        end = len(parser.wire) + what if isinstance(what, int) else None

        def enough():
            if what == "headers":
                return parser.headers is not None
            if what == "request":
                return parser.complete
            return end is not None and len(parser.wire) >= end

        while not enough():
            size = piece or 65536
            if end is not None:
                size = min(size, end - len(parser.wire))
            elif what == "headers" and not piece:
                size = 1  # the body must stay where it is
            data = self._read(connection, peer, size)
            if not data:
                if what != "eof":
                    raise _Step(f"the bridge closed ({connection.ended}) before {what} had come")
                return
            parser.feed(data)

    def _read(self, connection, peer, size):
        if not select.select([peer], [], [], self._watchdog)[0]:
            raise _Step("nothing came from the bridge")
        try:
            data = peer.recv(size)
        except ConnectionResetError:
            connection.ended = "reset"
            return b""
        if not data:
            connection.ended = "eof"
        return data

    def _send(self, peer, data, piece, may_be_cut):
        peer.settimeout(self._watchdog)
        try:
            for start in range(0, len(data), piece or len(data) or 1):
                peer.sendall(data[start : start + (piece or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            if not may_be_cut:
                raise _Step("the bridge closed before the answer was sent") from None
        except TimeoutError:
            raise _Step("the bridge does not read the answer") from None
        finally:
            peer.settimeout(None)

    @staticmethod
    def _shutdown(peer):
        try:
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the bridge was first

    def _close(self, connection, peer, how):
        if how == "rst":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "unread":
            # With nothing in the queue this would be an ordinary close and the case would show nothing.
            if not select.select([peer], [], [], self._watchdog)[0] or unread(peer) == 0:
                raise _Step("the bridge left nothing to be unread")
            connection.left_unread = True
        else:
            while select.select([peer], [], [], 0)[0]:
                data = self._read(connection, peer, 65536)
                if not data:
                    break
                connection.parser.feed(data)
        peer.close()


def unread(peer):
    """How many bytes stand in the socket's queue."""
    answer = fcntl.ioctl(peer, termios.FIONREAD, struct.pack("i", 0))
    return struct.unpack("i", answer)[0]


# Listening ------------------------------------------------------------------------------------------


def listen(family, address, *, backlog=64, user=None, listening=True):
    """A socket that is bound to `address` and listens, for the peer as if a process of `user` had made it."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if isinstance(address, tuple) and address[1]:
            # The port of the case before may still wait for its connections' last segments (TIME_WAIT).
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if user is not None:
            os.fchown(listener.fileno(), user, user)  # the uid that sock_diag tells of a port's listener
        listener.bind(address)
        if listening and user is not None:
            _as_user(user, lambda: listener.listen(backlog))
        elif listening:
            listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _as_user(user, action):
    """SO_PEERCRED tells who called listen(): a child that becomes the user does, on the same socket."""
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            os.setgid(user)
            os.setuid(user)
            action()
            failed = 0
        finally:
            os._exit(failed)
    if os.waitpid(child, 0)[1] != 0:
        raise PermissionError("cannot listen as another user")


def has_ipv6():
    """Whether a server can listen on ::1 here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def own_network():
    """Put this thread, and what it starts, into a network of its own with nothing but a loopback device."""
    clone_newnet, up = 0x40000000, 0x1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newnet) != 0:
        raise OSError(ctypes.get_errno(), "cannot make a network of its own")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        fcntl.ioctl(device, 0x8914, struct.pack("16sh14x", b"lo", up))  # SIOCSIFFLAGS
