"""This file knows the fixtures as readers without TOML have them: one JSON file, with the defaults of the README and no others.

    cd tests/integration && python3 -m harness.fixtures_json ../../build/fixtures.json

checks every case and writes all of them, resolved.
"""

import json
import pathlib
import sys
import tomllib

from .byte_strings import Bytes
from .case_keys import ONLY_WITH_CLIENTS, WITH_CLIENTS
from .fixture_lint import lint
from .fixtures import FIXTURES, read_cases, read_promises


def as_json(value):
    if isinstance(value, Bytes):
        return value.as_json()
    if isinstance(value, dict):
        return {"in" if key == "piece" else key: as_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    return value


def written_down(case):
    """The case for readers without TOML: with the defaults that the README gives to such a case, and no others."""
    values, crowd = dict(case.values), "clients" in case.values
    for place, keys in WITH_CLIENTS.items():
        values[place] = {key: value for key, value in values[place].items()
                         if (key in keys if crowd else key not in ONLY_WITH_CLIENTS[place])}
    values["server"].pop("answer", None)  # server.conn says the same, and of two scripts one would have to count
    values["cgi"].setdefault("cwd", Bytes({"var": "dir"}))
    return {**as_json(values), "ways": case.variants()}


def document():
    """Everything, as it is written down for readers without TOML."""
    suite = tomllib.loads((FIXTURES / "SUITE.toml").read_text(encoding="utf-8"))
    cases = [written_down(case) for case in read_cases()]
    return {"format": suite["format"], "suite": suite["suite"], "promises": read_promises(), "cases": cases}


def write(content, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments):
    if len(arguments) != 1:
        print("usage: python3 -m harness.fixtures_json FILE.json", file=sys.stderr)
        return 2
    faults = lint()
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    content = document()
    write(content, pathlib.Path(arguments[0]))
    print(f"{arguments[0]}: {len(content['cases'])} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
