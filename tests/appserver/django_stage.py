"""This file knows a Django site and the three ways to it: gunicorn over HTTP and uWSGI over SCGI, both behind Apache and
rouse, and gunicorn directly.

    place.lay_out("gunicorn", is_secure=False)   # the site as it was on its first day
    place.port()                                 # where a browser finds it, below PREFIX
    place.kill(), place.stored(), place.launches()

It runs as web/stage.py does, in a process of its own: when its standard input ends, whyever, nothing is left behind.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from django_walk import OWNER, PASSWORD
from harness import procs
from web.servers import WebServer, answers, hold_ports
from web.stage import ORDINARY, main

APPS = Path(__file__).resolve().parent / "apps"
PREFIX = "/cgi-bin/site.cgi"
# A machine that has much else to do starts an interpreter in many seconds. Apache gives a CGI program 60.
PATIENCE = "wait = 55\nresponse-timeout = 55\n"
# What makes a site one for HTTPS alone: whoever comes without it is sent there.
SECURE = """
SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 3600
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
"""


class Place:
    """A host's Apache and the home of a customer, in which the site is, one way at a time, always at the same path."""

    def __init__(self, _ports=None):
        self._root = Path(tempfile.mkdtemp(prefix="rd.", dir="/tmp"))
        self._root.chmod(0o755)
        self._user = ORDINARY if os.geteuid() == 0 else os.geteuid()
        self._apache = WebServer("apache-event-cgid", self._root / "w", self._user)
        self._home = self._root / "home"
        self._site = self._home / "site"
        self._cgi = self._apache.documents / "cgi-bin"
        self._direct = self._name = None
        self._holders = hold_ports(1)

    def open(self):
        """Start Apache, and make the site with an empty database and its owner."""
        self._first_day = self._root / "first-day"
        shutil.copytree(APPS / "django-admin", self._first_day, ignore=shutil.ignore_patterns("__pycache__"))
        self._manage("migrate", "--run-syncdb", "--verbosity=0")
        self._manage("createsuperuser", "--noinput", f"--username={OWNER}", "--email=owner@papers.example")
        self._apache.start()

    def _manage(self, *words):
        subprocess.run(["/usr/bin/python3", "-B", "manage.py", *words], cwd=self._first_day, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", "DJANGO_SUPERUSER_PASSWORD": PASSWORD})

    # --- one way ---------------------------------------------------------------------------------------------

    def lay_out(self, name, is_secure):
        """`gunicorn`, `uwsgi` or `direct`; what was there before is gone."""
        self.clear()
        self._name = name
        shutil.copytree(self._first_day, self._site)
        if is_secure:
            with open(self._site / "mysite" / "settings.py", "a") as settings:
                settings.write(SECURE)
        if name == "direct":
            self._give(self._home)
            self._start_gunicorn()
            return
        self._cgi.mkdir()
        self._copy(name, "start", self._site)
        self._copy(name, "site.cgi", self._cgi, PATIENCE)
        self.call_secure(is_secure)
        self._give(self._home, self._cgi)

    def _copy(self, name, file, folder, more=""):
        """What a user copies, as it is, but that the home is elsewhere."""
        text = (APPS / f"django-{name}" / file).read_text()
        text = text.replace("/home/me/bin/rouse", str(self._apache.binary)).replace("/home/me", str(self._home))
        (folder / file).write_text(text + more)
        (folder / file).chmod(0o755)

    def _give(self, *folders):
        for folder in folders:
            folder.chmod(0o755)
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self._user, self._user)

    def _start_gunicorn(self):
        how = {"user": self._user, "group": self._user, "extra_groups": []} if os.geteuid() == 0 else {}
        with open(self._home / "output", "wb") as output:
            self._direct = subprocess.Popen(
                ["gunicorn", "--preload", "--timeout", "0", "--bind", f"127.0.0.1:{self.port()}", "mysite.wsgi"],
                cwd=self._site, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "SCRIPT_NAME": PREFIX}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, **how)
        procs.wait_until(lambda: answers(self.port()) or self._direct.poll() is not None, 90, "gunicorn listens")
        assert self._direct.poll() is None, self.log()

    def call_secure(self, is_secure):
        """What comes to Apache is taken for HTTPS, as on a host whose TLS ends before Apache, or is not."""
        # Apache keeps a length that a CGI program says only when it is told to trust it (since 2.4.59).
        text = "SetEnv ap_trust_cgilike_cl 1\n" + ("SetEnv HTTPS on\n" if is_secure else "")
        (self._cgi / ".htaccess").write_text(text)

    def port(self):
        return self._holders[0].getsockname()[1] if self._name == "direct" else self._apache.ports[0]

    def clear(self):
        """End what was laid out, and remove it. After a test that failed a bridge or a guardian may be left."""
        self._end(lambda: [*self._apache.bridges(), *self._processes()])
        if self._direct is not None:
            self._direct.wait(30)
        self._direct = self._name = None
        for folder in (self._home, self._cgi):
            shutil.rmtree(folder, ignore_errors=True)

    def close(self):
        with contextlib.ExitStack() as last_first:
            last_first.callback(shutil.rmtree, self._root, ignore_errors=True)
            last_first.callback(self._apache.stop)
            last_first.callback(self.clear)

    # --- what runs, and what happened ------------------------------------------------------------------------

    def _processes(self):
        """Living processes of the server, whoever started it: none leaves the site's folder."""
        found = []
        for pid in procs.all_pids():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd") == str(self._site) and procs.alive(pid):
                    found.append(pid)
        return found

    @staticmethod
    def _end(find):
        """One that is killed may have begun another meanwhile."""
        procs.wait_until(lambda: not [procs.kill(pid) for pid in find()], 60, "no process is left")

    def kill(self):
        """kill -9 of all of the server, as a host does it; answers whether there was one."""
        found = self._processes()
        self._end(self._processes)
        return bool(found)

    def stored(self):
        """What was uploaded: name -> content."""
        return {path.name: path.read_bytes() for path in (self._site / "media" / "papers").iterdir()}

    def log(self):
        """Of rouse and of the server."""
        return "".join(path.read_text(errors="backslashreplace")
                       for path in (*self._site.glob("run/*/log"), *self._home.glob("output")))

    def launches(self):
        """Why rouse started the server, each time."""
        return re.findall(r" launch launch=\d+ reason=(\w+) ", self.log())

    def failures(self):
        """What rouse has written down that should not come about."""
        return re.findall(r"^\S+Z (?:failed|killed|page|cut) .*", self.log(), re.M)

    def error_log(self):
        return self._apache.error_log()


if __name__ == "__main__":
    main(Place)
