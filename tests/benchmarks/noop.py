"""The work that is timed: none. A module of its own, so that a spawned process imports no more than this."""

from __future__ import annotations

from multiprocessing.queues import Queue


def noop() -> None:
    """Do nothing."""


def noop_into(queue: Queue[None]) -> None:
    """Do nothing, and put the value where the parent waits for it."""
    queue.put(noop())
