"""A bridge or a hook that cannot be executed or does nothing, what the probes take for an answer, the counts, and the words of make."""

import os
import subprocess

import pytest

from suite import results
from test_75_mistakes import GOOD, HERE, HOOK, ONE, PASS, ROOT, changed, put, run

# What only shows when something is executed.

BROKEN = {
    "a bridge with a bad interpreter": ("#!/no/such/perl\n", None, "cannot execute {bridge}: its #! interpreter /no/such/perl is not there"),
    "a bridge without #!": ("exit 0\n", None, "cannot execute {bridge}: it is neither a binary of this machine nor does it begin with #!"),
    "a bridge with lines of Windows": ("#!/bin/sh\r\nexit 0\r\n", None, "cannot execute {bridge}: its first line ends with a carriage return"),
    "a hook with a bad interpreter": (None, "#!/no/such/python\n", "cannot execute the hook {hook}: its #! interpreter /no/such/python is not there"),
    "a hook that fails": (None, "#!/bin/sh\necho why >&2\nexit 1\n", "the hook {hook} ended with 1: why"),
    "a hook that does not write the program": (None, "#!/bin/sh\nexit 0\n", "the hook ended with 0 but "),
}


@pytest.mark.parametrize("bridge, hook, said", BROKEN.values(), ids=BROKEN)
def test_76_01_what_cannot_be_executed_is_said_once(folder, bridge, hook, said):
    """The reason should be the first and only thing that is said, with the adapter's and the bridge's name, and the exit status be 3."""
    program = put(folder, "bridge", bridge or PASS.read_text())
    text = GOOD
    if hook:
        put(folder, "hook", hook)
        text = changed(("[run]\nenvironment", f"[run]\n{HOOK}\n#"))
    if "but" in said:
        text = text.replace("[run]\n", '[run]\nprogram = "{dir}/app.cgi"\n')
    adapter = put(folder, "adapter.toml", text)
    done = run("test", "--bridge", program, "--adapter", adapter, *ONE, "--into", folder / "out")
    lines = done.stdout.splitlines()
    assert done.returncode == results.BROKEN and len(lines) == 3 and not done.stderr, done
    assert str(adapter) in lines[1] and str(program) in lines[1] and lines[1].endswith("so nothing was judged:"), done
    assert lines[2].startswith(said.format(bridge=program, hook=folder / "hook")), done
    assert not (folder / "out").exists()
    if "but" in said:
        assert lines[2].endswith("/app.cgi is not there"), done


def test_76_02_a_hook_that_fails_on_the_way_is_one_line(folder):
    """A hook that fails when the run is under way should end it with 4 and its own words, without Python's."""
    put(folder, "hook", '#!/bin/sh\ncase $(cat) in *body/one-byte*) echo why >&2; exit 1 ;; *\'"settings": {}\'*) ;; *) exit 77 ;; esac\n')
    adapter = put(folder, "adapter.toml", changed(("[run]\nenvironment", f"[run]\n{HOOK}\n#")))
    done = run("test", "--bridge", PASS, "--adapter", adapter, *ONE, "--into", folder / "out")
    assert done.returncode == results.INCOMPLETE and "Traceback" not in done.stdout + done.stderr, done
    assert f"harness-error: body/one-byte[pipes,sigpipe-default]\n    the hook {folder}/hook ended with 1: why\n" in done.stdout, done


def test_76_03_a_claim_of_start_that_starts_nothing_is_one_sentence(folder):
    """Where no start script ran in any trial that calls for one, that should be said; where one ran, not."""
    text = changed(("[server]", '[[run.files]]\npath = "nobody-reads-it"\ntext = "{settings}"\n[server]'), ("[claims]", '[start]\ntext = "{start}"\n[claims]'))
    adapter = put(folder, "adapter.toml", text)
    words = ("--cases", "launch/one-request launch/crowd-2", "--tier", "quick")
    sentence = "claims start, but its bridge ran no start script in any of the"
    done = run("test", "--bridge", PASS, "--adapter", adapter, *words, "--into", folder / "out")
    assert done.returncode == results.FAILED and sentence in done.stdout, done
    done = run("test", "--bridge", HERE / "bridges" / "wake.pl", "--adapter", "wake", *words, "--into", folder / "out")
    assert done.returncode == 0 and sentence not in done.stdout, done


