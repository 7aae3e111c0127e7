"""This file knows what the README of the fixtures demands beyond the form: of one case, and of all of them together."""

import re

from .byte_strings import FixtureError
from .case_keys import ACT_VERBS, LISTENING, ONLY_WITH_CLIENTS, RUNNER_EVENTS, TARGETS, TOPICS, WITH_CLIENTS
from .fixtures import DEFAULTS, FIXTURES, awaited_promises, read_case, read_promises


def _events(case):
    signalled, awaited = set(RUNNER_EVENTS), set()
    scripts = [connection["do"] for connection in case["server"]["conn"]]
    for step in [step for script in scripts for step in script] + case["cgi"].get("stdin_steps", []):
        if "signal" in step:
            signalled.add(step["signal"])
        if "await" in step:
            awaited.add(step["await"])
    if "stdout_wait" in case["cgi"]:
        awaited.add(case["cgi"]["stdout_wait"])
    return signalled, awaited


def complaints(case, promises):
    """Sentences about a case that can be read but breaks a rule of the README."""
    found = []

    def demand(holds, sentence):
        if not holds:
            found.append(f"{case.id}: {sentence}")

    expect, server, cgi = case["expect"], case["server"], case["cgi"]
    demand(case.path.match(f"cases/{case.id}.toml"), "the id is not the name of the file")
    demand(case.topic in TOPICS, "unknown topic")
    demand(re.fullmatch("[a-z]+/[a-z0-9-]+", case.id), "an id is a topic and a slug of small letters, digits and dashes")
    demand(case["promises"] and len(set(case["promises"])) == len(case["promises"]), "name each promise once, at least one")
    for promise in case["promises"]:
        demand(promise in promises, f"unknown promise {promise}")
    title = case["title"]
    demand("should" not in title.lower() and not title.endswith("."), "the title is a plain statement without a full stop")
    demand(len(title) <= 110 and title[0].isupper(), "the title is at most 110 characters and begins with a capital")
    if "clients" in case.values:
        return found + _complaints_about_clients(case)
    demand("run" not in case.get("start", {}) and "acts" not in case.values, "start.run and acts are for cases with clients")
    for place, keys in ONLY_WITH_CLIENTS.items():
        for key in keys:
            demand(key not in case.said.get(place, {}), f"{place}.{key} is for cases with clients")
    demand("outcome" in expect or "exit" in expect["cgi"], "neither an outcome nor an exit status is expected")
    if expect.get("outcome") == ["served"]:
        demand("stdout" in expect["cgi"], "what is served is not said")
    demand(not ("stdin" in cgi and "stdin_steps" in cgi), "stdin and stdin_steps exclude each other")
    demand("text" not in case["app"] or not case["settings"], "app.text and settings exclude each other")
    demand(expect["starts"] == [0] or "start" in case.values, "a start is expected, but there is no start script")
    demand(server["state"] in LISTENING or not server["conn"], "nobody is there to follow server.conn")
    quiet = [step for connection in server["conn"] for step in connection["do"] if "quiet" in step]
    demand(not quiet or "timing" in case["tags"], "quiet needs the tag timing")
    needs_root = (
        "user" in cgi or "user" in server or "network" in server or "start" in case.values and "owner" in case["start"]
        or "group" in case["app"] or "owner" in case["app"]
    )
    demand(not needs_root or "root" in case["tags"], "another user or network needs the tag root")
    demand(server["kind"] not in ("tcp6", "localhost6") or "ipv6" in case["tags"], "::1 needs the tag ipv6")
    demand("line" not in expect["request"] or server["protocol"] == "http", "only a request in HTTP has a request line")
    signalled, awaited = _events(case)
    for event in sorted(awaited - signalled):
        demand(False, f"nobody signals the event {event}")
    if "http" in case.values:
        found += _complaints_about_http(case)
    return found


