"""The facts of one run, for whoever shows them. Pure, with an injected clock; in the thread that waits for the run.

Law of the file: facts only. How they look, and how often they are drawn, is the business of the other files here.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isinf


class Phase(enum.Enum):
    PREPARING = "starting"  # the child starts, and names are on their way to it
    RUNNING = "running"
    ASKING = "waiting for your answer"  # the clock stands still
    ENDING = "ending"  # the code was interrupted and has not ended yet
    RETURNING = "bringing back"  # the code runs no more


@dataclass(frozen=True, slots=True)
class Facts:
    phase: Phase
    #: Seconds the code has run, without the time that the user was asked something.
    elapsed: float
    #: Seconds it may run in all; may be infinite.
    timeout: float
    #: Bytes of memory that it uses; 0 where that is not known, or not yet.
    memory: int = 0
    #: Bytes that it may use; may be infinite.
    memory_limit: float = inf

    @property
    def fraction(self) -> float | None:
        """How much of the time is used, from 0 to 1; None without a limit."""
        return None if isinf(self.timeout) else min(1.0, self.elapsed / self.timeout)


class RunState:
    """What is known of a run while it goes on. Told by the supervisor, read by the views."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout = timeout
        self._clock = clock
        self._phase = Phase.PREPARING
        self._started = inf
        self._asked = inf
        self._elapsed = 0.0
        self._memory = 0
        self._memory_limit = inf

    def runs(self) -> None:
        """The code starts now."""
        self._phase, self._started = Phase.RUNNING, self._clock()

    def asks(self) -> None:
        """The user is being asked something."""
        if self._phase is Phase.RUNNING:
            self._phase, self._asked = Phase.ASKING, self._clock()

    def is_answered(self) -> None:
        if self._phase is Phase.ASKING:
            self._phase = Phase.RUNNING
            self._started += self._clock() - self._asked

    def may_run(self, timeout: float) -> None:
        """The deadline was moved."""
        self._timeout = timeout

    def may_use(self, memory: float) -> None:
        """It has a limit of memory."""
        self._memory_limit = memory

    def uses(self, memory: int) -> None:
        """So many bytes are in use now."""
        self._memory = memory

    def ends(self) -> None:
        """The run is being ended; its clock goes on until the code has stopped."""
        self.is_answered()
        if self._phase is not Phase.RETURNING:
            self._phase = Phase.ENDING

    def has_ended(self, elapsed: float) -> None:
        """The code runs no more."""
        self._phase, self._elapsed = Phase.RETURNING, elapsed

    @property
    def facts(self) -> Facts:
        """The facts of this moment."""
        match self._phase:
            case Phase.RETURNING:
                elapsed = self._elapsed
            case Phase.ASKING:
                elapsed = self._asked - self._started
            case _:
                elapsed = max(0.0, self._clock() - self._started) if self._started != inf else 0.0
        return Facts(self._phase, elapsed, self._timeout, self._memory, self._memory_limit)
