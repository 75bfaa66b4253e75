"""How much memory a run uses, and whether there is any left. In the warden's only thread; standard library only.

What counts is what would be free again if the run were not there:

- private memory of all of its processes: PSS of anonymous pages, and what is swapped out. A page that forked workers
  share counts once; one that the template has too (a warm child begins as its copy) counts in equal shares. Summed
  resident memory would show such pages once for each process.
- shared memory made since the run was armed: files in tmpfs (``/dev/shm``) and memfds, by what is allocated for them,
  mapped or not; and what is shared without a file, by PSS.

What does not: pages of files on a disk, which the kernel drops when it needs memory (libraries, ``numpy.memmap``); what
was asked for and never touched (``numpy.zeros``); shared memory that was there before; and the arrays that the notebook
sent. These are mapped copy-on-write, and PSS calls them the run's own as soon as it reads them, for nobody else has
them mapped; but they are a price of the run's start, not of what its code does. A page of them that the code writes
to becomes an anonymous one, and counts.

Exact figures are dear: the kernel walks the tables of all pages, 2 ms for a process without much, 22 ms for each GB of
small pages, and what maps memory waits meanwhile. What ``/proc/PID/status`` says costs 0.02 ms: its sum is a bound
from above (what is shared counts twice), its largest part one from below. So the exact look is taken only where the
limit is between the two, or seldom, to know how much is shared; in between, what has grown since is added to it.

Linux; elsewhere nothing is known, and nothing exceeded.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

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
_REST, _REST_IN_NEED = 50.0, 3.0
#: And any look, so that many descriptors and processes cost no more than so much of a core.
_REST_OF_LOOK = 10.0
#: Shared memory of less than this is not looked at closely.
_LITTLE = 1 << 20
#: So many files of shared memory are remembered.
_MOST_FILES = 1000

Inode: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """What ``/proc/PID/status`` tells of a process's memory, in bytes."""

    pid: int
    parent: int
    size: int
    #: Private memory: anonymous, swapped out, and huge pages that were reserved.
    private: int
    file: int
    #: Shared memory that is mapped, and touched.
    shared: int

    @classmethod
    def of(cls, pid: int) -> Figures | None:
        """Read them; None for a process that is gone, or going."""
        try:
            with open(f"/proc/{pid}/status", "rb") as file:
                return cls.parse(pid, file.read())
        except OSError:
            return None

    @classmethod
    def parse(cls, pid: int, text: bytes) -> Figures | None:
        """Read the text of a ``status``; None where there is nothing of memory in it: a zombie."""
        found = {name: int(value) for name, value in _STATUS.findall(text)}
        if b"VmRSS" not in found:
            return None
        private = found.get(b"RssAnon", found[b"VmRSS"])  # some sandboxes tell the sum only
        private += found.get(b"VmSwap", 0) + found.get(b"HugetlbPages", 0)
        size, file, shared = (found.get(name, 0) for name in (b"VmSize", b"RssFile", b"RssShmem"))
        return cls(pid, found.get(b"PPid", 0), size * 1024, private * 1024, file * 1024, shared * 1024)

    def is_like(self, other: Figures) -> bool:
        """Tell whether two processes look as if they had the very same memory."""
        mine, others = (self.size, self.private, self.file), (other.size, other.private, other.file)
        return all(abs(a - b) <= b / 100 for a, b in zip(mine, others, strict=True))


_STATUS = re.compile(
    rb"^(PPid|VmSize|VmRSS|RssAnon|RssFile|RssShmem|VmSwap|HugetlbPages):\s+(\d+)", re.MULTILINE | re.ASCII
)
_ROLLUP = re.compile(rb"^(Pss|Pss_Anon|SwapPss|Private_Hugetlb):\s+(\d+) kB", re.MULTILINE | re.ASCII)
_MAPPING = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$", re.MULTILINE | re.ASCII)
_SHARES = re.compile(rb"^(Rss|Pss|Anonymous):\s+(\d+) kB", re.MULTILINE | re.ASCII)
#: What the kernel calls the memory in which the notebook's arrays came (``wire.memory``).
_SENT = "/memfd:ipytimeout (deleted)"


