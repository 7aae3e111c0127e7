"""The fixtures are well-formed, their README knows every key, and the loader refuses what the README forbids."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import byte_strings, case_keys, fixture_lint, fixtures, fixtures_json
from harness.byte_strings import Bytes, FixtureError

GOOD = """
schema = 1
id = "request/x"
title = "A title"
level = "must"
promises = ["F1"]
since = "0.1"
[cgi]
env = ['A=1']
[expect]
outcome = "served"
"""


@pytest.fixture
def suite(tmp_path):
    """A small suite of its own; call it with a case's text to write the case and lint the suite."""
    (tmp_path / "promises.toml").write_text('[promises]\nF1 = "A promise"\n')
    (tmp_path / "cases" / "request").mkdir(parents=True)

    def lint(text, name="x"):
        (tmp_path / "cases" / "request" / f"{name}.toml").write_text(text)
        return fixture_lint.lint(tmp_path)

    return lint


def read(suite_folder, text):
    path = suite_folder / "x.toml"
    path.write_text(text)
    return fixtures.read_case(path)


def test_11_01_every_fixture_keeps_the_rules():
    """No file of the fixtures should break a rule of the README."""
    assert fixture_lint.lint() == []


def test_11_02_the_readme_knows_every_key():
    """Each key, step and word that the loader takes should stand in the README, so that the two cannot drift."""
    text = (fixtures.FIXTURES / "README.md").read_text()

    def keys(table, path=""):
        for key, reader in table.keys.items():
            yield path, key
            if hasattr(reader, "keys"):
                yield from keys(reader, f"{key}.")

    def is_named(path, key):
        return any(f"`{name}" in text for name in (key, path + key)) or f", `{path}{key}`" in text

    missing = [path + key for path, key in keys(case_keys.CASE) if not is_named(path, key) and f"[{key}]" not in text]
    words = (*case_keys.ACCEPTABLE, *case_keys.NEVER_ACCEPTABLE, *case_keys.TAGS, *case_keys.TOPICS, *byte_strings.VARIABLES,
             *case_keys.RUNNER_EVENTS, *case_keys.LISTENING)
    missing += [word for word in words if f"`{word}`" not in text]
    missing += [verb for verb in case_keys.SERVER_VERBS if f"`{verb} = " not in text]
    assert missing == []


def test_11_03_the_json_file_says_the_same(tmp_path):
    """The JSON file should hold every case, and the same bytes as the TOML files."""
    target = tmp_path / "fixtures.json"
    command = [sys.executable, "-B", "-m", "harness.fixtures_json", str(target)]
    subprocess.run(command, cwd=Path(__file__).parent, check=True, stdout=subprocess.DEVNULL, timeout=60)
    content = json.loads(target.read_text())
    cases = fixtures.read_cases()
    assert [case["id"] for case in content["cases"]] == [case.id for case in cases]
    assert content["format"] == case_keys.FORMAT

    variables = {name: b"<" + name.encode() + b">" for name in byte_strings.VARIABLES}

    def joined(value):
        """How a reader without TOML puts the bytes together."""
        if "b64" in value:
            return base64.b64decode(value["b64"])
        if "parts" in value:
            return b"".join(joined(part) for part in value["parts"])
        if "repeat" in value:
            return joined(value["repeat"]) * value["times"]
        if "counter" in value:
            return byte_strings.counter(value["counter"])
        return variables[value["var"]]

    compared = 0
    for case, seen in zip(cases, content["cases"]):
        for part, plain in ((case["cgi"].get("stdin"), seen["cgi"].get("stdin")),
                            (case["expect"]["cgi"].get("stdout"), seen["expect"].get("cgi", {}).get("stdout")),
                            (case["expect"]["request"].get("wire"), seen["expect"].get("request", {}).get("wire")),
                            (case["app"].get("text"), seen["app"].get("text"))):
            if part is not None:
                assert joined(plain) == part.resolve(variables), case.id
                compared += 1
        for part, plain in zip(case["cgi"]["env"], seen["cgi"]["env"]):
            assert joined(plain) == part.resolve(variables), case.id
    assert compared > len(cases) / 2


