"""This file knows how results are drawn: panels of bars with their quartiles, in SVG.

Letters and lines have the colour of the reader's choice (prefers-color-scheme), bars have colours that can be told apart on
white and on black.
"""

from html import escape

from .measures import ALONE
from .report import TITLES, number

ROW, LABEL, HEAD, GAP = 20, 130, 30, 26
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f } .head { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
.other { fill: #8c959f } .limit { fill: #4f8fc0 } .rouse { fill: #e0812f } line { stroke: #57606a }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9aa4ae } line { stroke: #c9d1d9 } }
"""


def colour(name):
    return name if name == "rouse" else "limit" if name.startswith("limit") else "other"


def panel(left, top, width, title, rows, below="", labels=True):
    """`rows` are (name, series); bars begin at zero and share a scale. Answers the drawing and its height."""
    begin = left + (LABEL if labels else 0)
    room = left + width - begin - 60  # for the number behind the bar
    scale = room / max(of["high"] for _, of in rows)
    parts = [f'<text class="head" x="{begin}" y="{top + 14}">{escape(title)}</text>']
    for index, (name, of) in enumerate(rows):
        y = top + HEAD - 6 + index * ROW
        length, middle = of["median"] * scale, y + ROW / 2 - 2
        if labels:
            parts.append(f'<text x="{begin - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="{colour(name)}" x="{begin}" y="{y}" width="{length:.1f}" height="{ROW - 5}" rx="2"/>')
        parts.append(f'<line x1="{begin + of["low"] * scale:.1f}" x2="{begin + of["high"] * scale:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>')
        behind = begin + max(length, of["high"] * scale) + 6
        parts.append(f'<text class="small" x="{behind:.1f}" y="{middle + 4:.0f}">{number(of["median"])}</text>')
    height = HEAD + len(rows) * ROW
    if below:
        parts.append(f'<text class="small" x="{begin}" y="{top + height + 6}">{escape(below)}</text>')
        height += 14
    return "".join(parts), height


def drawing(title, width, lines):
    """`lines` are lists of panels, each a dictionary of what panel() takes but for the place; panels of a line stand side by side."""
    parts, top = [], 8
    for line in lines:
        narrow = (width - LABEL) / len(line)
        left, tallest = 8, 0
        for index, of in enumerate(line):
            wide = narrow + (LABEL if index == 0 else 0)
            part, height = panel(left, top, wide - 12, **of, labels=index == 0)
            parts.append(part)
            left += wide
            tallest = max(tallest, height)
        top += tallest + GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" role="img">'
            f"<title>{escape(title)}</title><style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n")


def bare(part):
    rows = [(name, of["reaped_us"]) for name, of in part.items()]
    return drawing("One small GET without a web server, microseconds from fork to reaped", 640,
                   [[{"title": "microseconds from fork to reaped", "rows": rows}]])


def web(part):
    lines, alone = [], []
    for kind, loads in part.items():
        line = alone if kind.endswith(ALONE) else []
        for clients, cell in loads.items():
            if clients != "log":
                rows = [(name, of["per_second"]) for name, of in cell.items() if name != "direct"]
                plural = "" if clients == "1" else "s"
                line.append({"title": f"{TITLES[kind] + ': ' if not line or line is alone else ''}{clients} client{plural}", "rows": rows,
                             "below": f"without CGI: {number(cell['direct']['per_second']['median'])}"})
        if line is not alone:
            lines.append(line)
    lines += [alone] if alone else []
    return drawing("Requests a second through web servers", 960, lines)


def stream(part):
    size = f"{part['bytes'] // 2**20} MiB"
    lines = []
    for way in ("down", "up"):
        named = {"limit": "limit (8 kB copy)"}
        lines.append([{"title": f"{size} {way}: MiB a second",
                       "rows": [(named.get(name, name), of["mib_per_second"]) for name, of in part[way].items()]},
                      {"title": "processor time, ms", "rows": [(name, of["processor_ms"]) for name, of in part[way].items()]}])
    return drawing("Large bodies", 760, lines)


def waking(crowd, restart):
    waiters = [key for key, of in crowd.items() if isinstance(of, dict)]
    lines = [[{"title": f"{key} waiter{'s' * (key != '1')}, ms from ready to the last answer",
               "rows": [("rouse", crowd[key]["ready_to_last_ms"]), ("as many warm", crowd[key]["warm_ms"])]}] for key in waiters]
    lines += [[{"title": f"restart, boot of {boot} ms: ms from listening to the answer",
                "rows": [("rouse", of["rouse_ms"]), ("1 ms connect loop", of["loop_ms"])]}] for boot, of in restart.items()]
    return drawing("Waking the server", 640, lines)


# A drawing's file, what draws it, and the measures that it needs.
DRAWINGS = {"bare.svg": (bare, ["bare"]), "web.svg": (web, ["web"]), "stream.svg": (stream, ["stream"]),
            "waking.svg": (waking, ["crowd", "restart"])}


def drawings(results):
    return {name: draw(*(results[measure] for measure in measures)) for name, (draw, measures) in DRAWINGS.items()
            if all(measure in results for measure in measures)}
