"""This file knows how a table of an adapter is read, and how what is wrong with it is said to who wrote it."""

import difflib
import re


def meant(word, known, surely=0.6):
    """`; did you mean x?` when one of the known words is near enough, else nothing."""
    near = difflib.get_close_matches(word, known, 1, surely)
    return f"; did you mean {near[0]}?" if near else ""


def _is_text(value):
    return isinstance(value, str) and value != ""


def _is_texts(value):
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


# What a value must be: a question, and the words for it.
TEXT, TEXTS = (_is_text, "a text"), (_is_texts, "a list of texts")
NUMBER = (lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0, "a number above 0")
TABLE = (lambda value: isinstance(value, dict), "a table")
TABLES = (lambda value: isinstance(value, list) and all(isinstance(part, dict) for part in value), "a list of tables ([[run.files]])")
MODE = (lambda value: isinstance(value, str) and re.fullmatch("0[0-7]{3}", value), 'a mode like "0755"')


class Reader:
    """Reads one table after another and collects what is wrong, so that one look shows all of it."""

    def __init__(self, source):
        self.source = source
        self.wrong = []
        self._said = set()  # the places of which something was said: that they are missing would be no second fault

    def complain(self, sentence):
        self.wrong.append(sentence)

    def table(self, values, place, keys):
        """`values` if it is a table of these keys; what is wrong is left out. The adapter itself has no place: None."""
        if not isinstance(values, dict):
            self.complain(f"{place} must be a table")
            return {}
        good = {}
        for key, value in values.items():
            whole = f"{place}.{key}" if place else key
            if key not in keys:
                hint = meant(key, keys) or f"; the keys are {', '.join(keys)}"
                self.complain(f"{place or 'the adapter'}: there is no key {key}{hint}")
                continue
            holds, words = keys[key]
            if not holds(value):
                brackets = f"; one pair of brackets makes one: [{whole}]" if (holds, words) == TABLE and TABLES[0](value) else ""
                self.complain(f"{whole} must be {words}, not {value!r}{brackets}")
                self._said.add(whole)
                continue
            good[key] = value
        return good

    def is_said(self, place, key):
        """Whether something is wrong with this key, or with its whole table, that was said."""
        return place in self._said or f"{place}.{key}" in self._said

    def demand_key(self, values, place, key, why):
        if not values.get(key) and not self.is_said(place, key):
            self.complain(f"{place}.{key} is missing{why}")

    def placeholders(self, text, place, allowed, elsewhere=None):
        """`elsewhere`: what to say of names that have a meaning in another place."""
        for found in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[{}]", text):
            name = found[1:-1]
            if found in ("{", "}"):
                self.complain(f"{place}: a brace that is no {{name}} is written twice: {found}{found}")
            elif found not in ("{{", "}}") and name not in allowed:
                known = "; the names are " + ", ".join(f"{{{one}}}" for one in allowed)
                self.complain(f"{place}: {found} has no meaning here{(elsewhere or {}).get(name, known)}")