@pytest.mark.parametrize("value, content", [
    ("plain", b"plain"),
    (r"\x00\xff\n\r\t\0\\", b"\x00\xff\n\r\t\0\\"),
    ("caf\u00e9", b"caf\xc3\xa9"),
    (["a", {"hex": "00ff"}, "b"], b"a\x00\xffb"),
    ({"repeat": ["x", "y"], "times": 3}, b"xyxyxy"),
    ({"repeat": "x", "times": 0}, b""),
    ({"counter": 9}, b"\0\0\0\0\0\0\0\1\0"),
    ({"netstring": ["a", {"repeat": "b", "times": 9}]}, b"10:abbbbbbbbb,"),
    ({"var": "socket"}, b"/run/sock"),
])
def test_11_04_byte_strings_are_read_as_the_readme_says(value, content):
    """Every form of a byte string should become exactly these bytes."""
    assert Bytes(value).resolve({"socket": b"/run/sock"}) == content


@pytest.mark.parametrize("value", [
    r"\q", "\\", r"\x4", {"hex": "0"}, {"repeat": "x"}, {"counter": "x"}, {"var": "home"}, {"b64": "eA=="}, 5, None, [5],
    {"hex": "00", "times": 2},
])
def test_11_05_no_other_form_is_taken(value):
    """A byte string of another form should be refused, not guessed at."""
    with pytest.raises((FixtureError, ValueError)):
        Bytes(value)


def test_11_06_the_example_of_the_specification_is_exact():
    """The example of protocol.txt should come out of the fixture with the bytes that stand there."""
    case = fixtures.read_case(fixtures.FIXTURES / "cases/request/spec-example.toml")
    assert case["expect"]["request"]["wire"].resolve() == (
        b"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,"
        b"What is the answer to life?")


def test_11_07_a_good_case_is_taken(suite):
    """The case that the following tests spoil should be without fault."""
    assert suite(GOOD) == []


@pytest.mark.parametrize("old, new, complaint", [
    ("schema = 1", "schema = 2", "schema"),
    ('id = "request/x"', 'id = "request/y"', "name of the file"),
    ('id = "request/x"', 'id = "response/x"', "name of the file"),
    ('title = "A title"', "", "title is missing"),
    ('title = "A title"', 'title = "It should work"', "plain statement"),
    ('title = "A title"', 'title = "a title"', "capital"),
    ('["F1"]', "[]", "at least one"),
    ('["F1"]', '["F1", "F1"]', "once"),
    ('["F1"]', '["F9"]', "unknown promise F9"),
    ('level = "must"', 'level = "maybe"', "level"),
    ("env = ['A=1']", "environment = ['A=1']", "unknown key environment"),
    ("env = ['A=1']", r"env = ['A=\q']", "escape"),
    ("env = ['A=1']", r'env = ["A=\u00e9"]', "backslash in a basic string"),
    ("env = ['A=1']", "env = [1]", "not a byte string"),
    ("env = ['A=1']", "stdin_steps = [{ await = 'never' }]", "nobody signals"),
    ("env = ['A=1']", "stdin_steps = [{ send = 'x', await = 'y' }]", "one verb"),
    ("env = ['A=1']", "stdin = 'a'\nstdin_steps = [{ send = 'b' }]", "exclude each other"),
    ("env = ['A=1']", 'user = "ordinary"', "tag root"),
    ("env = ['A=1']", "[server]\nkind = 'tcp6'", "tag ipv6"),
    ("env = ['A=1']", "[[server.conn]]\ndo = [{ quiet = 1 }]", "tag timing"),
    ("env = ['A=1']", "[server]\nanswer = 'a'\n[[server.conn]]\ndo = [{ close = 'clean' }]", "exclude each other"),
    ("env = ['A=1']", "[server]\nstate = 'absent'\n[[server.conn]]\ndo = [{ close = 'clean' }]", "nobody is there"),
    ("env = ['A=1']", "[[server.conn]]\ndo = [{ recv = 'request' }]", "what is served is not said"),
    ('outcome = "served"', 'outcome = "hung"', "none of"),
    ('outcome = "served"', "", "neither an outcome nor"),
    ('outcome = "served"', 'outcome = "served"\nstarts = 1', "no start script"),
    ('since = "0.1"', 'since = "0.1"\nwhy = 5', "not a text"),
    ('since = "0.1"', 'since = "0.1"\ntags = ["flaky"]', "none of"),
])
def test_11_08_a_case_with_a_fault_is_refused(suite, old, new, complaint):
    """Each fault should be told by a sentence about just that."""
    assert old in GOOD
    found = suite(GOOD.replace(old, new))
    assert len(found) >= 1 and any(complaint in sentence for sentence in found), found


