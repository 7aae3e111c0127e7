"""The works in bare ASGI: the path has root_path in front, which the server's --root-path says."""

import asyncio
import hashlib
import os
from urllib.parse import parse_qs, quote

NAMES = ["one", "two words", "café"]
PIECE = 65536


async def read_body(receive):
    while True:
        message = await receive()
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


def read_gate():
    with open("gate", "rb") as gate:  # a FIFO: opened when the client has seen the first piece
        return gate.read()


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    root = scope["root_path"]
    path = scope["path"].removeprefix(root) or "/"
    headers = dict(scope["headers"])

    async def start(status=200, kind="text/plain; charset=utf-8", fields=()):
        fields = [(b"content-type", kind.encode()), *fields]
        await send({"type": "http.response.start", "status": status, "headers": fields})

    async def piece(body, more=False):
        await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else body.encode(), "more_body": more})

    # With its length: whoever gets less of it can tell.
    async def answer(text, status=200, kind="text/plain; charset=utf-8", fields=()):
        await start(status, kind, [(b"content-length", b"%d" % len(text.encode())), *fields])
        await piece(text)

    if path == "/":
        links = "".join(f'<a href="{root}/page/{quote(name)}">{name}</a>' for name in NAMES)
        await answer(f"<h1>index</h1>{links}", kind="text/html; charset=utf-8")
    elif path.startswith("/page/"):
        await answer(f'<h1>{path.removeprefix("/page/")}</h1><a href="{root}/">index</a>', kind="text/html; charset=utf-8")
    elif path == "/form":
        fields = parse_qs(b"".join([part async for part in read_body(receive)]).decode("ascii"))
        await answer(f"name={fields['name'][0]}\ntext={fields['text'][0]}\n")
    elif path == "/upload":
        digest, length = hashlib.sha256(), 0
        async for part in read_body(receive):
            digest.update(part)
            length += len(part)
        await answer(f"{length} {digest.hexdigest()}\n")
    elif path == "/download":
        with open("download.bin", "rb") as file:
            await start(kind="application/octet-stream", fields=[(b"content-length", b"%d" % os.fstat(file.fileno()).st_size)])
            while part := file.read(PIECE):
                await piece(part, more=True)
        await piece(b"")
    elif path == "/stream":
        await start()
        await piece("first\n", more=True)
        await asyncio.to_thread(read_gate)
        await piece("second\n")
    elif path == "/cookies":
        await answer(headers.get(b"cookie", b"").decode("latin-1"),
                     fields=[(b"set-cookie", b"first=1; Path=/"), (b"set-cookie", b"second=2; Path=/")])
    elif path == "/redirect/path":
        await answer("", status=302, fields=[(b"location", f"{root}/page/one".encode())])
    elif path == "/redirect/url":
        location = f"{scope['scheme']}://{headers[b'host'].decode('ascii')}{root}/page/one"
        await answer("", status=302, fields=[(b"location", location.encode())])
    elif path == "/echo":
        length = sum([len(part) async for part in read_body(receive)])
        token = parse_qs(scope["query_string"].decode("ascii"))["token"][0]
        await answer(f"token={token} pid={os.getpid()} body={length} wrong=-1\n")
    else:
        await answer(f"there is no {path}\n", status=404)
