"""This file knows how a case with several clients is played: its clients, its start script and its acts, event by event.

Nothing here waits for time to pass but an act that says so. What is waited for are events of fixtures/README.md; the
start script and the server are tools/launched.c, which tell them and write down what they saw.
"""

import json
import os
import re
import resource
import shutil
import signal
import threading
import zlib

from . import procs
from .bridge import Gate, run_bridge
from .byte_strings import Bytes
from .events import Control
from .judgement import CONDUCT, REPLY, Complaints

NUMBER = re.compile(rb"(?<==)[a-z-]*\d+")  # what differs from answer to answer
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
# What the server writes down of a connection that need not have carried a whole request: its client may have been killed.
CUT = ("request", "empty", "cut", "refused", "reset")
AWAITS = "awaits:"  # in front of an event's name: the script is there, which is not the event
SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "stop": signal.SIGSTOP, "resume": signal.SIGCONT}


def limit_number(name):
    return getattr(resource, f"RLIMIT_{name.upper()}")


class Clients:
    """The bridges of one entry of [[clients]], each with a request of its own."""

    def __init__(self, said):
        self.name, self.at, self.said = said["name"], said.get("at"), said
        self.bridges = []
        self.outcomes = []
        self.released = False
        self.rest = Rest()

    def living(self):
        return [one for one in self.bridges if one.running()]


class Rest:
    """Whether processes have come to rest: none came or went while each was seen asleep, or stopped.

    Not all in one moment. Who looks again and again whether a server is there is awake now and then, and on a busy machine somebody
    always is; but whoever was seen asleep has done what it did without a pause.
    """

    def __init__(self):
        self.forget()

    def forget(self):
        self._among, self._seen = None, set()

    def is_reached(self, living):
        """`living()` are those that it is about; what was seen at the last call still counts."""
        for _ in range(3):
            found = set(living())
            if found != self._among:
                self._among, self._seen = found, set()
            elif self._seen == found:
                return True
            self._seen |= {pid for pid in found if procs.state(pid) in ("S", "T", "t")}
        return False


