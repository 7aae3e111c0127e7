"""This file knows the soak: trials in an order of chance, several side by side, until the time is over.

The order follows from the seed alone: trial number N of a seed is the same case in the same way wherever and whenever it
runs. What overlaps with what depends on how long each takes, and is the machine's business.
"""

import itertools
import multiprocessing
import random
import shutil
import tempfile
import time
import traceback
from multiprocessing import connection
from pathlib import Path

from harness import procs

from . import attempt as attempts


def schedule(trials, seed):
    """(number, place in `trials`) without end: all cases in an order of chance, each in a way of chance, then again in another."""
    chance = random.Random(seed)
    ways = {}
    for place, (case, _) in enumerate(trials):
        ways.setdefault(case.id, []).append(place)
    numbers = itertools.count()
    while True:
        for name in chance.sample(sorted(ways), len(ways)):
            yield next(numbers), chance.choice(ways[name])


def run(trials, adapter, program, *, seed, seconds, jobs, into, heard):
    """Try until `seconds` are over; every line goes to `heard`. Answers how many trials were begun.

    A worker is a process: whatever a bridge leaves behind becomes its child, and is told from those of the others.
    """
    context = multiprocessing.get_context("fork")
    workers = []
    for _ in range(jobs):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, [one for one, _ in workers] + [ours], trials, adapter, program, into))
        process.start()
        theirs.close()
        workers.append((ours, process))
    planned = schedule(trials, seed)
    deadline = time.monotonic() + seconds
    begun, busy = 0, set()

    def next_for(pipe):
        nonlocal begun
        if time.monotonic() < deadline:
            pipe.send(next(planned))
            busy.add(pipe)
            begun += 1

    try:
        for pipe, _ in workers:
            next_for(pipe)
        while busy:
            for pipe in connection.wait(busy):
                busy.discard(pipe)
                try:
                    heard(pipe.recv())
                except EOFError:  # the worker is gone, and so is what it would have said: the run is not complete
                    continue
                next_for(pipe)
    finally:
        for pipe, process in workers:
            pipe.close()
        for _, process in workers:
            process.join()
    return begun


def _work(pipe, others, trials, adapter, program, into):
    """One worker: a trial, its line, the next. It ends when nobody is there to hear of it."""
    for one in others:
        one.close()
    procs.become_subreaper()
    try:
        while True:
            number, place = pipe.recv()
            case, variant = trials[place]
            folder = Path(tempfile.mkdtemp(prefix="conf.", dir="/tmp"))
            folder.chmod(0o755)
            try:
                line, _ = attempts.attempt(case, variant, folder, adapter, program, into, number)
            except Exception:
                line = {"type": "result", "id": case.id, "variant": "", "level": case["level"], "promises": case["promises"],
                        "result": "harness-error", "complaints": [traceback.format_exc()]}
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            pipe.send({**line, "number": number})
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
