"""This file knows adapters: what a bridge's TOML file may say, and what is wrong with one in words for who wrote it.

README.md of this folder says what each key means.
"""

import fnmatch
import hashlib
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import capabilities, programs
from .tables import MODE, NUMBER, TABLE, TABLES, TEXT, TEXTS, Reader, meant

SCHEMA = 1
EVERYWHERE = ("bridge", "dir", "socket", "host", "port", "path", "settings")  # README.md says what they are
# These are known only while one line of {settings} is made.
ELSEWHERE = {
    "start": """: it is known in [start] alone; write {settings} here, and [start] text = "{start}" below""",
    **dict.fromkeys(("name", "value"), ": it is known in [settings] alone; write {settings} here, and the line with it there"),
}
NAMES = (*EVERYWHERE, *ELSEWHERE)
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
            if wanted == case_id and matches(ways, variant):
                return why
        return None


def split_key(key):
    """`body/x` or `body/x[pipes,sigpipe-*]` -> the id and, of fds and sigpipe, what they must be."""
    match = re.fullmatch(r"([a-z]+/[a-z0-9-]+)(?:\[([a-z*]+),(?:sigpipe-)?([a-z*]+)\])?", key)
    if not match:
        raise ValueError(key)
    return match[1], {"fds": match[2] or "*", "sigpipe": match[3] or "*"}


def matches(ways, variant):
    """Whether the variant is one of those that a key of known-failures means."""
    return all(fnmatch.fnmatchcase(variant[way], pattern) for way, pattern in ways.items())


def fill(text, values):
    """`text` with every {name} replaced; {{ and }} are braces. Answers bytes: values may hold any byte."""
    def one(match):
        if match[0] in (b"{{", b"}}"):
            return match[0][:1]
        return values[match[1].decode()]

    return re.sub(rb"\{\{|\}\}|\{([a-z]+)\}", one, text.encode())


TOP = dict.fromkeys(("bridge", "run", "server", "settings", "start", "claims", "leaves", "known-failures"), TABLE)


