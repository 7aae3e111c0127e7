"""The doctor page: rousectl run by a web server. Nothing without the key, whatever is asked; read-only with it."""

import os
import shutil
import subprocess
from urllib.parse import quote_plus

import pytest

from harness import procs
from harness.bridge import App, run_bridge
from harness.owner import BINARY
from harness.server import SERVE

KEY = "correct horse/battery+staple & 7"
NOBODY = 65534
NOT_FOUND = (b"Status: 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\r\n"
             b"Not Found\n")


class Doctor:
    """A site, and beside it the doctor's own file and key."""

    def __init__(self, site, *, kind="text"):
        self.site = site
        self.key = site.folder / "doctor.key"
        self.key.write_text(KEY + "\n")
        self.key.chmod(0o600)
        self.text = "app = app.cgi\nkey = doctor.key\n"
        self.app = App(site.folder, socket="unused", name="doctor.cgi", binary=BINARY, text=self.text)
        if kind != "text":
            (site.folder / "doctor.cgi.conf").write_text(self.text)
            self.app.path.unlink()
            if kind == "copy":
                shutil.copy(BINARY, self.app.path)
            else:
                self.app.path.symlink_to(BINARY)

    def write(self, text):
        self.app.path.write_bytes(b"#!" + os.fsencode(BINARY) + b"\n" + text)

    def ask(self, body=b"", method="POST", length=None, extra=(), argv=(), **how):
        """What a visitor gets; the process must end well, and say nothing to anybody else."""
        env = self.site.environment(method, "stop+app.cgi", len(body) if length is None else length, extra)
        outcome = run_bridge(self.app, env=env, stdin=body, argv=argv, **how).finish()
        assert outcome.status == 0 and not outcome.held and not outcome.hung, outcome
        return outcome

    def page(self, key=KEY):
        outcome = self.ask(b"key=" + quote_plus(key).encode())
        assert outcome.code == 200 and outcome.head["cache-control"] == "no-store", outcome
        assert outcome.head["content-type"] == "text/plain; charset=utf-8" and outcome.stderr == b""
        return outcome.body.decode()


@pytest.fixture
def doctor(make_site):
    """A doctor page of a site with the usual plan."""
    return Doctor(make_site(["print hello from the script", *SERVE]))


GUESSES = {
    "nothing": {},
    "an empty key": {"body": b"key="},
    "a wrong key": {"body": b"key=correct+horse%2Fbattery%2Bstaple+%26+8"},
    "the beginning of the key": {"body": b"key=correct+horse%2Fbattery"},
    "more than the key": {"body": b"key=correct+horse%2Fbattery%2Bstaple+%26+7x"},
    "the key and a NUL": {"body": b"key=correct+horse%2Fbattery%2Bstaple+%26+7%00"},
    "the key with another name": {"body": b"keys=correct+horse%2Fbattery%2Bstaple+%26+7"},
    "the key in a GET": {"body": b"key=correct+horse%2Fbattery%2Bstaple+%26+7", "method": "GET"},
    "the key in a PUT": {"body": b"key=correct+horse%2Fbattery%2Bstaple+%26+7", "method": "PUT"},
    "the key in the query": {"extra": [b"HTTP_X_KEY=" + KEY.encode()]},
    "HEAD": {"method": "HEAD"},
    "no length": {"method": "GET", "length": b""},
    "a length that is none": {"length": -1},
    "more than there is": {"body": b"key=x", "length": 100},
    "arguments": {"argv": ["status", "app.cgi", "--json"]},
    "a large body": {"body": b"key=" + b"x" * 300_000},
    "a body without end of it": {"body": b"x" * (2 << 20), "length": 1 << 40},
}


@pytest.mark.promises("X1")
@pytest.mark.parametrize("guess", GUESSES.values(), ids=GUESSES)
def test_36_01_nothing_without_the_key(doctor, guess):
    """The same 404, byte for byte, whatever is asked; nothing is started, made or stopped."""
    guess = dict(guess)
    if guess.get("length") == b"":
        guess["length"] = 0
    outcome = doctor.ask(**guess)
    assert outcome.stdout == NOT_FOUND and outcome.stderr == b""
    assert doctor.site.starts() == [] and not doctor.site.app.run.exists()


@pytest.mark.promises("X1", "S3")
@pytest.mark.parametrize("length", ["known", "chunked"])
def test_36_10_the_whole_body_is_read(doctor, folder, length):
    """A web server that cannot write its body may not read the answer: however long, it should be taken."""
    body = folder / "body"
    body.write_bytes(b"x" * 3_000_000)
    env = doctor.site.environment("POST", "", 3_000_000 if length == "known" else None,
                                  [b"HTTP_TRANSFER_ENCODING=chunked"] if length == "chunked" else [])
    with open(body, "rb") as stdin:
        outcome = run_bridge(doctor.app, env=env, stdin_from=stdin.fileno()).finish()
        assert outcome.stdout == NOT_FOUND and os.lseek(stdin.fileno(), 0, os.SEEK_CUR) == 3_000_000


@pytest.mark.promises("X1")
@pytest.mark.parametrize("name", ["GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET"])
@pytest.mark.parametrize("words", [["--help"], ["stop", "APP"], ["log", "APP"], []])
def test_36_02_argv_is_ignored(doctor, name, words):
    """A web server makes arguments of the query: run by one, rousectl should be the page and nothing else."""
    site = doctor.site
    pid = site.answered(site.get().finish())
    app = str(site.app.path)
    env = [name.encode(), b"CONTENT_LENGTH="]
    outcome = run_bridge(doctor.app, env=env, argv=[app if word == "APP" else word for word in words]).finish()
    assert outcome.stdout == NOT_FOUND
    assert site.answered(site.get().finish()) == pid


