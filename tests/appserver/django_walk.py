"""This file knows a walk through Django's admin, as the owner of a site goes it with a browser.

    browser = Browser(port, "/cgi-bin/site.cgi")
    walk(browser, kill)           # calls `kill` halfway
    browser.pages                 # what came, for django_pages.differences()

Each step says what should come, so that two ways which are wrong alike are found too.
"""

import re
from urllib.parse import quote, urlencode

from django_pages import Page
from harness.server import pattern
from web.client import request

HOST = "papers.example:8080"  # with a port, which SERVER_NAME does not have
OWNER, PASSWORD = "owner", "correct horse battery staple"
# Every byte, ends of lines of every kind, and what looks like the end of a part of the form.
UPLOAD = bytes(range(256)) + b"\r\n--\r\n\r\n--boundary--\r\n\n\r" + pattern(200_000) + b"\r\n"
SECOND = pattern(3_000_000) + b"\n"  # Django keeps more than 2.5 MB in a file of its own
UPLOADS = {"r\u00e9sum\u00e9_2026.bin": UPLOAD, "second.bin": SECOND}
TITLE = "\u00c4rger & <Co>"
BOUNDARY = "what-no-file-has"


def multipart(form, files):
    """RFC 7578, as browsers write it."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in form.items()]
    parts += [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
              f"Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n"
              for name, (filename, content) in files.items()]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Browser:
    """`fields` go with each request, as something in front of the server would set them."""

    def __init__(self, port, prefix, scheme="http", fields=()):
        self.pages, self.cookies = [], {}
        self._port, self.prefix, self._scheme, self._fields = port, prefix, scheme, list(fields)
        self._token = self._referer = None

    def visit(self, step, path, status=200, holds=None, *, method="GET", fields=(), body=None, host=HOST):
        """`holds` is what the page must have in it, or, when it sends elsewhere, the Location behind our prefix."""
        target = self.prefix + path
        sent = [("Host", host), *self._fields, *fields]
        if self.cookies:
            sent.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        if self._referer:
            sent.append(("Referer", self._referer))
        answer = request(self._port, method, target, sent, body)
        assert answer.complete, f"{step}: the answer is not whole: {answer.raw[:600]!r}"
        self.pages.append(Page.of(step, path, answer, method == "HEAD"))
        assert answer.status == status, f"{step}: {answer.raw[:600]!r}"
        if status in (301, 302):
            assert answer.header("Location") == self.prefix + holds, (step, answer.fields)
        elif holds is not None:
            assert holds in answer.body, f"{step}: {holds!r} is not in {answer.body!r}"
        for name, value in answer.fields:
            if name.lower() == "set-cookie":
                name, _, value = value.partition(";")[0].partition("=")
                self.cookies[name] = value
                if value in ("", '""'):
                    del self.cookies[name]
        if token := re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', answer.body):
            self._token = token[1].decode()
            self._referer = f"{self._scheme}://{HOST}{target}"
        return answer

    def submit(self, step, path, form, status=200, holds=None, files=None):
        """The form of the page that was seen last, with its token."""
        form = {"csrfmiddlewaretoken": self._token, **form}
        kind = f"multipart/form-data; boundary={BOUNDARY}" if files is not None else "application/x-www-form-urlencoded"
        body = multipart(form, files) if files is not None else urlencode(form).encode()
        return self.visit(step, path, status, holds, method="POST", fields=[("Content-Type", kind)], body=body)


def walk(browser, kill):
    enter(browser)
    static_files(browser)
    upload(browser)
    assert kill()
    edit(browser)
    leave(browser)


def enter(browser):
    prefix = browser.prefix
    browser.visit("a stranger", "/admin/", 302, f"/admin/login/?next={browser.prefix}/admin/")
    browser.visit("a stranger with much to say", "/admin/", 302, f"/admin/login/?next={prefix}/admin/",
                  fields=[("Cookie", "; ".join(f"cookie{number}={number:0100}" for number in range(60)))])
    browser.visit("without the slash", "/admin", 301, "/admin/")
    query = f"?q={quote('a/b & ' + TITLE, safe='')}&o=-1"
    browser.visit("a stranger's link", f"/admin/papers/paper/{query}", 302,
                  f"/admin/login/?next={prefix}/admin/papers/paper/{quote(query)}")
    login = f"/admin/login/?next={prefix}/admin/"
    browser.visit("login", login, holds=b'id="login-form"')
    browser.visit("login, no token", login, 403, b"CSRF verification failed", method="POST", body=b"username=owner",
                  fields=[("Content-Type", "application/x-www-form-urlencoded")])
    form = {"username": OWNER, "password": PASSWORD, "next": f"{prefix}/admin/"}
    browser.submit("login, wrong password", login, {**form, "password": "wrong"}, holds=b"Please enter the correct username")
    browser.submit("login, right password", login, form, 302, "/admin/")
    assert set(browser.cookies) == {"csrftoken", "sessionid"}
    browser.visit("index", "/admin/", holds=b"Welcome,")
    browser.visit("index, its head", "/admin/", method="HEAD")


def static_files(browser):
    for name, holds in {"css/base.css": b"DJANGO Admin styles", "js/core.js": b"function quickElement",
                        "img/icon-addlink.svg": b"<svg", "fonts/Roboto-Light-webfont.woff": b"wOFF"}.items():
        answer = browser.visit(f"static: {name}", f"/static/admin/{name}", holds=holds)
    since = answer.header("Last-Modified")
    browser.visit("static: unchanged", f"/static/admin/{name}", 304, fields=[("If-Modified-Since", since)])
    browser.visit("static: changed", f"/static/admin/{name}", holds=b"wOFF",
                  fields=[("If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")])
    browser.visit("static: missing", "/static/admin/nothing.css", 404, b"Not Found")
    browser.visit("static: made by a program", "/admin/jsi18n/", holds=b"django.catalog")


def upload(browser):
    add = "/admin/papers/paper/add/"
    form = {"title": TITLE, "written_0": "2001-02-03", "written_1": "04:05:06"}
    [(name, content), _] = UPLOADS.items()
    files = {"attachment": (name.replace("_", " "), content)}
    browser.visit("add", add, holds=b'enctype="multipart/form-data"')
    browser.submit("add, without a title", add, {**form, "title": ""}, holds=b"This field is required.", files=files)
    browser.submit("add, without a file", add, form, holds=b"This field is required.", files={})
    browser.submit("add", add, form, 302, "/admin/papers/paper/", files=files)
    browser.visit("list", "/admin/papers/paper/", holds=b"was added successfully.")
    browser.visit("list, sorted", "/admin/papers/paper/?o=1.-3", holds=b"1 paper")
    browser.visit("list, found", f"/admin/papers/paper/?q={quote(TITLE)}", holds=b"Feb. 3, 2001, 4:05 a.m.")
    browser.visit("list, not found", "/admin/papers/paper/?q=%25", holds=b"0 results")
    path = f"/media/papers/{quote(name)}"
    answer = browser.visit("download", path)
    assert answer.body == content, f"{len(answer.body)} bytes came of {len(content)}"
    browser.visit("download, its head", path, method="HEAD")
    browser.visit("download, unchanged", path, 304, fields=[("If-Modified-Since", answer.header("Last-Modified"))])


def edit(browser):
    paper = "/admin/papers/paper/1"
    [(first, _), (second, content)] = UPLOADS.items()
    browser.visit("change", f"{paper}/change/", holds=f"papers/{first}".encode())
    browser.submit("change, with another file", f"{paper}/change/",
                   {"title": "A new title", "written_0": "2001-02-03", "written_1": "12:00", "_continue": "Save"}, 302,
                   f"{paper}/change/", files={"attachment": (second, content)})
    browser.visit("changed", f"{paper}/change/", holds=b"was changed successfully.")
    answer = browser.visit("the other file", f"/media/papers/{second}")
    assert answer.body == content, f"{len(answer.body)} bytes came of {len(content)}"
    browser.visit("history", f"{paper}/history/", holds=b"Changed Title, Attachment and Written.")
    browser.visit("delete", f"{paper}/delete/", holds=b"Are you sure")
    browser.submit("deleted", f"{paper}/delete/", {"post": "yes"}, 302, "/admin/papers/paper/")
    browser.visit("list, empty", "/admin/papers/paper/", holds=b"0 papers")
    browser.visit("index, with recent actions", "/admin/", holds=b"A new title")


def leave(browser):
    browser.visit("password", "/admin/password_change/", holds=b"Old password")
    browser.submit("password, wrong", "/admin/password_change/",
                   {"old_password": "wrong", "new_password1": "a long new one", "new_password2": "another long one"},
                   holds=b"Your old password was entered incorrectly.")
    browser.visit("no such paper", "/admin/papers/paper/99/change/", 302, "/admin/")
    browser.visit("no such paper, said", "/admin/", holds=b"Perhaps it was deleted?")
    browser.visit("no such model", "/admin/nothing/", 404, b"Not Found")
    browser.visit("no such page", "/nothing/%C3%A9%20%22?%C3%A9=%22", 404, b"Not Found")
    browser.visit("another host", "/admin/", 400, b"Bad Request (400)", host="other.example")
    browser.visit("logout", "/admin/logout/", holds=b"Logged out")
    assert set(browser.cookies) == {"csrftoken"}
    browser.visit("a stranger again", "/admin/", 302, f"/admin/login/?next={browser.prefix}/admin/")
