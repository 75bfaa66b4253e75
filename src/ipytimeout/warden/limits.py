"""How much memory a run uses, and whether there is any left. In the warden's only thread; standard library only.

What counts is what would be free again if the run were not there:

- private memory of all of its processes: PSS of anonymous pages, and what is swapped out. A page that forked workers
  share counts once; one that the template has too (a warm child begins as its copy) counts in equal shares, and one
  that a copy of the host shares with the host does not count: it would not be free again. Summed
  resident memory would show such pages once for each process.
- shared memory made since the run was armed: files in tmpfs (``/dev/shm``) and memfds, by what is allocated for them,
  mapped or not; and what is shared without a file, by PSS.

What does not: pages of files on a disk, which the kernel drops when it needs memory (libraries, ``numpy.memmap``); what
was asked for and never touched (``numpy.zeros``); shared memory that was there before; and the arrays that the notebook
sent. These are mapped copy-on-write, and PSS calls them the run's own as soon as it reads them, for nobody else has
them mapped; but they are a price of the run's start, not of what its code does. A page of them that the code writes
to becomes an anonymous one, and counts.

Exact figures are dear: the kernel walks the tables of all pages, 2 ms for a process without much, 22 ms for each GB of
small pages, and neither the warden nor who maps memory there gets on meanwhile. What ``/proc/PID/status`` says costs
0.02 ms. Its sum is a bound from above, for what is shared counts twice. Its largest part is one from below, together
with what the other processes have added since they were first seen. An exact look is taken only where the limit is
between the two, or seldom, to know how much is shared; and never one that would take so long that a deadline or
a click waits for it: then a run goes when it is certain to use too much. In between, what has grown since is added.

Law of the file: a run is ended on evidence, never on a guess.

Linux; elsewhere nothing is known, and nothing exceeded.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from ipytimeout.warden.proc import (
    Figures,
    Inode,
    SharedFiles,
    mapped_by,
    private_exactly,
    unshared_exactly,
    without_borrowers,
)
from ipytimeout.wire.room import Bounds

LINUX = sys.platform == "linux"

#: Between two looks at a run with a limit, in seconds: as long as memory that grows at ``_SPEED`` takes to fill what is
#: left, within these bounds.
SHORTEST, LONGEST = 0.005, 0.05
#: Bytes a second: what two cores wrote into fresh huge pages.
_SPEED = 8e9
#: Between two looks at a run without one; so often, and not more often, the host is told.
UNLIMITED = 0.25
#: The same after a minute.
LATER, _LATER = 1.0, 60.0
#: An exact look is taken when this many times its cost has passed since the last one; in need, this many times.
_REST, _REST_IN_NEED = 50.0, 5.0
#: And any look, so that many descriptors and processes cost no more than so much of a core.
_REST_OF_LOOK = 10.0
#: An exact look may take so many seconds; in need, so many.
_BUDGET, _BUDGET_IN_NEED = 0.03, 0.15
#: What it takes, until one was taken: seconds for each process, and for each byte.
_EACH, _EACH_BYTE = 0.002, 25e-12
#: Shared memory of less than this is not looked at closely.
_LITTLE = 1 << 20
#: So many processes of a run are looked at.
_MOST_PROCESSES = 1000


class Meter:
    """Measures one run. Made when it is armed, before anything is sent to it."""

    def __init__(self, pid: int, *, of_host: bool = False) -> None:
        first = Figures.of(pid)
        self._pid, self._of_host = pid, of_host
        #: What the child had from the start: a warm one shares most of it with the template.
        self.inherited = first.private if first is not None else 0
        self._files = SharedFiles()
        self._now = _Look((), {})
        #: The least private memory that each process was seen with: what it has beyond it is its own.
        self._first: dict[int, int] = {}
        self._exact = 0.0
        self._at_exact: _Look | None = None
        self._exact_at = 0.0
        self._in_need_at = 0.0
        self._each_byte = _EACH_BYTE
        #: The most that was measured.
        self.peak = 0
        #: Seconds that the last look took, without the exact part.
        self.cost = 0.0

    def rest(self, seconds: float) -> None:
        """Take no exact look for so long, unless it is needed."""
        self._exact_at = time.monotonic() + seconds

    def measure(self, pids: Iterable[int], limit: float = inf, *, closely: bool = True) -> int:
        """Return how many bytes the run's processes use together: more than ``limit`` only where that is certain.

        ``closely``: take an exact look where that is due.
        """
        begin = time.monotonic()
        figures = list(without_borrowers([f for f in map(Figures.of, list(pids)[:_MOST_PROCESSES]) if f is not None]))
        self._now = _Look(tuple(figures), self._files.look(figures))
        self._first = {f.pid: min(f.private, self._first.get(f.pid, f.private)) for f in figures}
        now = time.monotonic()
        self.cost = now - begin
        used = self.estimate
        due = closely and now >= self._exact_at and self._exact_cost <= _BUDGET
        if self.most <= limit:
            used = min(self._look_closely(now) if due else used, self.most)
        elif self.least <= limit:
            needed = used > limit
            if due or (needed and self._may_look(now)):
                used = self._look_closely(now)
            elif needed:
                used = limit  # it may be; the next exact look will tell
        self.peak = max(self.peak, round(used))
        return round(used)

    def grown(self, pids: Iterable[int], worth: float) -> float:
        """Return how much the run has taken since it was armed; exactly, where it may be what is ``worth`` to know."""
        before = 0 if self._of_host else self.inherited
        grown = self.measure(pids, closely=False) - before
        now = time.monotonic()
        if grown < worth <= self.most - self.inherited and self._may_look(now):
            return self._look_closely(now) - before
        return grown

    @property
    def most(self) -> float:
        """What the run uses at most: what several processes share, and what is both a file and mapped, counts twice."""
        look = self._now
        return sum(f.private + f.shared for f in look.figures) + sum(look.files.values())

    @property
    def least(self) -> float:
        """What the run uses at least, beyond what it began with.

        The private memory of its largest process, and what the others have added since they were first seen; but for
        its ancestors, whose memory it may have as a fork.
        """
        figures = {f.pid: f for f in self._now.figures}
        files = sum(self._now.files.values())
        largest = max(figures.values(), key=lambda f: f.private, default=None)
        if largest is None:
            return files
        others = figures.copy()
        ancestor: Figures | None = largest
        while ancestor is not None and ancestor.pid in others:
            del others[ancestor.pid]
            ancestor = figures.get(ancestor.parent)
        added = sum(f.private - self._first[f.pid] for f in others.values())
        return max(0, largest.private - self.inherited) + added + files

    @property
    def estimate(self) -> float:
        """What the run uses, as far as is known: the last exact figure, and what has grown since."""
        then = self._at_exact
        if then is None:
            # How much is shared is not known yet; half of what was there from the start is the template's, or all of
            # it the host's.
            return min(self.least + (0 if self._of_host else self.inherited / 2), self.most)
        before = {f.pid: f.private for f in then.figures}
        grown = sum(f.private - before[f.pid] for f in self._now.figures if f.pid in before)
        grown += sum(self._now.files.values()) - sum(then.files.values())
        return max(self._exact + grown, self.least)

    @property
    def _exact_cost(self) -> float:
        return sum(_EACH + self._each_byte * (f.private + 2 * f.shared) for f in self._now.figures)

    def _may_look(self, now: float) -> bool:
        """Whether an exact look may be taken that is needed, though none is due."""
        return now >= self._in_need_at and self._exact_cost <= _BUDGET_IN_NEED

    def _look_closely(self, now: float) -> float:
        look = self._now
        total = 0.0
        mapped: dict[Inode, float] = {}
        for each in look.figures:
            total += self._own_of(each) if self._of_host else private_exactly(each)
            if each.shared >= _LITTLE:
                for inode, size in mapped_by(each.pid):
                    mapped[inode] = mapped.get(inode, 0) + size
        for inode in mapped.keys() | look.files.keys():
            if not self._files.was_there(inode):
                total += max(mapped.get(inode, 0), look.files.get(inode, 0))
        total += sum(grown for inode, grown in look.files.items() if self._files.was_there(inode))
        self._exact, self._at_exact = total, look
        end = time.monotonic()
        self._exact_at = end + max(UNLIMITED, _REST * (end - now))
        self._in_need_at = end + _REST_IN_NEED * (end - now)
        size = sum(f.private + 2 * f.shared for f in look.figures)
        if size > 1e8:  # huge pages cost a tenth of small ones
            self._each_byte = 1.5 * (end - now) / size
        return total

    def _own_of(self, each: Figures) -> float:
        """Return what a copy of the host, or one of its workers, has and the host has not; at least that is certain."""
        added = each.private - (self.inherited if each.pid == self._pid else self._first.get(each.pid, each.private))
        return max(unshared_exactly(each), added)


@dataclass(frozen=True, slots=True)
class _Look:
    figures: tuple[Figures, ...]
    files: dict[Inode, int]


# ---------------------------------------------------------------- when to look


class Watch:
    """One run: when to look at its memory again, and what the host is to hear of it."""

    def __init__(self, pid: int, limit: float, tells: bool, of_host: bool = False) -> None:
        """``of_host``: it is a copy of the host."""
        self.meter = Meter(pid, of_host=of_host)
        self._limit = limit
        self._tells = tells
        self._started = self._told_at = inf
        self._told = 0
        #: When to look, while the code runs.
        self.due = inf

    def code_starts(self) -> None:
        """The clock of the code starts now."""
        if LINUX:
            self._started = self._told_at = time.monotonic()
            self.meter.rest(UNLIMITED)
            self.due = self._started + (UNLIMITED if self._limit == inf else LONGEST)

    def look(self, pids: Iterable[int]) -> bool:
        """Measure; tell whether the run uses more than it may."""
        now = time.monotonic()
        used = self.meter.measure(pids, self._limit)
        if self._limit == inf:
            interval = UNLIMITED if now - self._started < _LATER else LATER
        else:
            interval = min(LONGEST, max(SHORTEST, (self._limit - used) / _SPEED))
        self.due = now + max(interval, _REST_OF_LOOK * self.meter.cost)
        return used > self._limit

    def news(self) -> int | None:
        """Return how much the run uses, if the host is to be told now."""
        now, used = time.monotonic(), round(self.meter.estimate)
        interval = UNLIMITED if now - self._started < _LATER else LATER
        if not self._tells or now - self._told_at < interval * 0.99 or abs(used - self._told) <= self._told / 200:
            return None
        self._told_at, self._told = now, used
        return used


class Reserve:
    """What must stay free in this container, or on this machine, for the kernel of the notebook to live."""

    #: Between two looks, as for a run.
    SHORTEST, LONGEST = 0.01, 0.2
    #: The reserve is this part of what there is, within these bounds.
    PART, LEAST, MOST = 1 / 32, 64e6, 512e6
    #: After a run was ended its memory takes time to be free: so long no other one is.
    PAUSE = 1.0
    #: A limit of the container may be changed: it is read anew so often.
    _ANEW = 30.0

    def __init__(self, proc: str = "/proc", cgroup: str = "/sys/fs/cgroup") -> None:
        self._where = proc, cgroup
        self._bounds: Bounds | None = None
        self._read_at = 0.0
        self.due = inf

    @property
    def bounds(self) -> Bounds:
        now = time.monotonic()
        if self._bounds is None or now >= self._read_at + self._ANEW:
            self._bounds, self._read_at = Bounds(*self._where), now
        return self._bounds

    @property
    def size(self) -> float:
        """How many bytes must stay free; none where nobody knows how much there is."""
        total = self.bounds.total
        return 0 if total == inf else min(self.MOST, max(self.LEAST, total * self.PART))

    def watch(self) -> None:
        """A run is armed: look soon."""
        if LINUX:
            self.due = min(self.due, time.monotonic() + self.LONGEST)

    def pause(self, seconds: float) -> None:
        """Do not look for so long."""
        self.due = time.monotonic() + seconds

    def is_short(self) -> bool:
        """Look; tell whether there is less left than must be."""
        left = self.bounds.left() - self.size
        interval = min(self.LONGEST, max(self.SHORTEST, left / _SPEED))
        self.due = time.monotonic() + interval
        return left < 0
