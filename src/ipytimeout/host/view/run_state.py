"""The facts of one run, for whoever shows them. Pure, with an injected clock; in the thread that waits for the run.

Law of the file: facts only. How they look, and how often they are drawn, is the business of the other files here.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, isinf

from ipytimeout.wire.messages.to_child import Clock


class Phase(enum.Enum):
    PREPARING = "starting"  # the child starts, and names are on their way to it
    RUNNING = "running"
    ASKING = "waiting for your answer"  # the clock stands still
    ENDING = "ending"  # the code was interrupted and has not ended yet
    RETURNING = "bringing back"  # the code runs no more


@dataclass(frozen=True, slots=True)
class Said:
    """How far the code says it is."""

    #: From 0 to 1; None where the end is not known.
    fraction: float | None
    text: str
    #: How many seconds the rest will take, as far as can be told; None where it cannot.
    left: float | None = None


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
    #: None as long as the code says nothing.
    said: Said | None = None

    @property
    def fraction(self) -> float | None:
        """How much of the time is used, from 0 to 1; None without a limit."""
        return None if isinf(self.timeout) else min(1.0, self.elapsed / self.timeout)

    @property
    def bar(self) -> float | None:
        """What a bar shows: how far the code says it is, or else how much of the time is used."""
        return self.said.fraction if self.said is not None and self.said.fraction is not None else self.fraction


class _Speed:
    """How fast a fraction grows, as tqdm tells it: the growth and the time of late, the latest counting most."""

    def __init__(self, fraction: float, moment: float) -> None:
        self.fraction, self.moment = fraction, moment
        self._growth = self._time = 0.0

    def goes_on(self, fraction: float, moment: float) -> None:
        growth, time = fraction - self.fraction, moment - self.moment
        if growth > 0 and time > 0:
            weight = _LATEST if self._time else 1.0
            self._growth += weight * (growth - self._growth)
            self._time += weight * (time - self._time)
            self.fraction, self.moment = fraction, moment

    def left(self, now: float) -> float | None:
        """Return how many seconds the rest will take."""
        if not self._growth:
            return None
        return max(0.0, (1 - self.fraction) * self._time / self._growth - (now - self.moment))


#: How much the latest step counts.
_LATEST = 0.3


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
        self._said: Said | None = None
        self._speed: _Speed | None = None

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
            asked = self._clock() - self._asked
            self._started += asked
            if self._speed is not None:
                self._speed.moment += asked

    def may_run(self, timeout: float) -> None:
        """The deadline was moved."""
        self._timeout = timeout

    def may_use(self, memory: float) -> None:
        """It has a limit of memory."""
        self._memory_limit = memory

    def uses(self, memory: int) -> None:
        """So many bytes are in use now."""
        self._memory = memory

    def has_progressed(self, fraction: float | None, text: str) -> None:
        """The code says how far it is."""
        now = self._now()
        if fraction is None or self._speed is None or fraction < self._speed.fraction:
            # What is said first took all the time that the code has had; what is less than before begins anew.
            first = self._speed is None and fraction
            self._speed = None if fraction is None else _Speed(*((0.0, self._started) if first else (fraction, now)))
        if self._speed is not None and fraction is not None:
            self._speed.goes_on(fraction, now)
        self._said = Said(fraction, text)

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
            case _:
                elapsed = max(0.0, self._now() - self._started) if self._started != inf else 0.0
        said = self._said
        if said is not None and self._speed is not None and self._phase is not Phase.RETURNING:
            said = replace(said, left=self._speed.left(self._now()))
        return Facts(self._phase, elapsed, self._timeout, self._memory, self._memory_limit, said)

    @property
    def clock(self) -> Clock:
        """What the code is told of its deadline."""
        return Clock(self._started + self._timeout, self._asked if self._phase is Phase.ASKING else None)

    def _now(self) -> float:
        return self._asked if self._phase is Phase.ASKING else self._clock()