def read(path, cases=None):
    """The adapter in the file `path`; AdapterError says everything that is wrong with it.

    `cases`, by id, are those that known failures may be about; without them these are believed.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        values = tomllib.loads(content.decode())
    except OSError as error:
        raise AdapterError(f"the adapter {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AdapterError(f"the adapter {path} is no TOML: {error}") from None
    reader = Reader(path)
    if values.get("schema") != SCHEMA:
        raise AdapterError(f"{path}: schema must be {SCHEMA}: this suite reads no other form of adapter")
    top = reader.table({key: value for key, value in values.items() if key != "schema"}, None, TOP)
    adapter = Adapter(path, hashlib.sha256(content).hexdigest(), {})
    adapter.bridge = reader.table(top.get("bridge", {}), "bridge", dict.fromkeys(("name", "version", "language", "homepage"), TEXT))
    for key in ("name", "version"):
        reader.demand_key(adapter.bridge, "bridge", key, ": the report says whose results it holds")
    if re.search(r"/|\.\.|[\x00-\x1f]", adapter.bridge.get("name", "")):
        reader.complain(f"bridge.name is the name of a folder, too: it has no '/', no '..' and no control characters: {adapter.bridge['name']!r}")
    _read_run(reader, adapter, top)
    _read_server(reader, adapter, top)
    _read_settings(reader, adapter, top)
    _read_claims(reader, adapter, top)
    _read_known_failures(reader, adapter, top, cases)
    if reader.wrong:
        raise AdapterError("\n".join(f"{path}: {sentence}" for sentence in reader.wrong))
    return adapter


def _read_run(reader, adapter, top):
    run_keys = {"program": TEXT, "arguments": TEXTS, "environment": TEXTS, "hidden": TEXTS, "files": TABLES, "tries-for": NUMBER,
                "slower": NUMBER, "hook": TEXT}
    run = reader.table(top.get("run", {}), "run", run_keys)
    for key, value in run.items():
        setattr(adapter, key.replace("-", "_"), value)
    if adapter.hook:
        adapter.hook = (reader.source.parent / adapter.hook).resolve()
        if programs.why_not(adapter.hook):
            reader.complain(f"run.hook: {adapter.hook} {programs.why_not(adapter.hook)}")
    adapter.files = []
    for number, one in enumerate(run.get("files", [])):
        place = f"run.files[{number}]"
        one = reader.table(one, place, {"path": TEXT, "mode": MODE, "text": TEXT})
        for key in ("path", "text"):
            reader.demand_key(one, place, key, "")
        if os.path.isabs(one.get("path", "")) or ".." in Path(one.get("path", "")).parts:
            reader.complain(f"{place}.path must stay in the case's folder: {one['path']}")
        reader.placeholders(one.get("text", ""), f"{place}.text", EVERYWHERE, ELSEWHERE)
        adapter.files.append({"path": one.get("path", "x"), "mode": int(one.get("mode", "0644"), 8), "text": one.get("text", "")})
    for place, texts in (("run.program", [adapter.program]), ("run.arguments", adapter.arguments), ("run.environment", adapter.environment)):
        for text in texts:
            reader.placeholders(text, place, EVERYWHERE, ELSEWHERE)
    for entry in adapter.environment:
        if "=" not in entry:
            reader.complain(f"run.environment: {entry!r} must be NAME=VALUE")
    written = [os.path.normpath(one["path"]) for one in adapter.files]
    name = os.path.normpath(adapter.program.removeprefix("{dir}/"))
    if adapter.program.startswith("{dir}/") and "{" not in name and name not in written and not adapter.hook and not reader.is_said("run", "files"):
        reader.complain(f"run.program names {name}, which no run.files writes")
    told = any(name in str(run) for name in ("{socket}", "{port}", "{path}"))
    if not told and not adapter.hook and "fixed" not in top.get("server", {}) and not any(reader.is_said("run", key) for key in run_keys):
        reader.complain("nothing tells the bridge where its server is: use {socket} in run.files, run.environment or "
                        "run.arguments, or say server.fixed")


def _read_server(reader, adapter, top):
    server = reader.table(top.get("server", {}), "server", {"kinds": TEXTS, "fixed": TEXT})
    adapter.kinds, adapter.fixed = server.get("kinds", []), server.get("fixed")
    for kind in adapter.kinds:
        if kind not in KINDS:
            reader.complain(f"server.kinds: there is no {kind!r}; the kinds are {', '.join(KINDS)}")
    reader.demand_key(server, "server", "kinds", f": which of {', '.join(KINDS)} can the bridge connect to? The first is used where a case does not care")
    if adapter.fixed:
        if not re.fullmatch(r"127\.0\.0\.1:[1-9]\d{0,4}", adapter.fixed):
            reader.complain(f"server.fixed must be 127.0.0.1:PORT, not {adapter.fixed!r}")
            adapter.fixed = None
        elif adapter.kinds != ["tcp4"] and not reader.is_said("server", "kinds"):
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
    if (adapter.settings or adapter.start) and "{settings}" not in told and not reader.is_said("run", "environment"):
        reader.complain("[settings] and [start] reach the bridge only where {settings} stands in [run]")


def _read_claims(reader, adapter, top):
    claims = reader.table(top.get("claims", {}), "claims", {"capabilities": TEXTS})
    known = capabilities.read()
    for name in claims.get("capabilities", []):
        if name not in known:
            hint = meant(name, known) or f"; fixtures/capabilities.toml has {', '.join(known)}"
            reader.complain(f"claims.capabilities: there is no capability {name}{hint}")
        elif follows := known[name].get("follows"):
            cure = "" if name in adapter.kinds or name == "start" and adapter.start else (
                "; add [start] with a text" if name == "start" else f"; add it to {follows}")
            reader.complain(f"claims.capabilities: do not list {name}: it follows from {follows}{cure}")
    adapter.claims = frozenset(claims.get("capabilities", [])) | set(adapter.kinds) | ({"start"} if adapter.start else set())
    if "http" in adapter.claims and adapter.setting("protocol") is None:
        reader.complain("claims.capabilities: http needs a line `protocol` in [settings]: how else is the bridge told to speak it?")
    leaves = reader.table(top.get("leaves", {}), "leaves", {"files": TEXTS})
    adapter.leaves = leaves.get("files", [])


def _read_known_failures(reader, adapter, top, cases):
    for key, why in top.get("known-failures", {}).items():
        place = f"known-failures.{key!r}"
        if not TEXT[0](why):
            reader.complain(f"{place} must say why")
        try:
            case_id, ways = split_key(key)
        except ValueError:
            reader.complain(f"{place} must be a case's id, perhaps with [FDS,SIGPIPE] behind it, as in body/x[socket,*]")
            continue
        if cases is not None and case_id not in cases:
            reader.complain(f"{place}: there is no case {case_id}{meant(case_id, cases, surely=0.75)}")
        elif cases is not None and not any(matches(ways, variant) for variant in cases[case_id].variants()):
            is_run = " ".join(f"[{one['fds']},{one['sigpipe']}]" for one in cases[case_id].variants())
            reader.complain(f"{place}: {case_id} is not run so; its ways are {is_run}")
        adapter.known_failures[key] = why
