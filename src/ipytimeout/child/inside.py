"""The run, as the code inside sees it: what ``progress``, ``remaining`` and ``checkpoint`` do here. Runs in the child.

Law of the file: called in any thread of the code, and it never waits for the user.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import TypeVar

from ipytimeout.child.channel import Channel
from ipytimeout.child.checkpoints import Checkpoints
from ipytimeout.child.progress import Reporter

T = TypeVar("T")


class CodeClock:
    """When the code is to be ended, as the child knows it."""

    def __init__(self, channel: Channel, timeout: float) -> None:
        self._channel = channel
        self._timeout = timeout
        self._deadline = inf
        # Bound here, because freezegun and its like replace this function in every module.
        self._now = time.monotonic

    def start(self) -> None:
        """The code starts now."""
        self._deadline = self._now() + self._timeout

    def remaining(self) -> float:
        """Return the seconds that are left. The host tells when the deadline is moved, and when the clock stands."""
        told = self._channel.clock()
        if told is None:
            return max(0.0, self._deadline - self._now())
        return max(0.0, told.deadline - (self._now() if told.stands_since is None else told.stands_since))


class Inside:
    """What is behind the functions of ``ipytimeout.inside`` while the code runs."""

    def __init__(self, clock: CodeClock, reporter: Reporter, checkpoints: Checkpoints | None) -> None:
        """Without ``checkpoints`` nothing of the run is wanted, whatever comes."""
        self._clock = clock
        self._reporter = reporter
        self._checkpoints = checkpoints

    def remaining(self) -> float:
        return self._clock.remaining()

    def save(self, values: Mapping[str, object]) -> None:
        if self._checkpoints is not None:
            self._checkpoints.save(values)

    def follow(self, iterable: Iterable[T], total: float | None) -> Iterator[T]:
        return self._reporter.follow(iterable, total)

    def say(self, fraction: float, text: str) -> None:
        self._reporter.say(fraction, text)
