"""This file knows the forms that a value in a fixture can have: text, number, list, table, steps. It knows no key of a case.

Each reader takes the TOML value and answers what the program works with, or raises FixtureError.
"""

import re

from .byte_strings import Bytes, FixtureError


def text(value):
    if not isinstance(value, str) or not value:
        raise FixtureError(f"not a text: {value!r}")
    return value


def number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise FixtureError(f"not a number from 0: {value!r}")
    return value


def truth(value):
    if value is not True:
        raise FixtureError("only true has a meaning here; leave the key out otherwise")
    return value


def either(value):
    if not isinstance(value, bool):
        raise FixtureError(f"neither true nor false: {value!r}")
    return value


def mode(value):
    if not isinstance(value, str) or not re.fullmatch("0[0-7]{3}", value):
        raise FixtureError(f'not a mode like "0755": {value!r}')
    return int(value, 8)


def one_of(*words):
    def read(value):
        if value not in words:
            raise FixtureError(f"{value!r} is none of {', '.join(map(str, words))}")
        return value

    return read


def list_of(reader):
    def read(value):
        if not isinstance(value, list):
            raise FixtureError(f"not a list: {value!r}")
        return [reader(part) for part in value]

    return read


def entries(value):
    """A list of byte strings, in which { numbered = 'N', times = 3 } stands for N0=0, N1=1 and N2=2."""
    answer = []
    for entry in list_of(lambda part: part)(value):
        if isinstance(entry, dict) and set(entry) == {"numbered", "times"}:
            answer += [Bytes(f"{entry['numbered']}{number}={number}") for number in range(entry["times"])]
        else:
            answer.append(Bytes(entry))
    return answer


def one_or_more(reader):
    return lambda value: [reader(part) for part in value] if isinstance(value, list) else [reader(value)]


def table(**keys):
    def read(value):
        if not isinstance(value, dict):
            raise FixtureError(f"not a table: {value!r}")
        answer = {}
        for key, part in value.items():
            key = "piece" if key == "in" else key  # `in` is a word of Python
            if key not in keys:
                raise FixtureError(f"unknown key {key}")
            try:
                answer[key] = keys[key](part)
            except FixtureError as error:
                raise FixtureError(f"{key}: {error}") from None
        return answer

    read.keys = keys
    return read


def setting(value):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Bytes(str(value))
    return Bytes(value)


def settings(value):
    if not isinstance(value, dict):
        raise FixtureError("not a table")
    return {key: setting(part) for key, part in value.items()}


def steps(verbs, **manners):
    """A list of tables that each hold exactly one verb, and perhaps how it is done."""

    def read(value):
        found = list_of(table(**verbs, **manners))(value)
        for step in found:
            if len(set(step) - set(manners)) != 1:
                raise FixtureError(f"a step has one verb: {sorted(step)}")
        return found

    return read
