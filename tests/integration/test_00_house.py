"""The rules of the house, held by tests: the shape of the source, of the binary, and of the tests themselves."""

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from harness import fixture_lint, fixtures, owner, procs

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for pattern in ("src/*.h", "src/*.cc", "src/ctl/*.h", "src/ctl/*.cc") for path in ROOT.glob(pattern))
TESTS = sorted([*ROOT.glob("tests/integration/**/*.py"), *ROOT.glob("tests/webserver/**/*.py"), *ROOT.glob("tests/appserver/**/*.py"),
                *ROOT.glob("tests/conformance/**/*.py")])
BINARIES = {procs.BINARY: 40_960, owner.BINARY: 98_304}  # and the bytes that each may have
# The only function that may sleep: everything else waits for an event, or for a condition by way of it.
WAITER = "wait_until"

# Each would pull in the C++ runtime, thousands of bytes of C library, or a second way to do what a room does.
NOT_IN_SOURCES = {
    r"\bsubstr\s*\(": "throws; part() of buffer.h clamps",
    r"\b(v?sn?|d|f)?printf\s*\(": "15 kB; Text of buffer.h",
    r"\bstrerror\b": "3 kB and a locale; reason() of error.h",
    r"\b(strto[a-z]+|ato[il]+)\s*\(": "accepts blanks and signs; parse_decimal() of buffer.h",
    r"\b(getaddrinfo|gethostbyname)\b": "33 kB; no names are looked up",
    r"\b(malloc|calloc|realloc|free)\s*\(": "memory is constant",
    r"\bnew\s+[A-Za-z(]|\bdelete\s+[A-Za-z]|\bdelete\[\]": "memory is constant",
    r"#include <(iostream|fstream|sstream|string|vector|map|memory|functional|thread)>": "the C++ runtime",
    r"\b(try|throw|catch|dynamic_cast|typeid)\b": "no exceptions and no run-time types",
    r"#\s*define\b": "no macros",
    r"#\s*ifn?def\b": "#pragma once, and one platform",
    r"\bassert\s*\(": "20 kB; an error is a value",
}


def relative(path):
    return str(path.relative_to(ROOT))


def tree_files():
    """Every file of the tree but what is built and what git keeps for itself."""
    for path in ROOT.rglob("*"):
        if path.is_file() and not {"build", ".git", "__pycache__"}.intersection(path.relative_to(ROOT).parts):
            yield path


def without_comments(text):
    """C++ text whose comments and literals are blanks, so that a word in a sentence is no finding; #include stays."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|(?<!#include )"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)


def floors():
    """The rooms of README.md's table, as their path in src without a suffix -> floor."""
    table = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        row = re.match(r"\| (\d\d?) \| ([^|]*) \|", line)
        if row:
            for room in re.findall(r"`([\w/]+)(?:\.\w+)?", row.group(2)):
                table[room] = int(row.group(1))
    return table


def room_of(source):
    return str(source.relative_to(ROOT / "src").with_suffix(""))


def test_00_01_a_file_includes_only_lower_floors():
    """Each file should stand in README.md's table of rooms and include only rooms of a lower floor."""
    table = floors()
    found = []
    for source in SOURCES:
        room = room_of(source)
        if room not in table:
            found.append(f"{room} has no row in README.md's table of rooms: add one")
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            included = re.match(r'#include "([\w/]+)\.h"', line)
            if included and included.group(1) != room and table.get(included.group(1), 99) >= table[room]:
                found.append(f"{source.name}:{number}: {included.group(1)}.h is not on a lower floor than {room}: "
                             "give the common part a room below both, or move a room in README.md's table")
    assert not found, "\n".join(found)


def test_00_02_every_room_of_the_table_exists():
    """README.md's table should name no room that is gone."""
    gone = set(floors()) - {room_of(source) for source in SOURCES}
    assert not gone, f"README.md's table of rooms names {sorted(gone)}, which src does not have"


