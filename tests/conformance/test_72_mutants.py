"""Bridges that are wrong in one way: each must fail the cases that are about it, and no others."""

import pytest

from suite import mutants


@pytest.mark.parametrize("name", mutants.names())
def test_72_01_a_mutant_fails_its_cases_and_no_others(name, folder, record_property):
    """What is wrong should be noticed by the cases that are listed, and nothing that is right be blamed."""
    mutant = mutants.read(name)
    found = mutants.failing(mutant, mutants.make(mutant, folder))
    record_property("mutant", mutants.note(name, found))
    wrong = mutants.compare(mutant, found)
    assert mutant["fails"] and not wrong, "\n".join(wrong)


def test_72_02_a_mutant_that_is_none_is_said():
    """A text that is not there, a case that fails beside the list, and one that does not fail should each be told."""
    with pytest.raises(ValueError, match="0 times"):
        mutants.make({"old": "this stands nowhere", "new": ""}, "/nonexistent")
    mutant = {"fails": ["body/a", "body/b"], "may": ["request/*"]}
    wrong = mutants.compare(mutant, {"body/a": ["x"], "request/c": ["x"], "body/d": ["why"]})
    assert wrong == ["body/b does not notice it", "body/d fails, which has nothing to do with it: why"]


def test_72_03_the_table_says_who_noticed_and_who_escaped():
    """Of each mutant it should count the listed cases that noticed every time, the others that did once, and the escapes."""
    lines = mutants.table([mutants.note("no-lock", {"launch/crowd-2": ["x"], "launch/uploads": ["x"], "launch/crowd-20": ["x"]}),
                           mutants.note("no-lock", {"launch/crowd-2": ["x"]}), mutants.note("no-lock", {}),
                           mutants.note("half-close", dict.fromkeys(mutants.read("half-close")["fails"], ["x"]))])
    listed = mutants.read("half-close")["fails"]
    topics = sorted({case.split("/")[0] for case in listed} | {"launch"})
    assert lines[0] == f"| mutant | noticed | {' | '.join(topics)} |"
    assert lines[2].startswith("| half-close | yes | ") and lines[3].startswith("| no-lock | 2 of 3 | ")
    assert f"| 0/{len(mutants.read('no-lock')['fails'])} +1 |" in lines[3]
    assert lines[-1] == "2 mutants, 4 tries; 1 escaped: no-lock 1 of 3"
