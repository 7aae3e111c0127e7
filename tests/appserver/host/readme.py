"""This file knows how README.md shows what a user copies: one app file for all, then start script and hello of each server."""

from .servers import FOLDER, SERVERS

TITLE = "## Any web app of today"
APP_FILE = """#!/home/me/bin/rouse -
protocol  = http
directory = /home/me/hello
run       = /home/me/hello/run
start     = /home/me/hello/start
"""
INTRODUCTION = f"""{TITLE}

Each of these servers runs behind plain CGI with three files: the app, here the hello that the server's own documentation shows first, as it is;
a start script; and an app file, `~/public_html/cgi-bin/hello.cgi`. The first two are in `~/hello`, all but the app have mode 755, and
the app file is the same for all:

{{app_file}}
A hello that has a port in its source gets a line for it, `socket = 127.0.0.1:PORT` with that port. uWSGI speaks SCGI here, and its app file has no
`protocol`. tests/appserver/apps has all these files to copy, and with each change they are tried: each started by the first request, and
each app, or a larger one of its kind, crawled, sent forms and 20 MB, streaming, redirecting, and killed under load.

The app sees the path with that of the app file in front, `/cgi-bin/app.cgi/page`, because that is what the visitor's browser shows. Most
hellos answer whatever the path is; an app that compares paths must know what stands in front:

| server | Debian's packages | what an app below `/cgi-bin/app.cgi` needs |
| --- | --- | --- |
{{rows}}
At the root of a site the path is the app's own.
"""


def indented(text):
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))


def path_of(server, name):
    return FOLDER / "apps" / server.name / name


def app_file(server):
    """What README.md says in words."""
    text = APP_FILE
    if server.port:
        text = text.replace("start ", f"socket    = 127.0.0.1:{server.port}\nstart ", 1)
    return text.replace("protocol  = http\n", "") if "SCGI" in server.title else text


def section():
    rows = "".join(f"| {server.title} | {server.packages} | {server.needed} |\n" for server in SERVERS)
    parts = [INTRODUCTION.format(app_file=indented(APP_FILE), rows=rows)]
    for server in SERVERS:
        files = server.hello_files
        port = f", and `socket = 127.0.0.1:{server.port}` in the app file" if server.port else ""
        built = f", built with `go build {server.app}`" if server.compiled else ""
        parts.append(f"**{server.title}**: `start` and `{server.app}`{built}{port}.\n\n"
                     f"{indented(files['start'])}\n{indented(files[server.app])}")
    return "\n".join(parts)
