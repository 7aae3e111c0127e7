"""Every case of the fixtures, in every way in which a web server may run the bridge."""

import os

import pytest

from harness import fixtures
from harness.cases import Run
from harness.scripted_server import has_ipv6


def possible(case):
    """Cases that this user or machine cannot run are not collected; test_10_02 says which those may be."""
    if "root" in case["tags"] and os.geteuid() != 0:
        return False
    return "ipv6" not in case["tags"] or has_ipv6()


def every_way():
    for case in filter(possible, fixtures.read_cases()):
        for variant in case.variants():
            name = f"{case.id}[{variant['fds']},sigpipe-{variant['sigpipe']}]"
            yield pytest.param(case, variant, id=name, marks=pytest.mark.promises(*case["promises"]))


@pytest.mark.parametrize("case, variant", every_way())
def test_10_01_the_case_holds(case, variant, folder):
    """What the case expects should be what happens, and nothing else."""
    run = Run(case, variant, folder).run()
    if run.complaints:
        pytest.fail(run.report(), pytrace=False)


def test_10_02_every_case_can_be_run_here():
    """Root on a machine with ::1 should leave no case out: fewer would be a hole that nobody sees."""
    cases = fixtures.read_cases()
    left_out = [case.id for case in cases if not possible(case)]
    missing = [word for word, here in (("root", os.geteuid() == 0), ("ipv6", has_ipv6())) if not here]
    assert bool(left_out) == bool(missing) and len(left_out) < len(cases) / 5, (missing, left_out)
