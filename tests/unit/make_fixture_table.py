"""The fixtures for the unit tests, which read neither TOML nor JSON.

    python3 tests/unit/make_fixture_table.py build/fixtures.table

A file of netstrings, one for each case; in it netstrings that are by turns a key and its value. What a case says about
descriptors, signals and time is left to the integration tests: here are the bytes that go in and that come out.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import fixtures  # noqa: E402

LARGE = 1 << 18  # more bytes of a response than this show how they are moved, not how they are judged


def netstring(content):
    return b"%d:%s," % (len(content), content)


def request_pairs(case):
    """The environment, and the head of the request that is expected of it."""
    expect = case["expect"]["request"]
    for entry in case["cgi"]["env"]:
        yield "env", entry.resolve()
    if "script-name" in case["settings"]:
        yield "script-name", case["settings"]["script-name"].resolve()
    if "headers" in expect:
        yield "headers", b""
        for entry in expect["headers"]:
            yield "header", entry.resolve()
    if "wire" in expect:
        yield "wire", expect["wire"].resolve()


def http_pairs(case):
    """The environment, the body's size, and the head of the request in HTTP that is expected of it."""
    expect = case["expect"]["request"]
    yield from request_pairs(case)
    if case["settings"].get("trust-forwarded"):
        yield "trust-forwarded", case["settings"]["trust-forwarded"].resolve()
    yield "body", b"%d" % len(case["cgi"]["stdin"].resolve() if "stdin" in case["cgi"] else b"")
    if case["expect"]["connections"] == [0]:
        yield "refused", b""
    if "line" in expect:
        yield "line", expect["line"].resolve()
    for entry in expect.get("contains", []):
        yield "contains", entry.resolve()
    for name in expect.get("lacks", []):
        yield "lacks", name.resolve()


def response_pairs(case):
    """What the server of the first connection sends, and what is expected to come out of it."""
    if case.topic != "http":
        for entry in case["cgi"]["env"]:
            yield "env", entry.resolve()
    sent = [step["send"].resolve() for step in case["server"]["conn"][0]["do"] if "send" in step]
    yield "sent", b"".join(sent)
    (outcome,) = case["expect"]["outcome"]
    yield "outcome", outcome.encode()
    if "stdout" in case["expect"]["cgi"]:
        yield "stdout", case["expect"]["cgi"]["stdout"].resolve()


def judged_by_bytes(case):
    """Whether what comes out of a response follows from its bytes alone: nobody leaves, resets or connects again."""
    steps = case["server"]["conn"][0]["do"] if len(case["server"]["conn"]) == 1 else []
    return (
        steps
        and case["expect"]["outcome"] in (["served"], ["bridge-5xx"], ["flagged-partial"])
        and "full" not in (case["cgi"]["stdout"], case["server"]["state"])
        and "stdout_leave" not in case["cgi"]
        and not any(step.get("close") in ("rst", "unread") for step in steps)
        and sum(len(step["send"].resolve()) for step in steps if "send" in step) < LARGE
    )


def table(cases):
    for case in cases:
        if case.topic == "request":
            pairs = request_pairs(case)
        elif case.topic == "response" and judged_by_bytes(case):
            pairs = response_pairs(case)
        elif case.topic == "http":
            pairs = [*http_pairs(case), *(response_pairs(case) if judged_by_bytes(case) else ())]
        else:
            continue
        pairs = [("id", case.id.encode()), *pairs]
        yield netstring(b"".join(netstring(key.encode()) + netstring(value) for key, value in pairs))


def main(arguments):
    if len(arguments) != 1:
        print("usage: make_fixture_table.py FILE", file=sys.stderr)
        return 2
    target = pathlib.Path(arguments[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"".join(table(fixtures.read_cases())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
