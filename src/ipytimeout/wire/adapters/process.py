"""What the system keeps of a process: the mask of new files, limits, priority, processors. See ``adapters``.

Law of the file: only what the code of a notebook sets. The mark of a run, which is a limit too, is not touched; what
a library does to processors is its own affair; and no process gets a limit that would end it at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

#: The mark of a run is a soft limit of this (see ``wire.marks``).
_NOT_OURS = "RLIMIT_RTTIME"


class _Process:
    """The mask of new files, and the priority."""

    module = "os"

    def read(self) -> dict[str, Any]:
        items: dict[str, Any] = {}
        with contextlib.suppress(OSError, IndexError, ValueError):  # there is no /proc
            items["umask"] = _umask()
        with contextlib.suppress(OSError):
            items["priority"] = os.getpriority(os.PRIO_PROCESS, 0)
        return items

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for name, value in items.items():
            if name == "umask":
                os.umask(value)
            else:
                os.setpriority(os.PRIO_PROCESS, 0, value)


def _umask() -> int:
    """Ask the system: ``os.umask`` tells only by setting another, which files of other threads would have meanwhile."""
    fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = os.read(fd, 256)
    finally:
        os.close(fd)
    return int(head.split(b"Umask:", 1)[1].split(None, 1)[0], 8)


class _Limits:
    """``resource.setrlimit``: each as its soft and its hard limit."""

    module = "resource"

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def read(self) -> dict[str, Any]:
        resource = sys.modules[self.module]
        if not self._known:
            names = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != _NOT_OURS]
            numbers = {getattr(resource, name): name for name in names}  # one has two names
            self._known = {name: number for number, name in numbers.items()}
        get = resource.getrlimit
        return {name: get(number) for name, number in self._known.items()}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        resource = sys.modules[self.module]
        for name, (soft, hard) in items.items():
            if soft != resource.RLIM_INFINITY and name in _USED and soft <= _USED[name]():
                raise ValueError("this process uses more already")
            resource.setrlimit(getattr(resource, name), (soft, hard))


def _mapped() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _data() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")


#: Below what is in use these would end a process, or all that it does.
_USED: dict[str, Callable[[], float]] = {"RLIMIT_CPU": time.process_time, "RLIMIT_AS": _mapped, "RLIMIT_DATA": _data}


def lift_limits(before: Mapping[str, Any]) -> None:
    """Have room for what the code leaves, as before it: it may have limited itself."""
    resource: Any = sys.modules.get(LIMITS.module)
    for name, (soft, _) in before.items():
        now, hard = resource.getrlimit(getattr(resource, name))
        if now != soft:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(getattr(resource, name), (hard, hard))


class _Processors:
    """On which processors the code may run, from the first cell on that speaks of that: libraries set it too."""

    module = "os"

    def __init__(self) -> None:
        self._is_known = False

    def learn(self, code: str) -> bool:
        """Note whether a cell sets it. Tell whether that is new."""
        if self._is_known or "affinity" not in code:
            return False
        self._is_known = hasattr(os, "sched_setaffinity")
        return self._is_known

    def read(self) -> dict[str, Any]:
        return {"allowed": os.sched_getaffinity(0)} if self._is_known else {}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for value in items.values():
            os.sched_setaffinity(0, value)
        self._is_known = True


PROCESS, LIMITS, PROCESSORS = _Process(), _Limits(), _Processors()