BROKEN = {
    "no key file": lambda doctor: doctor.key.unlink(),
    "a key that others can read": lambda doctor: doctor.key.chmod(0o640),
    "a key that all can read": lambda doctor: doctor.key.chmod(0o604),
    "a key of another user": lambda doctor: os.chown(doctor.key, NOBODY, NOBODY),
    "a link to a key": lambda doctor: doctor.key.rename(doctor.key.with_name("k")) and doctor.key.symlink_to("k"),
    "a folder": lambda doctor: doctor.key.unlink() or doctor.key.mkdir(0o600),
    "an empty key": lambda doctor: doctor.key.write_text("\n"),
    "a short key": lambda doctor: doctor.key.write_text("short\n"),
    "a key that is too long": lambda doctor: doctor.key.write_text("x" * 300),
    "no key named": lambda doctor: doctor.write(b"app = app.cgi\n"),
    "no app named": lambda doctor: doctor.write(b"key = doctor.key\n"),
    "a file that others can write": lambda doctor: doctor.app.path.chmod(0o757),
    "no settings": lambda doctor: doctor.write(b""),
}


@pytest.mark.promises("X1", "X3")
@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
def test_36_03_no_page_without_a_key_file_of_ones_own(doctor, break_it):
    """A key that others may know is none: the same 404, also for what it contains; why stands in the error log alone."""
    break_it(doctor)
    key = doctor.key.read_text().strip() if doctor.key.is_file() else ""
    for guess in (KEY, key, ""):
        outcome = doctor.ask(b"key=" + quote_plus(guess).encode())
        assert outcome.stdout == NOT_FOUND
        assert b"status=404" in outcome.stderr and b"cannot " in outcome.stderr and outcome.stderr.count(b"\n") == 1
        assert KEY.encode() not in outcome.stderr


@pytest.mark.promises("X1")
def test_36_04_the_time_tells_nothing(doctor, folder):
    """Guesses of one length, wrong at once or nearly right, should take the same instructions, counted one by one."""
    key = "abcdefghijklmnopqrstuvwxyz012345"
    doctor.key.write_text(key)
    guesses = {"wrong at once": "X" + key[1:], "nearly right": key[:-1] + "X", "all wrong": "X" * 32, "half": key[:16] + "X" * 16}
    counts = {}
    for name, guess in guesses.items():
        body, report = folder / "body", folder / "report"
        body.write_text(f"key={guess}")
        env = dict(entry.decode().split("=", 1) for entry in doctor.site.environment("POST", "", body.stat().st_size))
        with open(body, "rb") as stdin:
            ended = subprocess.run([procs.tool("steps"), report, doctor.app.path], stdin=stdin, env=env, cwd=folder,
                                   capture_output=True, timeout=60)
        assert ended.stdout == NOT_FOUND and ended.stderr == b""
        count, status = map(int, report.read_text().split())
        assert status == 0 and count > 1000
        counts[name] = count
    assert len(set(counts.values())) == 1, counts


@pytest.mark.promises("X1")
@pytest.mark.parametrize("kind", ["text", "copy", "link"])
def test_36_05_the_page_tells_all(make_site, kind):
    """With the key: how the server is, what check objects to, the end of the log; as it is, and after a failure."""
    doctor = Doctor(make_site(["print hello from the script", *SERVE]), kind=kind)
    site = doctor.site
    page = doctor.page()
    assert page.startswith("down: the next request starts it\n") and "\nCheck\n\n" in page
    assert not site.app.run.exists() and site.starts() == []
    site.answered(site.get().finish())
    before = sorted(site.app.run.rglob("*"))
    page = doctor.page()
    assert page.startswith("up\n") and f"socket        {site.app.socket_path}\n" in page
    assert page.endswith((site.app.node_folder / "log").read_text()) and "hello from the script\n" in page
    assert sorted(site.app.run.rglob("*")) == before and site.empty_connections() == 0
    assert KEY not in page


@pytest.mark.promises("X1", "X4")
def test_36_06_the_page_tells_what_is_wrong(doctor):
    """Settings that are wrong should be named with line, key and cure."""
    with open(doctor.site.app.path, "a") as file:
        file.write("strat = x\n")
    assert "are wrong, line 4, strat: there is no such key" in doctor.page()
    doctor.site.app.path.unlink()
    assert "no such file" in doctor.page()


@pytest.mark.promises("X4")
def test_36_07_any_line_ends_and_any_blanks(doctor):
    """The doctor's file with CR LF and comments, and a key file with blanks around the key, should be understood."""
    doctor.app.path.write_bytes(b"#!" + os.fsencode(BINARY) + b" -\r\n# mine\r\n app=app.cgi \t# ours\r\nkey = doctor.key #\r\n")
    doctor.key.write_bytes(b" \t" + KEY.encode() + b" \r\n\r\n")
    assert doctor.page().startswith("down")


@pytest.mark.promises("X1")
def test_36_08_the_longest_key(doctor):
    """A key may have 256 bytes, and all of them should count."""
    doctor.key.write_text("k" * 256)
    assert doctor.page("k" * 256).startswith("down")
    for wrong in ("k" * 255, "k" * 257, "k" * 255 + "l"):
        assert doctor.ask(b"key=" + wrong.encode()).stdout == NOT_FOUND


def test_36_09_a_slow_body_is_waited_for(doctor):
    """A form that comes in pieces, as through mod_cgid's socket, should be read whole."""
    form = b"key=" + quote_plus(KEY).encode()
    env = doctor.site.environment("POST", "", len(form))
    bridge = run_bridge(doctor.app, env=env, stdin=[form[:9], form[9:]], fds="socket", stdin_end="hold")
    outcome = bridge.finish()
    assert outcome.code == 200 and outcome.status == 0
