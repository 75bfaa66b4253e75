"""What a run is told: its options. Vocabulary: any process, any thread.

Law of the file: standard library only, nothing is executed. Every mistake is an ``OptionError`` of one line that says
what is wrong and what to write.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass

from ipytimeout.durations import parse_duration
from ipytimeout.mistakes import OptionError, shown
from ipytimeout.sizes import Share, parse_output_size, parse_size

#: The grace period when none is given, in seconds.
DEFAULT_KILL_AFTER = 1.0


class StartMethod(enum.Enum):
    """How the child is had."""

    AUTO = "auto"
    WARM = "warm"
    SPAWN = "spawn"
    FORK = "fork"


def parse_start(method: object) -> StartMethod:
    """Read a start method, by its name or as itself."""
    if isinstance(method, StartMethod):
        return method
    known = ", ".join(m.value for m in StartMethod)
    try:
        return StartMethod(method)
    except ValueError:
        raise OptionError(f"no start method: {shown(method)}; use one of: {known}") from None


def parse_memory(size: object) -> int | Share | None:
    """Read a limit of memory, as ``sizes.parse_size`` does; ``None`` is no limit."""
    try:
        return None if size is None else parse_size(size)
    except ValueError as error:
        raise OptionError(f"--memory: {error}") from None


def parse_max_output(size: object) -> float | None:
    """Read how much output is shown, as ``sizes.parse_output_size`` does; ``None``: what is usual where it goes."""
    try:
        return None if size is None else parse_output_size(size)
    except ValueError as error:
        raise OptionError(f"--max-output: {error}") from None


def parse_names(names: object, *, option: str, all_allowed: bool = False) -> tuple[str, ...]:
    """Read names of variables: ``"a, b"``, or a sequence of names. ``option`` is what a mistake is blamed on."""
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    if not isinstance(names, Iterable):
        raise OptionError(f"{option} takes names, not {shown(names)}; for example {option} a,b")
    found = tuple(dict.fromkeys(names))
    if all_allowed and "*" in found:
        return ("*",)
    for name in found:
        if not (isinstance(name, str) and name.isidentifier()):
            what = "an empty name" if name == "" else shown(name)
            raise OptionError(f"{option} takes names of variables, separated by commas, not {what}")
    return found


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run is told. Frozen: options are never changed while it runs.

    Durations, sizes, names and the start method may be given in every form that ``parse_duration``, ``parse_memory``,
    ``parse_names`` and ``parse_start`` read; they are kept in the declared one.

    Raises
    ------
    OptionError
        When a value is none, or two options contradict each other.
    """

    #: Seconds from the first line of the code on; may be infinite.
    timeout: float
    #: The grace period in seconds: from the interrupt to the kill; 0 kills at once.
    kill_after: float = DEFAULT_KILL_AFTER
    #: The names that are to come back; ``None``: all.
    keep: tuple[str, ...] | None = None
    #: Whether nothing is to come back.
    discard: bool = False
    #: Names to send beyond those that the code is seen to use; ``("*",)``: all.
    with_names: tuple[str, ...] = ()
    start: StartMethod = StartMethod.AUTO
    #: No panel and no summary.
    quiet: bool = False
    #: How many bytes the run and its descendants may use together, or which share of what there is; ``None``: no limit.
    memory: int | Share | None = None
    #: Whether what the code had done comes back at the deadline and on Cancel too.
    partial: bool = False
    #: For a function: whether it changes its caller's arguments and globals, as a cell does.
    commit: bool = False
    #: How many bytes of stream output are shown, head and tail; may be infinite. ``None``: 2 MB on a page, else all.
    max_output: float | None = None

    def __post_init__(self) -> None:
        def put(field: str, value: object) -> None:
            object.__setattr__(self, field, value)

        put("timeout", parse_duration(self.timeout))
        try:
            put("kill_after", parse_duration(self.kill_after, allow_zero=True))
        except OptionError as error:
            raise OptionError(f"--kill-after: {error}") from None
        if math.isinf(self.kill_after):
            raise OptionError("--kill-after cannot be inf: the run must end some day; for example --kill-after 10")
        put("memory", parse_memory(self.memory))
        put("max_output", parse_max_output(self.max_output))
        if self.keep is not None:
            put("keep", parse_names(self.keep, option="--keep"))
        put("with_names", parse_names(self.with_names, option="--with", all_allowed=True))
        put("start", parse_start(self.start))
        for flag in ("discard", "quiet", "partial", "commit"):
            if not isinstance(getattr(self, flag), bool):
                raise OptionError(f"{flag} is True or False, not {shown(getattr(self, flag))}")
        if self.discard and self.keep is not None:
            raise OptionError("--keep and --discard contradict each other: name what is to come back, or nothing")
        if self.partial and self.discard:
            raise OptionError("--partial and --discard contradict each other: what was done comes back, or nothing")
        if self.partial and self.kill_after == 0:
            raise OptionError("--partial needs a grace period: code that is killed at once brings nothing back")
