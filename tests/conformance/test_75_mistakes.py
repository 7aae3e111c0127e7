"""What somebody who brings a bridge does wrong: each mistake has its exit status and the sentence that helps."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import fixtures, procs
from suite import adapter as adapters
from suite import results
from suite.place import TOOLS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PASS = HERE / "bridges" / "pass.pl"
GOOD = (HERE / "adapters" / "pass.toml").read_text()
ONE = ("--cases", "body/one-byte", "--tier", "quick", "--jobs", "1")
HOOK = 'hook = "hook"\nenvironment = ["SCGI_ADDRESS={socket}"]'


def run(*words, timeout=300, **how):
    return subprocess.run([sys.executable, "-B", str(HERE / "run"), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, **how)


def put(folder, name, text, mode=0o755):
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def changed(*pairs):
    text = GOOD
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


# Adapters. What is in its place, and what is said.

KNOWN = "[known-failures]\n{} = 'x'\n[claims]"
WRONG = {
    "schema = 2": ("schema = 1", "schema = 2", "schema must be 1"),
    "a key misspelt": ("[run]\nenvironment", "[run]\nenviroment", "did you mean environment?"),
    "a table misspelt": ("[claims]", "[claim]", "the adapter: there is no key claim; did you mean claims?"),
    "no name": ('name     = "pass"', "", "bridge.name is missing"),
    "a number for a text": ('version  = "1"', "version = 0.1", "bridge.version must be a text, not 0.1"),
    "an unknown kind": ('"tcp6"]', '"tcp7"]', "there is no 'tcp7'"),
    "no kinds": ('kinds = ["unix", "tcp4", "tcp6"]', "", "server.kinds is missing"),
    "a text for kinds": ('kinds = ["unix", "tcp4", "tcp6"]', 'kinds = "unix"', "server.kinds must be a list of texts, not 'unix'"),
    "an unknown placeholder": ("{socket}", "{sockets} {socket}", "{sockets} has no meaning here; the names are {bridge}"),
    "the start script in the environment": ("={socket}", "={socket} {start}", 'write {settings} here, and [start] text = "{start}"'),
    "a setting's value in the environment": ("={socket}", "={socket} {value}", "write {settings} here, and the line with it there"),
    "a lonely brace": ("{socket}", "{socket} }", "is written twice: }}"),
    "nothing tells the address": ("={socket}", "=socket", "nothing tells the bridge where its server is"),
    "an unknown capability": ('"pages"', '"page"', "did you mean pages?"),
    "a capability that follows": ('"pages"', '"unix"', "do not list unix: it follows from server.kinds"),
    "a kind that is not listed": ('"pages"', '"abstract"', "do not list abstract: it follows from server.kinds; add it to server.kinds"),
    "start without a text": ('"pages"', '"start"', "do not list start: it follows from start.text; add [start] with a text"),
    "HTTP that nobody can ask for": ('"pages"', '"http"', "needs a line `protocol`"),
    "an environment that is none": ("SCGI_ADDRESS=", "SCGI_ADDRESS ", "must be NAME=VALUE"),
    "a fixed address elsewhere": ("[server]", '[server]\nfixed = "example.org:4000"', "must be 127.0.0.1:PORT"),
    "a fixed address and other kinds": ("[server]", '[server]\nfixed = "127.0.0.1:4000"', 'must be ["tcp4"]'),
    "settings that reach nobody": ("[claims]", "[settings]\nwait = 'x'\n[claims]", "only where {settings} stands"),
    "a file without a text": ("[server]", "[[run.files]]\npath = 'x'\ntext = ''\n[server]", "run.files[0].text must be a text, not ''"),
    "a file outside": ("[server]", "[[run.files]]\npath = '../x'\ntext = 'x'\n[server]", "must stay in the case's folder"),
    "a program that nobody writes": ("[server]", 'program = "{dir}/app.cgi"\n[server]', "run.program names app.cgi, which no run.files writes"),
    "a hook that is not there": ("[server]", 'hook = "nosuch"\n[server]', "/nosuch is not there"),
    "a hook that is not executable": ("[server]", 'hook = "adapter.toml"\n[server]', "/adapter.toml is not executable: chmod +x"),
    "a name that leads elsewhere": ('name     = "pass"', 'name = "../../evil x"', "no '/', no '..'"),
    "a known failure without a reason": ("[claims]", "[known-failures]\n'body/one-byte' = ''\n[claims]", "must say why"),
    "a known failure of no case": ("[claims]", KNOWN.format("'body/one-bite'"), "did you mean body/one-byte?"),
    "a known failure of nothing near": ("[claims]", KNOWN.format("'body/nosuch'"), "there is no case body/nosuch"),
    "a known failure of no way": ("[claims]", KNOWN.format("'body/one-byte[sockt,*]'"), "body/one-byte is not run so; its ways are [pipes,default] [pipes,"),
    "a list of tables": ("[claims]", "[[known-failures]]\n'body/one-byte' = 'x'\n[claims]", ": known-failures must be a table, not [{"),
    "no TOML": ("schema = 1", "schema = ", "is no TOML"),
}
# What is called by a wrong name is missing, too.
FOLLOWS = ("[run]\nenvironment",)


@pytest.mark.parametrize("old, new, said", WRONG.values(), ids=WRONG)
def test_75_01_an_adapter_with_a_fault_is_refused_in_words(folder, old, new, said):
    """What is wrong should be said once, with what was meant where that can be guessed, and nothing that is not true."""
    path = put(folder, "adapter.toml", changed((old, new)), 0o644)
    with pytest.raises(adapters.AdapterError) as error:
        adapters.read(path, {case.id: case for case in fixtures.read_cases()})
    assert said in str(error.value), error.value
    assert len(str(error.value).splitlines()) == (2 if old in FOLLOWS else 1), error.value


def test_75_02_all_faults_are_said_at_once(folder):
    """Whoever writes an adapter should not have to try again for each fault."""
    path = put(folder, "adapter.toml", changed(('"tcp6"', '"tcp7"'), ('"pages"', '"page"'), ("[run]\nenvironment", "[run]\nenviroment")), 0o644)
    with pytest.raises(adapters.AdapterError) as error:
        adapters.read(path)
    assert len(str(error.value).splitlines()) >= 3, error.value


def test_75_03_nothing_is_suggested_where_nothing_is_near(folder):
    """A suggestion should be what was meant, or not be made."""
    path = put(folder, "adapter.toml", changed(("[claims]", KNOWN.format("'body/nosuch'"))), 0o644)
    done = run("check", path)
    assert done.returncode == results.USAGE and "did you mean" not in done.stderr, done


def test_75_04_a_known_failure_that_is_not_tried_is_noticed(folder):
    """A known failure of a case that the adapter does not support should be named, for it rots; it is no mistake."""
    path = put(folder, "adapter.toml", changed(("[claims]", KNOWN.format("'body/unknown-length'"))), 0o644)
    for words in (["check", path], ["test", "--bridge", PASS, "--adapter", path, *ONE, "--into", folder / "out"]):
        done = run(*words)
        assert done.returncode == 0 and "notice: known-failures: body/unknown-length is unsupported by this adapter (spool)" in done.stdout, done
    put(folder, "adapter.toml", GOOD)
    assert "notice" not in run("check", path).stdout


# Commands.

USE = ["test", "--bridge", "/bin/true", "--adapter", "pass"]


@pytest.mark.parametrize("words, said", [
    (["test", "--bridge", "/no/such", "--adapter", "pass"], "the bridge /no/such is not there"),
    (["test", "--bridge", "/tmp", "--adapter", "pass"], "the bridge /tmp is a folder"),
    (["test", "--bridge", HERE / "README.md", "--adapter", "pass"], "README.md is not executable: chmod +x"),
    (["test", "--bridge", "/bin/true", "--adapter", "/no/such"], "cannot be read"),
    ([*USE, "--cases", "nothing/*"], "no case matches"),
    ([*USE, "--jobs", "0"], "--jobs: 0 is not above 0"),
    ([*USE, "--repeat", "0"], "--repeat: 0 is not above 0"),
    ([*USE, "--repeat", "x"], "--repeat: invalid number value: 'x'"),
    ([*USE, "--tier", "soak", "--seconds", "-1"], "--seconds: -1 is not above 0"),
    ([*USE, "--into", "/proc/x"], "cannot write results into /proc/x: No such file or directory; choose another with --into"),
    ([*USE, "--into", HERE / "run"], "/run: it is no folder; choose another with --into"),
    (["one", "body/no-such", "--bridge", "/bin/true", "--adapter", "pass"], "there is no case"),
    (["one", "body/unknown-length", "--bridge", "/bin/true", "--adapter", "pass"], "does not claim: spool"),
    (["one", "body/one-byte", "--bridge", "/bin/true", "--adapter", "pass", "--keep", "/proc/x"], "choose another with --keep"),
    (["list", "--cases", "nosuch/*"], "no case matches 'nosuch/*'"),
    (["frobnicate"], "invalid choice"),
], ids=lambda value: " ".join(map(str, value[-2:])).replace(str(HERE), "") if isinstance(value, list) else "")
def test_75_05_wrong_use_is_2_and_says_what(words, said):
    """Whoever types something wrong should read what it was, before anything is tried."""
    done = run(*words)
    assert done.returncode == results.USAGE and said in done.stderr and "Traceback" not in done.stderr and not done.stdout, done


@pytest.mark.parametrize("name", ["results.jsonl", "matrix.md"])
def test_75_06_a_folder_in_the_place_of_a_report_is_named(folder, name):
    """Results that could not be written should be known before anything is tried."""
    (folder / "out" / name).mkdir(parents=True)
    done = run(*USE, "--into", folder / "out")
    assert done.returncode == results.USAGE and f"{name}: Is a directory; choose another with --into" in done.stderr and not done.stdout, done


def test_75_07_two_runs_do_not_share_a_folder(folder):
    """The second should be refused while the first runs, and no longer: the first holds the results from its probes on."""
    out = folder / "out"
    out.mkdir()
    with open(out / "results.jsonl", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = run(*USE, *ONE, "--into", out)
        assert done.returncode == results.USAGE and f"another run writes its results into {out}" in done.stderr, done
    put(folder, "hook", f"""#!/usr/bin/python3 -B
