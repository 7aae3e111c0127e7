#!/usr/bin/python3 -IS
"""A bridge for the self-tests of the cases: right where they look, but for the one defect that its file name says.

stand-in-probe connects once more than it needs, stand-in-none has no defect. It is slow, starts nothing but by
defect, and is no model of anything.
"""

import os
import select
import signal
import socket
import subprocess
import sys

DEFECT = os.path.basename(sys.argv[0]).removeprefix("stand-in-")
METHOD = os.environb.get(b"REQUEST_METHOD", b"GET")
REASONS = {400: "Bad Request", 413: "Content Too Large", 500: "Internal Server Error", 502: "Bad Gateway",
           503: "Service Unavailable"}


def end(status):
    if DEFECT == "held" and os.fork() == 0:
        signal.pause()  # until the test ends it
    if DEFECT == "died":
        os.kill(os.getpid(), signal.SIGSEGV)
    if DEFECT == "exit":
        status = 1 - status
    os._exit(status)


def write(data):
    while data:
        data = data[os.write(1, data):]


def page(number):
    incident = b"0123456789ab"
    head = f"Status: {number} {REASONS[number]}\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
    if number == 503 and DEFECT != "no-retry-after":
        head += "Retry-After: 5\r\n"
    body = b"It did not work.\n\nIncident: " + incident + b"\n"
    if DEFECT == "leak":
        body = os.environb.get(b"QUERY_STRING", b"") + settings["socket"].encode() + body
    if METHOD == b"HEAD" and DEFECT != "head-body":
        body = b""
    said = b"2026-11-22T19:13:02.123Z page incident=" + incident
    if DEFECT == "forge":
        said += b" query=" + os.environb.get(b"QUERY_STRING", b"")
    if DEFECT != "incident":
        os.write(2, said + b"\n")
    if DEFECT == "blank":
        end(0)
    write(head.encode() + b"\r\n" + body)
    drain()
    end(0)


def drain():
    global left
    while left > 0 and DEFECT != "undrained":
        data = os.read(0, min(left, 65536))
        if not data:
            break
        left -= len(data)


def connect():
    address = settings["socket"]
    try:
        server = socket.socket(socket.AF_UNIX)
        server.connect(address)
        return server
    except OSError as error:
        if DEFECT == "start" and "start" in settings:
            subprocess.run([settings["start"]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        if DEFECT == "unlink" and os.path.isfile(address):
            os.unlink(address)
        page(503 if isinstance(error, FileNotFoundError) else 500)


def headers():
    pairs = []
    for entry in open("/proc/self/environ", "rb").read().split(b"\0")[:-1]:
        name, equals, value = entry.partition(b"=")
        if not equals or (not name and DEFECT != "empty-name"):
            continue
        if name in (b"CONTENT_LENGTH", b"SCGI", b"HTTP_TRANSFER_ENCODING", b"PATH") or \
           (name == b"HTTP_PROXY" and DEFECT != "proxy") or \
           (name in dict(pairs) and DEFECT != "twice"):
            continue
        pairs.append((name, value.replace(b"\xff", b"?") if DEFECT == "text" else value))
    first = [(b"CONTENT_LENGTH", b"%d" % length), (b"SCGI", b"1")]
    if DEFECT == "order":
        first.reverse()
    if DEFECT == "zeros":
        first[0] = (b"CONTENT_LENGTH", b"00%d" % length)
    block = b"".join(name + b"\0" + value + b"\0" for name, value in first + pairs)
    return b"%d:%s," % (len(block) - (DEFECT == "netstring"), block)


def relay(server):
    """Both ways at once, writing as it comes once the head is there; answers what came and how much is written."""
    global left
    answer, written, up = b"", 0, True
    server.sendall(headers())
    if DEFECT == "body-first":
        while left > 0:
            data = os.read(0, min(left, 65536))
            server.sendall(data)
            left -= len(data)
    while True:
        wants = [server] + ([0] if up and (left > 0 or DEFECT == "to-eof") else [])
        for ready in select.select(wants, [], [])[0]:
            if ready == 0:
                data = os.read(0, 65536 if DEFECT in ("longer", "to-eof") else min(left, 65536))
                if not data and left > 0 and not answer:
                    server.close()
                    page(400)
                up = bool(data)
                left -= len(data)
                try:
                    server.sendall(data)
                    if left == 0 and DEFECT == "surplus":
                        server.sendall(b"\n")
                    if left == 0 and DEFECT == "half-close":
                        server.shutdown(socket.SHUT_WR)
                except OSError:
                    up = False
                    if DEFECT == "lose-early":
                        end(2)
            else:
                try:
                    data = server.recv(65536)
                except OSError:
                    data = b""
                    if DEFECT == "lose-early" and left > 0:
                        end(2)  # the reset may be seen here first
                if not data and DEFECT == "to-eof" and up:
                    continue
                if not data:
                    return answer, written
                answer += data
                if b"\r\n\r\n" in answer and b"Content-Length" not in answer and DEFECT != "buffer":
                    write(answer[written:])
                    written = len(answer)


settings = {}
for line in open(sys.argv[1], "rb").read().decode("latin-1").splitlines()[1:]:
    key, _, value = line.partition("=")
    settings[key.strip()] = value.strip()
if DEFECT == "argv" and "--help" in sys.argv:
    write(b"Content-Type: text/plain\r\n\r\nusage\n")
    end(0)
text = os.environb.get(b"CONTENT_LENGTH") or b"0"
length = left = int(text) if text.isdigit() or DEFECT == "lenient" and text.strip().isdigit() else 0
if not text.isdigit() and DEFECT != "lenient":
    page(400)
if DEFECT == "litter":
    open("spool.12345", "w").close()
if DEFECT == "probe":
    connect().close()
if DEFECT == "hang":
    signal.pause()
for attempt in range(3 if METHOD == b"GET" and not length or DEFECT == "replay" else 1):
    if DEFECT == "twice-sent" and attempt == 0:
        relay(connect())
        left = length
    answer, written = relay(connect())
    if answer:
        break
head, _, body = answer.partition(b"\r\n\r\n")
names = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
wanted = int(names.get(b"Content-Length", len(body)))
if (len(body) < wanted or b":" not in head or not _) and DEFECT != "trust":
    page(502)
write(answer[written:])
drain()
end(0)
