"""This file knows the mutants: a bridge of `bridges` made wrong in one way, and the cases that must notice.

    bridge     which one is tried (pass)
    file       the file of `bridges` that is changed (its own)
    old, new   the text of it that is replaced, which stands there once
    cases      patterns of the cases that are tried (all that the adapter of pass claims; of wake the topic launch)
    fails      cases that must fail
    may        patterns of cases that may

A case that fails and is neither among them is as wrong as one that does not: it would blame a bridge for what it does right.
"""

import fnmatch
import json
import shutil
import tempfile
import tomllib
from pathlib import Path

from . import adapter as adapters
from . import plan
from .trial import Trial

HERE = Path(__file__).resolve().parents[1]
BRIDGES = HERE / "bridges"
CASES = {"pass": "*", "wake": "launch/*"}
# Perl itself is slow there: on a busy machine its watchdog would speak for no mutant.
NOT_TRIED = ("request/env-10000-names", "launch/crowd-100")
SLOWER = {"pass": 1, "wake": 1}  # not what their adapters say: many a mutant hangs, and each hang lasts as long as its watchdog


def read(name, only=None):
    """`only`: patterns of the cases that are tried, in the place of its own."""
    mutant = tomllib.loads((HERE / "mutants" / f"{name}.toml").read_text(encoding="utf-8"))
    if only:
        mutant |= {"cases": only, "fails": [case for case in mutant["fails"] if any(fnmatch.fnmatchcase(case, pattern) for pattern in only.split())]}
    return mutant


def names():
    """Those that fail most first: they last longest, for what hangs is waited for."""
    found = {path.stem: len(read(path.stem)["fails"]) for path in (HERE / "mutants").glob("*.toml")}
    return sorted(found, key=lambda name: (-found[name], name))


def make(mutant, folder):
    """The wrong bridge, in a folder with what it reads."""
    name = mutant.get("bridge", "pass")
    changed = mutant.get("file", f"{name}.pl")
    source, old = (BRIDGES / changed).read_text(encoding="utf-8"), mutant["old"]
    if source.count(old) != 1:
        raise ValueError(f"{old!r} stands {source.count(old)} times in {changed}, not once")
    for path in BRIDGES.glob("*.pl"):
        shutil.copy(path, Path(folder) / path.name)
    (Path(folder) / changed).write_text(source.replace(old, mutant["new"]), encoding="utf-8")
    return Path(folder) / f"{name}.pl"


def failing(mutant, bridge, gated=True):
    """{id: what is said} of the cases that do not hold, each tried in its first variant."""
    name = mutant.get("bridge", "pass")
    adapter = adapters.read(HERE / "adapters" / f"{name}.toml")
    adapter.slower = SLOWER[name]
    found, seen = {}, set(NOT_TRIED)
    for case, variant in plan.make(adapter, mutant.get("cases", CASES[name])).trials:
        if case.id in seen:
            continue
        seen.add(case.id)
        with tempfile.TemporaryDirectory(prefix="conf.", dir="/tmp") as place:
            Path(place).chmod(0o755)
            tried = Trial(case, variant, place, adapter, bridge, gated=gated).run()
        if tried.complaints:
            found[case.id] = tried.complaints
    return found


def note(name, found):
    """One try of a mutant, as text for whoever writes the table."""
    return json.dumps([name, sorted(found)])


def table(notes, only=None):
    """Lines of Markdown: the mutants against the topics of the cases. `notes` are those of all that was tried, in any order.

    `2/3` stands where three cases of the topic are listed and two noticed each time; `+1` for one more that did at least once.
    """
    tried = {}
    for name, found in map(json.loads, notes):
        tried.setdefault(name, []).append(set(found))
    rows, topics = {}, set()
    for name in sorted(tried):
        listed, often = set(read(name, only)["fails"]), tried[name]
        always, ever = set.intersection(*often), set.union(*often)
        cells = {}
        for topic in {case.split("/")[0] for case in listed | ever}:
            must, did, more = (sum(case.startswith(topic + "/") for case in cases) for cases in (listed, listed & always, ever - listed))
            cells[topic] = f"{did}/{must}" * bool(must) + f" +{more}" * bool(more)
        rows[name] = (len(often), sum(map(bool, often)), cells)
        topics |= set(cells)
    columns = sorted(topics)
    lines = [f"| mutant | noticed | {' | '.join(columns)} |", f"| --- {'| --- ' * (len(columns) + 1)}|"]
    lines += [f"| {name} | {'yes' if times == noticed == 1 else f'{noticed} of {times}'} | {' | '.join(cells.get(topic, '').strip() for topic in columns)} |"
              for name, (times, noticed, cells) in rows.items()]
    escaped = {name: times - noticed for name, (times, noticed, _) in rows.items() if noticed < times}
    said = ", ".join(f"{name} {times} of {rows[name][0]}" for name, times in escaped.items())
    return [*lines, "", f"{len(rows)} mutants, {sum(times for times, _, _ in rows.values())} tries; {len(escaped)} escaped" + (f": {said}" if escaped else "")]


def compare(mutant, found):
    """Sentences: which cases failed that must not, and which did not that must."""
    must, may = set(mutant["fails"]), mutant.get("may", [])
    wrong = [f"{case} does not notice it" for case in sorted(must - set(found))]
    wrong += [f"{case} fails, which has nothing to do with it: {said[0]}" for case, said in sorted(found.items())
              if case not in must and not any(fnmatch.fnmatchcase(case, pattern) for pattern in may)]
    return wrong