import fcntl, json, sys
told = json.load(sys.stdin)
if told["settings"]:
    sys.exit(77)
with open("{out}/results.jsonl") as file, open("{folder}/saw", "a") as saw:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print(told["case"], "free", file=saw)
    except BlockingIOError:
        print(told["case"], "held", file=saw)
""")
    adapter = put(folder, "adapter.toml", changed(("[run]\nenvironment", f"[run]\n{HOOK}\n#")))
    done = run("test", "--bridge", PASS, "--adapter", adapter, *ONE, "--into", out)
    assert done.returncode == 0, done
    lines = (folder / "saw").read_text().splitlines()
    assert {"probe/probe held", "body/one-byte held"} < set(lines) and not any("free" in line for line in lines), lines


def test_75_08_who_stops_reading_ends_it_quietly():
    """`run list | head -1` should say nothing more, and not claim to have come to its end."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-B", HERE / "run", "list"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert done.returncode == results.INCOMPLETE and done.stderr == "", done


def a_tree(folder, tools=False):
    """A copy of what the suite needs, in which only its owner writes; and who runs it: not root, and not its owner if there is a choice."""
    tree = folder / "tree"
    leave = shutil.ignore_patterns("__pycache__")
    for part in ("tests/conformance", "tests/integration", "fixtures"):
        shutil.copytree(ROOT / part, tree / part, ignore=leave)
    if tools:
        (tree / "build/tools").mkdir(parents=True)
        for name in TOOLS:
            shutil.copy2(procs.tool(name), tree / "build/tools" / name)
    for path in tree.rglob("*"):  # whatever umask the tree here was made with
        path.chmod(0o755 if path.is_dir() else path.stat().st_mode | 0o444)
    for path in (tree, tree / "build", tree / "build/tools"):
        if path.exists():
            path.chmod(0o555)
    return tree, {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}


