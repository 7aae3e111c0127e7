"""This file knows the measures: each takes the stage and its own numbers, and answers a dictionary.

A Series is what many runs gave: median, quartiles, and how many there were.
"""

import contextlib
import os
import statistics
import subprocess
import time
from pathlib import Path

from harness import procs
from web.servers import WebServer

from .stage import ELSEWHERE, ENVIRONMENT, PROGRAMS

# A request that took more microseconds than this has paid for Apache's sleep: the first is 10 ms (mod_cgid) or 47 ms (mod_cgi).
SERVERS = {"apache-event-cgid": 8000, "apache-prefork-cgi": 40000, "lighttpd-cgi": None, "nginx-fcgiwrap": None}
CLIENTS = (1, 4, 16)
ALONE = "-one-processor"  # behind the kind of a web server: where all that is measured shares one


def series(values):
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": median, "low": low, "high": high, "runs": len(values)}


def paired(cell, against):
    """How many times as many requests a second: the median of the rounds' ratios. The slices of a round are a second apart at most, so
    what else the machine does in some of the rounds happens to both."""
    return statistics.median(one / other for one, other in zip(cell["rates"], against["rates"]))


def balanced(rounds, programs):
    """As many rounds or a few more, so that each program comes after each other one equally often (whose_turn() in tools/bench.h). A
    quick run's few stay as they are."""
    return rounds if rounds < 2 * programs else rounds + -rounds % (2 * programs)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def bare(stage, rounds):
    """One run after another, without a web server."""
    turns = list(zip(stage.names, [[app] for app in stage.lay_out(stage.root / "bare", stage.names)]))
    # Behind another web server there is no second process: that is the counterpart of limit.
    turns += [(name + ELSEWHERE, ["SERVER_SOFTWARE=lighttpd", *app]) for name, app in turns if name.startswith("rouse")]
    lines = stage.tool("bare", balanced(rounds, len(turns)), *(word for _, words in turns for word in words))
    result = {}
    for number, (name, _) in enumerate(turns):
        runs = [line[1:] for line in lines if line[0] == number]
        reaped, ended, processor, faults, good = map(list, zip(*runs))
        result[name] = {"reaped_us": series([value / 1000 for value in reaped]), "ended_us": series([value / 1000 for value in ended]),
                        "processor_us": series(processor), "faults": series(faults), "bad": good.count(0), "requests": len(good)}
    return result


def counts(stage, times):
    """What needs no clock: system calls, instructions, memory, size."""
    apps = stage.lay_out(stage.root / "bare", stage.names)
    result = {}
    for name, app in zip(stage.names, apps):
        calls, helper_calls, instructions, helper_instructions, resident = stage.tool("count", times, app)[0]
        result[name] = {"calls": calls, "helper_calls": helper_calls, "instructions": instructions,
                        "helper_instructions": helper_instructions, "resident_kb": resident,
                        "size": stage.binaries[name].stat().st_size}
    return result


@contextlib.contextmanager
def one_processor():
    """All of our processes share one: the server of the warm requests, process 1 where it is ours (it reaps for those who are gone
    first), and whatever is started in the meantime."""
    pids = [os.getpid(), *procs.descendants(), *([1] if os.getppid() == 1 else [])]
    before = {pid: os.sched_getaffinity(pid) for pid in pids}
    try:
        for pid in pids:
            os.sched_setaffinity(pid, {min(before[os.getpid()])})
        yield
    finally:
        for pid, processors in before.items():
            with contextlib.suppress(ProcessLookupError):  # what failed is told, not this
                os.sched_setaffinity(pid, processors)


def web(stage, rounds, slice_ms, clients=CLIENTS):
    """Through web servers, one after another; then one client through those that may sleep, all on one processor.

    How often Apache sleeps is mostly luck where the CGI program can end on one processor while Apache reads on another.
    """
    result = {kind: through(stage, kind, stage.root / kind, rounds, slice_ms, clients) for kind in SERVERS}
    with one_processor():
        for kind in (kind for kind, slept in SERVERS.items() if slept):
            result[kind + ALONE] = through(stage, kind, stage.root / (kind + ALONE), rounds, slice_ms, (1,))
    return result


def through(stage, kind, folder, rounds, slice_ms, clients):
    """Each program in turn through one web server, and the same server without a CGI program."""
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    names = [name for name in stage.names if name != "floor-dynamic"]
    server = WebServer(kind, folder, user)
    stage.lay_out(server.documents, names, owner=user)
    (server.own / "direct.sock").symlink_to(stage.socket)
    paths = [f"/{name}.cgi" for name in names] + ["/direct"]
    result, slept = {}, SERVERS[kind]
    server.start()
    try:
        for count in clients:
            lines = stage.tool("load", server.ports[0], count, balanced(rounds, len(paths)), slice_ms, *paths)
            cell = result[str(count)] = {}
            for number, name in enumerate([*names, "direct"]):
                slices = [line[1:] for line in lines if line[0] == number]
                latencies = sorted(value for line in slices for value in line[2:])
                rates = [(len(line) - 2) / line[0] * 1e9 for line in slices]
                cell[name] = {
                    "per_second": series(rates), "rates": rates,
                    **{f"p{share}_us": percentile(latencies, share / 100) for share in (50, 90, 99)},
                    # With more clients a request is slow for other reasons, too.
                    "slept": sum(value > slept for value in latencies) / len(latencies) if slept and count <= 4 else None,
                    "bad": sum(line[1] for line in slices), "requests": len(latencies)}
        procs.wait_until(lambda: not stage.left(), 20, "no process is left")
        result["log"] = server.error_log()
    finally:
        server.stop()
    return result


