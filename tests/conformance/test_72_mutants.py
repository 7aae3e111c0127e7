"""Bridges that are wrong in one way: each must fail the cases that are about it, and no others."""

import pytest

from suite import mutants


@pytest.mark.parametrize("name", mutants.names())
def test_72_01_a_mutant_fails_its_cases_and_no_others(name, folder):
    """What is wrong should be noticed by the cases that are listed, and nothing that is right be blamed."""
    mutant = mutants.read(name)
    found = mutants.failing(mutant, mutants.make(mutant, folder))
    wrong = mutants.compare(mutant, found)
    assert mutant["fails"] and not wrong, "\n".join(wrong)


def test_72_02_a_mutant_that_is_none_is_said():
    """A text that is not there, a case that fails beside the list, and one that does not fail should each be told."""
    with pytest.raises(ValueError, match="0 times"):
        mutants.make({"old": "this stands nowhere", "new": ""}, "/nonexistent")
    mutant = {"fails": ["body/a", "body/b"], "may": ["request/*"]}
    wrong = mutants.compare(mutant, {"body/a": ["x"], "request/c": ["x"], "body/d": ["why"]})
    assert wrong == ["body/b does not notice it", "body/d fails, which has nothing to do with it: why"]
