"""Every case that the adapter's bridge can be tried with, in every way in which a web server may run it."""

import json
from pathlib import Path

import pytest

from suite.attempt import attempt, is_a_failure


def test_70_01_the_case_holds(trial_of, folder, request, record_property):
    """What the case expects should be what happens, unless the adapter says that it fails: then it should fail."""
    case, variant = trial_of
    config = request.config
    line, tried = attempt(case, variant, folder, config.adapter, Path(config.getoption("--bridge")), config.getoption("--into"),
                          gated=not config.getoption("--no-gate"))
    record_property("result", json.dumps(line))
    if line["result"] == "harness-error":
        pytest.fail("\n".join(line["complaints"]), pytrace=False)
    if line["result"] == "unexpected-pass":
        pytest.fail(f"{case.id} passes, but the adapter says that it fails ({line['why']}): take it out of known-failures", pytrace=False)
    if is_a_failure(line):
        pytest.fail(tried.report(), pytrace=False)
