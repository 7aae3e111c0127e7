"""Every case that the adapter's bridge can be tried with, in every way in which a web server may run it."""

import json
import time
import traceback
from pathlib import Path

import pytest

from suite import artifacts, plan, results
from suite.trial import Trial, Unsupported, verdicts


def test_70_01_the_case_holds(trial_of, folder, request, record_property):
    """What the case expects should be what happens, unless the adapter says that it fails: then it should fail."""
    case, variant = trial_of
    config = request.config
    adapter, program = config.adapter, Path(config.getoption("--bridge"))
    known = adapter.expected_to_fail(case.id, variant)
    line = {"type": "result", "id": case.id, "variant": plan.way_of(variant), "level": case["level"], "promises": case["promises"]}
    began = time.monotonic()
    tried = Trial(case, variant, folder, adapter, program, gated=not config.getoption("--no-gate"))
    try:
        tried.run()
    except Unsupported as reason:
        line.update(result="unsupported", missing=[str(reason)])
        record_property("result", json.dumps(line))
        return
    except Exception:  # the suite's own failure must not be taken for the bridge's
        line.update(result="harness-error", complaints=[traceback.format_exc()])
        record_property("result", json.dumps(line))
        raise
    found = verdicts(tried)
    line.update(result=results.word_for(tried.complaints, known), reply=found["reply"], conduct=found["conduct"],
                seconds=round(time.monotonic() - began, 3))
    if tried.unjudged:
        line["unjudged"] = tried.unjudged
    if known:
        line["why"] = known
    if tried.complaints and config.getoption("--into"):
        place = Path("failures") / plan.name_of(case, variant).replace("/", ".")
        artifacts.keep(Path(config.getoption("--into")) / place, tried, plan.name_of(case, variant), adapter, program)
        line["kept"] = str(place)
    record_property("result", json.dumps(line))
    if line["result"] == "unexpected-pass":
        pytest.fail(f"{case.id} passes, but the adapter says that it fails ({known}): take it out of known-failures", pytrace=False)
    if line["result"] == "fail" and case["level"] not in results.OPTIONAL:
        pytest.fail(tried.report(), pytrace=False)
