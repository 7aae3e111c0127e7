"""This file knows which cases are run in which variants, and what becomes of the others."""

import fnmatch
import functools
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from harness import fixtures
from harness.scripted_server import has_ipv6, own_network

from . import capabilities
from .adapter import split_key

LEVELS = ("must", "should", "may", "check")
TIERS = ("quick", "full", "soak")


@dataclass
class Plan:
    """What is run: (case, variant) pairs; what is not, with the reason."""

    trials: list = field(default_factory=list)
    unsupported: list = field(default_factory=list)  # (case, what is missing in words)
    not_here: list = field(default_factory=list)     # (case, what this machine or user lacks)


def make(adapter, patterns="*", level="check", cases=None, tier="full", repeat=1):
    """The plan for the cases that match one of the patterns (blanks between them) and are of this level or a stronger one.

    The quick tier leaves out what lasts as long as a time-out, and runs a case in its first way only.
    """
    plan = Plan()
    for case in cases if cases is not None else fixtures.read_cases():
        if tier == "quick" and "timing" in case["tags"]:
            continue
        if not any(fnmatch.fnmatchcase(case.id, pattern) for pattern in patterns.split()):
            continue
        if LEVELS.index(case["level"]) > LEVELS.index(level):
            continue
        lacks = capabilities.missing(case, adapter)
        away = [] if lacks else not_here(case)
        if lacks:
            plan.unsupported.append((case, lacks))
        elif away:
            plan.not_here.append((case, away))
        else:
            ways = case.variants()[: 1 if tier == "quick" else None]
            numbers = [{"repeat": number} for number in range(1, repeat + 1)] if repeat > 1 else [{}]
            plan.trials += [(case, {**way, **number}) for number in numbers for way in ways]
    return plan


def idle(adapter, cases=None):
    """(key of known-failures, what is missing): those that no run holds to their word, for it does not come to their case."""
    by_id = {case.id: case for case in cases or fixtures.read_cases()}
    found = [(key, capabilities.missing(by_id[split_key(key)[0]], adapter)) for key in adapter.known_failures]
    return [(key, lacks) for key, lacks in found if lacks]


def not_here(case):
    """What the case needs and this machine or user does not have."""
    away = []
    if "root" in case["tags"] and os.geteuid() != 0:
        away.append("root")
    if "ipv6" in case["tags"] and not has_ipv6():
        away.append("the address ::1")
    if "network" in case["server"] and not has_own_networks():
        away.append("a network of its own")
    if any("node" in one for one in case.get("clients", [])) and not has_own_networks():  # it is the same right
        away.append("a node name of its own")
    return away


@functools.cache
def has_own_networks():
    """Whether this process may make networks and set them up: root of a container usually may not."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            own_network()
            # The last word: a container's /proc/sys can be read, and no more.
            with open("/proc/sys/net/ipv4/ip_local_port_range", "r+", encoding="ascii"):
                status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def name_of(case, variant):
    """body/x[pipes,sigpipe-default]: what a failure is called, and what replays it."""
    return f"{case.id}[{way_of(variant)}]"


def way_of(variant):
    number = f",{variant['repeat']}" if "repeat" in variant else ""
    return f"{variant['fds']},sigpipe-{variant['sigpipe']}{number}"


def find(name, cases=None):
    """The (case, variant) of a name; without [...] the first variant. ValueError in words when there is none."""
    wanted, _, way = name.partition("[")
    way = re.sub(r",\d+\]$", "]", way)  # each time is as good as the first
    for case in cases if cases is not None else fixtures.read_cases():
        if case.id == wanted:
            for variant in case.variants():
                if not way or way == way_of(variant) + "]":
                    return case, variant
            raise ValueError(f"{wanted} is not run as [{way}: its ways are {', '.join(map(way_of, case.variants()))}")
    raise ValueError(f"there is no case {wanted}")


def digest(folder=fixtures.FIXTURES):
    """One number for all fixtures: results are comparable only when it is the same."""
    total = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*.toml")):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()
