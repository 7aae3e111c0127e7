"""This file knows every key that a case may have, and the words that it may say there. fixtures/README.md says what each means."""

import fnmatch

from .byte_strings import Bytes, FixtureError
from .toml_readers import (either, entries, list_of, mode, number, one_of, one_or_more, settings, steps, table, text,
                           truth)

FORMAT = 1

TOPICS = ("request", "body", "response", "endpoint", "settings", "lifecycle", "security", "webserver", "http",
          "launch")
# The web servers through which a case with [http] is run, each with the way in which it runs a CGI program.
WEB_SERVERS = ("apache-prefork-cgi", "apache-event-cgid", "apache-event-suexec", "lighttpd-cgi", "nginx-fcgiwrap")
# Events that the runner of a case makes by itself; all others are signalled by a step of the case.
RUNNER_EVENTS = ("bridge.parked", "bridge.ended")
# The limits of setrlimit(2) that a case may set.
LIMITS = ("cpu", "fsize", "data", "stack", "core", "nproc", "nofile", "as")
# What an act can be done to beside the clients of a group, and the variables that a process of theirs has only then.
TARGETS = ("started", "helpers")
TAGS = {
    "root": "needs root: another user, or a network of its own",
    "timing": "lasts as long as a time-out that it shows",
    "ipv6": "needs the address ::1",
}
LISTENING = ("listening", "full", "stuck", "dying")
ACCEPTABLE = ("served", "bridge-4xx", "bridge-5xx", "flagged-partial", "silent")
NEVER_ACCEPTABLE = ("lost", "partial", "mangled", "died", "held", "hung")


def web_servers(value):
    """Names of web servers; `apache-*` stands for all that begin so."""
    found = []
    for pattern in list_of(text)(value):
        matching = fnmatch.filter(WEB_SERVERS, pattern)
        if not matching:
            raise FixtureError(f"{pattern!r} is none of {', '.join(WEB_SERVERS)}")
        found += matching
    return found


def limits(value):
    """{ nofile = [soft, hard] }, by the numbers of setrlimit(2)."""
    if not isinstance(value, dict):
        raise FixtureError("not a table")
    for name, pair in value.items():
        if name not in LIMITS:
            raise FixtureError(f"{name} is none of {', '.join(LIMITS)}")
        if len(list_of(number)(pair)) != 2 or pair[0] > pair[1]:
            raise FixtureError(f"not a soft and a hard limit: {pair!r}")
    return value


def amount(value):
    return value if value in ("request", "headers", "eof") else number(value)


MANNERS = {"piece": number, "cut": truth}
STDIN_STEPS = steps({"send": Bytes, "await": text}, **MANNERS)
SERVER_VERBS = {
    "recv": amount,
    "send": Bytes,
    "await": text,
    "signal": text,
    "await_client": Bytes,
    "expect": one_of("open"),
    "shutdown": one_of("write"),
    "close": one_of("clean", "unread", "rst"),
    "quiet": number,
}
START_VERBS = {
    "await": text,
    "signal": text,
    "print": text,
    "fork": one_of("leave", "daemon", "wrap"),
    "close": one_of("inherited"),
    "bind": truth,
    "listen": number,
    "serve": one_of("answers", "silent"),
    "exit": number,
    "die": number,
    "never": truth,
    "graceful": truth,
}
ACT_VERBS = {
    "kill": list_of(text),
    "terminate": list_of(text),
    "leave": list_of(text),
    "stop": list_of(text),
    "resume": list_of(text),
    "touch": text,
    "quiet": number,
}

# What comes to an HTTP client, and to the SCGI server, where it is not what follows from the rest of the case.
HTTP_ANSWER = {
    "status": one_or_more(number),
    "headers": list_of(Bytes),
    "lacks": list_of(Bytes),
    "body": Bytes,
    "complete": either,
    "own": truth,
    "connections": one_or_more(number),
    "request": table(contains=list_of(Bytes), lacks=list_of(Bytes), body=Bytes),
}

