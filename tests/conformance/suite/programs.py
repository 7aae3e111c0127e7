"""This file knows why a file cannot be executed. The kernel says it in a word that means many things; a person wants the one."""

import os
import stat
from pathlib import Path


def why_not(path):
    """What stands behind "the program PATH ...", or None when nothing is to be seen that keeps it from being executed."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    if stat.S_ISDIR(mode):
        return "is a folder"
    if not stat.S_ISREG(mode):
        return "is no file"
    if not os.access(path, os.X_OK):
        return "is not executable: chmod +x"
    return None


def refusal(path, depth=4):
    """Why the kernel does not execute `path`, though nothing was to be seen before. An interpreter may be such a file, too."""
    try:
        with open(path, "rb") as file:
            line = file.readline(256)
    except OSError as error:
        return error.strerror
    words = line[2:].split()
    if not line.startswith(b"#!"):
        return "it is neither a binary of this machine nor does it begin with #!"
    if not words:
        return "no interpreter is named behind its #!"
    interpreter = os.fsdecode(words[0])
    if line.rstrip(b"\n").endswith(b"\r"):
        return f"its first line ends with a carriage return, so its #! interpreter would be {interpreter!r} with one; write lines that end as Unix has them"
    if why := why_not(interpreter):
        return f"its #! interpreter {interpreter} {why}"
    return f"its #! interpreter {interpreter} cannot be executed: {refusal(interpreter, depth - 1) if depth else 'too many in a row'}"
