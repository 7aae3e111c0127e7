"""The conformance suite under pytest: one item for each case and variant. `run` starts it; README.md says how."""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from harness import procs  # noqa: E402
from suite import adapter as adapters  # noqa: E402
from suite import plan as plans  # noqa: E402
from suite import mutants, results, trial  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--bridge", help="the CGI program under test")
    parser.addoption("--adapter", help="its adapter, a TOML file")
    parser.addoption("--cases", default="*", help="patterns of ids, with blanks between them")
    parser.addoption("--level", default="check", choices=plans.LEVELS, help="this level and the stronger ones")
    parser.addoption("--tier", default="full", choices=("quick", "full"), help="quick: each case in one way, and none that lasts")
    parser.addoption("--repeat", type=int, default=1, help="how often each case is run in each way")
    parser.addoption("--no-gate", action="store_true", help="let the clients of a crowd go as they come")
    parser.addoption("--into", help="the folder of results.jsonl, which `run` has begun, and of what is kept of failures")


def pytest_configure(config):
    config.addinivalue_line("markers", "promises(*ids): the promises that this shows")
    procs.become_subreaper()


def pytest_report_header(config):
    if config.getoption("--bridge"):
        return [f"bridge: {config.getoption('--bridge')}", f"adapter: {config.getoption('--adapter')}"]
    return []


def pytest_generate_tests(metafunc):
    if "trial_of" in metafunc.fixturenames:
        config = metafunc.config
        planned = []
        if config.getoption("--bridge"):
            config.adapter = adapters.read(config.getoption("--adapter"))
            planned = plans.make(config.adapter, config.getoption("--cases"), config.getoption("--level"),
                                 tier=config.getoption("--tier"), repeat=config.getoption("--repeat")).trials
        if hasattr(config, "workerinput"):
            # Several processes get neighbours in a lump, and cases that make one bridge hang are neighbours: mixed, in the same
            # way in each process.
            planned.sort(key=lambda one: hashlib.sha256(plans.name_of(*one).encode()).digest())
        metafunc.parametrize("trial_of", [
            pytest.param((case, variant), id=plans.name_of(case, variant), marks=pytest.mark.promises(*case["promises"]))
            for case, variant in planned])


def pytest_collection_modifyitems(config, items):
    """Without a bridge there is nothing to try, and the suite's own tests are all there is."""
    items[:] = [item for item in items if not item.name.endswith("NOTSET]") and not item.name.endswith("[trial_of0]")]


@pytest.fixture
def folder():
    """A new folder with a short path (a unix socket's path has at most 107 bytes), gone after the test."""
    path = Path(tempfile.mkdtemp(prefix="conf.", dir="/tmp"))
    path.chmod(0o755)
    yield path
    trial.release()
    shutil.rmtree(path, ignore_errors=True)


def pytest_runtest_logreport(report):
    """Results are written in one process, that which hears of every item, however many run them."""
    said = dict(report.user_properties) if report.when == "call" else {}
    if _results and "result" in said:
        results.Writer(_results).write(**json.loads(said["result"]))
    if "mutant" in said:
        _mutants.append(said["mutant"])


def pytest_report_teststatus(report):
    """The results' own words: what is known to fail did not pass, and the counts are to agree. What failed stays pytest's."""
    said = dict(report.user_properties) if report.when == "call" and report.outcome != "failed" else {}
    if "result" in said:
        line = json.loads(said["result"])
        word = "passed" if line["result"] == "pass" else f"fail ({line['level']})" if line["result"] == "fail" else line["result"]
        return word, "." if word == "passed" else results.SIGNS[line["result"]], word.upper()
    return None


def pytest_terminal_summary(terminalreporter):
    if _mutants:
        terminalreporter.write_line("\n" + "\n".join(mutants.table(_mutants)))


_results = None
_mutants = []


def pytest_sessionstart(session):
    global _results
    into = session.config.getoption("--into")
    if into and not hasattr(session.config, "workerinput"):
        _results = Path(into) / "results.jsonl"
