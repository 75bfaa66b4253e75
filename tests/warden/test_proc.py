"""What the kernel's files say of the memory of processes: files made up, and real ones."""

from __future__ import annotations

import mmap
import os
from multiprocessing.shared_memory import SharedMemory

import pytest

from ipytimeout.warden import proc
from ipytimeout.warden.proc import Figures, SharedFiles, parse_mappings, without_borrowers

MB = 10**6

STATUS = b"""\
Name:	python
State:	S (sleeping)
PPid:	7
VmPeak:	  900000 kB
VmSize:	  800000 kB
VmHWM:	  100000 kB
VmRSS:	   90000 kB
RssAnon:	   60000 kB
RssFile:	   20000 kB
RssShmem:	   10000 kB
VmSwap:	    5000 kB
HugetlbPages:	    2048 kB
Threads:	1
"""


def test_private_memory_is_what_is_anonymous_swapped_out_or_reserved() -> None:
    figures = Figures.parse(9, STATUS)
    assert figures == Figures(9, 7, 800_000 << 10, (60_000 + 5_000 + 2_048) << 10, 20_000 << 10, 10_000 << 10)


def test_a_zombie_has_no_memory_and_where_only_the_sum_is_told_it_counts() -> None:
    assert Figures.parse(9, b"Name:\tpython\nState:\tZ (zombie)\nPPid:\t7\n") is None
    figures = Figures.parse(9, b"PPid:\t7\nVmSize:\t900 kB\nVmRSS:\t90 kB\n")
    assert figures is not None and figures.private == 90 << 10
    assert Figures.of(2**22 + 1) is None


MAPPING = """\
{0} {1} 00000000 {2} {3} {4}
Size:            2048 kB
Rss:             {5} kB
Pss:             {6} kB
Pss_Dirty:       {6} kB
Anonymous:       {7} kB
VmFlags: rd wr mr mw me ac sd
"""


def test_of_shared_memory_the_share_counts_that_is_not_private() -> None:
    """Not the notebook's arrays, not files on a disk, not the heap; of a written private mapping what is only read."""
    text = "".join(
        MAPPING.format(*each)
        for each in [
            ("7f00-7f10", "rw-s", "00:1a", 11, "/dev/shm/psm_1", 1000, 500, 0),
            ("7f10-7f20", "rw-p", "00:1a", 12, "/dev/shm/copied (deleted)", 1000, 1000, 250),
            ("7f20-7f30", "rw-p", "00:01", 13, "/memfd:ipytimeout (deleted)", 1000, 1000, 250),
            ("7f30-7f40", "rw-s", "00:01", 14, "/dev/zero (deleted)", 100, 100, 0),
            ("7f40-7f50", "rw-s", "00:01", 15, "/dev/zero (deleted)", 0, 0, 0),
            ("7f50-7f60", "r-xp", "08:01", 16, "/usr/lib/libc.so.6", 1000, 1000, 0),
            ("7f60-7f70", "rw-p", "00:00", 0, "[heap]", 1000, 1000, 1000),
        ]
    ).encode()
    shm, memfd = os.makedev(0, 0x1A), os.makedev(0, 1)
    assert list(parse_mappings(text, frozenset({shm, memfd}))) == [
        ((shm, 11), 500 * 1024),
        ((shm, 12), 750 * 1024),
        ((memfd, 14), 100 * 1024),
    ]


def test_a_process_that_runs_in_its_parents_memory_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between vfork and exec; a worker that has exec'ed, or has memory of its own, counts."""
    parent = Figures(1, 0, 1000, 500, 100, 0)
    borrower = Figures(2, 1, 1000, 502, 100, 0)
    worker = Figures(3, 1, 1000, 400, 30, 0)
    stranger = Figures(4, 9, 1000, 500, 100, 0)
    monkeypatch.setattr(proc, "_has_not_execed", lambda pid: True)
    assert list(without_borrowers([parent, borrower, worker, stranger])) == [parent, worker, stranger]
    monkeypatch.setattr(proc, "_has_not_execed", lambda pid: False)
    assert list(without_borrowers([parent, borrower])) == [parent, borrower]


def test_a_file_in_memory_that_is_only_read_is_another_ones() -> None:
    memory = SharedMemory(create=True, size=MB)
    path = f"/dev/shm/{memory.name}"
    try:
        assert memory.buf is not None
        files = SharedFiles()
        files._before.clear()
        me = Figures.of(os.getpid())
        assert me is not None
        memory.buf[:] = bytes(memory.size)
        inode = os.stat(path).st_dev, os.stat(path).st_ino
        assert files.look([me])[inode] == pytest.approx(MB, abs=mmap.PAGESIZE)
        memory.close()
        files = SharedFiles()
        files._before.clear()
        with open(path, "rb"):
            assert inode not in files.look([me])
    finally:
        memory.unlink()
