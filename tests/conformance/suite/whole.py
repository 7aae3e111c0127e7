"""This file knows one run of the suite from its beginning to its end: the probes, the trials, the results and the reports."""

import os
import platform
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from harness import fixtures, procs

from . import plan, probes, report, results, soak
from .place import Place, make_tools

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]


def run(adapter, program, options, say):
    """The exit status. `say(sentence)` tells who waits."""
    planned = plan.make(adapter, options.cases, options.level, tier=options.tier, repeat=options.repeat)
    if not planned.trials and not planned.unsupported:
        raise results.UsageError(f"no case matches {options.cases!r} at the level {options.level} in the tier {options.tier}")
    if options.tier == "soak" and not planned.trials:
        raise results.UsageError(f"there is nothing to soak: {adapter.name} does not claim what the cases {options.cases!r} need")
    if adapter.fixed and options.jobs > 1 and not plan.has_own_networks():
        say(f"one trial at a time: only who may make networks of their own can have several servers at {adapter.fixed}")
        options.jobs = 1
    procs.become_subreaper()
    make_tools()
    place = Place(Path(options.into or ROOT / "build" / "conformance" / adapter.name).resolve())
    say(f"{adapter.name} {adapter.bridge['version']}: first the probes")
    if broken := probes.broken(adapter, program):
        say(f"The adapter {adapter.source} or the bridge {program} is broken, so nothing was judged:\n" + "\n".join(broken))
        place.give_up()
        return results.BROKEN
    tried = len({case.id for case, _ in planned.trials})
    say(f"cases: {tried} to try, in {len(planned.trials)} trials; {len(planned.unsupported)} unsupported; {len(planned.not_here)} not here")
    place.begin()
    _begin_results(place, adapter, planned, options)
    if options.tier == "soak":
        found = _soak(place, adapter, program, planned, options, say)
    else:
        if planned.trials:
            subprocess.run(_pytest(place, adapter, program, options), cwd=ROOT, check=False)  # what it found stands in the results
        found = results.finish(place.results)
    report.write(found, place.folder)
    say(report.summary(found))
    kept = ", failures/" if (place.folder / "failures").exists() else ""
    say(f"results: {place.folder}/results.jsonl, matrix.md, matrix.html, junit.xml{kept}")
    return found.exit_status()


def _begin_results(place, adapter, planned, options):
    """The header, and a line for each case that is not tried."""
    how = {"tier": options.tier, "cases": options.cases, "level": options.level}
    if options.tier == "soak":
        how |= {"seed": options.seed, "seconds": options.seconds, "jobs": options.jobs}
    suite = tomllib.loads((fixtures.FIXTURES / "SUITE.toml").read_text())
    writer = results.Writer(place.results)
    writer.begin(suite=suite["suite"], fixtures=plan.digest(), bridge=adapter.bridge, adapter=adapter.digest,
                 claims=sorted(adapter.claims), **how, kernel=platform.release(),
                 root=os.geteuid() == 0, began=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                 planned=None if options.tier == "soak" else len(planned.trials) + _away(planned))
    for word, cases in (("unsupported", planned.unsupported), ("not-here", planned.not_here)):
        for case, lacks in cases:
            writer.write(type="result", id=case.id, variant="", level=case["level"], promises=case["promises"], result=word, missing=lacks)


def _away(planned):
    return len(planned.unsupported) + len(planned.not_here)


def _soak(place, adapter, program, planned, options, say):
    say(f"soak: {options.seconds:g} s, {options.jobs} side by side, seed {options.seed}: --seed {options.seed} is this order again")
    writer = results.Writer(place.results)
    begun = soak.run(planned.trials, adapter, program, seed=options.seed, seconds=options.seconds, jobs=options.jobs, into=place.folder,
                     heard=lambda line: writer.write(**line))
    return results.finish(place.results, begun + _away(planned))


def _pytest(place, adapter, program, options):
    command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", str(HERE / "test_70_cases.py"),
               "--bridge", str(program), "--adapter", str(adapter.source.resolve()), "--cases", options.cases,
               "--level", options.level, "--tier", options.tier, "--repeat", str(options.repeat), "--into", str(place.folder)]
    command += ["--no-gate"] if options.no_gate else []
    return command + (["-n", str(options.jobs)] if options.jobs > 1 else [])
