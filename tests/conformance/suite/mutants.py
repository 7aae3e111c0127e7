"""This file knows the mutants: bridges/pass.pl made wrong in one way, and the cases that must notice.

    old, new   the text of bridges/pass.pl that is replaced, which stands there once
    cases      patterns of the cases that are tried (all that the adapter claims)
    fails      cases that must fail
    may        patterns of cases that may

A case that fails and is neither among them is as wrong as one that does not: it would blame a bridge for what it does right.
"""

import fnmatch
import tempfile
import tomllib
from pathlib import Path

from . import adapter as adapters
from . import plan
from .trial import Trial

HERE = Path(__file__).resolve().parents[1]
BRIDGE = HERE / "bridges" / "pass.pl"
NOT_TRIED = ("request/env-10000-names",)  # Perl itself is slow there: on a busy machine its watchdog would speak for no mutant


def read(name):
    return tomllib.loads((HERE / "mutants" / f"{name}.toml").read_text(encoding="utf-8"))


def names():
    """Those that fail most first: they last longest, for what hangs is waited for."""
    found = {path.stem: len(read(path.stem)["fails"]) for path in (HERE / "mutants").glob("*.toml")}
    return sorted(found, key=lambda name: (-found[name], name))


def make(mutant, folder):
    """The wrong bridge, in a folder of its own."""
    source = BRIDGE.read_text(encoding="utf-8")
    old, new = mutant["old"], mutant["new"]
    if source.count(old) != 1:
        raise ValueError(f"{old!r} stands {source.count(old)} times in {BRIDGE.name}, not once")
    path = Path(folder) / "bridge"
    path.write_text(source.replace(old, new), encoding="utf-8")
    path.chmod(0o755)
    return path


def failing(mutant, bridge, folder):
    """{id: what is said} of the cases that do not hold, each tried in its first variant."""
    adapter = adapters.read(HERE / "adapters" / "pass.toml")
    adapter.slower = 1  # many a mutant hangs, and each hang lasts as long as its watchdog
    found, seen = {}, set(NOT_TRIED)
    for case, variant in plan.make(adapter, mutant.get("cases", "*")).trials:
        if case.id in seen:
            continue
        seen.add(case.id)
        with tempfile.TemporaryDirectory(prefix="conf.", dir="/tmp") as place:
            Path(place).chmod(0o755)
            tried = Trial(case, variant, place, adapter, bridge).run()
        if tried.complaints:
            found[case.id] = tried.complaints
    return found


def compare(mutant, found):
    """Sentences: which cases failed that must not, and which did not that must."""
    must, may = set(mutant["fails"]), mutant.get("may", [])
    wrong = [f"{case} does not notice it" for case in sorted(must - set(found))]
    wrong += [f"{case} fails, which has nothing to do with it: {said[0]}" for case, said in sorted(found.items())
              if case not in must and not any(fnmatch.fnmatchcase(case, pattern) for pattern in may)]
    return wrong
