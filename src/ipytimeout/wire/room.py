"""How much memory this process may use, and how much of it is left. In host and warden, in any thread.

The machine and every cgroup above this process set a bound, version 1 or 2; the tightest counts. Page cache is no
use: the kernel drops it when it needs the memory. Swap is room, where the cgroup may use it.

Law of the file: what cannot be found out is no bound: something is refused, or ended, only on evidence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class _Version:
    """The names of the files of a memory cgroup."""

    limit: str
    usage: str
    #: Both of swap alone (version 2), or both of memory and swap together.
    swap_limit: str
    swap_usage: str
    #: The fields of ``memory.stat`` that count page cache.
    cache: tuple[str, ...]
    #: Where the kernel counts processes that it killed for want of memory.
    kills: str


_V1 = _Version(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.memsw.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
    "memory.oom_control",
)
_V2 = _Version(
    "memory.max",
    "memory.current",
    "memory.swap.max",
    "memory.swap.current",
    ("inactive_file", "active_file"),
    "memory.events",
)


@dataclass(frozen=True, slots=True)
class _Group:
    folder: str
    version: _Version
    limit: float


class Bounds:
    """What bounds the memory of this process, as it is when this is made.

    ``proc`` and ``cgroup`` are where the kernel's files are.
    """

    def __init__(
        self, proc: str | os.PathLike[str] = "/proc", cgroup: str | os.PathLike[str] = "/sys/fs/cgroup"
    ) -> None:
        self._proc = os.fspath(proc)
        machine = _figures(f"{self._proc}/meminfo").get("MemTotal", inf) * 1024
        groups = [] if machine == inf else list(_groups(self._proc, os.fspath(cgroup)))
        # Version 1 has no word for "no limit", only a number that is larger than any machine.
        self._limited = [group for group in groups if group.limit < machine]
        self._kills = next((path for group in groups if os.path.exists(path := _kills_file(group))), None)
        #: Bytes that may be used in all; infinite where that is not known.
        self.total = min([machine, *(group.limit for group in self._limited)])
        #: Whether it is a cgroup that has the tightest bound, and not the machine.
        self.in_container = bool(self._limited)

    def left(self) -> float:
        """Return how many bytes can still be used; infinite where that is not known."""
        meminfo = _figures(f"{self._proc}/meminfo")
        if "MemAvailable" not in meminfo:
            return inf
        swap = meminfo.get("SwapFree", 0) * 1024
        return min([meminfo["MemAvailable"] * 1024 + swap, *(_left_in(group, swap) for group in self._limited)])

    def kills(self) -> int:
        """Return how many processes the kernel has killed here for want of memory, since some time or other."""
        if self._kills is not None:
            return int(_figures(self._kills).get("oom_kill", 0))
        return int(_figures(f"{self._proc}/vmstat").get("oom_kill", 0))


def _groups(proc: str, root: str) -> Iterator[_Group]:
    """Yield the memory cgroups above this process that can be seen, innermost first."""
    try:
        with open(f"{proc}/self/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _above(root, path, _V2)
        elif "memory" in controllers.split(","):
            yield from _above(f"{root}/memory", path, _V1)


def _above(root: str, path: str, version: _Version) -> Iterator[_Group]:
    # In a container the path may be the host's: then only the root is there, and it is the container's own.
    parts = [part for part in path.split("/") if part]
    for depth in range(len(parts), -1, -1):
        folder = "/".join([root, *parts[:depth]])
        if (limit := _number(f"{folder}/{version.limit}")) is not None:
            yield _Group(folder, version, limit)


def _kills_file(group: _Group) -> str:
    return f"{group.folder}/{group.version.kills}"


def _left_in(group: _Group, swap_free: float) -> float:
    version = group.version
    usage = _number(f"{group.folder}/{version.usage}")
    if usage is None:
        return inf
    statistics = _figures(f"{group.folder}/memory.stat")
    cache = sum(statistics.get(name, 0) for name in version.cache)
    left = group.limit - usage + cache
    swap_limit = _number(f"{group.folder}/{version.swap_limit}")
    swap_usage = _number(f"{group.folder}/{version.swap_usage}")
    if swap_limit is not None and swap_usage is not None:
        if version is _V2:
            left += max(0, min(swap_free, swap_limit - swap_usage))
        else:
            left = min(left + swap_free, swap_limit - swap_usage + cache)
    return max(0, left)


def _number(path: str) -> float | None:
    """Read a file of one number, or "max"; None where there is none."""
    try:
        with open(path) as file:
            text = file.read().strip()
        return inf if text == "max" else int(text)
    except (OSError, ValueError):
        return None


def _figures(path: str) -> dict[str, float]:
    """Read a file of lines like ``name 5`` or ``name: 5 kB``."""
    try:
        with open(path) as file:
            fields = [line.split() for line in file]
        return {each[0].rstrip(":"): int(each[1]) for each in fields if len(each) > 1 and each[1].isdigit()}
    except (OSError, ValueError):
        return {}