class Launches:
    """One case with clients. `play()` brings it to its end, `judge()` says what is wrong; `gated = False` lets clients go as they come."""

    def __init__(self, run, gated=True):
        self.run, self.case, self.folder, self.gated = run, run.case, run.folder, gated
        self.groups = [Clients(said) for said in self.case["clients"]]
        self._by_name = {group.name: group for group in self.groups}
        self._before = set(procs.descendants())
        self._happened = set()
        self._awaited = {step["await"] for one in self._runs() for step in one["do"] if "await" in step}
        self._awaited |= {group.said["answer_at"] for group in self.groups if "answer_at" in group.said}
        self._let_go = set()
        self._rest = Rest()
        self.server_binary = self.folder / "launched"
        self.control = Control(self.folder)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < (wanted := min(hard, 8192)):  # a crowd of a hundred takes some hundreds
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def _runs(self):
        return self.case["start"].get("run", [])

    # --- the start script ------------------------------------------------------------------------------------

    def write_script(self, path):
        """The start script: this suite's own program behind a #! line, with a plan for each of its runs."""
        shutil.copy(procs.tool("launched"), self.server_binary)
        path.write_text(f"#!{self.server_binary} {self.folder}\n")
        address = os.fsdecode(self.run.variables["socket"])
        removes = [] if self.run.removes_stale or not address.startswith("/") else ["unlink"]
        plans = []
        for one in self._runs():
            plan, done = [f"at {address}", "event start.begun"], set()
            plan += ["http"] if self.case["server"]["protocol"] == "http" else []

            def bring_up(*verbs):
                for verb in verbs:
                    if verb.split()[0] not in done:
                        plan.extend((removes if verb == "bind" else []) + [verb])
                        done.add(verb.split()[0])

            for step in one["do"]:
                [(verb, value)] = step.items()
                if verb == "await":
                    plan.append(f"hold {AWAITS}{value}")
                elif verb == "signal":
                    plan.append(f"event {value}")
                elif verb == "print":
                    plan += [f"print {value}", f"complain {value}"]
                elif verb == "fork":
                    plan.append({"leave": "fork"}.get(value, value))
                elif verb == "close":
                    plan.append("close-all")
                elif verb == "bind":
                    bring_up("bind")
                elif verb == "listen":
                    bring_up("bind", f"listen {value}")
                elif verb == "serve":
                    if value == "silent":
                        plan.append("silent server.received")
                    bring_up("bind", "listen 128")
                    plan.append("serve")
                else:
                    plan.append({"exit": f"exit {value}", "die": f"die {value}", "never": "never", "graceful": "graceful"}[verb])
            plans.append("".join(f"{verb}\n" for verb in plan))
        (self.folder / "plan").write_text("run\n".join(plans))

    # --- the play --------------------------------------------------------------------------------------------

    def play(self, app):
        """Until everything that the case says has been done, and all clients are gone. Then what was started is ended."""
        self.app = app
        self._pending = [*self.groups, *self.case["acts"]]
        try:
            procs.wait_until(self._step, self.case["timeout"])
        except AssertionError:
            pass  # judged below: who is still there hangs, and what was not done is named
        self._finish()

    def _step(self):
        """Do what can be done now; answers whether that was all."""
        moved = True
        while moved:
            moved = False
            for actor in list(self._pending):
                at = self._event_of(actor)
                if at is None or self._has_happened(at):
                    self._release(actor) if isinstance(actor, Clients) else self._do(actor)
                    self._pending.remove(actor)
                    moved = True
                    self._disturb()
            for name in self._awaited - self._let_go:
                if self._has_happened(name):
                    self._let_go.add(name)
                    self.control.go(AWAITS + name)
                    moved = True
                    self._disturb()
        if any(group.living() for group in self.groups):
            return False
        # Until nobody is there whose doing anything could still come of: another start, or what is waited for.
        if not self._rest.is_reached(self._descendants):
            return False
        self.control.catch_up()
        return not any(map(self._has_happened, self._waited_for()))

    @staticmethod
    def _event_of(actor):
        return actor.at if isinstance(actor, Clients) else actor["at"]

    def _waited_for(self):
        yield from map(self._event_of, self._pending)
        yield from self._awaited - self._let_go

    def _disturb(self):
        """Whoever was seen asleep may have been woken."""
        for rest in (self._rest, *(group.rest for group in self.groups)):
            rest.forget()

    def _has_happened(self, name):
        if name not in self._happened and self._look(name):
            self._happened.add(name)
        return name in self._happened

    def _look(self, name):
        subject, _, what = name.partition(".")
        group = self._by_name.get(subject)
        if group is not None:
            if not group.released:
                return False
            if what == "ended":
                return not group.living()
            return not self.gated or self._have_come_to_rest(group)
        if subject == "start":
            return len(self.control.named("start.begun")) >= int(what)
        if subject == "server":
            return len(self.control.named("server.received")) >= int(what)
        return bool(self.control.named(name))  # an act's name is noted when it is done

    def _have_come_to_rest(self, group):
        """Nothing announces that a process waits; that it is the bridge, sleeps and uses no processor does.

        All else must have come to rest since: a guardian that has forked and not done its next step would let them go on.
        """
        pids = [one.pid for one in group.living()]
        helper = str(procs.tool("envexec"))
        if any(procs.executable(pid) == helper for pid in pids) or not procs.asleep(pids):
            group.rest.forget()
            return False
        return group.rest.is_reached(self._descendants) and procs.asleep(pids)

    def _release(self, group):
        """Make the group's clients; at one gate, so that they meet, if they are several."""
        cgi, count = self.case["cgi"], group.said["count"]
        common = [self.run.resolve(entry) for entry in cgi["env"]]
        body = self._body_of(group)
        late = f"&late={AWAITS}{group.said['answer_at']}".encode() if "answer_at" in group.said else b""
        gate = Gate() if count > 1 and self.gated else None
        leaks = os.pipe() if cgi["leaks"] else ()
        how = {"umask": cgi.get("umask"), "leaked": {number: leaks[1] for number in cgi["leaks"]},
               "cwd": self.run.resolve(cgi["cwd"]).decode() if "cwd" in cgi else None,
               "rlimits": {limit_number(name): tuple(pair) for name, pair in cgi["limits"].items()}}
        try:
            for number in range(1, count + 1):
                token = f"{group.name}-{number}"
                env = [f"REQUEST_METHOD={group.said['method']}".encode(), b"QUERY_STRING=token=" + token.encode() + late]
                env += [b"CONTENT_LENGTH=%d" % group.said.get("content_length", len(body))] if "stdin" in group.said else []
                one = run_bridge(
                    self.app, env=env + common, stdin=body, fds=self.run.variant["fds"], sigpipe=self.run.variant["sigpipe"],
                    closed=cgi["closed"], blocked="all" if cgi["signals"] == "blocked" else "none", gate=gate,
                    argv=[os.fsdecode(self.run.resolve(word)) for word in cgi["argv"]],
                    node=group.said.get("node"), alone="node" in group.said, **how)
                one.token = token
                one.given |= {os.readlink(f"/proc/self/fd/{fd}") for fd in leaks[1:]}
                group.bridges.append(one)
            if gate:
                gate.wait_parked(count)
                gate.open()
        finally:
            for fd in leaks:
                os.close(fd)
            if gate:
                gate.close()
        group.released = True

    def _body_of(self, group):
        return self.run.resolve(group.said["stdin"]) if "stdin" in group.said else b""

    def _do(self, act):
        [verb] = set(act) - {"name", "at"}
        if verb == "quiet":
            threading.Event().wait(act["quiet"])
        elif verb == "touch":
            path = self.folder / act["touch"]
            fresh = path.with_name(path.name + ".new")
            fresh.write_bytes(path.read_bytes() if path.exists() else b"")
            fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            fresh.rename(path)
        elif verb == "leave":
            for one in [one for name in act["leave"] for one in self._by_name[name].living()]:
                one.close_stdout()
        else:
            self._send(SIGNALS[verb], act[verb])
        self._happened.add(act["name"])

    def _send(self, number, names):
        """Every one of those is sent the signal before it is waited for what comes of it."""
        hit = [one for name in names if name in self._by_name for one in self._by_name[name].living()]
        pids = [one.pid for one in hit]
        for name in names:
            pids += {"started": self.started, "helpers": self.helpers}.get(name, list)()
        for pid in pids:
            procs.kill(pid, number)
        for pid in pids:
            if number == signal.SIGKILL:
                procs.wait_gone(pid)
                if pid not in {one.pid for one in hit}:
                    procs.reap(pid)  # as init would: a name of a process that is left would be one that lives
            elif number == signal.SIGSTOP:
                procs.wait_until(lambda: procs.state(pid) in ("T", "Z", None))
        for one in hit if number == signal.SIGKILL else []:
            one.wait_ended()

    def _descendants(self):
        return [pid for pid in procs.descendants() if pid not in self._before and procs.alive(pid)]

    def started(self):
        """The living processes that the start script is or brought up."""
        mark = str(self.server_binary)
        return [pid for pid in self._descendants() if procs.executable(pid) == mark]

    def helpers(self):
        """The living processes of the bridge's that no web server started."""
        clients = {one.pid for group in self.groups for one in group.bridges}
        started = set(self.started())
        return [pid for pid in self._descendants() if pid not in clients and pid not in started and pid not in self.started()]

    def _finish(self):
        grace = 5.0  # a watchdog: how long output may stay open behind its process
        for group in self.groups:
            for one in group.bridges:
                outcome = one.finish(0.0 if one.running() else 1.0, grace)
                grace = 0.5 if outcome.held else grace  # a whole crowd that is held is not waited for one by one
                group.outcomes.append(outcome)
        self.alive = len(self.started())
        while pids := self.started():
            for pid in pids:
                procs.kill(pid, signal.SIGKILL)
            for pid in pids:
                procs.wait_gone(pid)
        self.control.close()

    def close(self):
        """End what an interrupted play has left."""
        for group in self.groups:
            for one in group.bridges:
                one.release()
        for pid in self.started():
            procs.kill(pid, signal.SIGKILL)

    # --- judging ---------------------------------------------------------------------------------------------

    def _lines(self, name):
        try:
            text = (self.folder / name).read_text(encoding="latin-1")
        except FileNotFoundError:
            return []
        return [self._record(line) for line in text.splitlines()]

    @staticmethod
    def _record(line):
        """{} for what is none: a start script's own text, or the beginning of one. A write(2) is one piece for whoever writes beside it, but
        SIGKILL may end it where a page of the file ends."""
        try:
            return json.loads(line) if line.startswith("{") else {}
        except json.JSONDecodeError:
            return {}

    def starts(self):
        return self._lines("starts")

    def requests(self):
        return [line for line in self._lines("requests") if line]

    def judge(self):
        """Say to the run what is wrong."""
        for actor in self._pending:
            at = self._event_of(actor)
            self.run.demand(False, f"the event {at} did not come, so {actor.name if isinstance(actor, Clients) else actor['name']} did not either", CONDUCT)
        executed = {}
        for line in self.requests():
            if line.get("kind") == "request":
                executed.setdefault(line["token"], []).append(line)
            elif line["kind"] not in CUT:
                self.run.demand(False, f"what came is no request: {line['kind']}", REPLY)
        for group in self.groups:
            said = {}
            for one, outcome in zip(group.bridges, group.outcomes):
                for about, sentences in self._complaints_of(group, one, outcome, executed).items():
                    for sentence in sentences:
                        said[sentence, about] = said.get((sentence, about), 0) + 1
            for (sentence, about), count in said.items():
                self.run.demand(False, f"{group.name}: {f'{count} of {len(group.bridges)}: ' if len(group.bridges) > 1 else ''}{sentence}", about)
            if group.said["method"] not in SAFE or "stdin" in group.said:
                twice = [one.token for one in group.bridges if len(executed.get(one.token, [])) > 1]
                self.run.demand(not twice, f"{group.name}: {len(twice)} requests that are not safe to repeat were delivered twice", CONDUCT)
            arrived = [line for one in group.bridges for line in executed.get(one.token, [])]
            if "content_length" in group.said:
                self.run.demand(not arrived, f"{group.name}: {len(arrived)} requests whose bodies were cut were delivered as whole ones", REPLY)
            else:
                sent = self._body_of(group)
                other = [line for line in arrived if (line["body"], line["adler"]) != (len(sent), zlib.adler32(sent))]
                self.run.demand(not other, f"{group.name}: {len(other)} requests arrived with another body than was sent", REPLY)
        self._judge_starts()

    def _complaints_of(self, group, one, outcome, executed):
        """What is wrong with this client's outcome: sentences by what they are about."""
        run, found = self.run, Complaints()
        expect = {key: group.said[key] for key in ("outcome",) if key in group.said}
        expect["cgi"] = {"status": group.said["status"]} if "status" in group.said else {}
        answers = {b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\ntoken=%s pid=%d body=%d wrong=%d\n" % (
            one.token.encode(), line["pid"], line["body"], line["wrong"]) for line in executed.get(one.token, [])}
        if outcome.stdout in answers:
            expect["cgi"]["stdout"] = Bytes({"hex": outcome.stdout.hex()})
        if "outcome" in group.said:
            judged = run.judgement(run, outcome, expect, found)
            judged.judge_ending()
            judged.judge_outcome()
            if outcome.stdout not in answers:
                judged.judge_stdout()
        elif not self._pending:  # an act that was not done is what is said otherwise
            found.demand(not outcome.hung, "its client is gone, and it has not ended", CONDUCT)
        return found.verdicts

    def _judge_starts(self):
        run, wanted = self.run, self.case["expect"]["start"]
        starts = self.starts()
        count, allowed = len(starts), self.case["expect"]["starts"]
        run.demand(count in allowed, f"the start script ran {count} times, not {' or '.join(map(str, allowed))}", CONDUCT)
        allowed = self.case["expect"].get("alive", [self.alive])
        run.demand(self.alive in allowed, f"{self.alive} processes of the start script's lived at the end, not {allowed}", CONDUCT)
        empty = sum(line.get("kind") == "empty" for line in self.requests())
        allowed = self.case["expect"].get("empty")
        run.demand(allowed is None or empty in allowed, f"{empty} connections carried nothing, not {allowed}", CONDUCT)
        for number, gap in enumerate(wanted.get("apart", []), 1):
            if number < count:
                apart = starts[number]["time"] - starts[number - 1]["time"]
                run.demand(apart >= gap, f"start {number + 1} came {apart:.3f} s after the one before, not {gap} s or more", CONDUCT)
        given = {name for group in self.groups for one in group.bridges for name in one.given}
        for number, start in enumerate(starts, 1):
            for sentence in self._complaints_of_start(start, wanted, given) if start else []:
                run.demand(False, f"start {number}: {sentence}", CONDUCT)

    def _complaints_of_start(self, start, wanted, given):
        if "session" in wanted and start["sid"] != start["pid"]:
            yield "the start script has no session of its own"
        if "signals" in wanted:
            for name in ("SigBlk", "SigIgn"):
                if int(start["status"][name], 16):
                    yield f"signals are {'blocked' if name == 'SigBlk' else 'ignored'}: {start['status'][name]}"
        if "own" in wanted:
            for number, name in start["fds"].items():
                if name in given:
                    yield f"its descriptor {number} is one that the web server gave a client"
        if "null" in wanted and start["fds"].get("0") != "/dev/null":
            yield f"its standard input is {start['fds'].get('0', 'closed')}, not /dev/null"
        if wanted.get("umask", start["umask"]) != start["umask"]:
            yield f"its umask is {start['umask']:04o}, not {wanted['umask']:04o}"
        for name, pair in wanted.get("limits", {}).items():
            if (found := start["limits"][str(limit_number(name))]) != pair:
                yield f"its limits of {name} are {found}, not {pair}"
        if "directory" in wanted and os.fsencode(start["cwd"]) != (place := self.run.resolve(wanted["directory"])):
            yield f"its working directory is {start['cwd']}, not {os.fsdecode(place)}"
        entries = [entry.encode("latin-1") for entry in start["env"]]
        for entry in wanted.get("contains", []):
            if self.run.resolve(entry) not in entries:
                yield f"its environment lacks {self.run.resolve(entry)!r}"
        for name in wanted.get("lacks", []):
            if any(entry.partition(b"=")[0] == self.run.resolve(name) for entry in entries):
                yield f"its environment has {self.run.resolve(name)!r}"

    def report(self):
        """Lines for a person."""
        lines = []
        for group in self.groups:
            kinds = {}
            for outcome in group.outcomes:
                kind = f"exit status {outcome.status}{', hung' if outcome.hung else ''}{', held' if outcome.held else ''}, {NUMBER.sub(b'N', outcome.stdout[:160])!r}" \
                    + (f", stderr {outcome.stderr[:300]!r}" if outcome.stderr else "")
                kinds[kind] = kinds.get(kind, 0) + 1
            lines += [f"  {group.name}: {count} with {kind}" for kind, count in list(kinds.items())[:8]]
        lines += [f"  start {number}: process {start.get('pid')}" for number, start in enumerate(self.starts()[:8], 1)]
        lines.append(f"  events: {' '.join(event.name for event in self.control.events[:40])}")
        return lines