class Meter:
    """Measures one run. Made when it is armed, before anything is sent to it."""

    def __init__(self, pid: int) -> None:
        first = Figures.of(pid)
        #: What the child had from the start: a warm one shares most of it with the template.
        self.inherited = first.private if first is not None else 0
        self._files = SharedFiles()
        self._now = _Look((), {}, {})
        self._exact = 0.0
        self._at_exact: _Look | None = None
        self._exact_at = 0.0
        self._in_need_at = 0.0
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
        figures = list(without_borrowers([f for f in map(Figures.of, pids) if f is not None]))
        self._now = _Look(tuple(figures), {f.pid: f.private for f in figures}, self._files.look(figures))
        now = time.monotonic()
        self.cost = now - begin
        used = self.estimate
        if self.most <= limit:
            if closely and now >= self._exact_at:
                used = self._look_closely(now)
            used = min(used, self.most)
        elif self.least <= limit:
            if now >= self._exact_at or (used > limit and now >= self._in_need_at):
                used = self._look_closely(now)
            elif used > limit:
                used = limit  # it may be; the next exact look will tell
        self.peak = max(self.peak, round(used))
        return round(used)

    def grown(self, pids: Iterable[int], worth: float) -> float:
        """Return how much the run has taken since it was armed; exactly, where it may be what is ``worth`` to know."""
        grown = self.measure(pids, closely=False) - self.inherited
        now = time.monotonic()
        if grown < worth <= self.most - self.inherited and now >= self._in_need_at:
            grown = round(self._look_closely(now)) - self.inherited
        return grown

    @property
    def most(self) -> float:
        """What the run uses at most: what several processes share, and what is both a file and mapped, counts twice."""
        look = self._now
        return sum(f.private + f.shared for f in look.figures) + sum(look.files.values())

    @property
    def least(self) -> float:
        """What the run uses at least, beyond what it began with: the private memory of its largest process."""
        largest = max((f.private for f in self._now.figures), default=0)
        return max(0, largest - self.inherited) + sum(self._now.files.values())

    @property
    def estimate(self) -> float:
        """What the run uses, as far as is known: the last exact figure, and what has grown since."""
        then = self._at_exact
        if then is None:
            # How much is shared is not known yet; half of what was there from the start is the template's.
            private = sum(f.private for f in self._now.figures) - self.inherited / 2
            return max(private + sum(self._now.files.values()), self.least)
        grown = sum(p - then.private[pid] for pid, p in self._now.private.items() if pid in then.private)
        grown += sum(self._now.files.values()) - sum(then.files.values())
        return max(self._exact + grown, self.least)

    def _look_closely(self, now: float) -> float:
        look = self._now
        total = 0.0
        mapped: dict[Inode, float] = {}
        for each in look.figures:
            total += _private_exactly(each)
            if each.shared >= _LITTLE:
                for inode, size in _mapped_by(each.pid):
                    mapped[inode] = mapped.get(inode, 0) + size
        for inode in mapped.keys() | look.files.keys():
            if not self._files.was_there(inode):
                total += max(mapped.get(inode, 0), look.files.get(inode, 0))
        total += sum(grown for inode, grown in look.files.items() if self._files.was_there(inode))
        self._exact, self._at_exact = total, look
        end = time.monotonic()
        self._exact_at = end + max(UNLIMITED, _REST * (end - now))
        self._in_need_at = end + _REST_IN_NEED * (end - now)
        return total


@dataclass(frozen=True, slots=True)
class _Look:
    figures: tuple[Figures, ...]
    private: dict[int, int]
    files: dict[Inode, int]


def without_borrowers(figures: list[Figures]) -> Iterator[Figures]:
    """Leave out what has no memory of its own: between vfork and exec a process runs in its parent's.

    Nothing that any user may read says so; but it has not exec'ed, and looks like its parent. A forked worker that
    looks so too shares its memory with the parent, and hardly any is lost by leaving it out.
    """
    by_pid = {f.pid: f for f in figures}
    for each in figures:
        parent = by_pid.get(each.parent)
        if parent is None or not each.is_like(parent) or not _has_not_execed(each.pid):
            yield each


