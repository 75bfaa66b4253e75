"""How a run ended. Vocabulary: standard library only, safe in every process."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from math import inf

#: What a child exits with when its connection to the host is gone, and when our own code in it fails.
EXIT_CHANNEL_LOST, EXIT_BROKEN = 70, 71


class Ending(enum.Enum):
    """The seven ways in which a run ends; the first that happens decides, once."""

    FINISHED = "finished"
    RAISED = "raised"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    OVER_MEMORY = "over memory"
    DIED = "died"

    @property
    def brings_back(self) -> bool:
        """Whether what the code had done comes back, as it would have stayed natively."""
        return self in (Ending.FINISHED, Ending.RAISED, Ending.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The ending of one run, with the figures that a summary needs. Times are in seconds."""

    ending: Ending
    elapsed: float
    timeout: float
    returncode: int | None = None
    #: Processes that the run had left behind and that were ended: one text each.
    ended_processes: tuple[str, ...] = ()
    #: The most memory that the run was seen to use, in bytes; 0 where that is not known.
    peak: int = 0
    #: How many bytes it was allowed, or could have; may be infinite.
    memory_limit: float = inf
    #: Seconds of CPU time of its process, and of those that it has waited for.
    cpu: float = 0.0


def describe_returncode(returncode: int) -> str:
    """Name a ``Popen.returncode``: ``"exit code 3"``, or a signal by its name, as in ``"SIGSEGV"``."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