# What a bridge prints when its server says nothing, the exit status, and whether that is somebody else's answer.
ANSWERS = {
    "a page and a failure": ("Status: 502 Bad Gateway\\r\\nContent-Type: text/html\\r\\n\\r\\n<p>no", 1, False),
    "a page and success": ("Status: 503 Busy\\r\\nContent-Type: text/html\\r\\n\\r\\n<p>no", 0, False),
    "a page that begins with its type": ("Content-Type: text/html\\nStatus: 502 Bad Gateway\\n\\nno", 7, False),
    "a page that blames the client": ("Status: 404 Not Found\\r\\n\\r\\n", 1, False),
    "nothing": ("", 1, False),
    "success": ("Status: 200 OK\\r\\n\\r\\nok", 1, True),
    "no status": ("Content-Type: text/plain\\r\\n\\r\\nStatus: 502 Bad Gateway\\r\\n", 1, True),
    "two statuses": ("Status: 502 Bad Gateway\\r\\nStatus: 200 OK\\r\\n\\r\\nok", 0, True),
    "a redirection": ("Status: 302 Found\\r\\nLocation: /x\\r\\n\\r\\n", 1, True),
    "a status that is none": ("Status: 5020\\r\\n\\r\\nok", 1, True),
    "no end of the head": ("Status: 502 Bad Gateway\\r\\n", 1, True),
}


@pytest.mark.parametrize("printed, status, answers", ANSWERS.values(), ids=ANSWERS)
def test_76_04_a_page_is_nobodys_answer(folder, printed, status, answers):
    """A probe should take what says that something failed for no answer, whatever the exit status, and all else for one."""
    text = PASS.read_text()
    assert text.count("sub fail {\n") == 1
    bridge = put(folder, "bridge", text.replace("sub fail {\n", f'sub fail {{\n    print "{printed}"; exit {status};\n'))
    done = run("test", "--bridge", bridge, "--adapter", "pass", *ONE, "--into", folder / "out")
    assert done.returncode == (results.BROKEN if answers else 0), done
    assert done.stdout.count("whose answer is that?") == (2 if answers else 0), done


# Counts, and the words of make.

def test_76_05_pytest_counts_as_the_suite_does(folder):
    """A known failure should be no `passed`, and cases not be mixed with trials, nor be counted before the probes."""
    wrong = put(folder, "bridge", PASS.read_text().replace("$left = $length += 0", "$left = $length"))
    adapter = put(folder, "adapter.toml", GOOD + "[known-failures]\n'body/cl-leading-zeros' = 'x'\n")
    for jobs in (1, 2):
        done = run("test", "--bridge", wrong, "--adapter", adapter, "--cases", "body/cl-leading-zeros body/one-byte body/unknown-length",
                   "--jobs", jobs, "--into", folder / "out")
        assert done.returncode == 0, done
        assert "\npass 1: 4 pass, 4 known-failure, 1 unsupported\n" in done.stdout and "4 passed, 4 known-failure in" in done.stdout, done
        assert done.stdout.index("first the probes") < done.stdout.index("cases: 2 to try, in 8 trials; 1 unsupported; 0 not here"), done


MAKE = {
    "a bridge without an adapter": (["BRIDGE=/bin/true"], 2, "BRIDGE=/bin/true needs ADAPTER=file.toml"),
    "a folder": (["BRIDGE=/bin/true", "ADAPTER=pass", "INTO=/proc/x"], 0, "--adapter pass --cases '*' --level check --jobs 2 --repeat 1"
                 " --tier full --into '/proc/x'"),
    "nothing": ([], 0, "--bridge build/rouse --adapter rouse --cases '*'"),
    "the default bridge by another name": ([f"BRIDGE={ROOT}/build/rouse"], 0, "/build/rouse --adapter rouse"),
}


@pytest.mark.parametrize("words, status, said", MAKE.values(), ids=MAKE)
def test_76_06_make_says_what_is_missing(words, status, said):
    """`make conformance` should try nobody's bridge with rouse's adapter, and hand INTO on."""
    done = subprocess.run(["make", "-n", "conformance", *words], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))})
    assert done.returncode == status and said in " ".join((done.stdout + done.stderr).replace("\\\n", " ").split()), done
