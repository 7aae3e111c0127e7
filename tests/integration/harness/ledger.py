"""This file knows the ledger's bytes, to read what was recorded and to write what no short test can wait for."""

import struct
import time
from pathlib import Path

FORMAT = 2
LAUNCH_WIDTH = 224  # bytes; behind them stands `answered`
FIELDS = ("outcome", "number", "started", "changed", "guardian", "guardian_start", "failures", "killed", "early",
          "fingerprint", "boot", "socket", "reason")
OUTCOMES = ("none", "starting", "ready", "failed", "killed", "stopped")
_RECORD = struct.Struct("=B7x 8q 3Q 120s")


def _see(data, value):
    """FNV-1a of 64 bits."""
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


def read(app):
    """The record as a dictionary; empty when there is none that is whole."""
    try:
        data = (Path(app.node_folder) / "ledger").read_bytes()
    except FileNotFoundError:
        return {}
    record = data[8:LAUNCH_WIDTH]
    if len(data) < LAUNCH_WIDTH or struct.unpack("=Q", data[:8])[0] != _see(record, FORMAT):
        return {}
    fields = dict(zip(FIELDS, _RECORD.unpack(record)))
    fields["outcome"] = OUTCOMES[fields["outcome"]]
    fields["reason"] = fields["reason"].partition(b"\0")[0].decode("ascii")
    fields["answered"] = int.from_bytes(data[LAUNCH_WIDTH:LAUNCH_WIDTH + 8], "little")
    return fields


def change(app, **fields):
    """Write the record again with other values, its checksum right. A `boot` is a text, as the kernel has it."""
    fields = {**read(app), **fields}
    fields["outcome"] = OUTCOMES.index(fields["outcome"])
    fields["reason"] = fields["reason"].encode("ascii")
    if isinstance(fields["boot"], str):
        fields["boot"] = _see(fields["boot"].encode() + b"\n", 14695981039346656037)
    record = _RECORD.pack(*(fields[name] for name in FIELDS))
    with open(Path(app.node_folder) / "ledger", "r+b") as file:
        file.write(struct.pack("=Q", _see(record, FORMAT)) + record)


def boot_clock():
    """Milliseconds of the clock that the ledger uses."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