def _complaints_about_clients(case):
    """Sentences about a case with several clients."""
    found = []

    def demand(holds, sentence):
        if not holds:
            found.append(f"{case.id}: {sentence}")

    for place, keys in WITH_CLIENTS.items():
        for key in set(case.said.get(place, {})) - set(keys):
            demand(False, f"{place}.{key} is for cases without clients")
    groups, acts, start = case["clients"], case["acts"], case.get("start", {})
    demand(case["server"]["state"] in ("absent", "stale"), "a case with clients begins without a server")
    demand("start" in case.values, "a case with clients has a start script")
    demand("run" in start or set(start) & {"missing", "text", "mode"}, "start.run does not say what the script does")
    names = [one.get("name", "") for one in groups + acts]
    demand(all(names) and len(set(names)) == len(names) and not set(names) & {"start", "server", *TARGETS},
           "each of clients and acts has a name of its own")
    hit = {name for act in acts for verb in ("kill", "terminate", "leave") for name in act.get(verb, [])}
    for act in acts:
        demand("at" in act, f"{act.get('name')}: an act is done at an event")
        demand(len(set(act) & set(ACT_VERBS)) == 1, f"{act.get('name')}: an act has one verb")
        demand("quiet" not in act or "timing" in case["tags"], "quiet needs the tag timing")
        for name in [name for verb in ("kill", "terminate", "stop", "resume") for name in act.get(verb, [])]:
            demand(name in TARGETS or name in {one.get("name") for one in groups}, f"{act.get('name')}: nobody is called {name}")
        for name in act.get("leave", []):
            demand(name in {one.get("name") for one in groups}, f"{act.get('name')}: no client is called {name}")
    for one in groups:
        demand(("outcome" in one) != (one.get("name") in hit), f"{one.get('name')}: an outcome is expected of whoever is neither killed nor leaves, and of no other")
        demand("content_length" not in one or "stdin" in one and not one["stdin"].names() and one["content_length"] > len(one["stdin"].resolve()),
               f"{one.get('name')}: content_length is for a body of which not all comes")
        demand("node" not in one or one["count"] == 1 and "root" in case["tags"], "a node has one client, and needs the tag root")
    for run in start.get("run", []):
        last = run["do"][-1] if run["do"] else {}
        demand(set(last) & {"serve", "exit", "die", "never"}, "a run of the start script ends with serve, exit, die or never")
    steps_of = [step for run in start.get("run", []) for step in run["do"]]
    known = {*(f"{one.get('name')}.{what}" for one in groups for what in ("waiting", "ended")), *(act.get("name") for act in acts),
             *(step["signal"] for step in steps_of if "signal" in step)}
    known |= {"stopping"} if any("graceful" in step for step in steps_of) else set()
    silent = any(step.get("serve") == "silent" for step in steps_of) or any("answer_at" in one for one in groups)
    for event in {one[key] for one in groups + acts for key in ("at", "answer_at") if key in one} | {step["await"] for step in steps_of if "await" in step}:
        demand(event in known or re.fullmatch(r"start\.[1-9]" + (r"|server\.[1-9]\d*" if silent else ""), event), f"nobody signals the event {event}")
    return found


# What only who runs the bridge itself can do or see. A client of a web server can do nothing of the kind.
NOT_OVER_HTTP = {
    "cgi": ("argv", "stdin_steps", "stdin_kind", "stdout", "stdout_wait", "stdout_leave", "stderr", "signals", "closed",
            "user", "cwd"),
    "app": ("group", "owner"),
    "server": ("network", "user"),
    "start": ("owner",),
}


def _complaints_about_http(case):
    """Sentences about a case that is marked as one that a client of a web server can bring about."""
    found = []
    for part, keys in NOT_OVER_HTTP.items():
        for key in keys:
            given = case.get(part, {}).get(key)
            if given is not None and given != DEFAULTS.get(part, {}).get(key):
                found.append(f"{case.id}: {part}.{key} cannot be had over HTTP")
    if case["server"]["state"] in ("full", "stuck", "dying"):
        found.append(f"{case.id}: nobody sees over HTTP when a bridge has come to rest")
    steps = [step for connection in case["server"]["conn"] for step in connection["do"]]
    if any(event in step.get("await", "") for step in steps for event in RUNNER_EVENTS) or any(
            "await_client" in step for step in steps):
        found.append(f"{case.id}: the server cannot await what goes on in the bridge or the client over HTTP")
    if case["expect"].get("outcome") not in (["served"], ["flagged-partial"], ["bridge-4xx"], ["bridge-5xx"]):
        found.append(f"{case.id}: over HTTP it is one outcome, and one in which something comes out")
    told = [server for row in case["http"].get("differs", []) for server in row["servers"]]
    if len(told) != len(set(told)):
        found.append(f"{case.id}: http.differs names a web server twice")
    for row in case["http"].get("differs", []):
        for key in ("servers", "why"):
            if key not in row:
                found.append(f"{case.id}: a row of http.differs lacks {key}")
        if len(row) < 3:
            found.append(f"{case.id}: a row of http.differs does not say what comes instead")
    return found


def lint(folder=FIXTURES):
    """Everything that is wrong with the fixtures, as sentences."""
    found = []
    promises = read_promises(folder)
    cases = []
    for path in sorted((folder / "cases").rglob("*")):
        if path.is_dir():
            continue
        try:
            cases.append(read_case(path))
        except (FixtureError, UnicodeDecodeError) as error:
            found.append(str(error))
    for case in cases:
        found += complaints(case, promises)
    for value in ("id", "title"):
        seen = {}
        for case in cases:
            if case[value] in seen:
                found.append(f"{case.path}: the {value} is also that of {seen[case[value]]}")
            seen[case[value]] = case.path
    if not found:  # a case that cannot be read might be the one
        found += promise_complaints(cases, promises, awaited_promises(folder))
    return found


def promise_complaints(cases, promises, awaited):
    """Each promise has a case that shows it, but for those that are known to await one; and of these none has."""
    shown = {promise: case for case in cases if not case.get("retired") for promise in case["promises"]}
    found = [f"promises.toml: no case shows {promise}" for promise in promises if promise not in shown and promise not in awaited]
    found += [f"promises.toml: {promise} is shown by {shown[promise].id}, and must leave without-case" for promise in awaited if promise in shown]
    return found + [f"promises.toml: without-case names {promise}, which is no promise" for promise in awaited if promise not in promises]
