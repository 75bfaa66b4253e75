"""Call a function for each of many items, some at once, each in a process of its own. In the caller's thread.

Law of the file: bounded. No more than ``workers`` children live, and no more items are read than can be waited for.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ipytimeout.host.job import Job

#: For each worker, so many results may wait for a slower one in front of them.
_AHEAD = 4


def run_all(
    submit: Callable[[Any], Job[Any]], items: Iterable[Any], workers: int, *, ordered: bool
) -> Iterator[Job[Any]]:
    """Yield an ended job for each item: in the order of the items, or as they end. Left early, it ends the rest."""
    ended: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
    running: set[Job[Any]] = set()
    waiting: deque[Job[Any]] = deque()  # in order: those that run, and those that have ended behind them
    source, more = iter(items), True
    try:
        while True:
            while more and len(running) < workers and len(waiting) < workers * _AHEAD:
                try:
                    item = next(source)
                except StopIteration:
                    more = False
                    break
                job = submit(item)
                running.add(job)
                waiting.append(job)
                job.add_done_callback(lambda _, job=job: ended.put(job))  # type: ignore[misc]
            if not waiting:
                return
            if ordered and waiting[0].done():
                yield waiting.popleft()
                continue
            job = ended.get()
            running.discard(job)
            if not ordered:
                waiting.remove(job)
                yield job
    finally:
        for job in running:
            job.cancel()
