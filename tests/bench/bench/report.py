"""This file knows how results are shown: as tables in Markdown, ratios first."""

from .measures import ALONE, paired
from .verdicts import answers

TITLES = {"apache-event-cgid": "Apache event + mod_cgid", "apache-prefork-cgi": "Apache prefork + mod_cgi",
          "lighttpd-cgi": "lighttpd", "nginx-fcgiwrap": "nginx + fcgiwrap"}
TITLES |= {kind + ALONE: f"{TITLES[kind]}, one processor" for kind in ("apache-event-cgid", "apache-prefork-cgi")}


def number(value):
    if value is None:
        return ""
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def spread(of):
    """Median (lower and upper quartile)."""
    return f"{number(of['median'])} ({number(of['low'])} - {number(of['high'])})"


def times(value, against):
    return f"{value / against:.2f}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def verdict_table(verdicts):
    rows = []
    for verdict in verdicts:
        word = ("held" if verdict.held else "**not held**") if verdict.judged else "not judged"
        rows.append([verdict.sentence, number(verdict.value), f"{verdict.way} {number(verdict.bound)}", word])
    return table(["what it must show", "measured", "", ""], rows)


def bare(part):
    rows = [[name, times(of["reaped_us"]["median"], part["limit"]["reaped_us"]["median"]),
             times(of["reaped_us"]["median"], part["limit-gone-first"]["reaped_us"]["median"]), spread(of["reaped_us"]),
             spread(of["ended_us"]), spread(of["processor_us"]), spread(of["faults"])] for name, of in part.items()]
    return table(["one small GET, bare", "/ limit", "/ limit gone first", "fork to reaped, us", "to end of output, us",
                  "processor, us", "minor faults"], rows)


def counts(part):
    def both(of, key):
        return number(of[key]) + (f" + {number(of['helper_' + key])}" if of["helper_" + key] else "")
    rows = [[name, times(of["instructions"], part["limit"]["instructions"]), both(of, "calls"), both(of, "instructions"),
             number(of["resident_kb"]), number(of["size"])] for name, of in part.items()]
    return table(["the same GET, counted", "instructions / limit", "system calls", "instructions", "resident, kB", "size, bytes"], rows)


def web(part):
    parts = []
    for kind, loads in part.items():
        rows = []
        for clients, cell in loads.items():
            if clients == "log":
                continue
            for name, of in cell.items():
                rows.append([name, clients, f"{paired(of, cell['limit']):.2f}", f"{paired(of, cell['limit-gone-first']):.2f}", spread(of["per_second"]),
                             *(number(of[f"p{share}_us"] / 1000) for share in (50, 90, 99)),
                             f"{of['slept'] * 100:.1f} %" if of["slept"] is not None else ""])
        parts.append(table([TITLES[kind], "clients", "/ limit", "/ limit gone first", "requests a second", "p50, ms", "p90, ms", "p99, ms",
                            "slept"], rows))
    return "\n\n".join(parts)


def stream(part):
    rows = [[f"{name}, {way}", times(of["mib_per_second"]["median"], part[way]["limit"]["mib_per_second"]["median"]),
             f"{of['processor_ms']['median'] / part[way]['limit']['processor_ms']['median']:.3f}", spread(of["mib_per_second"]),
             spread(of["processor_ms"])] for way in ("down", "up") for name, of in part[way].items()]
    return table([f"a body of {part['bytes'] // 2**20} MiB", "speed / 8 kB copy (limit)", "processor / 8 kB copy", "MiB a second",
                  "processor, ms"], rows)


def crowd(part):
    rows = [[waiters, times(of["ready_to_last_ms"]["median"], of["warm_ms"]["median"]), spread(of["ready_to_last_ms"]), spread(of["warm_ms"]),
             spread(of["cold_processor_ms"]), spread(of["warm_processor_ms"]),
             number(of["cold_processor_ms"]["median"] / int(waiters))] for waiters, of in part.items() if isinstance(of, dict)]
    return table([f"waiters, boot {part['boot_ms']} ms", "cold / warm", "ready to last answer, ms", "as many warm, ms", "processor cold, ms",
                  "processor warm, ms", "processor a waiter, ms"], rows)


def restart(part):
    rows = [[boot, number(of["rouse_ms"]["median"] - of["loop_ms"]["median"]), spread(of["rouse_ms"]), spread(of["loop_ms"]),
             f"{of['guardian_share']['median'] * 100:.2f} %"] for boot, of in part.items()]
    return table(["restart after kill -9, boot in ms", "later than the loop, ms", "listening to answer, ms", "1 ms connect loop, ms",
                  "guardian's processor"], rows)


SECTIONS = {"bare": bare, "counts": counts, "web": web, "stream": stream, "crowd": crowd, "restart": restart}


def totals(results):
    """How many answers each program gave, and how many of them were not what the server sent."""
    sums = {}
    for name, requests, bad in answers(results):
        sums[name] = [sums.get(name, [0, 0])[0] + requests, sums.get(name, [0, 0])[1] + bad]
    return "Answers: " * bool(sums) + ", ".join(f"{name} {requests:,}" + (f" (**{bad:,} not whole**)" if bad else "")
                                   for name, (requests, bad) in sums.items())


def markdown(results, verdicts):
    versions, load = results["versions"], results["load"]
    lines = [f"{versions['processor']}, Linux {versions['kernel']}, process 1 is {versions['init']}, {versions['apache']}. Load average (1 minute) {load[0]} before, "
             f"{load[1]} after; {results['seconds']:.0f} s. Medians, with the lower and upper quartile in brackets."]
    lines.append(verdict_table(verdicts))
    lines += [show(results[name]) for name, show in SECTIONS.items() if name in results]
    lines.append(totals(results))
    return "\n\n".join(filter(None, lines)) + "\n"
