"""This file knows how results are shown: a summary, JUnit, and a matrix of bridges by case and by promise."""

import html
import os
import xml.etree.ElementTree as xml
from collections import Counter
from urllib.parse import quote

from harness import case_keys, fixtures

from .results import OPTIONAL, SIGNS, WORDS, WORST, ResultsError

CSS = ("body{font:15px/1.4 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}table{border-collapse:collapse;margin:1em 0}"
       "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}td.sign{text-align:center}"
       ".pass{background:#dfd}.fail,.unexpected-pass,.harness-error{background:#fcc}.known-failure{background:#fe9}.unsupported,.not-here{color:#888}")


def write(found, into):
    (into / "junit.xml").write_bytes(junit(found))
    write_matrix([found], into)


def write_matrix(read, into):
    together(read)
    into.mkdir(parents=True, exist_ok=True)
    (into / "matrix.md").write_text(markdown(read, into), encoding="utf-8")
    (into / "matrix.html").write_text(page(read, into), encoding="utf-8")


def together(read):
    """ResultsError unless these results may stand side by side."""
    for one in read:
        if not one.footer or not one.footer["complete"]:
            raise ResultsError(f"the results of {one.name} are not complete")
        if one.header["fixtures"] != read[0].header["fixtures"]:
            raise ResultsError(f"{one.name} was tried with other fixtures than {read[0].name}: try both with the same suite")
    names = [one.name for one in read]
    if len(set(names)) != len(names):
        raise ResultsError(f"two results are of the same bridge and version: {', '.join(names)}")


