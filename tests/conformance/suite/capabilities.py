"""This file knows which capabilities a case needs, and what is left of a case for a bridge that lacks some.

fixtures/capabilities.toml has them all, with a sentence each. There are two sorts. Without one that it *needs* a case
cannot be run, and is reported as unsupported. One that is *judged* only takes something away from what is expected; the
report names what was not judged.
"""

import copy
import fnmatch
import functools
import tomllib

from harness import case_keys, fixtures

# Variables of the process that rouse keeps to itself, and the one that a client can set to steer a program's own requests.
STRIPPED = {
    "own-variables": lambda name: name in (b"PATH", b"PWD", b"OLDPWD", b"SHLVL", b"_") or name.startswith(b"LD_"),
    "no-proxy": lambda name: name == b"HTTP_PROXY",
}
OWN_KEYS = ("path", "path_length", "decoy", "link", "mode", "user", "network")


@functools.cache
def read(folder=fixtures.FIXTURES):
    return tomllib.loads((folder / "capabilities.toml").read_text(encoding="utf-8"))["capabilities"]


def follows_the_adapter(case):
    """Whether the server may be at another kind of address than the case's: it does not say one, nor what only a path has."""
    said = case.said.get("server", {})
    states = ("listening", "absent", "none") if case.topic != "endpoint" else ()
    return "kind" not in said and case["server"]["state"] in states and not any(key in said for key in OWN_KEYS)


def is_about_app_files(case):
    """rouse's own form of settings, which no other bridge has."""
    return case.topic == "settings" or "app" in case.said or case["server"]["state"] == "none"


def settings_of(case):
    return set(case["settings"])


def needs(case, adapter_kinds=()):
    """The names of the capabilities without which the case cannot be run."""
    found = set()
    expect, server = case["expect"], case["server"]
    if follows_the_adapter(case) and adapter_kinds:
        found.add(adapter_kinds[0])
    elif server["state"] != "none":
        found.add({"localhost6": "localhost"}.get(server["kind"], server["kind"]))
    if server["protocol"] == "http":
        found.add("http")
    if is_about_app_files(case):
        found.add("app-file")
    if "start" in case.values:
        found.add("start")
    if max(expect["connections"]) > 1:
        found.add("retry")
    served_as_sent = expect.get("outcome") == ["served"] and not _is_changed(case)
    for name, rule in read().items():
        promised = set(rule.get("promises", [])) & set(case["promises"])
        if promised and not (rule.get("unless") == "served as sent" and served_as_sent):
            found.add(name)
        if any(fnmatch.fnmatchcase(case.id, pattern) for pattern in rule.get("cases", [])):
            found.add(name)
    return found


def _is_changed(case):
    """Whether what the client gets is something else than what the server sends."""
    sent = b"".join(step["send"].resolve() for connection in case["server"]["conn"][-1:] for step in connection["do"]
                    if "send" in step and not step["send"].names())
    wanted = case["expect"]["cgi"].get("stdout")
    return wanted is not None and not wanted.names() and wanted.resolve() != sent


def missing(case, adapter):
    """What the case needs and the adapter does not have, in words; empty: it can be run."""
    lacks = sorted(needs(case, adapter.kinds) - adapter.claims)
    if "app-file" not in adapter.claims:
        lacks += [f"setting {name}" for name in sorted(settings_of(case)) if adapter.setting(name) is None]
    if adapter.fixed and "network" in case.said.get("server", {}):
        lacks.append("an address of its own")
    return lacks


def _drop_names(request, is_one):
    """Nothing is said about these variables any more; they are taken from what came, too (Trial)."""
    for key in ("headers", "contains"):
        if key in request:
            request[key] = [entry for entry in request[key] if not is_one(entry.resolve({}).partition(b"=")[0] if not entry.names() else b"")]
    if "lacks" in request:
        request["lacks"] = [name for name in request["lacks"] if not is_one(name.resolve())]


def reduce(case, adapter):
    """(the case as this bridge is judged by it, the names of the capabilities for lack of which something is not judged)."""
    case = fixtures.Case(case.path, copy.deepcopy(case.values), case.said)
    claims, expect = adapter.claims, case["expect"]
    unjudged = set()

    def drop(place, key, capability):
        if key in place and capability not in claims:
            del place[key]
            unjudged.add(capability)

    names = [entry.resolve().partition(b"=")[0] for entry in case["cgi"]["env"] if not entry.names()]
    for capability, is_one in STRIPPED.items():
        if any(map(is_one, names)) and capability not in claims:
            expect["request"].pop("wire", None)  # those bytes hold them
            _drop_names(expect["request"], is_one)
            unjudged.add(capability)
    drop(expect["request"], "wire", "wire-order")
    drop(expect, "drained", "drain")
    for key in ("contains", "lacks"):
        drop(expect["log"], key, "log")
    for group in case.get("clients", []):
        if any(word.startswith("bridge-") for word in group.get("outcome", [])):
            drop(group, "status", "page-form")
            if "pages" not in claims:
                group["outcome"] = [*group["outcome"], "silent"]
                unjudged.add("pages")
    if "clients" in case.values:
        drop(expect, "empty", "hand-over")
    outcomes = expect.get("outcome", [])
    if any(word.startswith("bridge-") for word in outcomes):
        for key in ("status", "contains"):
            drop(expect["cgi"], key, "page-form")
        if "pages" not in claims:
            # Neither a page nor success: nothing at all, and an exit status that says so.
            expect["outcome"] = [*outcomes, "silent"]
            drop(expect["cgi"], "exit", "pages")
            unjudged.add("pages")
    if "exit" in expect["cgi"] and "exit-status" not in claims:
        wanted = expect["cgi"]["exit"]
        expect["cgi"]["exit"] = [0] if wanted == [0] else [*range(1, 126)] + ([0] if 0 in wanted else [])
        unjudged.add("exit-status")
    if follows_the_adapter(case):
        case["server"]["kind"] = adapter.kinds[0]
    case.values["timeout"] *= adapter.slower
    if case["server"]["state"] not in case_keys.LISTENING:
        case.values["timeout"] += adapter.tries_for
    return case, sorted(unjudged)
