#!/usr/bin/python3 -IS
"""A server as somebody would write it: standard-library Python, threads, in the foreground, no care for descriptors.

plain.py FOLDER: listens at $ROUSE_SOCKET; writes FOLDER/starts and FOLDER/requests as tools/launched.c does, and
says `listening` to FOLDER/ctl. It is here because its start takes as long, and its end is as rude, as in life.
"""

import json
import os
import socket
import socketserver
import sys
import time
from urllib.parse import parse_qs

FOLDER = sys.argv[1]


def append(name, entry):
    fd = os.open(os.path.join(FOLDER, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(fd, json.dumps({"time": time.monotonic(), "pid": os.getpid(), **entry}).encode() + b"\n")
    os.close(fd)


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        digits = b""
        while (byte := self.rfile.read(1)).isdigit():
            digits += byte
        if byte != b":":
            append("requests", {"kind": "cut" if digits else "empty"})
            return
        words = self.rfile.read(int(digits)).split(b"\0")
        assert self.rfile.read(1) == b","
        headers = dict(zip(words[0::2], words[1::2]))
        body = self.rfile.read(int(headers[b"CONTENT_LENGTH"]))
        token = parse_qs(headers.get(b"QUERY_STRING", b"").decode()).get("token", [""])[0]
        append("requests", {"kind": "request", "token": token, "method": headers[b"REQUEST_METHOD"].decode(),
                            "body": len(body), "wrong": -1})
        self.wfile.write(b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
                         b"token=%s pid=%d body=%d wrong=-1\n" % (token.encode(), os.getpid(), len(body)))


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 5


append("starts", {"ppid": os.getppid(), "sid": os.getsid(0), "env": [f"{k}={v}" for k, v in os.environ.items()]})
with Server(os.environ["ROUSE_SOCKET"], Handler) as server:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(os.path.join(FOLDER, "ctl"))
        control.send(b"event listening %d %.6f" % (os.getpid(), time.monotonic()))
    server.serve_forever()
