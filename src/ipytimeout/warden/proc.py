"""What ``/proc`` tells of the memory of processes. In the warden's only thread; standard library only.

Law of the file: it reads, and decides nothing. A process that is gone, or that may not be looked at, is no error.

Linux; elsewhere nothing is found.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

#: So many files of shared memory are remembered, and so many descriptors of a process are looked at.
_MOST_FILES, _MOST_DESCRIPTORS = 1000, 2000
#: Of so many processes the descriptors are looked at.
_MOST_HOLDERS = 100

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
_ROLLUP = re.compile(rb"^(Pss|Pss_Anon|Private_Dirty|SwapPss|Private_Hugetlb):\s+(\d+) kB", re.MULTILINE | re.ASCII)
_MAPPING = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$", re.MULTILINE | re.ASCII)
_SHARES = re.compile(rb"^(Rss|Pss|Anonymous):\s+(\d+) kB", re.MULTILINE | re.ASCII)
#: What the kernel calls the memory in which the notebook's arrays came (``wire.memory``).
_SENT = "/memfd:ipytimeout (deleted)"


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


def unshared_exactly(figures: Figures) -> int:
    """Return how much memory a process has written that no other process has; 0 where that is not known."""
    found = _rollup(figures.pid)
    return min(found.get(b"Private_Dirty", 0), figures.private) + found.get(b"Private_Hugetlb", 0)


def _rollup(pid: int) -> dict[bytes, int]:
    """Read the sums over all mappings, in bytes; none of a program with more rights, or in some sandboxes."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return {name: int(value) * 1024 for name, value in _ROLLUP.findall(file.read())}
    except OSError:
        return {}


def private_exactly(figures: Figures) -> int:
    found = _rollup(figures.pid)
    if b"Pss" not in found:
        return figures.private
    pss = found.get(b"Pss_Anon", min(found[b"Pss"], figures.private))
    return pss + found.get(b"SwapPss", 0) + found.get(b"Private_Hugetlb", 0)


def mapped_by(pid: int) -> Iterator[tuple[Inode, float]]:
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
        for each in itertools.islice(figures, _MOST_HOLDERS):
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
        return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")[:_MOST_DESCRIPTORS]]
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
