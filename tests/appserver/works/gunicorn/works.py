"""The works in Flask: what it calls a URL has SCRIPT_NAME in front, which the server sets."""

import hashlib
import os

from flask import Flask, Response, redirect, request, send_file, url_for

app = Flask(__name__)
NAMES = ["one", "two words", "café"]


@app.get("/")
def index():
    links = "".join(f'<li><a href="{url_for("page", name=name)}">{name}</a>' for name in NAMES)
    return f"<h1>index</h1><ul>{links}</ul>"


@app.get("/page/<name>")
def page(name):
    return f'<h1>{name}</h1><a href="{url_for("index")}">index</a>'


@app.post("/form")
def form():
    return Response(f"name={request.form['name']}\ntext={request.form['text']}\n", content_type="text/plain; charset=utf-8")


@app.post("/upload")
def upload():
    digest, length = hashlib.sha256(), 0
    while piece := request.stream.read(65536):
        digest.update(piece)
        length += len(piece)
    return Response(f"{length} {digest.hexdigest()}\n", content_type="text/plain")


@app.get("/download")
def download():
    return send_file("download.bin")


@app.get("/stream")
def stream():
    def pieces():
        yield "first\n"
        with open("gate", encoding="ascii") as gate:  # a FIFO: opened when the client has seen the first piece
            gate.read()
        yield "second\n"

    return Response(pieces(), content_type="text/plain")


@app.get("/cookies")
def cookies():
    answer = Response(request.headers.get("Cookie", ""), content_type="text/plain")
    answer.set_cookie("first", "1")
    answer.set_cookie("second", "2")
    return answer


@app.get("/redirect/path")
def redirect_path():
    return redirect(url_for("page", name="one"))


@app.get("/redirect/url")
def redirect_url():
    return redirect(url_for("page", name="one", _external=True))


@app.route("/echo", methods=["GET", "POST"])
def echo():
    length = len(request.get_data())
    return Response(f"token={request.args['token']} pid={os.getpid()} body={length} wrong=-1\n", content_type="text/plain")
