"""The suite's own tests: adapters, capabilities, plans, probes, results and reports, each against what is wrong in one way."""

import json
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from harness import fixture_lint, fixtures
from suite import adapter as adapters
from suite import capabilities, plan, probes, report, results
from suite.trial import Trial, verdicts

HERE = Path(__file__).resolve().parent
PASS = HERE / "bridges" / "pass.pl"
GOOD = (HERE / "adapters" / "pass.toml").read_text()
PIPES = {"fds": "pipes", "sigpipe": "default"}


def adapter_of(folder, text=GOOD, name="adapter.toml"):
    path = folder / name
    path.write_text(text)
    return path


def read(folder, text=GOOD):
    return adapters.read(adapter_of(folder, text))


def program(folder, text, name="bridge"):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(*words):
    return subprocess.run([sys.executable, "-B", str(HERE / "run"), *map(str, words)], capture_output=True, text=True, timeout=120)


# Adapters.

@pytest.mark.parametrize("name", sorted(path.stem for path in (HERE / "adapters").glob("*.toml")))
def test_71_01_every_adapter_here_can_be_read(name):
    """Each adapter in the tree, the template too, should be without a fault."""
    cases = {case.id: case for case in fixtures.read_cases()}
    assert adapters.read(HERE / "adapters" / f"{name}.toml", cases).name


def test_71_04_a_text_is_filled_with_bytes():
    """Names should be replaced by bytes as they are, and doubled braces be braces."""
    assert adapters.fill("a{{b}} {socket}", {"socket": b"\xff{dir}"}) == b"a{b} \xff{dir}"


def test_71_05_a_known_failure_may_be_about_some_variants(folder):
    """body/x[socket,*] should be about those variants and no others."""
    one = read(folder, GOOD + "[known-failures]\n'body/one-byte[socket,sigpipe-*]' = 'why'\n'body/empty' = 'all'\n")
    assert one.expected_to_fail("body/one-byte", {"fds": "socket", "sigpipe": "ignored"}) == "why"
    assert one.expected_to_fail("body/one-byte", PIPES) is None
    assert one.expected_to_fail("body/empty", PIPES) == "all" and one.expected_to_fail("body/one", PIPES) is None


# Capabilities and plans.

def test_71_06_every_rule_of_a_capability_is_about_something():
    """Each promise and each pattern in fixtures/capabilities.toml should be one of something that is there."""
    cases, promises = fixtures.read_cases(), fixtures.read_promises()
    for name, rule in capabilities.read().items():
        assert rule.get("says"), name
        assert set(rule) <= {"says", "follows", "keys", "promises", "unless", "cases", "judged"}, name
        for promise in rule.get("promises", []):
            assert promise in promises, f"{name}: {promise}"
        for pattern in rule.get("cases", []):
            assert any(capabilities.fnmatch.fnmatchcase(case.id, pattern) for case in cases), f"{name}: {pattern} matches no case"
        if not rule.get("judged"):
            assert any(name in capabilities.needs(case, ("unix",)) for case in cases), f"{name} is needed by no case"


def test_71_07_rouse_claims_every_capability():
    """The reference should leave out no case, so that each is held by at least one bridge."""
    rouse = adapters.read(HERE / "adapters" / "rouse.toml")
    assert not set(capabilities.read()) - rouse.claims and not rouse.known_failures
    assert not plan.make(rouse).unsupported


def test_71_08_a_claim_brings_cases(folder):
    """Without a claim its cases should be unsupported with that name; with it they should be tried."""
    without, claimed = read(folder), read(folder, GOOD.replace('"pages"', '"pages", "spool"'))
    lacking = {case.id for case, lacks in plan.make(without).unsupported if lacks == ["spool"]}
    assert "body/unknown-length" in lacking
    assert lacking <= {case.id for case, _ in plan.make(claimed).trials}


def test_71_09_a_plan_leaves_nothing_out():
    """Every case should be tried, unsupported, or impossible here; patterns and levels only choose."""
    one = adapters.read(HERE / "adapters" / "pass.toml")
    made = plan.make(one)
    seen = {case.id for case, _ in made.trials} | {case.id for case, _ in made.unsupported + made.not_here}
    assert seen == {case.id for case in fixtures.read_cases()}
    must = plan.make(one, "body/* request/*", "must")
    assert must.trials and {case["level"] for case, _ in must.trials} == {"must"}
    assert {case.topic for case, _ in must.trials} == {"body", "request"}