def test_00_03_sources_keep_to_the_small_language():
    """No source should use what the size, the linker or the rule of constant memory forbids."""
    found = [f"{source.name}:{number}: {line.strip()} ({why})" for source in SOURCES
             for number, line in enumerate(without_comments(source.read_text()).splitlines(), 1)
             for pattern, why in NOT_IN_SOURCES.items() if re.search(pattern, line)]
    assert not found, "\n".join(found)


def test_00_04_a_header_says_what_it_knows():
    """Each header should begin with the sentence "This file knows ..." and be included once."""
    headers = {path: path.read_text() for path in SOURCES if path.suffix == ".h"}
    found = [path.name for path, text in headers.items()
             if not text.startswith("// This file knows ") or "#pragma once" not in text]
    assert not found, f"does not say what it knows, or lacks #pragma once: {found}"


def segments_of(binary):
    command = ["readelf", "--wide", "--program-headers", binary]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout


@pytest.mark.parametrize("binary", BINARIES, ids=lambda path: path.name)
def test_00_05_the_binary_is_static(binary):
    """It should need no loader and no library."""
    segments = segments_of(binary)
    assert "INTERP" not in segments and "DYNAMIC" not in segments, segments


@pytest.mark.parametrize("binary", BINARIES, ids=lambda path: path.name)
def test_00_06_the_binary_is_within_its_size(binary):
    """build/rouse should be at most 40,960 bytes, build/rousectl 98,304."""
    size, budget = binary.stat().st_size, BINARIES[binary]
    assert size <= budget, f"{size} bytes: {size - budget} too many"


@pytest.mark.parametrize("binary", BINARIES, ids=lambda path: path.name)
def test_00_07_the_binary_is_hardened(binary):
    """It should have no executable stack, nothing both writable and executable, and no writable pointers.

    Read-only relocations (RELRO) protect what the loader writes before the program runs. Better still is a program
    with nothing of the kind: no table, no constructor, no writable byte that comes from the file.
    """
    segments = segments_of(binary)
    flags = {line.split()[0]: re.search(r"0x\S+ 0x\S+ ([RWE ]{3}) 0x", line).group(1)
             for line in segments.splitlines() if re.match(r"\s+(LOAD|GNU_STACK|GNU_RELRO)\s", line)}
    assert "E" not in flags["GNU_STACK"], segments
    from_file = [int(line.split()[4], 16) for line in segments.splitlines() if re.match(r"\s+LOAD .* RW ", line)]
    assert "GNU_RELRO" in flags or not any(from_file), segments
    assert not re.search(r"LOAD .* [R ]WE ", segments), segments


# The tests themselves.