def test_11_09_two_cases_share_neither_title_nor_id(suite):
    """A copied case that kept its title should be found."""
    assert suite(GOOD) == []
    found = suite(GOOD.replace("request/x", "request/y"), name="y")
    assert len(found) == 1 and "the title is also that of" in found[0]


def test_11_10_a_retired_case_is_not_run(tmp_path):
    """A retired case should keep its file, and with it its id, but not be read as a case."""
    folder = tmp_path / "cases" / "request"
    folder.mkdir(parents=True)
    (folder / "x.toml").write_text(GOOD.replace("schema = 1", 'schema = 1\nretired = "0.2: it was wrong"'))
    assert fixtures.read_cases(tmp_path) == []


def test_11_11_cases_are_run_in_every_way(tmp_path):
    """Request, body and response cases should be run in four ways unless they pin one, others in one."""
    def ways(text):
        return len(read(tmp_path, text).variants())

    assert ways(GOOD) == 4
    assert ways(GOOD.replace("[cgi]", '[cgi]\nfds = "socket"')) == 2
    assert ways(GOOD.replace("[cgi]", '[cgi]\nfds = "socket"\nsigpipe = "ignored"')) == 1
    assert ways(GOOD.replace("request/x", "settings/x")) == 1


def test_11_12_defaults_are_filled_in(tmp_path):
    """Without a script the server should answer 200, and just that answer should be expected."""
    case = read(tmp_path, GOOD)
    answer = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nok"
    assert case["server"]["conn"][0]["do"][1]["send"].resolve() == answer
    assert case["expect"]["cgi"]["stdout"].resolve() == answer
    assert case["expect"]["connections"] == [1] and case["expect"]["empty"] == [0]
    down = read(tmp_path, GOOD.replace("[expect]", "[server]\nstate = 'absent'\n[expect]").replace("served", "bridge-5xx"))
    assert down["expect"]["connections"] == [0] and down["server"]["conn"] == []


def test_11_13_numbered_entries_are_counted_out(tmp_path):
    """One line should stand for many variables."""
    case = read(tmp_path, GOOD.replace("'A=1'", "'A=1', { numbered = 'N', times = 3 }"))
    assert [entry.resolve() for entry in case["cgi"]["env"]] == [b"A=1", b"N0=0", b"N1=1", b"N2=2"]


def test_11_14_the_names_of_files_are_plain():
    """An id is a file name everywhere, also where case is not told apart."""
    names = [path.stem for path in (fixtures.FIXTURES / "cases").rglob("*.toml")]
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in names)


def rows_of_tricks():
    """(what becomes of it, case) of each row of the two tables under "Servers that speak HTTP"."""
    text = (fixtures.FIXTURES / "README.md").read_text()
    _, _, section = text.partition("## Servers that speak HTTP")
    for line in section.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and cells[2].startswith("`"):
            for name in re.findall(r"`([^`]+)`", cells[2]):
                yield cells[1], f"http/{name}"


