"""Tiers, an address that is compiled in, and the path of somebody who brings a bridge."""

import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from harness import procs
from suite import adapter as adapters
from suite import plan, results, soak

HERE = Path(__file__).resolve().parent
PASS = HERE / "bridges" / "pass.pl"
EXAMPLE = HERE / "example"
README = (HERE / "README.md").read_text(encoding="utf-8")


def run(*words, timeout=300, **how):
    return subprocess.run([sys.executable, "-B", str(HERE / "run"), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, **how)


def words_of(folder):
    """{case: word} of what a run put into this folder."""
    return results.read(folder / "results.jsonl").by_case()


# Tiers.

def test_74_01_quick_is_every_case_that_does_not_last_once():
    """The quick tier should leave out what lasts as long as a time-out and every way but the first, and nothing else."""
    one = adapters.read(HERE / "adapters" / "rouse.toml")
    quick, full = plan.make(one, tier="quick"), plan.make(one)
    cases = {case.id for case, _ in full.trials}
    slow = {case.id for case, _ in full.trials if "timing" in case["tags"]}
    assert slow and {case.id for case, _ in quick.trials} == cases - slow
    assert len(quick.trials) == len(cases - slow) < len(full.trials)


def test_74_02_the_order_of_a_soak_follows_from_its_seed():
    """One seed should make one order, in which each case comes once before any comes again; another seed another."""
    trials = plan.make(adapters.read(HERE / "adapters" / "pass.toml")).trials
    count = len({case.id for case, _ in trials})
    first, again, other = ([*islice(soak.schedule(trials, seed), 3 * count)] for seed in (7, 7, 8))
    assert first == again != other
    assert [number for number, _ in first] == [*range(3 * count)]
    rounds = [[trials[place][0].id for _, place in first[start : start + count]] for start in range(0, 3 * count, count)]
    assert all(len(set(one)) == count for one in rounds) and rounds[0] != rounds[1]
    ways = {plan.name_of(*trials[place]) for _, place in first}
    assert len(ways) > count, "every case was run in one way only"


def test_74_03_a_soak_ends_and_says_how_it_was_made(folder):
    """It should run until its time is over, count what it began, name its seed, and pass when nothing fails."""
    done = run("test", "--bridge", PASS, "--adapter", "pass", "--tier", "soak", "--seconds", "2", "--seed", "5", "--jobs", "3",
               "--cases", "request/*", "--into", folder)
    assert done.returncode == results.PASSED, done
    assert "seed 5" in done.stdout
    found = results.read(folder / "results.jsonl")
    tried = [line for line in found.lines if "number" in line]
    assert found.header["seed"] == 5 and found.footer["complete"] and len(tried) > 3
    assert sorted(line["number"] for line in tried) == [*range(len(tried))]
    trials = plan.make(adapters.read(HERE / "adapters" / "pass.toml"), "request/*").trials
    wanted = {number: trials[place] for number, place in islice(soak.schedule(trials, 5), len(tried))}
    assert all((line["id"], line["variant"]) == (wanted[line["number"]][0].id, plan.way_of(wanted[line["number"]][1])) for line in tried)
    assert "2 s, 3 side by side, seed 5" in (folder / "matrix.md").read_text()


def test_74_04_what_a_soak_finds_is_a_failure(folder):
    """A bridge that is wrong in one case should fail the soak, and each failure be kept under its number."""
    wrong = folder / "bridge"
    wrong.write_text(PASS.read_text().replace("$left = $length += 0", "$left = $length"))
    wrong.chmod(0o755)
    done = run("test", "--bridge", wrong, "--adapter", "pass", "--tier", "soak", "--seconds", "1", "--seed", "5", "--cases",
               "body/cl-leading-zeros", "--into", folder / "out")
    assert done.returncode == results.FAILED, done
    assert (folder / "out" / "failures").is_dir() and re.search(r"failures/0\.body\.cl-leading-zeros\[.*\]/repro.sh", done.stdout), done


def test_74_05_a_soak_whose_worker_is_gone_is_not_complete(folder):
    """A worker that ends before it has said what became of its trial should leave nothing to conclude from."""
    path = folder / "results.jsonl"
    writer = results.Writer(path)
    writer.begin(bridge={"name": "x", "version": "1"}, planned=None)
    case, variant = plan.find("request/get-minimal")

    class Gone:
        """In the place of an adapter: whoever asks it for anything is gone."""

        def __getattr__(self, name):
            soak.multiprocessing.process.os._exit(1)

    begun = soak.run([(case, variant)], Gone(), PASS, seed=1, seconds=60, jobs=1, into=folder, heard=lambda line: writer.write(**line))
    assert begun == 1 and results.finish(path, begun).exit_status() == results.INCOMPLETE


# An address that is compiled in.

def stand_in(folder):
    """The stand-in for cgi2scgi, compiled, and the adapter of cgi2scgi under a name that is not the program's."""
    program, adapter = folder / "bridge", folder / "adapter.toml"
    compiler = shutil.which("musl-gcc") or shutil.which("cc") or shutil.which("gcc")
    subprocess.run([compiler, "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "bridges" / "stand_in.c"],
                   check=True, timeout=120)
    text = (HERE / "adapters" / "cgi2scgi.toml").read_text()
    adapter.write_text(text.replace('name     = "cgi2scgi"', 'name     = "cgi2scgi\'s stand-in"'))
    return program, adapter


def test_74_06_a_compiled_in_address_is_served_and_shown_beside_others(folder):
    """A bridge that knows 127.0.0.1:4000 alone should be tried to the end and fail what its adapter says, and nothing else.

    The matrix should show it beside rouse and the bridge in Perl, in Markdown and in HTML, with the reason of each known failure.
    """
    program, adapter = stand_in(folder)
    together = []
    # Hardly any of the first is work: half of it hangs, and what finds nobody there tries for 15 s.
    for bridge, said, jobs in ((program, adapter, 16), (procs.GIVEN, "rouse", 2), (PASS, "pass", 2)):
        into = folder / f"of{len(together)}"
        done = run("test", "--bridge", bridge, "--adapter", said, "--tier", "quick", "--jobs", jobs, "--into", into, timeout=500)
        assert done.returncode == results.PASSED, done.stdout[-5000:]
        together.append(results.read(into / "results.jsonl"))
    known = adapters.read(HERE / "adapters" / "cgi2scgi.toml").known_failures
    counts = together[0].counts()
    assert counts["known-failure"] == len(known) and counts["pass"] > 2 * len(known) and not counts["unexpected-pass"], counts

    done = run("matrix", *(folder / f"of{number}" / "results.jsonl" for number in (1, 2, 0)), "--into", folder / "matrix")
    assert done.returncode == 0, done
    text, page = (folder / "matrix" / "matrix.md").read_text(), (folder / "matrix" / "matrix.html").read_text()
    name = together[0].name
    assert f"| case | {together[1].name} | {together[2].name} | {name} |" in text
    assert "| body/stdin-left-open | ✓ | ✓ | x |" in text and "| body/unknown-length | ✓ | – | – |" in text
    assert page.count("<th>cgi2scgi&#x27;s stand-in 1.10 (2006)</th>") > 3
    for case in known:
        assert f"| {case} | ✓ |" in text and f"| {name} | {case} |" in text, case


# Somebody who brings a bridge.

def test_74_07_the_example_is_the_template_filled_in(folder):
    """The example's adapter should say nothing that the template does not show, and be right."""
    assert run("check", EXAMPLE / "adapter.toml").returncode == 0
    template = (HERE / "adapters" / "template.toml").read_text()
    for key in re.findall(r"^\[?([a-z-]+)\b", (EXAMPLE / "adapter.toml").read_text(), re.M):
        assert re.search(rf"^(# )?\[?{key}\b", template, re.M), key


def test_74_08_a_strangers_path(folder):
    """The page's commands should lead from the template to a matrix: a check, a broken adapter in words, a run, one case."""
    shutil.copy(EXAMPLE / "bridge", folder)
    template = (HERE / "adapters" / "template.toml").read_text()
    mine = folder / "mine.toml"
    mine.write_text(template)
    done = run("check", mine)
    assert done.returncode == 0, done
    # The template as it is names the variable of the example, and not Python's own.
    done = run("test", "--bridge", folder / "bridge", "--adapter", mine, "--tier", "quick", "--into", folder / "out")
    assert done.returncode == results.BROKEN and "variables too many: [b'LC_CTYPE" in done.stdout, done
    mine.write_text(template.replace('# hidden      = ["BRIDGE_SOCKET"]', 'hidden      = ["LC_CTYPE"]').replace('"NAME"', '"mine"'))
    done = run("test", "--bridge", folder / "bridge", "--adapter", mine, "--tier", "quick", "--into", folder / "out")
    assert done.returncode == results.PASSED, done.stdout[-5000:]
    assert words_of(folder / "out")["body/stdin-left-open"] == "pass"
    assert "| body | " in (folder / "out" / "matrix.md").read_text()
    done = run("one", "body/stdin-short[socket,sigpipe-default]", "--bridge", folder / "bridge", "--adapter", mine, "--keep", folder / "it")
    assert done.returncode == results.PASSED and (folder / "it").is_dir(), done


def test_74_09_the_page_lists_every_name_that_a_text_may_hold():
    """What `{name}` stands for, and where, should be found without the program's complaint."""
    table = README.partition("| name | is replaced by | in |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`\{([a-z]+)\}`", table)) == set(adapters.NAMES)
    for row in table.splitlines()[2:]:
        names, where = re.findall(r"\{([a-z]+)\}", row), row.split("|")[3]
        assert all(("only" not in where) == (name in adapters.EVERYWHERE) for name in names), row


def test_74_10_a_failed_case_leads_to_what_is_kept_of_it(folder):
    """The matrix, wherever it is written, should have a link for each case that fails; it holds when the folders are moved together."""
    wrong = folder / "bridge"
    wrong.write_text(PASS.read_text().replace("$left = $length += 0", "$left = $length"))
    wrong.chmod(0o755)
    done = run("test", "--bridge", wrong, "--adapter", "pass", "--cases", "body/cl-leading-zeros body/one-byte", "--tier", "quick",
               "--into", folder / "out")
    assert done.returncode == results.FAILED, done
    assert run("matrix", folder / "out" / "results.jsonl", "--into", folder / "all" / "it").returncode == results.PASSED
    for where in (folder / "out", folder / "all" / "it"):
        text, page = (where / "matrix.md").read_text(), (where / "matrix.html").read_text()
        [link] = re.findall(r"\| body/cl-leading-zeros \| \[✗\]\(([^()\[\] ]+)\) \|", text)
        assert (where / unquote(link) / "repro.sh").is_file() and f"<a href='{link}'>✗</a>" in page, link
        assert "| body/one-byte | ✓ |" in text and page.count("failures/") == 1, where