def _has_not_execed(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return bool(int(file.read().rpartition(b")")[2].split()[6]) & 0x40)  # PF_FORKNOEXEC
    except OSError:
        return True


def _private_exactly(figures: Figures) -> int:
    try:
        with open(f"/proc/{figures.pid}/smaps_rollup", "rb") as file:
            found = {name: int(value) * 1024 for name, value in _ROLLUP.findall(file.read())}
    except OSError:  # of a program with more rights than ours, or a sandbox without such a file
        return figures.private
    if b"Pss" not in found:
        return figures.private
    pss = found.get(b"Pss_Anon", min(found[b"Pss"], figures.private))
    return pss + found.get(b"SwapPss", 0) + found.get(b"Private_Hugetlb", 0)


def _mapped_by(pid: int) -> Iterator[tuple[Inode, float]]:
    """Yield the shared memory that a process maps: each mapping's share of it, without what the notebook sent."""
    try:
        with open(f"/proc/{pid}/smaps", "rb") as file:
            text = file.read()
    except OSError:
        return
    yield from parse_mappings(text, shared_memory_devices())


def parse_mappings(smaps: bytes, devices: frozenset[int]) -> Iterator[tuple[Inode, float]]:
    """Read the text of an ``smaps``: for each mapping of memory on ``devices``, its inode and its share in bytes."""
    found = list(_MAPPING.finditer(smaps))
    for mapping, following in zip(found, [*found[1:], None], strict=True):
        major, minor, inode, path = mapping.groups()
        device = os.makedev(int(major, 16), int(minor, 16))
        if device not in devices or inode == b"0" or path == _SENT.encode():
            continue
        figures = smaps[mapping.end() : following.start() if following is not None else len(smaps)]
        shares = {name: int(value) for name, value in _SHARES.findall(figures)}
        if rss := shares.get(b"Rss", 0):
            # What was written to in a private mapping is anonymous, and counted with the rest of that.
            yield (device, int(inode)), shares.get(b"Pss", 0) * 1024 * (1 - shares.get(b"Anonymous", 0) / rss)


# ---------------------------------------------------------------- files in memory


class SharedFiles:
    """The files in memory that a run makes: in ``/dev/shm``, in another tmpfs, or without a name (memfd)."""

    def __init__(self, directory: str = "/dev/shm") -> None:
        self._since = time.time()
        self._devices = shared_memory_devices()
        #: What was there before the run, and how many bytes it had.
        self._before = dict(itertools.islice(_files_below(directory), _MOST_FILES))
        #: Those with a name, which exist on when nobody has them open.
        self._named: dict[Inode, str] = {}
        try:
            self._known_device = os.stat(directory).st_dev
        except OSError:
            self._known_device = -1

    def was_there(self, inode: Inode) -> bool:
        """Tell whether a file was there before the run."""
        return inode in self._before

    def look(self, figures: Iterable[Figures]) -> dict[Inode, int]:
        """Return how many bytes are allocated for each file that these processes have written, now or before."""
        found: dict[Inode, int] = {}
        for inode, path in list(self._named.items()):
            if not self._take_named(inode, path, found):
                del self._named[inode]
        for each in figures:
            for path in _descriptors(each.pid):
                self._take(path, found)
        return found

    def _take(self, path: str, found: dict[Inode, int]) -> None:
        try:
            file = os.stat(path)
            if file.st_dev not in self._devices or not stat.S_ISREG(file.st_mode):
                return
            inode = file.st_dev, file.st_ino
            if inode in found or (inode not in self._before and file.st_mtime < self._since - 1):
                return
            if not os.lstat(path).st_mode & stat.S_IWUSR:  # it is only read: another's
                return
            target = os.readlink(path)
            if target == _SENT:
                return
            if file.st_nlink and file.st_dev != self._known_device:
                # In another tmpfs (/tmp, often): nobody knows whether it is new, so what it has now does not count.
                self._before.setdefault(inode, file.st_blocks * 512)
            found[inode] = max(0, file.st_blocks * 512 - self._before.get(inode, 0))
            if file.st_nlink and len(self._named) < _MOST_FILES:
                self._named[inode] = target
        except OSError:  # closed meanwhile
            return

    def _take_named(self, inode: Inode, path: str, found: dict[Inode, int]) -> bool:
        try:
            file = os.stat(path)
        except OSError:
            return False
        if (file.st_dev, file.st_ino) != inode:
            return False
        found[inode] = max(0, file.st_blocks * 512 - self._before.get(inode, 0))
        return True


def _files_below(directory: str) -> Iterator[tuple[Inode, int]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                known = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(known.st_mode):
                    yield from _files_below(entry.path)
                else:
                    yield (known.st_dev, known.st_ino), known.st_blocks * 512
    except OSError:  # another user's, or gone
        return


def _descriptors(pid: int) -> list[str]:
    try:
        return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


@functools.cache
def shared_memory_devices() -> frozenset[int]:
    """Return the device numbers of everything that is a file in memory: each tmpfs, and where memfds are."""
    devices = set()
    try:
        with open("/proc/self/mountinfo") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                if after.startswith("tmpfs "):
                    major, minor = before.split()[2].split(":")
                    devices.add(os.makedev(int(major), int(minor)))
        memfd = os.memfd_create("ipytimeout-device")
        devices.add(os.fstat(memfd).st_dev)
        os.close(memfd)
    except (OSError, AttributeError):
        return frozenset(devices)
    return frozenset(devices)


# ---------------------------------------------------------------- when to look


class Watch:
    """One run: when to look at its memory again, and what the host is to hear of it."""

    def __init__(self, pid: int, limit: float, tells: bool) -> None:
        self.meter = Meter(pid)
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
