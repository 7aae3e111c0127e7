"""The works in bare WSGI: SCRIPT_NAME and PATH_INFO come as rouse sends them over SCGI."""

import hashlib
import os
from urllib.parse import parse_qs, quote

NAMES = ["one", "two words", "café"]
PIECE = 65536


def read_body(environ):
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left:
        piece = environ["wsgi.input"].read(min(left, PIECE))
        if not piece:
            raise EOFError(f"{left} bytes of the body have not come")
        left -= len(piece)
        yield piece


def stream():
    yield b"first\n"
    with open("gate", "rb") as gate:  # a FIFO: opened when the client has seen the first piece
        gate.read()
    yield b"second\n"


def application(environ, start_response):
    root = environ["SCRIPT_NAME"]
    path = environ["PATH_INFO"].encode("latin-1").decode() or "/"

    def answer(body, status="200 OK", kind="text/plain; charset=utf-8", fields=()):
        if isinstance(body, str):  # with its length: whoever gets less of it can tell
            body = [body.encode()]
            fields = [("Content-Length", str(len(body[0]))), *fields]
        start_response(status, [("Content-Type", kind), *fields])
        return body

    if path == "/":
        return answer("<h1>index</h1>" + "".join(f'<a href="{root}/page/{quote(name)}">{name}</a>' for name in NAMES),
                      kind="text/html; charset=utf-8")
    if path.startswith("/page/"):
        return answer(f'<h1>{path.removeprefix("/page/")}</h1><a href="{root}/">index</a>', kind="text/html; charset=utf-8")
    if path == "/form":
        fields = parse_qs(b"".join(read_body(environ)).decode("ascii"))
        return answer(f"name={fields['name'][0]}\ntext={fields['text'][0]}\n")
    if path == "/upload":
        digest, length = hashlib.sha256(), 0
        for piece in read_body(environ):
            digest.update(piece)
            length += len(piece)
        return answer(f"{length} {digest.hexdigest()}\n")
    if path == "/download":
        file = open("download.bin", "rb")
        size = os.fstat(file.fileno()).st_size
        return answer(environ["wsgi.file_wrapper"](file, PIECE), kind="application/octet-stream",
                      fields=[("Content-Length", str(size))])
    if path == "/stream":
        return answer(stream())
    if path == "/cookies":
        return answer(environ.get("HTTP_COOKIE", ""),
                      fields=[("Set-Cookie", "first=1; Path=/"), ("Set-Cookie", "second=2; Path=/")])
    if path == "/redirect/path":
        return answer("", "302 Found", fields=[("Location", f"{root}/page/one")])
    if path == "/redirect/url":
        return answer("", "302 Found", fields=[("Location", f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{root}/page/one")])
    if path == "/echo":
        length = sum(map(len, read_body(environ)))
        token = parse_qs(environ["QUERY_STRING"])["token"][0]
        return answer(f"token={token} pid={os.getpid()} body={length} wrong=-1\n")
    return answer(f"there is no {path}\n", "404 Not Found")
