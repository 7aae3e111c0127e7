"""This file knows the ledger's text, to read what was recorded and to write what no short test can wait for."""

import re
from pathlib import Path

FORMAT = "rouse-ledger-1"
LAUNCH_WIDTH, ANSWERED_WIDTH = 512, 64
FIELDS = ("outcome", "boot", "socket", "number", "started", "changed", "guardian", "guardian_start", "failures",
          "killed", "early", "fingerprint")


def checksum(text):
    value = 2166136261
    for byte in text.encode("latin-1"):
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return f"{value:08x}"


def _close(text, width):
    text = text.ljust(width - 10)
    return f"{text} {checksum(text)}\n"


def read(app):
    """The record as a dictionary; empty when there is none that is whole."""
    text = app.ledger()
    line = text[:LAUNCH_WIDTH]
    if len(line) < LAUNCH_WIDTH or line[-9:-1] != checksum(line[:-10]):
        return {}
    words = line.split(" ")
    record = dict(zip(FIELDS, words[1:]))
    for name in FIELDS:
        if record[name].isdigit():
            record[name] = int(record[name])
    record["reason"] = re.search(r'"([^"]*)"', line)[1]
    answered = text[LAUNCH_WIDTH:LAUNCH_WIDTH + ANSWERED_WIDTH].split()
    record["answered"] = int(answered[1]) if len(answered) > 1 and answered[0] == "answered" else 0
    return record


def change(app, **fields):
    """Write the record again with other values, its checksum right."""
    record = {**read(app), **fields}
    words = " ".join([FORMAT, *(str(record[name]) for name in FIELDS)])
    path = Path(app.node_folder) / "ledger"
    with open(path, "r+") as file:
        file.write(_close(f'{words} "{record["reason"]}"', LAUNCH_WIDTH))


def boot_clock():
    """Milliseconds of the clock that the ledger uses."""
    import time
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