def test_11_15_the_tables_of_tricks_say_what_the_cases_say():
    """Each trick should stand in one row, whose outcome is that of the case; and no row name a case that is not there."""
    cases = {case.id: case for case in fixtures.read_cases() if case.topic == "http"}
    found, told = [], {}
    for outcome, name in rows_of_tricks():
        if name in told:
            found.append(f"{name} stands there twice")
        told[name] = outcome
        if name not in cases:
            found.append(f"{name} is no case")
            continue
        expect = cases[name]["expect"]
        number = re.match(r"\d{3}$", outcome)
        says = expect["cgi"].get("status") == [int(outcome)] if number else expect["outcome"] == (
            ["flagged-partial"] if outcome == "cut" else ["served"])
        if not says:
            found.append(f"{name} is not {outcome!r}")
    found += [f"{name} is missing" for name, case in cases.items()
              if name not in told and (name.startswith("http/trick-") or case["expect"]["outcome"] != ["served"])]
    assert not found, "fixtures/README.md:\n" + "\n".join(found)


LAUNCH = """
schema = 1
id = "request/x"
title = "A title"
level = "must"
promises = ["F1"]
since = "0.1"
[[clients]]
name = "one"
outcome = "served"
[[clients]]
name = "two"
at = "start.1"
[[acts]]
name = "murder"
at = "two.waiting"
kill = ["two", "helpers"]
[[start.run]]
do = [{ await = "murder" }, { serve = "answers" }]
[expect]
starts = 1
"""


@pytest.mark.parametrize("old, new, complaint", [
    ('at = "two.waiting"', "", "done at an event"),
    ('at = "two.waiting"', 'at = "two.gone"', "nobody signals the event two.gone"),
    ('at = "start.1"', 'at = "server.1"', "nobody signals the event server.1"),
    ('{ await = "murder" }', '{ await = "suicide" }', "nobody signals the event suicide"),
    ('name = "two"', 'name = "one"', "a name of its own"),
    ('name = "two"', 'name = "helpers"', "a name of its own"),
    ('name = "one"\n', "", "a name of its own"),
    ('kill = ["two", "helpers"]', "", "one verb"),
    ('kill = ["two", "helpers"]', 'kill = ["two"]\nstop = ["one"]', "one verb"),
    ('kill = ["two", "helpers"]', 'kill = ["three"]', "nobody is called three"),
    ('kill = ["two", "helpers"]', 'kill = ["one", "two"]', "of whoever is neither killed nor leaves"),
    ('kill = ["two", "helpers"]', 'kill = ["helpers"]', "of whoever is neither killed nor leaves"),
    ('kill = ["two", "helpers"]', 'leave = ["one"]', "of whoever is neither killed nor leaves"),
    ('kill = ["two", "helpers"]', 'leave = ["two", "helpers"]', "no client is called helpers"),
    ('kill = ["two", "helpers"]', 'terminate = ["two", "three"]', "nobody is called three"),
    ('outcome = "served"', 'outcome = "served"\nanswer_at = "stopping"', "nobody signals the event stopping"),
    ('outcome = "served"', 'outcome = "served"\ncontent_length = 5', "of which not all comes"),
    ('outcome = "served"', 'outcome = "served"\nstdin = "hello"\ncontent_length = 5', "of which not all comes"),
    ('outcome = "served"', 'outcome = "served"\nstdin = { var = "dir" }\ncontent_length = 500', "of which not all comes"),
    ("[expect]", "[cgi]\nleaks = [3]\n[expect]", "none of"),
    ("[expect]", "[cgi]\nlimits = { rss = [1, 2] }\n[expect]", "rss is none of"),
    ("[expect]", "[cgi]\nlimits = { cpu = [2, 1] }\n[expect]", "not a soft and a hard limit"),
    ('kill = ["two", "helpers"]', 'quiet = 1', "tag timing"),
    ('{ serve = "answers" }', '{ bind = true }', "ends with serve"),
    ('{ serve = "answers" }', '{ serve = "nobody" }', "none of"),
    ('[[start.run]]\ndo = [{ await = "murder" }, { serve = "answers" }]', "", "has a start script"),
    ('[[start.run]]\ndo = [{ await = "murder" }, { serve = "answers" }]', "[start]\nowner = 'ordinary'", "what the script does"),
    ('outcome = "served"', 'outcome = "served"\nnode = "n"', "tag root"),
    ("starts = 1", "connections = 1", "expect.connections is for cases without clients"),
    ("[expect]", "[cgi]\nstdout = 'full'\n[expect]", "cgi.stdout is for cases without clients"),
    ("[expect]", "[server]\nstate = 'listening'\n[expect]", "begins without a server"),
    ("[expect]", "[server]\nconn = []\n[expect]", "server.conn is for cases without clients"),
])
def test_11_16_a_case_with_clients_that_has_a_fault_is_refused(suite, old, new, complaint):
    """The good case should be without fault, and each fault be told by a sentence about just that."""
    assert suite(LAUNCH) == [] and LAUNCH.count(old) == 1
    found = suite(LAUNCH.replace(old, new))
    assert any(complaint in sentence for sentence in found), found


