"""This file knows how to keep a web server busy: clients in threads, each with requests of its own tokens."""

import random
import re
import threading
import time
from dataclasses import dataclass

from harness.server import pattern

from .client import Client

BODY = pattern(3000)


@dataclass
class Result:
    method: str
    token: str
    status: int = None
    good: bool = False  # the server's own whole answer to this very request
    seen: str = ""      # of an answer that was not: its beginning


class Load:
    """`clients` at a time until it is left, or `total` requests. `posts` is the share of POSTs."""

    def __init__(self, web, site, clients, total=None, keep=False, posts=0.0, seed=1):
        self.results = []
        self.connections = 0
        self._web, self._site, self._keep, self._posts = web, site, keep, posts
        self._total, self._begun = total, 0
        self._under_way = set()
        self._lock = threading.Lock()
        self._stop = False
        self._served = 0
        self._faults = []
        self._threads = [threading.Thread(target=self._run, args=(random.Random(seed * 1000 + number), number), daemon=True)
                         for number in range(clients)]
        self.began = time.monotonic()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        if self._total is None or kind is not None:
            self._stop = True
        for thread in self._threads:
            thread.join(300)
            assert not thread.is_alive(), "a client has not ended"
        self.seconds = time.monotonic() - self.began
        if kind is None and self._faults:
            raise self._faults[0]

    def served(self):
        return self._served

    def _next(self):
        with self._lock:
            if self._stop or (self._total is not None and self._begun >= self._total):
                return None
            self._begun += 1
            self._under_way.add(self._begun)
            return self._begun

    def begun(self):
        """The number of the newest request."""
        return self._begun

    def under_way(self):
        """The numbers of the requests that have begun and not ended."""
        with self._lock:
            return set(self._under_way)

    def _run(self, chance, number):
        client = Client(self._web.port, self._keep)
        try:
            while (turn := self._next()) is not None:
                method = "POST" if chance.random() < self._posts else "GET"
                result = Result(method, f"c{number}n{turn}")
                answer = client.request(method, self._site.at(token=result.token), BODY if method == "POST" else None)
                length = len(BODY) if method == "POST" else 0
                wanted = rb"token=%s pid=\d+ body=%d wrong=-1\n" % (result.token.encode(), length)
                result.status = answer.status
                result.good = answer.status == 200 and answer.complete and re.fullmatch(wanted, answer.body) is not None
                if not result.good:
                    result.seen = repr(answer.raw[:500])
                with self._lock:
                    self._under_way.discard(turn)
                    self.results.append(result)
                    self._served += result.good
        except Exception as fault:  # shown by the thread that waits for us
            self._faults.append(fault)
            self._stop = True
        finally:
            with self._lock:
                self.connections += client.connections
            client.close()