def calls(tree):
    """Every call in the tree, with the name of the function around it."""
    def walk(node, function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield child, function
            yield from walk(child, child.name if isinstance(child, ast.FunctionDef) else function)
    return walk(tree, "")


def test_00_08_no_test_sleeps_or_is_skipped():
    """A test should wait for what it needs, never for time to pass, and should run everywhere."""
    found = []
    for path in TESTS:
        tree = ast.parse(path.read_text())
        found += [f"{path.name}:{call.lineno}: {ast.unparse(call.func)} outside {WAITER}" for call, function in calls(tree)
                  if ast.unparse(call.func) in ("time.sleep", "sleep") and function != WAITER]
        found += [f"{path.name}:{node.lineno}: {ast.unparse(node)}" for node in ast.walk(tree)
                  if isinstance(node, ast.Attribute)
                  and re.fullmatch(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)", ast.unparse(node))]
    assert not found, "\n".join(found)


def test_00_09_a_test_is_numbered_and_says_what_should_hold():
    """A test's name should begin with the number of its file, and its docstring say what should hold."""
    found = []
    for path in TESTS:
        if not path.name.startswith("test_"):
            continue
        number = re.match(r"test_(\d\d)_\w+\.py", path.name)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                if not number or not re.match(rf"test_{number.group(1)}_\d\d_", node.name):
                    found.append(f"{path.name}: {node.name} is not test_NN_MM_what_holds with the file's NN")
                if not ast.get_docstring(node):
                    found.append(f"{path.name}: {node.name} has no docstring")
    assert not found, "\n".join(found)


def test_00_10_the_tree_names_no_machine():
    """No file should name the folder that the tree happens to be in, or the host that this machine's packages come from."""
    hosts = set()
    for source in [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        hosts.update(re.findall(r"https?://([\w.-]+)", source.read_text(errors="replace")))
    words = [rf"(?<![\w./-]){re.escape(str(ROOT))}(?![\w-])"] if len(ROOT.parts) > 2 else []
    words += [rf"(?<![\w.-]){re.escape(host)}(?![\w-])" for host in sorted(hosts - {"localhost", "127.0.0.1"})]
    pattern = re.compile("|".join(words).encode())
    found = [f"{relative(path)}: {match.group().decode()}" for path in tree_files()
             for match in [pattern.search(path.read_bytes())] if words and match]
    assert not found, "\n".join(found)


# Promises.

def promise_sentences():
    return tomllib.loads((ROOT / "fixtures/promises.toml").read_text())["promises"]


# Settings and code that come later; they are in the table, and need no test yet.
LATER = set()


def shown_by_fixtures():
    for path in sorted((ROOT / "fixtures/cases").rglob("*.toml")):
        for promise in tomllib.loads(path.read_text()).get("promises", []):
            yield promise, f"fixture {path.parent.name}/{path.stem}"


def shown_by_integration_tests():
    """`@pytest.mark.promises(...)`: on a test, on a parameter of it, or as pytestmark of a file."""
    for path in TESTS:
        for node in ast.parse(path.read_text()).body:
            name = getattr(node, "name", "all")
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.promises":
                    for argument in call.args:  # anything but a constant is a fixture's list, counted above
                        if isinstance(argument, ast.Constant):
                            yield argument.value, f"{path.stem} {name}"


def shown_by_unit_tests():
    for path in sorted(ROOT.glob("tests/unit/*.cc")):
        for sentence in re.findall(r'TEST_CASE\(\s*((?:"(?:\\.|[^"\\])*"\s*)+)', path.read_text()):
            for promise in re.findall(r"\[([A-Z]\d)\]", sentence):
                yield promise, f"unit {path.stem}"


def test_00_11_every_promise_is_shown_by_a_test():
    """Each promise should be named by a fixture, a unit test or an integration test; build/promises.md says by which."""
    sentences = promise_sentences()
    shown = {promise: [] for promise in sentences}
    unknown = []
    for promise, test in [*shown_by_unit_tests(), *shown_by_fixtures(), *shown_by_integration_tests()]:
        if promise not in shown:
            unknown.append(f"{test} names {promise}, which fixtures/promises.toml does not have")
        elif test not in shown[promise]:
            shown[promise].append(test)
    lines = ["# Promises and the tests that show them", "", "| id | promise | tests | shown by |", "| --- | --- | --- | --- |"]
    for promise, tests in shown.items():
        by = "<br>".join(tests) or ("later" if promise in LATER else "**nothing**")
        lines.append(f"| {promise} | {sentences[promise]} | {len(tests)} | {by} |")
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build/promises.md").write_text("\n".join(lines) + "\n")
    assert not unknown, "\n".join(unknown)
    bare = [promise for promise, tests in shown.items() if not tests and promise not in LATER]
    assert not bare, f"no test shows {', '.join(bare)}; see build/promises.md"


def test_00_12_the_promises_are_all_there():
    """The registry should have every promise once, and nothing else."""
    counts = {"F": 4, "S": 5, "R": 4, "C": 3, "L": 9, "P": 5, "B": 3, "W": 3, "H": 4, "X": 4}
    expected = {f"{letter}{number}" for letter, count in counts.items() for number in range(1, count + 1)}
    assert set(promise_sentences()) == expected


def test_00_13_every_promise_has_a_case():
    """Each promise should be shown by a case, which any bridge can be tried with, and not by a test of rouse's alone."""
    found = fixture_lint.promise_complaints(fixtures.read_cases(), fixtures.read_promises(), fixtures.awaited_promises())
    assert not found, "\n".join(found)
