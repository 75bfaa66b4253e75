"""What lives on this machine, read from ``/proc``: to see that nothing of a run or of a kernel is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: ``linux/sched.h``: the process has begun to exit; no line of its code runs any more.
_PF_EXITING = 0x4


@dataclass(frozen=True, slots=True)
class Process:
    """One process. The start time (in clock ticks) tells it from a later one with the same pid."""

    pid: int
    parent: int
    state: str
    start: int
    command: str

    def __str__(self) -> str:
        """Show it as a list of processes would."""
        return f"{self.pid} {self.command or '(gone)'}"


def process(pid: int) -> Process | None:
    """Return a live process, or ``None``.

    A zombie, and one that the system is taking apart (its memory may take a while), runs no code: it counts as gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    state = fields[0]
    exiting = int(fields[6]) & _PF_EXITING
    return None if exiting or state in "ZX" else Process(pid, int(fields[1]), state, int(fields[19]), command)


def processes() -> Iterator[Process]:
    """Yield every live process."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := process(int(name))):
            yield found


def descendants(pid: int) -> list[Process]:
    """Return the live descendants of a process, those of dead descendants not among them."""
    children: dict[int, list[Process]] = {}
    for each in processes():
        children.setdefault(each.parent, []).append(each)
    found, waiting = [], [pid]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += [each.pid for each in more]
    return found


def marked(mark: str) -> list[Process]:
    """Return the live processes that were started with ``mark`` in their environment.

    A mark is inherited, so this finds also what has left the tree: a daemon that belongs to pid 1 now.
    """
    found = []
    for each in processes():
        try:
            environ = Path(f"/proc/{each.pid}/environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in environ:
            found.append(each)
    return found
