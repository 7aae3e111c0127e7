"""The suite's own tests about cases with several clients: its events, its gate, its verdicts and what it leaves behind."""

import re
import subprocess
import threading
from pathlib import Path

import pytest

from harness import fixtures, procs
from harness.events import Control
from harness.launches import Rest
from suite import adapter as adapters
from suite import artifacts, mutants, plan
from suite.trial import Trial, verdicts

HERE = Path(__file__).resolve().parent
WAKE = HERE / "bridges" / "wake.pl"
PIPES = {"fds": "pipes", "sigpipe": "default"}
ANSWERED = """[[start.run]]
do = [{ serve = "answers" }]
[expect]
starts = 1
"""


def wake():
    return adapters.read(HERE / "adapters" / "wake.toml")


def case_of(folder, text):
    """A case of a test's own."""
    path = folder / "x.toml"
    path.write_text('schema = 1\nid = "launch/x"\ntitle = "X"\nlevel = "must"\npromises = ["L1"]\nsince = "0"\n' + text)
    return fixtures.read_case(path)


def tried(folder, case, bridge=WAKE, **how):
    place = folder / "case"
    place.mkdir()
    return Trial(case, PIPES, place, wake(), bridge, **how).run()


def test_73_01_what_is_awaited_comes_before_what_follows(folder):
    """Clients, acts and the start script should go on in the order of the events, whatever the order in the file."""
    one = tried(folder, case_of(folder, """
[[clients]]
name = "last"
at = "murder"
outcome = "served"
[[acts]]
name = "murder"
at = "first.ended"
kill = ["started"]
[[clients]]
name = "first"
outcome = "served"
[[start.run]]
do = [{ signal = "here" }, { await = "first.waiting" }, { signal = "there" }, { serve = "answers" }]
[[start.run]]
do = [{ await = "last.waiting" }, { serve = "answers" }]
[expect]
starts = 2
"""))
    assert not one.complaints, one.report()
    names = [event.name for event in one.launches.control.events]
    assert names == ["start.begun", "here", "awaits:first.waiting", "there", "start.begun", "awaits:last.waiting"]


def test_73_02_an_event_that_cannot_come_is_said(folder):
    """When nobody is left who could bring it about, the case should end and say what did not happen."""
    one = tried(folder, case_of(folder, """
[[clients]]
name = "one"
outcome = "served"
[[clients]]
name = "two"
at = "start.2"
outcome = "served"
""" + ANSWERED))
    assert one.verdicts == {"reply": [], "conduct": ["the event start.2 did not come, so two did not either"]}


def test_73_03_two_starts_are_a_matter_of_conduct(folder):
    """A crowd that is served by two servers should be right in its reply and wrong in its conduct."""
    one = tried(folder, case_of(folder, """
[[clients]]
name = "one"
outcome = "served"
[[acts]]
name = "murder"
at = "one.ended"
kill = ["started"]
[[clients]]
name = "two"
at = "murder"
outcome = "served"
[[start.run]]
do = [{ serve = "answers" }]
[expect]
starts = 1
alive = 0
"""))
    assert verdicts(one) == {"reply": [], "conduct": ["the start script ran 2 times, not 1", "1 processes of the start script's lived at the end, not [0]"]}


@pytest.mark.parametrize("spoil, reply, conduct", [
    ("s/token=crowd-1 /token=crowd-9 /", True, False),
    ("s/ok/ok/", False, False),
], ids=["another's answer", "as it is"])
def test_73_04_an_answer_is_that_to_the_very_request(folder, spoil, reply, conduct):
    """Who gets what another asked for should not count as served."""
    spoiled = folder / "spoiled"
    spoiled.write_text(f"#!/bin/sh\n{WAKE} | sed '{spoil}'\n")
    spoiled.chmod(0o755)
    case, _ = plan.find("launch/crowd-2")
    found = verdicts(tried(folder, case, spoiled))
    assert (bool(found["reply"]), bool(found["conduct"])) == (reply, conduct), found


def test_73_05_nothing_is_left_of_a_case(folder):
    """Neither a server that forked, nor a bridge that hangs, should outlive its case."""
    before = set(procs.descendants())
    case, _ = plan.find("launch/crowd-daemon")
    assert not tried(folder, case).complaints
    case.values["timeout"] = 0.3
    stuck = folder / "stuck"
    stuck.write_text("#!/bin/sh\nread nothing < /dev/zero\n")
    stuck.chmod(0o755)
    (folder / "case").rename(folder / "old")
    found = verdicts(tried(folder, case, stuck))
    assert "20 of 20: hung" in found["conduct"][0], found
    left = [pid for pid in procs.descendants() if pid not in before and procs.alive(pid)]
    assert not left, [procs.command_line(pid) for pid in left]


def test_73_06_each_time_has_a_number(folder):
    """With --repeat each trial should have a name of its own, by which it is found again."""
    made = plan.make(wake(), "launch/crowd-2", repeat=3)
    names = [plan.name_of(*one) for one in made.trials]
    assert names == [f"launch/crowd-2[pipes,sigpipe-default,{number}]" for number in (1, 2, 3)]
    assert plan.find(names[2])[0].id == "launch/crowd-2"