def stream(stage, size, rounds):
    """A large body down and up. The 8 kB copy is limit."""
    names = [name for name in stage.names if name in ("limit", "rouse") or name not in PROGRAMS]
    apps = stage.lay_out(stage.root / "bare", names)
    result = {"bytes": size}
    ways = {"down": {"QUERY_STRING": f"down={size}"}, "up": {"CONTENT_LENGTH": str(size), "REQUEST_METHOD": "POST"}}
    for way, variables in ways.items():
        lines = stage.tool("stream", size, rounds, *apps, **variables)
        result[way] = {}
        for number, name in enumerate(names):
            runs = [line[1:] for line in lines if line[0] == number]
            result[way][name] = {"mib_per_second": series([size / 2**20 / (run[0] / 1e9) for run in runs]),
                                 "processor_ms": series([run[1] / 1000 for run in runs]),
                                 "bad": sum(not run[2] for run in runs), "requests": len(runs)}
    return result


def crowd(stage, boot, rounds):
    """So many requests at once while the server boots, and as many when it runs. `rounds`: waiters -> how often."""
    site = stage.cold("rouse", boot)
    result = {"boot_ms": boot}
    try:
        for waiters, times in rounds.items():
            cold, warm, cold_cpu, warm_cpu, bad = [], [], [], [], 0
            for _ in range(times):
                site.kill()
                began, last, processor, good = stage.tool("crowd", waiters, site.app)[0]
                bad += waiters - max(good, 0)
                cold.append((last - site.listening_since()[1]) / 1e6)
                cold_cpu.append(processor / 1000)
                began, last, processor, good = stage.tool("crowd", waiters, site.app)[0]
                bad += waiters - max(good, 0)
                warm.append((last - began) / 1e6)
                warm_cpu.append(processor / 1000)
            result[str(waiters)] = {"ready_to_last_ms": series(cold), "warm_ms": series(warm), "cold_processor_ms": series(cold_cpu),
                                    "warm_processor_ms": series(warm_cpu), "bad": bad, "requests": 2 * times * waiters}
    finally:
        site.kill()
    return result


def restart(stage, boots):
    """kill -9, and a request at once; and the same with a loop that connects each millisecond. `boots`: ms -> how often."""
    result = {}
    for boot, times in boots.items():
        seen, bad = {"rouse": [], "loop": []}, 0
        sites = {name: stage.cold(name, boot) for name in seen}
        try:
            for turn in range(times + 1):
                asked = {name: ask(stage, site, name == "loop") for name, site in sites.items()}  # side by side: both mostly sleep
                for name, answered in asked.items():
                    late, good = answered()
                    bad += not good
                    if turn > 0:  # the first was no restart
                        seen[name].append(late)
            share = series([guardian_share(stage, sites["rouse"]) for _ in range(max(1, times // 4))])
        finally:
            for site in sites.values():
                site.kill()
        result[str(boot)] = {"rouse_ms": series(seen["rouse"]), "loop_ms": series(seen["loop"]), "guardian_share": share,
                             "bad": bad, "requests": 2 * times + 2}
    return result


def ask(stage, site, directly):
    """Kill the server and ask at once, and with `directly` start it as well, for a loop starts nobody. Answers a function
    that waits for (milliseconds from listening to the answer, whether that was the server's)."""
    site.kill()
    server = subprocess.Popen([*map(str, site.server), site.socket]) if directly else None
    lines = stage.begin("crowd", 1, site.app)

    def answered():
        _began, last, _processor, good = lines()[0]
        late = (last - site.listening_since()[1]) / 1e6
        if server:
            server.kill()
            server.wait()
        return late, good == 1
    return answered


def guardian_share(stage, site):
    """The processor time of a guardian in a restart of its own, for looking disturbs: it may be seen only while it lives."""
    site.kill()
    began, seen = time.monotonic(), []
    asking = subprocess.Popen([stage.binaries["crowd"], "1", site.app], env=ENVIRONMENT, stdout=subprocess.DEVNULL)

    def look():
        for pid in procs.all_pids():
            with contextlib.suppress(OSError):  # it is gone meanwhile
                if procs.executable(pid) == str(stage.binaries["rouse"]) and os.getsid(pid) == pid:
                    nanoseconds = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
                    seen.append(nanoseconds / 1e9 / (time.monotonic() - began))
        return asking.poll() is not None

    procs.wait_until(look, 60, "the server answers")
    return seen[-1]


def versions():
    """What runs what is measured."""
    def first_line(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()[0]
        except (OSError, IndexError):
            return "not here"
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), os.uname().machine)
    return {"kernel": os.uname().release, "init": Path("/proc/1/comm").read_text().strip(), "processor": f"{os.cpu_count()} x {cpu}", "apache": first_line("/usr/sbin/apache2", "-v")}
