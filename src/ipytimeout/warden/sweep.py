"""The killing of one run's tree: looked at again and again until nothing of it runs. Runs in the warden.

Law of the file: a tree is stopped before it is killed, so that it cannot grow meanwhile; only a resource tracker may
live a little longer, to remove the named shared memory that the run has left open. Nothing is left only when two looks
agree: while a process ends, its children are handed on to the warden, and one look may see them in neither place.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from ipytimeout.warden import tree

#: A resource tracker of the run gets so long to remove named shared memory before it is killed too. It takes some
#: milliseconds, but for one that has only just been started, on a busy machine: its interpreter has yet to come up.
TRACKER_TIME = 1.5
#: Between two looks at a tree that is being killed, in seconds: the first, and the most it doubles to. A killed
#: process stops running code within some 100 µs, and takes milliseconds to go away.
SHORTEST, LONGEST = 0.0003, 0.005
#: So many processes are named.
_TOLD_PROCESSES = 10


@dataclass(slots=True)
class Sweep:
    """``roots`` returns the tops of the run's tree as it is then: its child, and orphans."""

    pid: int
    #: When to look again; infinite before the kill begins and when nothing is left.
    due: float = inf
    _pause: float = SHORTEST
    _trackers_until: float = 0.0
    _ended: dict[int, str] = field(default_factory=dict)

    def begin(self, roots: Callable[[], list[int]]) -> None:
        """Kill, and look again soon: at once when nothing was left."""
        self.due = time.monotonic() + self._pause if self._kill(roots) else 0.0

    def goes_on(self, roots: Callable[[], list[int]]) -> bool:
        """Kill what is left; tell whether anything was."""
        if not self._kill(roots):
            self.due = inf
            return False
        self._pause = min(2 * self._pause, LONGEST)
        self.due = time.monotonic() + self._pause
        return True

    def hurry(self) -> None:
        """A process has ended: look at once."""
        if self.due != inf:
            self.due = 0.0

    @property
    def ended(self) -> list[str]:
        """The processes that the child had left running; of very many the first."""
        told = list(self._ended.values())
        more = len(told) - _TOLD_PROCESSES
        return told if more <= 0 else [*told[:_TOLD_PROCESSES], f"{more} more"]

    def _kill(self, roots: Callable[[], list[int]]) -> bool:
        now = time.monotonic()
        tops = roots()
        while not (members := self._stopped(tops)) and (again := roots()) != tops:
            tops = again
        for pid in members:
            if tree.is_resource_tracker(pid):
                self._trackers_until = self._trackers_until or now + TRACKER_TIME
                if now < self._trackers_until:
                    continue
            elif pid != self.pid and pid not in self._ended:
                self._ended[pid] = tree.describe(pid)
            tree.send(pid, signal.SIGKILL)
        return bool(members)

    def _stopped(self, tops: list[int]) -> list[int]:
        """Return what runs of the tree, when it cannot grow any more."""
        if tops == [self.pid] and not tree.children(self.pid):
            return tops if tree.runs_code(self.pid) else []
        return tree.freeze(tops)