def test_73_07_a_failure_is_shown_again_without_pytest(folder):
    """repro.sh of a crowd should run it again, and every client's output be kept."""
    wrong = folder / "wrong"
    wrong.write_text("#!/bin/sh\nexit 0\n")
    wrong.chmod(0o755)
    case, _ = plan.find("launch/crowd-2")
    one = tried(folder, case, wrong)
    kept = folder / "kept"
    artifacts.keep(kept, one, plan.name_of(case, PIPES), wake(), wrong)
    assert "crowd: 2 of 2: the outcome is lost, not served" in (kept / "report.txt").read_text()
    assert (kept / "plan").read_text().startswith("at ")
    done = subprocess.run([kept / "repro.sh"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "2 of 2: the outcome is lost" in done.stdout, done


@pytest.mark.parametrize("gated, said", [(True, ["the event crowd.waiting did not come, so murder did not either"]), (False, [])], ids=["gate", "no gate"])
def test_73_08_without_the_gate_nobody_waits_for_a_crowd(folder, gated, said):
    """Clients that never come to rest should keep an act from being done; with --no-gate it should not be waited for."""
    case = case_of(folder, """
timeout = 2
[[clients]]
name = "crowd"
count = 2
[[acts]]
name = "murder"
at = "crowd.waiting"
kill = ["crowd"]
[[start.run]]
do = [{ exit = 1 }]
""" + "[expect]\nstarts = 0\n")
    busy = folder / "busy"
    busy.write_text("#!/bin/sh\nwhile :; do :; done\n")
    busy.chmod(0o755)
    one = tried(folder, case, busy, gated=gated)
    assert one.complaints == said
    assert [outcome.hung for outcome in one.launches.groups[0].outcomes] == [gated, gated]


def test_73_09_rest_is_each_seen_asleep_while_none_comes_or_goes(monkeypatch):
    """One that is awake now and then should be taken for resting once it was seen asleep; whoever comes or goes should begin it anew."""
    states = {1: "S", 2: "T", 3: "R"}
    monkeypatch.setattr(procs, "state", states.get)
    rest = Rest()
    assert not rest.is_reached(lambda: states), "one was never seen asleep"
    states.update({3: "S", 1: "R"})
    assert rest.is_reached(lambda: states), "each was seen asleep once, and what was seen before counts"
    states[4] = "S"
    assert not rest.is_reached(lambda: states), "who was seen before the last one came may have gone on since"
    states[1] = "S"
    assert rest.is_reached(lambda: states)
    del states[4]
    states[1] = "R"
    assert not rest.is_reached(lambda: states), "what one who is gone has let go may be on its way"
    assert Rest().is_reached(list), "where nobody is there is nobody to wait for"


@pytest.mark.parametrize("restless, said", [(True, ["the event one.waiting did not come, so murder did not either"]), (False, [])], ids=["busy", "asleep"])
def test_73_10_who_is_busy_beside_a_client_keeps_it_from_rest(folder, restless, said):
    """A client should not be taken for waiting while a process that its bridge left is still about to do something."""
    case = case_of(folder, """
timeout = 3
[[clients]]
name = "one"
[[acts]]
name = "murder"
at = "one.waiting"
kill = ["one", "helpers"]
[[start.run]]
do = [{ never = true }]
[expect]
alive = 1
""" + "starts = [0, 1]\n")
    beside = folder / "beside"
    beside.write_text(f"#!/bin/sh\n(exec < /dev/null > /dev/null 2>&1; {'while :; do :; done' if restless else 'exec tail -f /dev/null'}) &\nexec {WAKE}\n")
    beside.chmod(0o755)
    one = tried(folder, case, beside)
    assert [sentence for sentence in one.complaints if "event" in sentence] == said and not one.verdicts["reply"], one.report()


def test_73_11_a_start_that_comes_when_the_clients_are_gone_counts(folder):
    """A second start that is on its way when the last client ends should not be overlooked."""
    late = folder / "late"
    late.write_text("#!/bin/sh\n(exec < /dev/null > /dev/null 2>&1; while kill -0 $$; do :; done; exec \"$WAKE_START\") &\n" f"exec {WAKE}\n")
    late.chmod(0o755)
    one = tried(folder, case_of(folder, """
[[clients]]
name = "one"
outcome = "served"
[[start.run]]
do = [{ serve = "answers" }]
[[start.run]]
do = [{ never = true }]
[expect]
starts = 1
alive = 1
"""), late)
    assert one.verdicts == {"reply": [], "conduct": [
        "the start script ran 2 times, not 1", "2 processes of the start script's lived at the end, not [1]"]}, one.report()


def test_73_12_what_is_told_last_is_heard(folder, monkeypatch):
    """A server that ends in the moment in which it tells an event should have told it, however late it is read."""
    receive = Control._receive
    monkeypatch.setattr(Control, "_receive", lambda control, peer: (threading.Event().wait(0.05), receive(control, peer)))
    one = tried(folder, case_of(folder, """
[[clients]]
name = "before"
outcome = "served"
[[acts]]
name = "shutdown"
at = "before.ended"
terminate = ["started"]
[[clients]]
name = "after"
at = "stopping"
outcome = "served"
[[start.run]]
do = [{ graceful = true }, { serve = "answers" }]
[expect]
starts = 2
"""))
    assert not one.complaints, one.report()


def test_73_13_who_has_left_must_end_and_is_not_answered(folder):
    """A bridge that does not end when its client has left should be said to stay; what comes out of it is nobody's."""
    case = case_of(folder, """
timeout = 2
[[clients]]
name = "one"
[[acts]]
name = "departure"
at = "one.waiting"
leave = ["one"]
[[start.run]]
do = [{ exit = 1 }]
[expect]
starts = 0
""")
    stuck = folder / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 1000\n")
    stuck.chmod(0o755)
    one = tried(folder, case, stuck)
    assert verdicts(one) == {"reply": [], "conduct": ["one: its client is gone, and it has not ended"]}


def test_73_14_a_late_answer_comes_at_its_event(folder):
    """A page whose answer waits should be counted when its request has come, and hold up no other."""
    one = tried(folder, case_of(folder, """
[[clients]]
name = "slow"
count = 2
answer_at = "quick.ended"
outcome = "served"
[[clients]]
name = "quick"
at = "server.2"
outcome = "served"
""" + ANSWERED))
    assert not one.complaints, one.report()
    assert [line["token"].split("-")[0] for line in one.launches.requests() if line["kind"] == "request"] == ["slow", "slow", "quick"]


def test_73_15_what_the_start_script_was_given_is_compared(folder):
    """A mask, a limit and a descriptor other than the case says should each be a complaint of conduct."""
    one = tried(folder, case_of(folder, """
[cgi]
umask = "0027"
leaks = [7]
limits = { nofile = [200, 300] }
[[clients]]
name = "one"
outcome = "served"
[[start.run]]
do = [{ serve = "answers" }]
[expect]
starts = 1
start = { umask = "0022", own = true, null = true, limits = { nofile = [300, 300], core = [1, 1] } }
"""))
    said = verdicts(one)
    assert said["reply"] == [] and [re.sub(r"are \[.*?\]", "are X", sentence) for sentence in said["conduct"]] == [
        "start 1: its umask is 0027, not 0022",
        "start 1: its limits of nofile are X, not [300, 300]",
        "start 1: its limits of core are X, not [1, 1]",
    ]


def test_73_16_a_cut_upload_must_not_be_delivered_as_a_whole_one(folder):
    """A body that ended early and was passed off as whole should be said, also when its client was told that it was wrong."""
    case = case_of(folder, """
[[clients]]
name = "one"
method = "POST"
stdin = "hello"
content_length = 9
outcome = "bridge-4xx"
""" + ANSWERED)
    wrong = mutants.make(mutants.read("upload-cut-is-whole"), folder)
    sorry = folder / "sorry"
    sorry.write_text(f"#!/bin/sh\n{wrong} >{folder}/answer\nprintf 'Status: 400 Bad Request\\r\\nContent-Type: text/plain; "
                     "charset=utf-8\\r\\nCache-Control: no-store\\r\\n\\r\\nthe body ended early\\n'\n")
    sorry.chmod(0o755)
    assert verdicts(tried(folder, case, sorry)) == {"reply": ["one: 1 requests whose bodies were cut were delivered as whole ones"], "conduct": []}


@pytest.mark.parametrize("old, new", [
    ("$left = $length += 0;", "$left = $length = $length > 5 ? 5 : 0 + $length;"),
    ("$to_server .= $piece if $taking;", "$to_server .= 'X' x length $piece if $taking;"),
], ids=["its beginning", "other bytes"])
def test_73_17_a_body_that_arrives_is_the_one_that_was_sent(folder, old, new):
    """An upload that waited for the launch and arrives shorter or with other bytes should be said, whatever the server answered."""
    case = case_of(folder, """
[[clients]]
name = "one"
method = "POST"
stdin = "hello world"
outcome = "served"
""" + ANSWERED)
    wrong = mutants.make({"bridge": "wake", "file": "pass.pl", "old": old, "new": new}, folder)
    assert verdicts(tried(folder, case, wrong)) == {"reply": ["one: 1 requests arrived with another body than was sent"], "conduct": []}


def test_73_18_a_record_that_was_cut_is_none(folder):
    """A server that is killed while it writes may leave the beginning of a record: that should end no run, and count as nothing."""
    one = tried(folder, case_of(folder, """
[[clients]]
name = "one"
outcome = "served"
""" + ANSWERED))
    records = one.folder / "requests"
    whole = one.launches.requests()
    assert "request" in [line["kind"] for line in whole]
    records.write_text(records.read_text() + '{"kind":')
    assert one.launches.requests() == whole