def test_71_10_a_name_finds_its_case_and_variant():
    """What a failure is called should find it again; what does not exist should be said."""
    case, variant = plan.find("body/one-byte[socket,sigpipe-ignored]")
    assert plan.name_of(case, variant) == "body/one-byte[socket,sigpipe-ignored]"
    for name, said in (("body/no-such", "no case"), ("body/one-byte[tin,can]", "its ways are")):
        with pytest.raises(ValueError, match=said):
            plan.find(name)


def test_71_11_every_promise_has_a_case():
    """Each promise should be shown by at least one case, but for those in without-case; one without, or one too many, be told."""
    cases, promises, awaited = fixtures.read_cases(), fixtures.read_promises(), fixtures.awaited_promises()
    assert fixture_lint.promise_complaints(cases, promises, awaited) == []
    without_f1 = [case for case in cases if "F1" not in case["promises"]]
    assert fixture_lint.promise_complaints(without_f1, promises, awaited) == ["promises.toml: no case shows F1"]
    assert fixture_lint.promise_complaints(without_f1, promises, [*awaited, "F1"]) == []
    [said] = fixture_lint.promise_complaints(cases, promises, [*awaited, "F1"])
    assert said.endswith("and must leave without-case")
    [said] = fixture_lint.promise_complaints(cases, promises, [*awaited, "Q9"])
    assert said.endswith("which is no promise")


# Trials.

LIAR = "#!/bin/sh\nprintf 'Status: 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\nok'\n"
SILENT = "#!/bin/sh\nexit 0\n"


def test_71_12_a_right_answer_with_the_wrong_conduct_is_told_apart(folder):
    """A bridge that answers rightly and leaves a process behind should be right in its reply and wrong in its conduct."""
    leaky = program(folder, "#!/usr/bin/perl\nif (!fork) { close $_ for *STDIN, *STDOUT, *STDERR; select undef, undef, undef, undef }\n"
                            f"exec '{PASS}';\n")
    case, variant = plan.find("request/get-minimal")
    place = folder / "case"
    place.mkdir()
    tried = Trial(case, variant, place, read(folder), leaky).run()
    found = verdicts(tried)
    assert not found["reply"] and len(found["conduct"]) == 1 and "left behind" in found["conduct"][0], found


def test_71_13_a_wrong_answer_with_the_right_conduct_is_told_apart(folder):
    """A bridge that changes a byte of the answer should be wrong in its reply alone."""
    wrong = program(folder, f"#!/bin/sh\n{PASS} | sed s/ok/ko/\n")
    case, variant = plan.find("request/get-minimal")
    place = folder / "case"
    place.mkdir()
    found = verdicts(Trial(case, variant, place, read(folder), wrong).run())
    assert found["reply"] and not found["conduct"], found


# Probes.

@pytest.mark.parametrize("text", [LIAR, SILENT], ids=["it answers by itself", "it does nothing"])
def test_71_14_a_broken_bridge_is_told_from_a_failing_one(folder, text):
    """What never asks its server should end the run with 3 and without results."""
    done = run("test", "--bridge", program(folder, text), "--adapter", adapter_of(folder), "--cases", "request/get*", "--into", folder / "out")
    assert done.returncode == results.BROKEN and "nothing was judged" in done.stdout, done
    assert not (folder / "out").exists()


def test_71_15_the_answer_of_somebody_else_is_seen(folder):
    """An adapter whose bridge always answers should fail each of the three probes of honesty."""
    found = probes.honesty(read(folder), program(folder, LIAR))
    assert len(found) == 3 and "nobody can know" in found[0] and "closes without a byte" in found[1] and "nobody listens" in found[2], found


def test_71_16_a_setting_that_nobody_knows_is_not_swallowed(folder):
    """An adapter that has a text for every setting should be found out when the bridge ignores it."""
    text = GOOD.replace("environment = [", 'environment = ["SETTINGS={settings}", ').replace("[claims]", "[settings]\n'*' = '{name}'\n[claims]")
    found = probes.honesty(read(folder, text), PASS)
    assert len(found) == 1 and "a setting that nobody knows" in found[0], found


# Results and reports.

