"""Large buffers in shared memory without a name: made here, mapped there. In host and child, in any thread.

A memfd is not bound by the size of /dev/shm, where a file in it would fail or kill by SIGBUS; it needs no unlink and
is gone with its last mapping. The receiver maps it copy-on-write: what it writes stays its own, and which pages
it wrote can be asked of the kernel (``/proc/self/pagemap``) instead of comparing gigabytes.

A copy of the kernel has no such mappings: there every page is shared with the kernel until one of both writes to it,
and the operating system tells which pages nobody else has.

Law of the file: one memfd for each buffer, so that memory is free again when the last view of *that* buffer dies;
nothing is mapped that its sender could still shorten.

Linux; elsewhere ``available`` is False and buffers travel through the channel.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import weakref
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from ipytimeout.wire.messages import Attached, Buffer

available = hasattr(os, "memfd_create") and sys.platform == "linux"

#: From this size on a buffer travels as a descriptor; below, a copy through the channel is faster.
THRESHOLD = 1 << 20
#: So many descriptors one message carries at most (the kernel allows 253); the rest goes through the channel.
MOST = 200
#: So much is copied in one call, in bytes: between two calls an interrupt is seen.
CHUNK = 1 << 26

_PAGE = mmap.PAGESIZE
_SHRINK, _GROW, _ADD_SEALS = 0x0002, 0x0004, 1033  # <linux/fcntl.h>
_PRESENT, _SWAPPED, _OF_FILE, _EXCLUSIVE = 1 << 63, 1 << 62, 1 << 61, 1 << 56

#: What is mapped in this process: address → its mapping, for as long as somebody holds it.
_mappings: weakref.WeakValueDictionary[int, mmap.mmap] = weakref.WeakValueDictionary()

#: In a copy of another process, a page that was written since the fork: as long as no other process has it, none has
#: what this one has written.
_canary: mmap.mmap | None = None


def begin_as_copy() -> None:
    """From now on ``written`` tells what was written since this process was forked from another that goes on."""
    global _canary
    _canary = mmap.mmap(-1, _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    _canary[0] = 1


class Filling:
    """A buffer on its way into a memfd, a chunk at a time."""

    def __init__(self, buffer: Buffer) -> None:
        self._view = memoryview(buffer).cast("B")
        self._done = 0
        self.attached = Attached(
            os.memfd_create("ipytimeout", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), self._view.nbytes
        )

    def step(self) -> int:
        """Copy one chunk; return how many bytes that was, 0 when all is done. Raise ``OSError`` when memory is full."""
        if self._done == self._view.nbytes:
            return 0
        chunk = self._view[self._done : self._done + CHUNK]
        count = os.pwrite(self.attached.descriptor, chunk, self._done)
        self._done += count
        return count


def share(buffers: Sequence[Buffer]) -> tuple[list[Buffer], list[Filling]]:
    """Choose which buffers travel as descriptors: the largest, as many as may be.

    Return what stands in the message, and what is to be filled before it is sent, in the message's order.
    """
    sizes = [memoryview(b).nbytes for b in buffers]
    large = [i for i, size in enumerate(sizes) if size >= THRESHOLD] if available else []
    fillings: dict[int, Filling] = {}
    with suppress(OSError):  # this process may open no more descriptors: the rest goes through the channel
        for i in sorted(sorted(large, key=lambda i: -sizes[i])[:MOST]):
            fillings[i] = Filling(buffers[i])
    stand_in = [fillings[i].attached if i in fillings else b for i, b in enumerate(buffers)]
    return cast("list[Buffer]", stand_in), list(fillings.values())


def new_shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """Make memory that another process can see: a descriptor for that one, and its mapping here."""
    descriptor = os.memfd_create("ipytimeout", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    if sys.version_info >= (3, 13):  # without a descriptor of its own, which would count as a file that is open
        return descriptor, mmap.mmap(descriptor, size, trackfd=False)
    return descriptor, mmap.mmap(descriptor, size)


def map_private(attached: Attached) -> memoryview:
    """Map a buffer copy-on-write, and close its descriptor. Raise ``ValueError`` where it is not what it says.

    A descriptor of no bytes is a receipt: one end of a pipe, whose other end sees it closed when it has arrived.
    """
    descriptor, size = attached.descriptor, attached.size
    if not size:
        os.close(descriptor)
        return memoryview(b"")
    try:
        # The other process keeps a descriptor: shortened later, the mapping would kill this one by SIGBUS.
        fcntl.fcntl(descriptor, _ADD_SEALS, _SHRINK | _GROW)
        if os.fstat(descriptor).st_size < size:
            raise ValueError("a buffer that was sent is shorter than it was said to be")
        mapping = mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError as error:
        raise ValueError(f"a buffer that was sent cannot be mapped: {error}") from error
    finally:
        os.close(descriptor)
    view = memoryview(mapping)
    _mappings[_address(view)] = mapping
    return view


def written(address: int, size: int) -> list[tuple[int, int]] | None:
    """Return which parts of this memory have been written since it was mapped, as (offset, length), whole pages.

    In a copy of another process: since that was made. Return ``None`` where that is not known: the memory is not of a
    mapping, the kernel does not tell, or a process that was forked from this one has it too.
    """
    mask = _PRESENT | _OF_FILE
    if _canary is not None:
        mask |= _EXCLUSIVE
        own = _entries(_address(memoryview(_canary)), 1)
        if own is None or not own[0] & _EXCLUSIVE:
            return None
    elif not _is_mapped(address, size):
        return None
    entries = _entries(address, size)
    return None if entries is None else _runs(entries, mask, address % _PAGE, size)


def _entries(address: int, size: int) -> array[int] | None:
    """Return what the kernel tells of each page of this memory; None where it does not."""
    first, last = address // _PAGE, (address + size - 1) // _PAGE
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(first * 8)
            entries = array("Q", file.read((last - first + 1) * 8))
    except OSError:
        return None
    return entries if len(entries) == last - first + 1 else None


def _runs(entries: array[int], mask: int, lead: int, size: int) -> list[tuple[int, int]]:
    """Join neighbouring written pages; ``lead`` is how far into the first page the memory begins."""
    here = mask & ~_OF_FILE
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        flags = numpy.frombuffer(entries, "u8")
        mine = (flags & mask == here) | (flags & _SWAPPED != 0)
        pages = numpy.flatnonzero(mine).tolist()
    else:
        pages = [i for i, e in enumerate(entries) if e & _SWAPPED or e & mask == here]
    runs: list[tuple[int, int]] = []
    for page in pages:
        begin, end = max(0, page * _PAGE - lead), min(size, (page + 1) * _PAGE - lead)
        if runs and runs[-1][0] + runs[-1][1] == begin:
            runs[-1] = runs[-1][0], end - runs[-1][0]
        else:
            runs.append((begin, end - begin))
    return runs


def _is_mapped(address: int, size: int) -> bool:
    return any(start <= address and address + size <= start + len(m) for start, m in list(_mappings.items()))


def _address(view: memoryview) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(view))
