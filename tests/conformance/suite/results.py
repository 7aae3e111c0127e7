"""This file knows the results of a run: results.jsonl, and what may be said of it as a whole.

One JSON object a line: a header, a result for each case and variant, a footer. Without the footer a run did not come to
its end, and nothing may be concluded from it. README.md of this folder has the words.
"""

import json
from collections import Counter
from pathlib import Path

FORMAT = 1
WORDS = {
    "pass": "what the case expects is what happened",
    "fail": "something else happened",
    "known-failure": "it failed, as the adapter says it would",
    "unexpected-pass": "it passed, although the adapter says that it fails: the adapter is out of date",
    "unsupported": "the case needs what the adapter does not claim",
    "not-here": "this machine or this user cannot run the case",
    "harness-error": "the suite itself failed; nothing is known about the bridge",
}
SIGNS = {"pass": "✓", "fail": "✗", "known-failure": "x", "unexpected-pass": "!", "unsupported": "–", "not-here": "○", "harness-error": "‼"}
# What a whole case is when its variants differ: the first of these that any of them is.
WORST = ("harness-error", "fail", "unexpected-pass", "known-failure", "pass", "not-here", "unsupported")
OPTIONAL = ("may", "check")  # a failure of such a case is worth knowing, and no failure of the bridge
PASSED, FAILED, USAGE, BROKEN, INCOMPLETE = range(5)  # exit statuses; what they mean stands in README.md


class UsageError(Exception):
    """What was asked for cannot be had as it was asked for; the text says what to do."""


class ResultsError(Exception):
    """Results from which nothing may be concluded, in words."""


def word_for(complaints, known):
    if complaints:
        return "known-failure" if known else "fail"
    return "unexpected-pass" if known else "pass"


class Writer:
    """Appends to results.jsonl; every line is on disk before the next is written."""

    def __init__(self, path):
        self.path = Path(path)

    def write(self, **line):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def begin(self, **header):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")
        self.write(type="header", format=FORMAT, **header)


class Results:
    """A results.jsonl that was read."""

    def __init__(self, folder, header, lines, footer):
        self.folder = folder  # where what was kept of failures is, too
        self.header = header
        self.lines = lines
        self.footer = footer

    @property
    def name(self):
        return f"{self.header['bridge']['name']} {self.header['bridge']['version']}"

    def counts(self):
        return Counter(line["result"] for line in self.lines)

    def by_case(self):
        """id -> one word for all of its variants."""
        found = {}
        for line in self.lines:
            found.setdefault(line["id"], []).append(line["result"])
        return {case: min(words, key=WORST.index) for case, words in found.items()}

    def failures(self):
        """Lines that make the run a failed one."""
        return [line for line in self.lines if line["result"] == "unexpected-pass"
                or line["result"] == "fail" and line["level"] not in OPTIONAL]

    def never_started(self):
        """The number of trials that call for a start, if there was none in any of them; else 0."""
        starts = [line["starts"] for line in self.lines if "starts" in line]
        return 0 if any(starts) else len(starts)

    def exit_status(self):
        if not self.footer or not self.footer["complete"] or any(line["result"] == "harness-error" for line in self.lines):
            return INCOMPLETE
        return FAILED if self.failures() else PASSED


def read(path, *, unfinished=False):
    """The results in the file `path`; ResultsError when they are none, or did not come to their end."""
    try:
        lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: these are no results: {error}") from None
    if not lines or lines[0].get("type") != "header" or lines[0].get("format") != FORMAT:
        raise ResultsError(f"{path}: the first line is no header of format {FORMAT}")
    footer = lines[-1] if lines[-1].get("type") == "footer" else None
    if footer is None and not unfinished:
        raise ResultsError(f"{path}: the footer is missing: the run did not come to its end")
    return Results(Path(path).parent, lines[0], [line for line in lines if line.get("type") == "result"], footer)


def finish(path, planned=None):
    """Write the footer: whether every planned trial has its one result. Answers the results.

    The header says how many were planned; of a soak only its end knows.
    """
    results = read(path, unfinished=True)
    names = [(line["id"], line["variant"], line.get("number")) for line in results.lines]
    planned = results.header["planned"] if planned is None else planned
    complete = len(names) == planned and len(set(names)) == planned
    footer = {"complete": complete, "planned": planned, "counts": dict(results.counts())}
    Writer(path).write(type="footer", **footer)
    return read(path)
