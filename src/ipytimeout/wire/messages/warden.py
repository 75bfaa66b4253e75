"""What host and warden say to each other. Pure data."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

# ---------------------------------------------------------------- host → warden


@dataclass(frozen=True, slots=True)
class Start:
    """Start a program in a session of its own, as an idle spare until ``Arm``.

    With five descriptors: the warden's end of the run's own control socket, then stdin, stdout, stderr
    and the channel of the child. ``argv`` may name the child's inherited descriptors as ``{channel}``,
    ``{status}`` and ``{stack}``.
    """

    argv: list[str]
    environ: dict[str, str]
    cwd: str


@dataclass(frozen=True, slots=True)
class Listen:
    """Somebody else will ask for adoptions: a template. With one descriptor, the warden's end of a socket to it."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """A child that the template has forked, or the host itself, is the warden's from now on.

    With three descriptors: the warden's end of the run's control socket, the read ends of status and stack pipe.
    """

    pid: int
    #: Whether it is a copy of the host: then what it shares with that is not the run's.
    of_host: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """From now on the child is a run. All in seconds; ``timeout`` may be infinite."""

    timeout: float
    #: The grace period: from the interrupt to the kill.
    grace: float
    #: Sending and bringing back each end when nothing moved for so long.
    stall: float
    #: Whether the changes are wanted even when the deadline ended the code.
    partial: bool
    #: How many bytes the run and its descendants may use together while the code runs; may be infinite.
    memory: float = inf
    #: Whether the host wants to be told how much they use.
    tell_usage: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes have moved while sending or bringing back."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The user interrupted the kernel."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The user clicked Cancel, or ``cancel()`` was called."""


@dataclass(frozen=True, slots=True)
class Extend:
    seconds: float


@dataclass(frozen=True, slots=True)
class Where:
    """The user asks where the running code is; the answer is a ``Stack``."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The user is asked something; the clock stands still while ``waiting``."""

    waiting: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """The host has what it wants: end everything that is left."""


#: On the run's own control socket: about that run.
Control: TypeAlias = Arm | Progress | Interrupt | Cancel | Extend | Where | Asking | Finish
ToWarden: TypeAlias = Start | Listen | Adopt | Control


# ---------------------------------------------------------------- warden → host


class Cause(enum.Enum):
    """Why a run did not end by itself."""

    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    STALLED = "stalled"
    #: The run used more than it was allowed.
    OVER_MEMORY = "over memory"
    #: The container, or the machine, had almost none left, and this run had taken the most.
    OUT_OF_MEMORY = "out of memory"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Started:
    pid: int
    #: What all its descendants carry (``wire.marks``).
    mark: int


@dataclass(frozen=True, slots=True)
class Extended:
    """The deadline was moved: the code may run for so many seconds in all."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Stack:
    """What faulthandler wrote about the running code, its end when it is long; "" when the child did not answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How many bytes the run and its descendants use now."""

    used: int


@dataclass(frozen=True, slots=True)
class EndBegun:
    """The run is being ended, for this cause (a ``Cause``'s value)."""

    cause: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The code runs no more. ``cause`` is "" when it ended by itself."""

    cause: str
    #: Seconds from the first to the last line of the code, without the time the user was asked something.
    elapsed: float
    #: As ``Popen.returncode``, when the child is dead; else None.
    returncode: int | None
    #: What faulthandler wrote when the run was ended, or died: where the code was.
    stack: str
    #: Whether the operating system killed the child, because there was no memory left.
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing of the run lives any more."""

    #: What the child itself had left running, one text each: "sleep 60 (pid 4711)".
    ended_processes: list[str]
    #: The most bytes that the run and its descendants were seen to use while the code ran.
    peak: int = 0
    #: Seconds of CPU time of the child, and of the processes that it has waited for.
    cpu: float = 0.0


FromWarden: TypeAlias = Started | Extended | Stack | Usage | EndBegun | Verdict | Gone
