#!/usr/bin/python3 -IS
"""plain.py for HTTP: the standard library's own server, keep-alive and all, on a unix socket.

plain_http.py FOLDER: what it writes and says is what plain.py writes and says.
"""

import json
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

FOLDER = sys.argv[1]


def append(name, entry):
    fd = os.open(os.path.join(FOLDER, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(fd, json.dumps({"time": time.monotonic(), "pid": os.getpid(), **entry}).encode() + b"\n")
    os.close(fd)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self):
        if not self.rfile.peek(1):
            append("requests", {"kind": "empty"})
            return
        super().handle()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        append("requests", {"kind": "request", "token": token, "method": self.command, "body": len(body), "wrong": -1})
        text = b"token=%s pid=%d body=%d wrong=-1\n" % (token.encode(), os.getpid(), len(body))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def address_string(self):
        return "unix"  # it has no port


class Server(ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    server_name, server_port = "localhost", 0

    def server_bind(self):
        self.socket.bind(self.server_address)


append("starts", {"ppid": os.getppid(), "sid": os.getsid(0), "env": [f"{k}={v}" for k, v in os.environ.items()]})
with Server(os.environ["ROUSE_SOCKET"], Handler) as server:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(os.path.join(FOLDER, "ctl"))
        control.send(b"event listening %d %.6f" % (os.getpid(), time.monotonic()))
    server.serve_forever()
