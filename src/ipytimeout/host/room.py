"""Whether a run fits: a copy that does not is refused, and a limit is made a number. In the user's process."""

from __future__ import annotations

import sys
from math import inf

from ipytimeout.mistakes import OptionError
from ipytimeout.sizes import Share, format_size
from ipytimeout.wire.room import Bounds


def refuse_without_room(size: int) -> None:
    """Raise ``MemoryError`` before a copy of ``size`` bytes that does not fit into what is left."""
    left = Bounds().left()
    if size > left:
        raise MemoryError(
            f"the code needs {format_size(size)} of arrays, which go to its process as a copy, and there are only "
            f"{format_size(left)} of memory left; use --start fork, which copies nothing, free some, or give the code "
            "less (a slice, or a file that it reads)"
        )


def total() -> float:
    """Return how many bytes may be used in all; infinite where nobody knows."""
    return Bounds().total


def limit_in_bytes(memory: int | Share | None) -> float:
    """Return how many bytes a run may use: a share is of what this container, or this machine, may use.

    Raises
    ------
    OptionError
        Where memory cannot be measured, or nobody knows how much there is.
    """
    if memory is None:
        return inf
    if sys.platform != "linux":
        raise OptionError("--memory needs Linux, which tells how much memory a process uses; leave it out here")
    if isinstance(memory, int):
        return memory
    there_are = total()
    if there_are == inf:
        raise OptionError(f"--memory {memory}: it is not known how much there is; write a size, as in --memory 2GB")
    return there_are * memory.percent / 100
