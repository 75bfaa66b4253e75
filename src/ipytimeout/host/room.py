"""How much memory is left, here and in this container. In the user's process.

Law of the file: what cannot be found out counts as enough: a copy is refused only on evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from ipytimeout.options import format_size

_CGROUP = Path("/sys/fs/cgroup")


def refuse_without_room(size: int) -> None:
    """Raise ``MemoryError`` before a copy of ``size`` bytes that does not fit into what is left."""
    left = room()
    if size > left:
        raise MemoryError(
            f"the code needs {format_size(size)} of arrays, which go to its process as a copy, and there are only "
            f"{format_size(left)} of memory left; free some, or give the code less (a slice, or a file that it reads)"
        )


def room(proc: Path = Path("/proc"), cgroup: Path = _CGROUP) -> float:
    """Return how many bytes can still be used: the least of what the machine and each enclosing cgroup allow."""
    return min([_of_machine(proc), *_of_cgroups(proc, cgroup)])


def _of_machine(proc: Path) -> float:
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError):
        return math.inf
    return math.inf


def _of_cgroups(proc: Path, root: Path) -> Iterator[float]:
    """Yield what each cgroup above this process leaves, version 2 then 1: limit less use, cache not counted."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _left(root, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            yield from _left(
                root / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            )


def _left(root: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[float]:
    # In a container the path may be the host's: then only the root is there, and it is the container's own.
    parts = [p for p in path.split("/") if p]
    for depth in range(len(parts), -1, -1):
        folder = root.joinpath(*parts[:depth])
        try:
            most = (folder / limit).read_text().strip()
            if most == "max":
                continue
            used = int((folder / usage).read_text())
            statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield max(0, int(most) - used + int(statistics.get(cache, 0)))
        except (OSError, ValueError):
            continue
