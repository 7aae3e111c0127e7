"""This file knows adapters: what a bridge's TOML file may say, and what is wrong with one in words for who wrote it.

README.md of this folder says what each key means.
"""

import difflib
import fnmatch
import hashlib
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import capabilities

SCHEMA = 1
NAMES = {
    "bridge": "the path of the program under test",
    "dir": "the folder of the case, which is also the working directory",
    "socket": "the server's address: a path, @NAME, 127.0.0.1:PORT, [::1]:PORT or localhost:PORT",
    "host": "the host of that address",
    "port": "the port of that address",
    "path": "the path of a unix socket",
    "settings": "the lines of [settings] and [start] for the settings of this case",
    "value": "the value of a setting (in [settings] only)",
    "name": "the name of a setting (in [settings] only)",
    "start": "the path of the start script (in [start] only)",
}
EVERYWHERE = ("bridge", "dir", "socket", "host", "port", "path", "settings")
KINDS = ("unix", "abstract", "tcp4", "tcp6", "localhost")


class AdapterError(Exception):
    """An adapter that cannot be used; the text is for who wrote it, one sentence a line."""


@dataclass
class Adapter:
    """An adapter that was read and found right."""

    source: Path
    digest: str
    bridge: dict
    program: str = "{bridge}"
    arguments: list = field(default_factory=list)
    environment: list = field(default_factory=list)
    hidden: list = field(default_factory=list)
    files: list = field(default_factory=list)
    tries_for: float = 0
    slower: float = 1
    hook: Path | None = None
    kinds: list = field(default_factory=list)
    fixed: str | None = None
    settings: dict = field(default_factory=dict)
    start: str | None = None
    claims: frozenset = frozenset()
    leaves: list = field(default_factory=list)
    known_failures: dict = field(default_factory=dict)

    @property
    def name(self):
        return self.bridge["name"]

    @property
    def fixed_port(self):
        return int(self.fixed.rpartition(":")[2]) if self.fixed else 0

    def setting(self, name):
        """The text that says this setting to the bridge, or None when it has none; a hook is asked when it comes to that."""
        if self.hook and name not in self.settings and "*" not in self.settings:
            return ""
        return self.settings.get(name, self.settings.get("*"))

    def expected_to_fail(self, case_id, variant):
        """Why the case is known to fail in this variant; None when it is not."""
        for key, why in self.known_failures.items():
            wanted, ways = split_key(key)
            if wanted == case_id and all(fnmatch.fnmatchcase(variant[way], pattern) for way, pattern in ways.items()):
                return why
        return None


def split_key(key):
    """`body/x` or `body/x[pipes,sigpipe-*]` -> the id and, of fds and sigpipe, what they must be."""
    match = re.fullmatch(r"([a-z]+/[a-z0-9-]+)(?:\[([a-z*]+),(?:sigpipe-)?([a-z*]+)\])?", key)
    if not match:
        raise ValueError(key)
    return match[1], {"fds": match[2] or "*", "sigpipe": match[3] or "*"}


def fill(text, values):
    """`text` with every {name} replaced; {{ and }} are braces. Answers bytes: values may hold any byte."""
    def one(match):
        if match[0] in (b"{{", b"}}"):
            return match[0][:1]
        return values[match[1].decode()]

    return re.sub(rb"\{\{|\}\}|\{([a-z]+)\}", one, text.encode())


class _Reader:
    """Reads one table after another and collects what is wrong, so that one look shows all of it."""

    def __init__(self, source):
        self.source = source
        self.wrong = []

    def complain(self, sentence):
        self.wrong.append(sentence)

    def table(self, values, place, keys):
        """`values` if it is a table of these keys; what is wrong is left out."""
        if not isinstance(values, dict):
            self.complain(f"{place} must be a table")
            return {}
        good = {}
        for key, value in values.items():
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; the keys are {', '.join(keys)}"
                self.complain(f"{place}: there is no key {key}{hint}")
                continue
            kind, words = keys[key]
            if not kind(value):
                self.complain(f"{place}.{key} must be {words}, not {value!r}")
                continue
            good[key] = value
        return good

    def placeholders(self, text, place, allowed):
        for found in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[{}]", text):
            if found in ("{", "}"):
                self.complain(f"{place}: a brace that is no {{name}} is written twice: {found}{found}")
            elif found not in ("{{", "}}") and found[1:-1] not in allowed:
                known = "; the names are " + ", ".join(f"{{{name}}}" for name in allowed)
                self.complain(f"{place}: {found} has no meaning here{known}")