def summary(found):
    """A few lines for a terminal: what failed, then the counts."""
    lines = []
    for line in found.lines:
        if line["result"] in ("fail", "unexpected-pass", "harness-error"):
            mild = f" ({line['level']})" if line["level"] in OPTIONAL else ""
            number = f", trial {line['number']}" if "number" in line else ""
            lines.append(f"{line['result']}{mild}: {line['id']}[{line['variant']}]{number}")
            for verdict in ("reply", "conduct"):
                lines += [f"    {verdict}: {sentence[:300]}" for sentence in line.get(verdict, [])]
            lines += [f"    {said.strip().splitlines()[-1][:300]}" for said in line.get("complaints", [])]
            if "kept" in line:
                lines.append(f"    {line['kept']}/repro.sh")
    missing = Counter(word for line in found.lines if line["result"] == "unsupported" for word in line["missing"])
    if missing:
        lines.append("unsupported, by what is not claimed: " + ", ".join(f"{name} {count}" for name, count in missing.most_common()))
    counts = found.counts()
    lines.append(f"{found.name}: " + ", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word]))
    if without := found.never_started():
        lines.append(f"the adapter claims start, but its bridge ran no start script in any of the {without} trials that call for one: "
                     "does {start} reach it?")
    if not found.footer["complete"]:
        lines.append(f"not complete: {found.footer['planned']} results were planned, {len(found.lines)} came")
    return "\n".join(lines)


# JUnit --------------------------------------------------------------------------------------------


def junit(found):
    counts = found.counts()
    suite = xml.Element("testsuite", name=found.name, tests=str(len(found.lines)),
                        failures=str(len(found.failures())), errors=str(counts["harness-error"]),
                        skipped=str(counts["unsupported"] + counts["not-here"]))
    for line in found.lines:
        topic, _, slug = line["id"].partition("/")
        name = slug + (f"[{line['variant']}]" if line["variant"] else "") + (f"#{line['number']}" if "number" in line else "")
        case = xml.SubElement(suite, "testcase", classname=topic, name=name, time=str(line.get("seconds", 0)))
        properties = xml.SubElement(case, "properties")
        for key in ("level", "result"):
            xml.SubElement(properties, "property", name=key, value=line[key])
        for promise in line["promises"]:
            xml.SubElement(properties, "property", name="promise", value=promise)
        if line["result"] in ("unsupported", "not-here"):
            xml.SubElement(case, "skipped", message=_clean(line["result"] + ": " + ", ".join(line["missing"])))
        elif line["result"] == "harness-error":
            xml.SubElement(case, "error", message="the suite failed").text = _clean("\n".join(line.get("complaints", [])))
        elif line in found.failures():
            said = [f"{verdict}: {one}" for verdict in ("reply", "conduct") for one in line.get(verdict, [])]
            message = line.get("why", "") if line["result"] == "unexpected-pass" else said[0]
            xml.SubElement(case, "failure", type=line["result"], message=_clean(message)).text = _clean("\n".join(said))
    return xml.tostring(xml.ElementTree(suite).getroot(), encoding="utf-8", xml_declaration=True)


def _clean(text):
    """XML 1.0 has no control characters but these, however they are written."""
    return "".join(c if c in "\t\n\r" or 32 <= ord(c) < 0xD800 or 0xE000 <= ord(c) < 0xFFFE else "?" for c in text)


# The matrix ---------------------------------------------------------------------------------------


def tally(words):
    """`12/14 ✓ 2 x`: how many of the cases that apply hold, and what the others are."""
    counts = Counter(words)
    applies = sum(counts[word] for word in WORDS if word not in ("unsupported", "not-here"))
    if not applies:
        return SIGNS["unsupported"]
    others = "".join(f" {counts[word]}{SIGNS[word]}" for word in WORST if word != "pass" and counts[word])
    return f"{counts['pass']}/{applies}{others}"


def by_topic(read):
    """(topic, its cases) in the order of the suite, then what each bridge makes of them."""
    topics = {}
    for one in read:
        for case in one.by_case():
            topics.setdefault(case.partition("/")[0], set()).add(case)
    order = [*case_keys.TOPICS, *sorted(set(topics) - set(case_keys.TOPICS))]
    return [(topic, sorted(topics[topic])) for topic in order if topic in topics]


def by_promise(read, sentences):
    """(promise, sentence, for each bridge the words of its cases)."""
    rows = []
    for promise, sentence in sentences.items():
        words = []
        for one in read:
            cases = {line["id"] for line in one.lines if promise in line["promises"]}
            words.append([word for case, word in one.by_case().items() if case in cases])
        rows.append((promise, sentence, words))
    return rows


def how(one):
    """What was asked of the suite: a tier of few cases proves less than a whole run."""
    header = one.header
    said = f"{header.get('tier', 'full')}, cases {header.get('cases', '*')}, level {header.get('level', 'check')}"
    if header.get("tier") == "soak":
        said += f", {header['seconds']:g} s, {header['jobs']} side by side, seed {header['seed']}"
    return f"{said}: {len(one.lines)} results"


def _known(read):
    """The reasons of known failures, each with its bridge and case."""
    seen = {}
    for one in read:
        for line in one.lines:
            if line["result"] == "known-failure":
                seen.setdefault((one.name, line["id"]), line["why"])
    return seen


def link_to(one, case, into):
    """Where, seen from the folder `into`, that is which was kept of a failed case; None when nothing is there."""
    for line in one.lines if into is not None else ():
        if line["id"] == case and line["result"] == "fail" and "kept" in line and (one.folder / line["kept"]).is_dir():
            return quote(os.path.relpath(one.folder / line["kept"], into))
    return None


def markdown(read, into=None):
    names = [one.name for one in read]
    head = lambda *first: ["| " + " | ".join([*first, *map(_cell, names)]) + " |", "| " + " | ".join(["---"] * (len(first) + len(names))) + " |"]
    lines = ["# Bridges from CGI to SCGI", "", f"Suite {read[0].header['suite']}, fixtures `{read[0].header['fixtures'][:12]}`.", "",
             "| bridge | tried |", "| --- | --- |", *(f"| {_cell(one.name)} | {_cell(how(one))} |" for one in read), "",
             *(f"- {SIGNS[word]} {word}: {sentence}" for word, sentence in WORDS.items()), "",
             "A number of cases holds in all of its variants / applies; behind it what the others are.", "", "## Topics", "", *head("topic")]
    cases = [one.by_case() for one in read]
    for topic, ids in by_topic(read):
        lines.append(f"| {topic} | " + " | ".join(tally(one.get(case, "unsupported") for case in ids) for one in cases) + " |")
    lines += ["", "## Promises", "", *head("id", "promise")]
    for promise, sentence, words in by_promise(read, fixtures.read_promises()):
        lines.append(f"| {promise} | {_cell(sentence)} | " + " | ".join(map(tally, words)) + " |")
    lines += ["", "## Cases", "", *head("case")]
    for _, ids in by_topic(read):
        for case in ids:
            lines.append(f"| {case} | " + " | ".join(_sign(one, mine, case, into) for one, mine in zip(read, cases)) + " |")
    if known := _known(read):
        lines += ["", "## Known failures", "", "| bridge | case | why |", "| --- | --- | --- |"]
        lines += [f"| {_cell(name)} | {case} | {_cell(why)} |" for (name, case), why in known.items()]
    return "\n".join(lines) + "\n"


def _sign(one, mine, case, into):
    if case not in mine:
        return " "
    link = link_to(one, case, into) if mine[case] == "fail" else None
    return f"[{SIGNS[mine[case]]}]({link})" if link else SIGNS[mine[case]]


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def page(read, into=None):
    cases = [one.by_case() for one in read]
    heads = "".join(f"<th>{html.escape(one.name)}</th>" for one in read)
    out = ["<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Bridges from CGI to SCGI</title>", f"<style>{CSS}</style>",
           "<h1>Bridges from CGI to SCGI</h1>",
           f"<p>Suite {html.escape(read[0].header['suite'])}, fixtures {html.escape(read[0].header['fixtures'][:12])}.</p>",
           "<table>" + "".join(f"<tr><th>{html.escape(one.name)}</th><td>{html.escape(how(one))}</td></tr>" for one in read) + "</table><ul>"]
    out += [f"<li class={word}>{SIGNS[word]} {word}: {html.escape(sentence)}</li>" for word, sentence in WORDS.items()]
    out.append(f"</ul><h2>Topics</h2><table><tr><th>topic</th>{heads}</tr>")
    for topic, ids in by_topic(read):
        out.append(f"<tr><td><a href='#{topic}'>{topic}</a></td>" + "".join(f"<td>{tally(one.get(case, 'unsupported') for case in ids)}</td>" for one in cases) + "</tr>")
    out.append(f"</table><h2>Promises</h2><table><tr><th>id</th><th>promise</th>{heads}</tr>")
    for promise, sentence, words in by_promise(read, fixtures.read_promises()):
        out.append(f"<tr><td>{promise}</td><td>{html.escape(sentence)}</td>" + "".join(f"<td>{tally(one)}</td>" for one in words) + "</tr>")
    out.append("</table><h2>Cases</h2>")
    reasons = _known(read)
    for topic, ids in by_topic(read):
        out.append(f"<table id={topic}><tr><th>{topic}</th>{heads}</tr>")
        for case in ids:
            out.append(f"<tr><td>{case}</td>" + "".join(_square(one, mine, case, reasons, into) for one, mine in zip(read, cases)) + "</tr>")
        out.append("</table>")
    return "\n".join(out) + "\n"


def _square(one, mine, case, reasons, into):
    word = mine.get(case)
    if word is None:
        return "<td></td>"
    said = reasons.get((one.name, case)) or next(
        (", ".join(line["missing"]) if "missing" in line else "; ".join(line.get("reply", []) + line.get("conduct", []))
         for line in one.lines if line["id"] == case and line["result"] == word), "")
    link = link_to(one, case, into) if word == "fail" else None
    sign = f"<a href='{html.escape(link, quote=True)}'>{SIGNS[word]}</a>" if link else SIGNS[word]
    return f"<td class='sign {word}' title='{html.escape(said[:400], quote=True)}'>{sign}</td>"
