"""This file knows a Django site and the three ways to it: gunicorn over HTTP and uWSGI over SCGI, both behind Apache and
rouse, and gunicorn directly.

    place = Place(folder)
    place.open()                           # one Apache, and a site as it is on its first day
    with place.way("gunicorn", "mysite.settings") as way:
        way.port, way.prefix               # where a browser finds it
        way.stored()                       # what was uploaded
        way.kill()                         # kill -9, all of it; nobody but rouse starts it again
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from django_walk import OWNER, PASSWORD
from harness import procs
from web.servers import WebServer, answers, hold_ports

PROJECT = Path(__file__).resolve().parent / "apps" / "django-admin"
PYTHON = "/usr/bin/python3"
PREFIX = "/cgi-bin/site.cgi"
ORDINARY = 65534  # "nobody": an ordinary user
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
PROTOCOLS = {"gunicorn": "http", "uwsgi": "scgi"}


class Place:
    """`root` is a new folder that everybody may enter."""

    def __init__(self, root):
        self.root = Path(root)
        self.user = ORDINARY if os.geteuid() == 0 else os.geteuid()
        self._first_day = self.root / "first-day"
        self.apache = WebServer("apache-event-cgid", self.root / "w", self.user)

    def open(self):
        shutil.copytree(PROJECT, self._first_day, ignore=shutil.ignore_patterns("__pycache__"))
        self._manage("migrate", "--run-syncdb", "--verbosity=0")
        self._manage("createsuperuser", "--noinput", f"--username={OWNER}", "--email=owner@papers.example")
        self.apache.start()

    def _manage(self, *words):
        subprocess.run([PYTHON, "manage.py", *words], cwd=self._first_day, check=True, stdin=subprocess.DEVNULL,
                       env={**ENVIRONMENT, "DJANGO_SUPERUSER_PASSWORD": PASSWORD})

    @contextlib.contextmanager
    def way(self, name, settings):
        """A copy of the site as it was on its first day, at the same path each time; gone afterwards."""
        home = self.root / "home"
        shutil.copytree(self._first_day, home / "site")
        way = (Direct if name == "direct" else Bridged)(self, name, home / "site", settings)
        try:
            home.chmod(0o755)
            self.give(home, *home.rglob("*"))
            way.start()
            yield way
        finally:
            way.stop()
            shutil.rmtree(home)

    def give(self, *paths):
        """To the ordinary user as whom Apache and the servers run."""
        for path in paths:
            os.chown(path, self.user, self.user)

    def close(self):
        self.apache.stop()


class Way:
    prefix = PREFIX

    def __init__(self, place, name, site, settings):
        self._place, self.name, self.site, self._settings = place, name, site, settings

    def processes(self):
        """Living processes that work in the site's folder: the server's, whoever started them."""
        return [pid for pid in procs.all_pids() if procs.alive(pid) and self._works_in(pid)]

    def _works_in(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/cwd") == str(self.site)
        except OSError:
            return False

    def stored(self):
        return {path.name: path.read_bytes() for path in (self.site / "media" / "papers").iterdir()}

    def launches(self):
        """The reason of each."""
        lines = [line.split() for line in self.log().splitlines()]
        return [words[3] for words in lines if words[1:2] == ["launch"]]

    def kill(self):
        """As a host does it: all of it at once. One that is killed may have begun another meanwhile."""
        self._end(self.processes)

    @staticmethod
    def _end(find):
        """Until none is left."""
        def none_left():
            found = find()
            for pid in found:
                procs.kill(pid)
            return not found
        procs.wait_until(none_left, 30, "no process is left")


class Bridged(Way):
    """Behind Apache and rouse, which starts it."""

    def __init__(self, place, name, site, settings):
        super().__init__(place, name, site, settings)
        self.port = place.apache.ports[0]
        self._folder = place.apache.documents / "cgi-bin"
        self.run = site.parent / "run"

    def start(self):
        self._folder.mkdir()
        start = self.site / "start"
        start.write_text(f"#!/bin/sh\nexport DJANGO_SETTINGS_MODULE={self._settings}\nexec ./start-{self.name}\n")
        start.chmod(0o755)
        app = self._folder / "site.cgi"
        app.write_text(f"#!{self._place.apache.binary} -\nprotocol = {PROTOCOLS[self.name]}\nrun = {self.run}\n"
                       f"directory = {self.site}\nstart = {start}\n"
                       # Only so that a machine that is very busy is waited for.
                       "wait = 58\nresponse-timeout = 0\n")
        app.chmod(0o755)
        self._place.give(self._folder, app, start)

    def secure(self, is_secure):
        """Whether what comes to Apache is taken for HTTPS, as a host has it whose TLS ends before Apache."""
        # Apache keeps a length that a CGI program says only when it is told to trust it (since 2.4.59).
        (self._folder / ".htaccess").write_text("SetEnv ap_trust_cgilike_cl 1\n" + ("SetEnv HTTPS on\n" if is_secure else ""))

    def log(self):
        return "".join(path.read_text(errors="backslashreplace") for path in self.run.glob("*/log"))

    def stop(self):
        """Bridges and guardians too: after a test that failed one may still be about to start the server."""
        self._end(lambda: [*self._place.apache.bridges(), *self.processes()])
        shutil.rmtree(self._folder, ignore_errors=True)


class Direct(Way):
    """gunicorn alone, at the same path of the URL, on a port of the loopback."""

    def __init__(self, place, name, site, settings):
        super().__init__(place, name, site, settings)
        self._holders = hold_ports(1)
        self.port = self._holders[0].getsockname()[1]
        self._process = None
        self.output = site / "output"

    def start(self):
        how = {"user": self._place.user, "group": self._place.user, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {**ENVIRONMENT, "SCRIPT_NAME": PREFIX, "DJANGO_SETTINGS_MODULE": self._settings}
        with open(self.output, "wb") as output:
            self._process = subprocess.Popen(
                ["gunicorn", "--preload", "--timeout=0", f"--bind=127.0.0.1:{self.port}", "mysite.wsgi"],
                cwd=self.site, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, **how)
        procs.wait_until(lambda: answers(self.port) or self._process.poll() is not None, 60, "gunicorn listens")
        assert self._process.poll() is None, self.log()

    def secure(self, is_secure):
        """Nothing stands in front of it."""

    def log(self):
        return self.output.read_text(errors="backslashreplace")

    def stop(self):
        self._end(self.processes)
        if self._process is not None:
            self._process.wait(30)
        for holder in self._holders:
            holder.close()