def _text(value):
    return isinstance(value, str) and value != ""


def _texts(value):
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


TEXT, TEXTS = (_text, "a text"), (_texts, "a list of texts")
NUMBER = (lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0, "a number above 0")
TABLE = (lambda value: isinstance(value, dict), "a table")
TABLES = (lambda value: isinstance(value, list) and all(isinstance(part, dict) for part in value), "a list of tables ([[run.files]])")
MODE = (lambda value: isinstance(value, str) and re.fullmatch("0[0-7]{3}", value), 'a mode like "0755"')
TOP = dict.fromkeys(("bridge", "run", "server", "settings", "start", "claims", "leaves", "known-failures"), TABLE)


def read(path, case_ids=None):
    """The adapter in the file `path`; AdapterError says everything that is wrong with it."""
    path = Path(path)
    try:
        content = path.read_bytes()
        values = tomllib.loads(content.decode())
    except OSError as error:
        raise AdapterError(f"the adapter {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AdapterError(f"the adapter {path} is no TOML: {error}") from None
    reader = _Reader(path)
    if values.get("schema") != SCHEMA:
        raise AdapterError(f"{path}: schema must be {SCHEMA}: this suite reads no other form of adapter")
    top = reader.table({key: value for key, value in values.items() if key != "schema"}, "the adapter", TOP)
    adapter = Adapter(path, hashlib.sha256(content).hexdigest(), {})
    adapter.bridge = reader.table(top.get("bridge", {}), "bridge", dict.fromkeys(("name", "version", "language", "homepage"), TEXT))
    for key in ("name", "version"):
        if key not in adapter.bridge:
            reader.complain(f"bridge.{key} is missing: the report says whose results it holds")
    _read_run(reader, adapter, top)
    _read_server(reader, adapter, top)
    _read_settings(reader, adapter, top)
    _read_claims(reader, adapter, top, case_ids)
    if reader.wrong:
        raise AdapterError("\n".join(f"{path}: {sentence}" for sentence in reader.wrong))
    return adapter


def _read_run(reader, adapter, top):
    run = reader.table(top.get("run", {}), "run", {
        "program": TEXT, "arguments": TEXTS, "environment": TEXTS, "hidden": TEXTS, "files": TABLES, "tries-for": NUMBER, "slower": NUMBER,
        "hook": TEXT})
    for key, value in run.items():
        setattr(adapter, key.replace("-", "_"), value)
    if adapter.hook:
        adapter.hook = (reader.source.parent / adapter.hook).resolve()
        if not os.access(adapter.hook, os.X_OK):
            reader.complain(f"run.hook: {adapter.hook} cannot be executed")
    adapter.files = []
    for number, one in enumerate(run.get("files", [])):
        place = f"run.files[{number}]"
        one = reader.table(one, place, {"path": TEXT, "mode": MODE, "text": TEXT})
        for key in ("path", "text"):
            if key not in one:
                reader.complain(f"{place}.{key} is missing")
        if os.path.isabs(one.get("path", "")) or ".." in Path(one.get("path", "")).parts:
            reader.complain(f"{place}.path must stay in the case's folder: {one['path']}")
        reader.placeholders(one.get("text", ""), f"{place}.text", EVERYWHERE)
        adapter.files.append({"path": one.get("path", "x"), "mode": int(one.get("mode", "0644"), 8), "text": one.get("text", "")})
    for place, texts in (("run.program", [adapter.program]), ("run.arguments", adapter.arguments), ("run.environment", adapter.environment)):
        for text in texts:
            reader.placeholders(text, place, EVERYWHERE)
    for entry in adapter.environment:
        if "=" not in entry:
            reader.complain(f"run.environment: {entry!r} must be NAME=VALUE")
    if not adapter.hook and not adapter.fixed and "socket" not in str(top) and "{port}" not in str(top) and "fixed" not in top.get("server", {}):
        reader.complain("nothing tells the bridge where its server is: use {socket} in run.files, run.environment or "
                        "run.arguments, or say server.fixed")


def _read_server(reader, adapter, top):
    server = reader.table(top.get("server", {}), "server", {"kinds": TEXTS, "fixed": TEXT})
    adapter.kinds, adapter.fixed = server.get("kinds", []), server.get("fixed")
    for kind in adapter.kinds:
        if kind not in KINDS:
            reader.complain(f"server.kinds: there is no {kind!r}; the kinds are {', '.join(KINDS)}")
    if not adapter.kinds:
        reader.complain(f"server.kinds is missing: which of {', '.join(KINDS)} can the bridge connect to? The first is used where a case does not care")
    if adapter.fixed:
        if not re.fullmatch(r"127\.0\.0\.1:[1-9]\d{0,4}", adapter.fixed):
            reader.complain(f"server.fixed must be 127.0.0.1:PORT, not {adapter.fixed!r}")
            adapter.fixed = None
        elif adapter.kinds != ["tcp4"]:
            reader.complain('with server.fixed, server.kinds must be ["tcp4"]')


def _read_settings(reader, adapter, top):
    for name, text in top.get("settings", {}).items():
        if not isinstance(text, str):
            reader.complain(f"settings.{name} must be a text")
            continue
        reader.placeholders(text, f"settings.{name}", ("name", "value"))
        adapter.settings[name] = text
    start = reader.table(top.get("start", {}), "start", {"text": TEXT})
    adapter.start = start.get("text")
    if adapter.start:
        reader.placeholders(adapter.start, "start.text", ("start",))
    told = str(top.get("run", {}))
    if (adapter.settings or adapter.start) and "{settings}" not in told:
        reader.complain("[settings] and [start] reach the bridge only where {settings} stands in [run]")


def _read_claims(reader, adapter, top, case_ids):
    claims = reader.table(top.get("claims", {}), "claims", {"capabilities": TEXTS})
    known = capabilities.read()
    for name in claims.get("capabilities", []):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            reader.complain(f"claims.capabilities: there is no capability {name}" + (f"; did you mean {near[0]}?" if near else
                            f"; fixtures/capabilities.toml has {', '.join(known)}"))
        elif known[name].get("follows"):
            reader.complain(f"claims.capabilities: {name} is not claimed but follows from {known[name]['follows']}")
    adapter.claims = frozenset(claims.get("capabilities", [])) | set(adapter.kinds) | ({"start"} if adapter.start else set())
    if "http" in adapter.claims and adapter.setting("protocol") is None:
        reader.complain("claims.capabilities: http needs a line `protocol` in [settings]: how else is the bridge told to speak it?")
    leaves = reader.table(top.get("leaves", {}), "leaves", {"files": TEXTS})
    adapter.leaves = leaves.get("files", [])
    for key, why in top.get("known-failures", {}).items():
        place = f"known-failures.{key!r}"
        if not _text(why):
            reader.complain(f"{place} must say why")
        try:
            case_id = split_key(key)[0]
        except ValueError:
            reader.complain(f"{place} must be a case's id, perhaps with [FDS,SIGPIPE] behind it, as in body/x[socket,*]")
            continue
        if case_ids is not None and case_id not in case_ids:
            near = difflib.get_close_matches(case_id, case_ids, 1)
            reader.complain(f"{place}: there is no case {case_id}" + (f"; did you mean {near[0]}?" if near else ""))
        adapter.known_failures[key] = why
