"""This file knows the probes: what shows, before anything is judged, that an adapter is broken or dishonest.

A bridge that fails a probe is not one that fails a case. Most likely its adapter does not tell it where its server is.
"""

import copy
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

from harness import fixtures
from harness.byte_strings import Bytes
from harness.judgement import Complaints

from . import capabilities, programs
from .trial import AdapterBroken, Trial, Unsupported

SMOKE = ("request/get-minimal", "request/spec-example", "request/equals-in-value", "response/status-404", "body/binary-256")
REFUSED = re.compile(rb"envexec: cannot execute (.*): [^:]*\n")  # it is what becomes the bridge
# What says that something failed, whatever else it says and in whatever order; anything else is an answer.
PAGE_HEAD = re.compile(rb"(?:[A-Za-z0-9-]+:[^\r\n]*\r?\n)+\r?\n")
STATUS = re.compile(rb"^Status:[ \t]*([^\r\n]*)", re.I | re.M)
WAY = {"fds": "pipes", "sigpipe": "default"}


def _made(expect, **server):
    """A case of the probes' own: a GET."""
    return fixtures.whole_case(Path("probe/probe.toml"), {
        "schema": 1, "id": "probe/probe", "title": "A probe", "level": "must", "promises": [], "since": "0",
        "cgi": {"env": [Bytes("REQUEST_METHOD=GET"), Bytes("GATEWAY_INTERFACE=CGI/1.1"), Bytes("QUERY_STRING=")]},
        "server": server, "expect": expect,
    })


def _try(case, adapter, program):
    folder = tempfile.mkdtemp(prefix="conf.", dir="/tmp")
    os.chmod(folder, 0o755)
    try:
        tried = Trial(copy.deepcopy(case), dict(WAY), folder, adapter, program).run()
        if tried.outcome and (refused := REFUSED.match(tried.outcome.stderr)):
            path = os.fsdecode(refused[1])
            raise AdapterBroken(f"cannot execute {path}: {programs.refusal(path)}")
        return tried
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def broken(adapter, program):
    """Sentences: everything that shows that nothing can be judged; empty: it can."""
    try:
        return smoke(adapter, program) + honesty(adapter, program)
    except AdapterBroken as error:  # it would be the same in each of them
        return [str(error)]


def smoke(adapter, program, cases=None):
    """Sentences: which of five trivial cases do not hold."""
    by_id = {case.id: case for case in cases or fixtures.read_cases() if case.id in SMOKE}
    found = []
    for name in SMOKE:
        if name in by_id and not capabilities.missing(by_id[name], adapter):
            try:
                tried = _try(by_id[name], adapter, program)
            except Unsupported:
                continue
            if tried.complaints and not adapter.expected_to_fail(name, WAY):
                found.append(f"smoke: {tried.report()}")
    return found


def honesty(adapter, program):
    """Sentences: what this adapter's bridge claims to have done and cannot have done."""
    try:
        return _honesty(adapter, program)
    except Unsupported as reason:
        return [f"the adapter's hook does not support a plain GET: {reason}"]


def _honesty(adapter, program):
    found = []
    token = secrets.token_hex(16)
    answer = rf"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n{token}"
    tried = _try(_made({"outcome": ["served"]}, answer=Bytes(answer)), adapter, program)
    if tried.complaints:
        found.append("a server answered with a number that nobody can know; what came out is something else, so the bridge does "
                     f"not speak to the server that the adapter names: {tried.report()}")
    for words, server in (
        ("its server closes without a byte", {"conn": [{"do": [{"recv": "request"}, {"close": "clean"}]}]}),
        ("nobody listens at its server's address", {"state": "absent"}),
    ):
        tried = _try(_made({"outcome": ["bridge-5xx", "silent"], "connections": [0, 1], "empty": [0, 1, 2, 3]}, **server), adapter, program)
        found += [f"{words}, and {sentence}" for sentence in _own_answer(tried)]
    found += _unknown_names(adapter, program)
    if "start" not in adapter.claims and (processes := _left_running(tried)):
        found.append(f"it claims to start no server, but leaves processes: {processes}")
    return found


def _own_answer(tried):
    """What is no way to say that nothing came. Whether the exit status of a page is right is a matter of cases."""
    outcome = tried.outcome
    if outcome.hung:
        return [f"it had not ended after {tried.case['timeout']:g} s"]
    if outcome.held:
        return ["it was gone, but its standard output or error stayed open"]
    if outcome.status < 0:
        return [f"it died of signal {-outcome.status}"]
    if outcome.stdout and not is_page(outcome.stdout):
        return [f"yet it answers: {outcome.stdout[:300]!r}: whose answer is that?"]
    return []


def is_page(stdout):
    """Whether it is an answer of CGI whose Status, and it has one, says that something failed."""
    head = PAGE_HEAD.match(stdout)
    statuses = STATUS.findall(head[0]) if head else []
    return bool(statuses) and all(re.match(rb"[45]\d\d(?!\d)", status) for status in statuses)


def _unknown_names(adapter, program):
    """An adapter that has a text for every setting must not have one for a setting that nobody knows."""
    name = "x" + secrets.token_hex(6)
    if adapter.setting(name) is None:
        return []
    case = _made({"outcome": ["served"]}, answer=Bytes(fixtures.ANSWER))
    case.values["settings"] = {name: Bytes("1")}
    try:
        tried = _try(case, adapter, program)
    except Unsupported:
        return []
    if adapter.hook:
        return [f"the adapter's hook must end with 77 for what it does not know; a setting {name} was taken"]
    if tried.judgement(tried, tried.outcome, tried.case["expect"], Complaints()).name_outcome() == "served":
        return [f"the adapter says how every setting is told to the bridge, but a setting that nobody knows ({name}) changes "
                "nothing: name the settings one by one in [settings]"]
    return []


def _left_running(tried):
    return [sentence for sentence in tried.complaints if sentence.startswith("a process was left")]
