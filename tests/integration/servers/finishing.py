#!/usr/bin/python3 -IS
"""A server that finishes its work on TERM: what was accepted, and what waits to be, is answered before it ends.

finishing.py FOLDER: listens at $ROUSE_SOCKET; writes FOLDER/starts and FOLDER/requests as tools/launched.c does.
"""

import json
import os
import selectors
import signal
import socket
import sys
import time
from urllib.parse import parse_qs

FOLDER = sys.argv[1]


def append(name, entry):
    fd = os.open(os.path.join(FOLDER, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(fd, json.dumps({"time": time.monotonic(), "pid": os.getpid(), **entry}).encode() + b"\n")
    os.close(fd)


def answer(connection):
    """One after another: the kernel keeps the others in the backlog."""
    with connection, connection.makefile("rb") as stream:
        digits = b""
        while (byte := stream.read(1)).isdigit():
            digits += byte
        if byte != b":":
            append("requests", {"kind": "cut" if digits else "empty"})
            return
        words = stream.read(int(digits)).split(b"\0")
        assert stream.read(1) == b","
        headers = dict(zip(words[0::2], words[1::2]))
        body = stream.read(int(headers[b"CONTENT_LENGTH"]))
        token = parse_qs(headers.get(b"QUERY_STRING", b"").decode()).get("token", [""])[0]
        append("requests", {"kind": "request", "token": token, "method": headers[b"REQUEST_METHOD"].decode(),
                            "body": len(body), "wrong": -1})
        try:
            connection.sendall(b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
                               b"token=%s pid=%d body=%d wrong=-1\n" % (token.encode(), os.getpid(), len(body)))
        except OSError:
            pass  # the client left


append("starts", {"ppid": os.getppid(), "sid": os.getsid(0), "env": [f"{k}={v}" for k, v in os.environ.items()]})
terminated, wake = socket.socketpair()
wake.setblocking(False)
signal.set_wakeup_fd(wake.fileno())
signal.signal(signal.SIGTERM, lambda *_: None)
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ["ROUSE_SOCKET"])
listener.setblocking(False)
listener.listen(128)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
selector.register(terminated, selectors.EVENT_READ)
over = False
while not over:
    over = any(key.fileobj is terminated for key, _ in selector.select())
    while True:  # whoever has connected is served, also after TERM
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            break
        connection.setblocking(True)
        answer(connection)