@pytest.mark.parametrize("tools", [False, True], ids=["helpers not compiled", "helpers compiled"])
def test_75_09_a_tree_that_belongs_to_somebody_else(folder, tools):
    """Who may not write the tree should be told so, or, where its helpers are compiled, be able to run the suite."""
    tree, who = a_tree(folder, tools)
    out = folder / "out"
    out.mkdir()
    out.chmod(0o777)
    try:
        done = subprocess.run([sys.executable, "-B", tree / "tests/conformance/run", "test", "--bridge", tree / "tests/conformance/bridges/pass.pl",
                               "--adapter", "pass", *ONE, "--into", out], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **who)
    finally:
        for path in (tree, tree / "build", tree / "build/tools"):
            if path.exists():
                path.chmod(0o755)
    if tools:
        assert done.returncode == 0, done
    else:
        assert done.returncode == results.USAGE and "helper programs cannot be compiled" in done.stderr and "Permission denied" in done.stderr, done
        assert "Traceback" not in done.stderr, done


def test_75_10_what_nobody_foresaw_is_4(folder):
    """A failure of the suite itself should be one sentence and 4, not Python's 1, which would blame the bridge."""
    tree, _ = a_tree(folder)
    (tree / "fixtures/capabilities.toml").write_text("[capabilities\n")
    done = subprocess.run([sys.executable, "-B", tree / "tests/conformance/run", "check", "pass"], capture_output=True, text=True, timeout=60)
    tree.chmod(0o755)
    assert done.returncode == results.INCOMPLETE and done.stderr.startswith("conformance: the suite failed, and nothing is known"), done
    assert len(done.stderr.splitlines()) == 1, done