def lines(*words, footer=True, fixtures_digest="f" * 64, name="x", planned=None):
    """The text of a results.jsonl with one case for each word."""
    out = [{"type": "header", "format": 1, "suite": "1", "fixtures": fixtures_digest, "bridge": {"name": name, "version": "1"},
            "planned": len(words) if planned is None else planned}]
    for number, word in enumerate(words):
        level = "check" if word == "mild" else "must"
        one = {"type": "result", "id": f"body/c{number}", "variant": "pipes,sigpipe-default", "level": level, "promises": ["F1"],
               "result": "fail" if word == "mild" else word}
        one |= {"missing": ["spool"]} if word == "unsupported" else {"reply": ["a | b\n\x01<&"] if word in ("fail", "mild") else [], "conduct": []}
        one |= {"why": "because <it> | is"} if word in ("known-failure", "unexpected-pass") else {}
        out.append(one)
    if footer:
        out.append({"type": "footer", "complete": len(out) - 1 == out[0]["planned"], "planned": out[0]["planned"], "counts": {}})
    return "".join(json.dumps(one) + "\n" for one in out)


def results_of(folder, *words, **how):
    path = folder / "results.jsonl"
    path.write_text(lines(*words, **how))
    return results.read(path)


@pytest.mark.parametrize("words, status", [
    (["pass"], 0), (["pass", "unsupported", "known-failure", "not-here"], 0), (["mild"], 0), (["pass", "fail"], 1),
    (["unexpected-pass"], 1), (["fail", "harness-error"], 4),
], ids=lambda value: "-".join(value) if isinstance(value, list) else str(value))
def test_71_17_the_exit_status_follows_from_the_results(folder, words, status):
    """The number should say what the results say, and never how many failed."""
    assert results_of(folder, *words).exit_status() == status


def test_71_18_a_run_that_did_not_end_is_no_result(folder):
    """Without a footer nothing should be read; with results missing the exit status should be 4."""
    with pytest.raises(results.ResultsError, match="footer is missing"):
        results_of(folder, "pass", footer=False)
    assert results_of(folder, "pass", planned=2).exit_status() == results.INCOMPLETE


def test_71_19_a_footer_counts_every_trial_once(folder):
    """The same trial twice in place of another should not make a run complete."""
    path = folder / "results.jsonl"
    twice = lines("pass", planned=2, footer=False)
    path.write_text(twice + twice.splitlines()[1] + "\n")
    assert not results.finish(path).footer["complete"]


def test_71_20_a_case_is_as_bad_as_its_worst_variant(folder):
    """One variant that fails should make the case a failed one."""
    path = folder / "results.jsonl"
    text = lines("pass", "fail").replace("body/c1", "body/c0")
    path.write_text(text)
    assert results.read(path).by_case() == {"body/c0": "fail"}


def test_71_21_junit_says_the_same(folder):
    """Failures, errors and skips should be counted and told apart, whatever bytes the complaints hold."""
    found = results_of(folder, "pass", "fail", "unsupported", "known-failure", "unexpected-pass", "mild", "harness-error", "not-here".replace("not-here", "unsupported"))
    root = xml.fromstring(report.junit(found))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "8", "failures": "2", "errors": "1", "skipped": "2"}
    assert len(root.findall("testcase/failure")) == 2 and len(root.findall("testcase/error")) == 1
    assert root.find("testcase/skipped").get("message") == "unsupported: spool"


def test_71_22_the_matrix_sets_bridges_side_by_side(folder):
    """Each bridge should have a column, each case a row, each promise a tally, and each known failure its reason."""
    path = folder / "results.jsonl"
    read_both = []
    for name, words in (("one", ("pass", "known-failure")), ("two", ("fail", "unsupported"))):
        path.write_text(lines(*words, name=name))
        read_both.append(results.read(path))
    text, page = report.markdown(read_both), report.page(read_both)
    assert "| case | one 1 | two 1 |" in text and "| body/c0 | ✓ | ✗ |" in text and "| body/c1 | x | – |" in text
    assert "| body | 1/2 1x | 0/1 1✗ 1– |" in text, text
    assert "because <it> \\| is" in text
    assert "title='because &lt;it&gt; | is'" in page and "<th>one 1</th><th>two 1</th>" in page
    assert "\x01<&" not in page


