"""This file knows how a test reaches the stage (stage.py), which is a process of its own, here or in a container.

    channel = open_channel()               or   open_channel("rouse-test")
    stage = Proxy(channel)
    stage.site.part(3).control.wait("begun")
    channel.outside(8081)                  the port here behind which that port of the stage's is
    channel.close()

So the same test runs in both places: it speaks HTTP from outside and looks inside through the proxy. The stage ends
when its standard input does, so that nothing stays behind when the test is killed.
"""

import itertools
import os
import pickle
import secrets
import struct
import subprocess
import sys
import threading
from pathlib import Path

from .servers import APACHE

FOLDERS = [Path(__file__).resolve().parents[1], Path(__file__).resolve().parents[2] / "integration"]
STAGE = ["-B", "-m", "web.stage"]


class Proxy:
    """stage.site(3).control.wait("begun"): the attributes and calls are followed on the stage.

    A call with a result that is data answers it. `part(...)` is a call whose result stays on the stage.
    """

    def __init__(self, channel, path=()):
        self._channel, self._path = channel, path

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return Proxy(self._channel, (*self._path, name))

    def __call__(self, *arguments, **names):
        return self._channel.call(list(self._path), arguments, names)

    def part(self, *arguments, **names):
        return Proxy(self._channel, (*self._path, (arguments, names)))

    def value(self):
        """The attribute itself."""
        *path, name = self._path
        return self._channel.call([*path, "__getattribute__"], (name,), {})


class Channel:
    """`command` runs a stage; calls and results are pickled, several at a time. `ports` are None where any will do."""

    def __init__(self, command, ports=None, environment=None):
        # A session of its own: Ctrl-C at the terminal is for the tests, whose fixtures still need the stage.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
                                         start_new_session=True)
        self._lock = threading.Lock()
        self._results, self._changed = {}, threading.Condition()
        self._numbers = itertools.count(1)
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()
        send(self._process.stdin, pickle.dumps(ports))

    def outside(self, port):
        return port

    def _read(self):
        while (message := receive(self._process.stdout)) is not None:
            with self._changed:
                self._results[message[0]] = message[1:]
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def call(self, path, arguments, names):
        number = next(self._numbers)
        with self._lock:
            send(self._process.stdin, pickle.dumps((number, path, arguments, names)))
        with self._changed:
            self._changed.wait_for(lambda: number in self._results or self._ended)
            if number not in self._results:
                raise RuntimeError("the stage has ended")
            good, result = self._results.pop(number)
        if not good:
            raise result
        return result

    def close(self):
        self._process.stdin.close()
        status = self._process.wait(60)
        assert status == 0, f"the stage has ended with status {status}: something may be left behind"


class ContainerChannel(Channel):
    """The stage is what a container runs: they end together. Its ports are published on this machine's loopback."""

    def __init__(self, image, ports):
        self.name = name = f"rouse-stage-{secrets.token_hex(4)}"
        publish = [word for three in ports.values() for port in three for word in ("-p", f"127.0.0.1::{port}")]
        # The stage looks at other users' processes in /proc; root in a container may not, unless it is allowed to.
        super().__init__(["docker", "run", "-i", "--rm", "--name", name, "--init", "--cap-add", "SYS_PTRACE",
                          # Servers on ::1 are tested too; without this a container has no such address.
                          "--sysctl", "net.ipv6.conf.all.disable_ipv6=0", *publish, image, "/usr/bin/python3", *STAGE], ports)
        self.call(["procs", "now"], (), {})  # once it answers, docker knows the ports
        self._outside = {}
        for port in [port for three in ports.values() for port in three]:
            told = subprocess.run(["docker", "port", name, str(port)], check=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True)
            self._outside[port] = int(told.stdout.split("\n")[0].rpartition(":")[2])

    def outside(self, port):
        return self._outside[port]


def open_channel(image=None, module=STAGE[-1], folders=()):
    """To a new stage, on this machine or in a container of that image; on this machine perhaps to one of another module,
    in one of these folders."""
    if image:
        return ContainerChannel(image, {kind: [8081 + 3 * index + number for number in range(3)] for index, kind in enumerate(APACHE)})
    environment = {**os.environ, "PYTHONPATH": ":".join(map(str, [*folders, *FOLDERS]))}
    return Channel([sys.executable, *STAGE[:-1], module], environment=environment)


def send(file, data):
    file.write(struct.pack("!I", len(data)) + data)
    file.flush()


def receive(file):
    head = file.read(4)
    if len(head) < 4:
        return None
    return pickle.loads(file.read(struct.unpack("!I", head)[0]))