def test_11_17_clients_and_acts_go_together(suite):
    """A case with one request should have neither acts nor a script that follows steps."""
    for more in ('[[acts]]\nname = "a"\nat = "b"\nkill = ["helpers"]\n', '[[start.run]]\ndo = [{ exit = 1 }]\n'):
        [found] = suite(GOOD + more)
        assert "are for cases with clients" in found
    for old, new, key in (("[cgi]", '[cgi]\numask = "0027"', "cgi.umask"), ("[expect]", "[expect]\nalive = 1", "expect.alive")):
        [found] = suite(GOOD.replace(f"{old}\n", f"{new}\n"))
        assert f"{key} is for cases with clients" in found


def written_down():
    """(case, the same as the JSON file has it) for each case."""
    return zip(fixtures.read_cases(), fixtures_json.document()["cases"])


def test_11_18_a_case_with_clients_has_in_json_what_the_page_gives_it():
    """A default of cases with one request should not be demanded of a crowd's: its servers have many connections."""
    crowds = [seen for case, seen in written_down() if "clients" in case.values]
    assert crowds
    for seen in crowds:
        assert "connections" not in seen["expect"], seen["id"]
        for place, keys in (("cgi", ("env", "fds", "sigpipe", "signals", "closed", "cwd", "umask", "limits", "leaks")),
                            ("server", ("state", "kind", "network", "protocol")),
                            ("expect", ("starts", "start", "alive", "empty", "log"))):
            assert not set(seen[place]) - set(keys), (seen["id"], place)
    assert any(seen["cgi"]["limits"] for seen in crowds) and all(seen["timeout"] <= 60 for seen in crowds)


def test_11_19_a_case_with_one_request_has_in_json_no_key_of_a_crowd():
    """Limits and leaks that no such case can have should not stand there, not even empty."""
    for case, seen in written_down():
        if "clients" not in case.values:
            assert not {"umask", "limits", "leaks"} & set(seen["cgi"]), case.id
            assert not {"start", "alive"} & set(seen["expect"]), case.id
            assert case["expect"]["connections"] == seen["expect"]["connections"], case.id


def test_11_20_the_server_s_script_stands_in_json_once():
    """server.conn should be the script, also where the case gives only the answer, and server.answer not be there beside it."""
    for case, seen in written_down():
        assert "answer" not in seen["server"], case.id
        assert len(seen["server"].get("conn", [])) == len(case["server"]["conn"]), case.id


def test_11_21_a_key_is_called_in_json_as_on_the_page():
    """A step's `in` should not appear under the loader's own name for it."""
    def keys(value):
        if isinstance(value, dict):
            for key, part in value.items():
                yield key
                yield from keys(part)
        elif isinstance(value, list):
            for part in value:
                yield from keys(part)

    found = [*keys(fixtures_json.document()["cases"])]
    assert "in" in found and "piece" not in found


def test_11_22_json_says_in_which_ways_and_where_a_case_is_run():
    """Whoever knows no topics should read the ways, and the working directory, in each case."""
    for case, seen in written_down():
        assert seen["ways"] == case.variants(), case.id
        assert "cwd" in case.said.get("cgi", {}) or seen["cgi"]["cwd"] == {"parts": [{"var": "dir"}]}, case.id