def test_71_23_results_that_cannot_be_compared_are_refused(folder):
    """Other fixtures, an incomplete run, or the same bridge twice should make no matrix."""
    good, other, short = (folder / name for name in ("good", "other", "short"))
    good.write_text(lines("pass"))
    other.write_text(lines("pass", name="y", fixtures_digest="0" * 64))
    short.write_text(lines("pass", name="z", planned=2))
    for second, said in ((other, "other fixtures"), (short, "not complete"), (good, "same bridge")):
        done = run("matrix", good, second, "--into", folder / "out")
        assert done.returncode == results.USAGE and said in done.stderr, done
    assert run("matrix", good, "--into", folder / "out").returncode == 0 and (folder / "out" / "matrix.html").exists()


# The whole.

def test_71_24_a_run_from_its_beginning_to_its_end(folder):
    """A right bridge should end with 0, every trial in the results, and every report written."""
    into = folder / "out"
    done = run("test", "--bridge", PASS, "--adapter", adapter_of(folder), "--cases", "request/get-minimal body/unknown-length", "--into", into)
    assert done.returncode == 0, done
    found = results.read(into / "results.jsonl")
    assert found.counts() == {"pass": 4, "unsupported": 1} and found.footer["complete"]
    assert {path.name for path in into.iterdir()} == {"results.jsonl", "junit.xml", "matrix.md", "matrix.html"}


def test_71_25_a_failure_is_kept_with_what_shows_it_again(folder):
    """A failing case should end with 1 and leave the bytes, the report, and a script that fails in the same way."""
    wrong = program(folder, PASS.read_text().replace("$left = $length += 0", "$left = $length"))
    into = folder / "out"
    done = run("test", "--bridge", wrong, "--adapter", adapter_of(folder), "--cases", "body/cl-leading-zeros", "--into", into)
    assert done.returncode == results.FAILED, done
    kept = into / "failures" / "body.cl-leading-zeros[pipes,sigpipe-default]"
    assert {"report.txt", "environment.bin", "stdin.bin", "stdout.bin", "case.toml", "repro.sh", "request-0.bin"} <= {path.name for path in kept.iterdir()}
    again = subprocess.run([kept / "repro.sh"], capture_output=True, text=True, timeout=60)
    assert again.returncode == results.FAILED and "reply: wrong" in again.stdout, again
    assert "pytest" not in again.stdout + again.stderr


def test_71_26_known_failures_are_strict(folder):
    """What is listed should be no failure while it fails, and one when it passes."""
    adapter = adapter_of(folder, GOOD + "[known-failures]\n'body/cl-leading-zeros' = 'a mistake that was mended'\n")
    done = run("test", "--bridge", PASS, "--adapter", adapter, "--cases", "body/cl-leading-zeros", "--into", folder / "out")
    assert done.returncode == results.FAILED and "unexpected-pass" in done.stdout, done
    wrong = program(folder, PASS.read_text().replace("$left = $length += 0", "$left = $length"))
    done = run("test", "--bridge", wrong, "--adapter", adapter, "--cases", "body/cl-leading-zeros", "--into", folder / "out")
    assert done.returncode == results.PASSED and "4 known-failure" in done.stdout, done


# A bridge that learns its server's address in another way than by its environment: pass.pl behind a few words of Perl.
WAYS = {
    "by an argument": ("$ENV{SCGI_ADDRESS} = shift", 'arguments = ["{socket}"]', 'kinds = ["unix", "tcp4"]'),
    "by two arguments": ("$ENV{SCGI_ADDRESS} = shift() . ':' . shift", 'arguments = ["{host}", "{port}"]', 'kinds = ["tcp4"]'),
    "by a file beside": ("open F, '<', 'my.conf'; chomp($ENV{SCGI_ADDRESS} = <F>)",
                         "files = [{ path = 'my.conf', text = '''\n{socket}\n''' }]", 'kinds = ["unix"]'),
    "by the line that names it": ("$ENV{SCGI_ADDRESS} = shift; shift", "program = '{dir}/a.cgi'\nfiles = [{ path = 'a.cgi', mode = '0755', "
                                  "text = '''\n#!{bridge} {socket}\n''' }]", 'kinds = ["unix"]'),
    "by an address that is compiled in": ("$ENV{SCGI_ADDRESS} = '127.0.0.1:40417'", "", 'kinds = ["tcp4"]\nfixed = "127.0.0.1:40417"'),
}