CASE = table(
    schema=one_of(FORMAT),
    id=text,
    title=text,
    level=one_of("must", "should", "may", "check"),
    promises=list_of(text),
    since=text,
    why=text,
    tags=list_of(one_of(*TAGS)),
    timeout=number,
    retired=text,
    cgi=table(
        env=entries,
        argv=list_of(Bytes),
        stdin=Bytes,
        stdin_steps=STDIN_STEPS,
        stdin_end=one_of("eof", "hold"),
        stdin_kind=one_of("stream", "file", "null"),
        stdout=one_of("read", "full", "nonblocking"),
        stdout_wait=text,
        stdout_leave=Bytes,
        stderr=one_of("read", "full"),
        fds=one_of("pipes", "socket"),
        sigpipe=one_of("default", "ignored"),
        signals=one_of("default", "blocked"),
        closed=list_of(one_of(0, 1, 2)),
        user=one_of("ordinary"),
        cwd=Bytes,
        umask=mode,
        limits=limits,
        leaks=list_of(one_of(*range(6, 100))),
    ),
    settings=settings,
    app=table(
        text=Bytes,
        mode=mode,
        name=text,
        kind=one_of("script", "link", "copy"),
        missing=truth,
        group=one_of("ordinary"),
        owner=one_of("ordinary"),
    ),
    server=table(
        state=one_of(
            "listening", "full", "stuck", "dying", "absent", "stale", "bound", "file", "directory", "dgram", "dangling",
            "loop", "none",
        ),
        protocol=one_of("scgi", "http"),
        kind=one_of("unix", "abstract", "tcp4", "tcp6", "localhost", "localhost6"),
        path=Bytes,
        path_length=number,
        link=truth,
        decoy=truth,
        mode=mode,
        user=one_of("ordinary"),
        network=one_of("private", "self-connecting"),
        answer=Bytes,
        conn=list_of(table(do=steps(SERVER_VERBS, **MANNERS))),
    ),
    start=table(
        exit=number,
        mode=mode,
        owner=one_of("ordinary"),
        missing=truth,
        text=Bytes,
        run=list_of(table(do=steps(START_VERBS))),
    ),
    clients=list_of(table(
        name=text,
        count=number,
        at=text,
        method=one_of("GET", "POST"),
        stdin=Bytes,
        content_length=number,
        node=text,
        answer_at=text,
        outcome=one_or_more(one_of(*ACCEPTABLE)),
        status=one_or_more(number),
    )),
    acts=list_of(table(name=text, at=text, **ACT_VERBS)),
    expect=table(
        outcome=one_or_more(one_of(*ACCEPTABLE)),
        connections=one_or_more(number),
        empty=one_or_more(number),
        starts=one_or_more(number),
        start=table(
            session=truth,
            signals=one_of("default"),
            own=truth,
            directory=Bytes,
            null=truth,
            umask=mode,
            limits=limits,
            contains=list_of(Bytes),
            lacks=list_of(Bytes),
            apart=list_of(number),
        ),
        alive=one_or_more(number),
        drained=truth,
        request=table(
            line=Bytes,
            headers=entries,
            contains=list_of(Bytes),
            lacks=list_of(Bytes),
            body=Bytes,
            wire=Bytes,
            incomplete=truth,
        ),
        cgi=table(
            stdout=Bytes,
            status=one_or_more(number),
            contains=list_of(Bytes),
            lacks=list_of(Bytes),
            exit=one_or_more(number),
        ),
        log=table(contains=list_of(Bytes), lacks=list_of(Bytes)),
    ),
    http=table(
        version=one_of("1.0", "1.1"),
        origin=Bytes,
        target=Bytes,
        headers=list_of(Bytes),
        body=Bytes,
        expect=table(**HTTP_ANSWER),
        differs=list_of(table(servers=web_servers, why=text, **HTTP_ANSWER)),
    ),
)

# All that a case with several clients has of these tables, and what no other case has of them.
WITH_CLIENTS = {
    "cgi": ("env", "fds", "sigpipe", "signals", "closed", "cwd", "umask", "limits", "leaks"),
    "server": ("state", "kind", "network", "protocol"),
    "expect": ("starts", "start", "alive", "empty", "log"),
}
ONLY_WITH_CLIENTS = {"cgi": ("umask", "limits", "leaks"), "server": (), "expect": ("start", "alive")}
REQUIRED = ("schema", "id", "title", "level", "promises", "since", "expect")
