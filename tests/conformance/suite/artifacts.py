"""This file knows what is kept of a failure: everything that a person needs to see it, and a script that shows it again."""

import shlex
import shutil
import sys
from pathlib import Path

RUN = Path(__file__).resolve().parents[1] / "run"


def keep(folder, trial, name, adapter, program):
    """Put the failure of `trial` into `folder`."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    variables = trial.variables
    cgi = trial.case["cgi"]
    (folder / "report.txt").write_text(trial.report() + "\n", errors="backslashreplace")
    (folder / "environment.bin").write_bytes(b"".join(entry.resolve(variables) + b"\0" for entry in cgi["env"]))
    if "stdin" in cgi:
        (folder / "stdin.bin").write_bytes(cgi["stdin"].resolve(variables))
    if trial.outcome:
        (folder / "stdout.bin").write_bytes(trial.outcome.stdout)
        (folder / "stderr.bin").write_bytes(trial.outcome.stderr)
    if "stdout" in trial.case["expect"]["cgi"]:
        (folder / "stdout.expected.bin").write_bytes(trial.case["expect"]["cgi"]["stdout"].resolve(variables))
    for group in trial.launches.groups if trial.launches else []:
        for one, outcome in zip(group.bridges, group.outcomes):
            for stream, content in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
                if content:
                    (folder / f"{one.token}.{stream}.bin").write_bytes(content)
    for record in ("plan", "starts", "requests") if trial.launches else ():
        if (trial.folder / record).is_file():
            shutil.copy(trial.folder / record, folder / record)
    for connection in trial.server.connections if trial.server else []:
        (folder / f"request-{connection.number}.bin").write_bytes(bytes(connection.parser.wire))
    for one in adapter.files:
        written = trial.folder / one["path"]
        if written.is_file() and not written.is_symlink():
            kept = folder / "folder" / one["path"]
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(written, kept)
    shutil.copy(trial.case.path, folder / "case.toml")
    words = [sys.executable, "-B", str(RUN), "one", name, "--bridge", str(program), "--adapter", str(adapter.source.resolve())]
    script = folder / "repro.sh"
    script.write_text("#!/bin/sh\n# Runs this one case again, without pytest, and says what it says. --keep DIR keeps the case's folder.\n"
                      f"exec {shlex.join(words)} \"$@\"\n")
    script.chmod(0o755)
