"""This file knows how one trial becomes a line of the results, whoever runs it: pytest, or a soak."""

import time
import traceback
from pathlib import Path

from . import artifacts, plan, results
from .trial import AdapterBroken, Trial, Unsupported, verdicts


def attempt(case, variant, folder, adapter, program, into=None, number=None, gated=True):
    """(the line of results.jsonl, the Trial): one case in one variant, in the empty folder `folder`.

    What failed is kept below `into`, if that is given. `number` tells the many trials of a soak apart, of which only those
    are kept that count. The suite's own failure is a line, too: it must not be taken for the bridge's.
    """
    known = adapter.expected_to_fail(case.id, variant)
    line = {"type": "result", "id": case.id, "variant": plan.way_of(variant), "level": case["level"], "promises": case["promises"]}
    began = time.monotonic()
    tried = Trial(case, variant, folder, adapter, program, gated=gated)
    try:
        tried.run()
    except Unsupported as reason:
        return {**line, "result": "unsupported", "missing": [str(reason)]}, tried
    except AdapterBroken as error:
        return {**line, "result": "harness-error", "complaints": [str(error)]}, tried
    except Exception:
        return {**line, "result": "harness-error", "complaints": [traceback.format_exc()]}, tried
    found = verdicts(tried)
    line.update(result=results.word_for(tried.complaints, known), reply=found["reply"], conduct=found["conduct"],
                seconds=round(time.monotonic() - began, 3))
    if "start" in case.values and 0 not in case["expect"]["starts"]:
        line["starts"] = tried.starts()
    if tried.unjudged:
        line["unjudged"] = tried.unjudged
    if known:
        line["why"] = known
    if tried.complaints and into and (number is None or is_a_failure(line)):
        place = Path("failures") / ((f"{number}." if number is not None else "") + plan.name_of(case, variant).replace("/", "."))
        artifacts.keep(Path(into) / place, tried, plan.name_of(case, variant), adapter, program)
        line["kept"] = str(place)
    return line, tried


def is_a_failure(line):
    """Whether it makes the run a failed one, or one of which nothing is known."""
    word = line["result"]
    return word in ("unexpected-pass", "harness-error") or word == "fail" and line["level"] not in results.OPTIONAL