@pytest.mark.parametrize("perl, told, server", WAYS.values(), ids=WAYS)
def test_71_28_a_bridge_is_told_its_address_in_its_own_way(folder, perl, told, server):
    """Each way that an adapter has should bring the server's address, which is another one in each case, to the bridge."""
    wrapper = program(folder, f"#!/usr/bin/perl\n{perl};\nexec '{PASS}', @ARGV;\n")
    text = GOOD.replace('environment = ["SCGI_ADDRESS={socket}"]', told).replace('kinds = ["unix", "tcp4", "tcp6"]', server)
    adapter = read(folder, text)
    assert not probes.smoke(adapter, wrapper) and not probes.honesty(adapter, wrapper)
    for name in ("body/one-byte", "lifecycle/argv-words"):
        case, variant = plan.find(name)
        place = folder / name.replace("/", ".")
        place.mkdir()
        tried = Trial(case, variant, place, adapter, wrapper).run()
        assert not tried.complaints, tried.report()


def test_71_29_variables_of_the_adapter_are_not_held_against_the_bridge(folder):
    """What the web server's configuration adds and the bridge passes on should count only where it is not declared."""
    wrapper = program(folder, PASS.read_text().replace("SCGI SCGI_ADDRESS HTTP_PROXY", "SCGI HTTP_PROXY"))
    assert any("variables too many" in sentence for sentence in probes.smoke(read(folder), wrapper))
    hidden = GOOD.replace("[server]", 'hidden = ["SCGI_ADDRESS"]\n[server]').replace(', "wire-order"', "")
    assert not probes.smoke(read(folder, hidden), wrapper)


def test_71_30_without_a_claim_less_is_judged_and_that_is_said(folder):
    """A bridge without pages may fail in silence, but not with success; the result should name what was not judged."""
    case, variant = plan.find("endpoint/absent")
    quiet = GOOD.replace('"pages", ', "")
    for number, (status, right) in enumerate(((2, True), (0, False))):
        mute = program(folder, PASS.read_text().replace("sub fail {\n", f"sub fail {{\n    exit {status};\n"))
        place = folder / f"case{number}"
        place.mkdir()
        tried = Trial(case, variant, place, read(folder, quiet), mute).run()
        assert (not tried.complaints) == right, tried.report()
        assert "pages" in tried.unjudged


HOOK = """#!/usr/bin/python3 -B
import json, sys
told = json.load(sys.stdin)
if set(told["settings"]) - {KNOWN}:
    print("no such setting")
    sys.exit(77)
open("my.conf", "w").write(told["socket"] + "\\n")
"""


def hooked(folder, known="set()", text=HOOK):
    program(folder, text.replace("{KNOWN}", known), "hook")
    return adapter_of(folder, GOOD.replace('environment = ["SCGI_ADDRESS={socket}"]', 'hook = "hook"'))


def bridge_with_a_file(folder):
    return program(folder, f"#!/usr/bin/perl\nopen F, '<', 'my.conf'; chomp($ENV{{SCGI_ADDRESS}} = <F>);\nexec '{PASS}', @ARGV;\n")


def test_71_31_a_hook_tells_the_bridge(folder):
    """A hook should be able to tell the address, and to say of a case that it cannot be had."""
    into = folder / "out"
    done = run("test", "--bridge", bridge_with_a_file(folder), "--adapter", hooked(folder), "--cases",
               "body/one-byte security/page-504-leaks-nothing", "--into", into)
    assert done.returncode == 0, done
    found = results.read(into / "results.jsonl")
    assert found.by_case() == {"body/one-byte": "pass", "security/page-504-leaks-nothing": "unsupported"}
    assert [line["missing"] for line in found.lines if line["result"] == "unsupported"] == [["no such setting"]]


def test_71_32_a_hook_that_knows_everything_or_fails_is_broken(folder):
    """A hook that takes a setting that nobody knows, and one that fails, should end the run with 3."""
    bridge = bridge_with_a_file(folder)
    for text, said in ((HOOK.replace("- {KNOWN}", "- set(told['settings'])"), "must end with 77"), ("#!/bin/sh\necho why >&2\nexit 1\n", "ended with 1: why")):
        done = run("test", "--bridge", bridge, "--adapter", hooked(folder, text=text), "--cases", "body/one-byte", "--into", folder / "out")
        assert done.returncode == results.BROKEN and said in done.stdout, done
