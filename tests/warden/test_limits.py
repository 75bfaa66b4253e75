"""What counts as a run's memory, measured on small real processes; and what must be left for all."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from math import inf
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from ipytimeout.warden import limits, tree
from ipytimeout.warden.limits import Meter, Reserve, Watch
from ipytimeout.warden.proc import Figures, SharedFiles, shared_memory_devices

MB = 10**6

# ---------------------------------------------------------------- real processes


class Child:
    """A program that does one step each time it is told to."""

    def __init__(self, code: str) -> None:
        code = f"import mmap, os, subprocess, sys\nwait = sys.stdin.readline\nprint(flush=True)\nwait()\n{code}"
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", f"{code}\nprint(flush=True)\nwait()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self._answered()
        self.meter = Meter(self.pid)
        self.meter.rest(0)
        self.before = self.meter.measure([self.pid])

    def step(self) -> int:
        """Go on until the next step; return what has been added, exactly."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._answered()
        self.meter.rest(0)
        return self.meter.measure(self.members) - self.before

    @property
    def members(self) -> list[int]:
        return [self.pid, *tree.descendants(self.pid)]

    def _answered(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the program has ended"

    def close(self) -> None:
        for pid in reversed(self.members):
            tree.send(pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def child() -> Iterator[Callable[[str], Child]]:
    started: list[Child] = []

    def start(code: str) -> Child:
        started.append(Child(code))
        return started[-1]

    yield start
    for each in started:
        each.close()


FORK = """
gate, go = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        os.read(gate, 1)
        os._exit(0)
"""


@pytest.mark.parametrize(
    ("code", "added"),
    [
        pytest.param("x = bytearray(b'x') * (50 * 10**6)", 50, id="private memory counts"),
        pytest.param("x = [str(i) for i in range(500_000)]", 30, id="so do Python's objects"),
        pytest.param("m = mmap.mmap(-1, 10**9, flags=mmap.MAP_PRIVATE)", 0, id="memory that is not touched does not"),
        pytest.param(
            "m = mmap.mmap(-1, 50 * 10**6); m[:] = bytes(50 * 10**6)", 50, id="shared memory without a file does"
        ),
        pytest.param("f = os.memfd_create('x'); os.write(f, bytes(50 * 10**6))", 50, id="so does a memfd nobody maps"),
        pytest.param(
            "f = os.memfd_create('x'); os.truncate(f, 50 * 10**6); m = mmap.mmap(f, 0); m[:] = bytes(50 * 10**6)",
            50,
            id="and one that is mapped too, once",
        ),
        pytest.param("x = bytearray(b'x') * (50 * 10**6)" + FORK, 50, id="what forked workers share counts once"),
        pytest.param(
            "x = subprocess.Popen([sys.executable, '-Sc', 'x = bytearray(b\"x\") * (50 * 10**6); print(flush=True);"
            " input()'], stdin=subprocess.PIPE, stdout=subprocess.PIPE); x.stdout.readline()",
            54,
            id="a subprocess counts",
        ),
    ],
)
def test_of_a_run(child: Callable[[str], Child], code: str, added: int) -> None:
    """In megabytes, within what an interpreter itself may add."""
    assert child(code).step() / MB == pytest.approx(added, abs=8 if added else 1.5)


def test_pages_of_a_file_on_a_disk_do_not_count(child: Callable[[str], Child], tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(50 * MB))
    if os.stat(path).st_dev in shared_memory_devices():
        pytest.skip("not here: the temporary directory is in memory")
    code = f"f = open({str(path)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); m[:].count(b'x')"
    assert child(code).step() < 5 * MB


@pytest.mark.parametrize(("name", "read"), [("ipytimeout", 0), ("of the code's own", 50)])
def test_what_the_notebook_sent_counts_once_it_is_written_to(
    child: Callable[[str], Child], name: str, read: int
) -> None:
    """Read, it does not count; a memfd of the code's own does, whatever is done with it."""
    program = child(
        f"""
f = os.memfd_create({name!r})
os.write(f, bytes(50 * 10**6))
m = mmap.mmap(f, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
for page in range(0, 50 * 10**6, 4096): m[page]
print(flush=True); wait()
m[:5 * 10**6] = b"y" * (5 * 10**6)
"""
    )
    assert program.step() / MB == pytest.approx(read, abs=2)
    assert program.step() / MB == pytest.approx(read + 5, abs=3)


def test_named_shared_memory_counts_for_as_long_as_it_exists(child: Callable[[str], Child]) -> None:
    """Also when nobody has it open any more."""
    path = f"/dev/shm/ipytimeout-test-{os.getpid()}"
    program = child(
        f"""
f = open({path!r}, "wb"); f.write(bytes(50 * 10**6)); f.flush()
print(flush=True); wait()
f.close()
print(flush=True); wait()
os.unlink({path!r})
"""
    )
    try:
        assert program.step() / MB == pytest.approx(50, abs=2)
        assert program.step() / MB == pytest.approx(50, abs=2)
        assert program.step() / MB == pytest.approx(0, abs=2)
    finally:
        Path(path).unlink(missing_ok=True)


def test_shared_memory_that_was_there_before_does_not_count_but_what_is_added_to_it_does(
    child: Callable[[str], Child],
) -> None:
    """It is the notebook's, and would not be free again."""
    memory = SharedMemory(create=True, size=60 * MB)
    try:
        assert memory.buf is not None
        memory.buf[: 40 * MB] = bytes(40 * MB)
        program = child(
            f"""
f = os.open("/dev/shm/{memory.name}", os.O_RDWR)
m = mmap.mmap(f, 0)
for page in range(0, 40 * 10**6, 4096): m[page]
print(flush=True); wait()
m[40 * 10**6:] = bytes(len(m) - 40 * 10**6)
"""
        )
        assert program.step() / MB == pytest.approx(0, abs=2)
        assert program.step() / MB == pytest.approx(20, abs=2)
    finally:
        memory.close()
        memory.unlink()


def test_of_a_file_in_another_tmpfs_only_what_is_added_counts(
    child: Callable[[str], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it was there before; it may be the user's gigabytes in ``/tmp``."""
    path = f"/dev/shm/ipytimeout-test-{os.getpid()}"
    Path(path).write_bytes(bytes(20 * MB))
    step = f"f = open({path!r}, 'ab'); f.write(bytes(10**6)); f.flush()\nprint(flush=True); wait()\n"
    program = child(step + "f.write(bytes(30 * 10**6)); f.flush()")
    files = SharedFiles("/proc/self/fdinfo")  # so that /dev/shm is another one
    monkeypatch.setattr(program.meter, "_files", files)
    try:
        assert program.step() / MB == pytest.approx(0, abs=2)
        assert program.step() / MB == pytest.approx(30, abs=2)
    finally:
        Path(path).unlink()


def test_the_limit_is_exceeded_only_where_that_is_certain(child: Callable[[str], Child]) -> None:
    """Four workers that share 50 MB look like 250 at first sight."""
    program = child("x = bytearray(b'x') * (50 * 10**6)" + FORK)
    program.step()
    members, meter = program.members, program.meter
    assert meter.most > 200 * MB > meter.least
    assert meter.measure(members, 100 * MB) < 100 * MB
    meter = Meter(program.pid)
    meter.inherited = 0
    meter.rest(60)
    assert meter.measure(members, 100 * MB, closely=False) <= 100 * MB
    assert meter.measure(members, 40 * MB) > 40 * MB


def test_what_has_grown_since_the_last_exact_look_is_added(child: Callable[[str], Child]) -> None:
    program = child("x = bytearray(b'x') * (20 * 10**6)\nprint(flush=True); wait()\ny = bytearray(b'x') * (30 * 10**6)")
    exact = program.step()
    program.step()
    program.meter.rest(60)
    meter = program.meter
    grown = meter.measure(program.members) - program.before
    assert (grown - exact) / MB == pytest.approx(30, abs=2)
    assert meter.peak >= grown


# ---------------------------------------------------------------- what is certain


class Tree:
    """Processes that the test makes up: the first is the child, with 100 MB from the start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: dict[int, Figures] = {}
        self.has(1, 0, 100)
        monkeypatch.setattr(Figures, "of", self.processes.get)
        monkeypatch.setattr(limits, "private_exactly", self._look)
        monkeypatch.setattr(SharedFiles, "look", lambda self, figures: {})
        self.exact_looks = 0
        self.meter = Meter(1)

    def has(self, pid: int, parent: int, megabytes: int) -> None:
        self.processes[pid] = Figures(pid, parent, 10**9, megabytes * MB, pid * MB, 0)

    def measure(self, limit: float = inf) -> float:
        """In megabytes."""
        return self.meter.measure(self.processes, limit * MB) / MB

    def _look(self, figures: Figures) -> int:
        self.exact_looks += 1
        return figures.private


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(monkeypatch)


def test_it_is_certain_what_each_process_has_added_since_it_was_first_seen(made_up: Tree) -> None:
    """A forked worker has the memory of its parent when it is first seen; what it has later is its own."""
    made_up.has(1, 0, 500)
    for worker in (2, 3):
        made_up.has(worker, 1, 500)
    made_up.measure()
    assert made_up.meter.least == 400 * MB
    made_up.has(2, 1, 700)
    made_up.has(3, 1, 600)
    made_up.measure()
    assert made_up.meter.least == (700 - 100 + 100) * MB
    made_up.has(3, 1, 50)  # it has begun another program
    made_up.measure()
    made_up.has(3, 1, 150)
    made_up.measure()
    assert made_up.meter.least == (700 - 100 + 100) * MB


def test_what_a_process_has_of_its_parent_is_not_certain_twice(made_up: Tree) -> None:
    made_up.has(1, 0, 200)
    made_up.measure()
    made_up.has(1, 0, 500)
    made_up.has(2, 1, 501)  # forked now, with all that the parent has added
    made_up.measure()
    assert made_up.meter.least == 401 * MB


def test_a_look_that_would_make_deadlines_wait_is_not_taken_and_the_limit_holds_all_the_same(made_up: Tree) -> None:
    """100 GB of small pages would take the system two seconds."""
    for size in (99_000, 99_950, 100_050):
        made_up.has(1, 0, size)
        assert made_up.measure(100_000) <= 100_000
    made_up.has(1, 0, 100_101)
    assert made_up.measure(100_000) > 100_000
    assert made_up.exact_looks == 0
    made_up.has(1, 0, 500)
    made_up.measure(100_000)
    assert made_up.exact_looks == 1


def test_a_run_is_looked_at_sooner_the_nearer_it_is_to_its_limit() -> None:
    pid = os.getpid()
    figures = Figures.of(pid)
    assert figures is not None
    far, near, over, unlimited = (Watch(pid, limit, False) for limit in (1e12, figures.private * 1.01, 1 * MB, inf))
    for watch in (far, near, over, unlimited):
        watch.meter.inherited = 0
        assert watch.due == inf, "nothing is looked at before the code runs"
        watch.code_starts()
    now = time.monotonic()
    assert far.due <= now + limits.LONGEST and unlimited.due > now + limits.LONGEST
    assert [watch.look([pid]) for watch in (far, near, over, unlimited)] == [False, False, True, False]
    now = time.monotonic()
    assert far.due <= now + limits.LONGEST
    assert near.due < far.due


def test_the_host_is_told_a_few_times_a_second_and_only_of_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    watch = Watch(os.getpid(), inf, True)
    watch.code_starts()
    told = []
    for _ in range(40):
        now += 0.05
        watch.look([os.getpid()])
        told.append(watch.news())
    looks = [number for number, used in enumerate(told, 1) if used is not None]
    # The first exact look says something new, too.
    assert looks[0] == 5 and 1 <= len(looks) <= 2 and all(b - a >= 5 for a, b in itertools.pairwise(looks)), told
    silent = Watch(os.getpid(), inf, False)
    silent.code_starts()
    now += 5
    silent.look([os.getpid()])
    assert silent.news() is None


# ---------------------------------------------------------------- what is left for all


@pytest.mark.parametrize(
    ("total", "size"),
    [(500 * MB, 64 * MB), (8_192 * MB, 256 * MB), (64_000 * MB, 512 * MB)],
    ids=["small", "usual", "large"],
)
def test_the_reserve_is_a_part_of_what_there_is_within_bounds(tmp_path: Path, total: int, size: int) -> None:
    assert machine(tmp_path, total, total).size == pytest.approx(size, rel=0.001)


def machine(folder: Path, total: int, available: int) -> Reserve:
    (folder / "self").mkdir(exist_ok=True)
    (folder / "self/cgroup").write_text("")
    (folder / "meminfo").write_text(f"MemTotal: {total // 1024} kB\nMemAvailable: {available // 1024} kB\n")
    return Reserve(str(folder), str(folder))


def test_it_is_looked_at_sooner_the_less_is_left(tmp_path: Path) -> None:
    for available, short, wait in ((4_000, False, Reserve.LONGEST), (300, False, None), (200, True, Reserve.SHORTEST)):
        reserve = machine(tmp_path, 8_192 * MB, available * MB)
        assert reserve.due == inf
        reserve.watch()
        assert reserve.due <= time.monotonic() + Reserve.LONGEST
        before = time.monotonic()
        assert reserve.is_short() == short
        if wait is not None:
            assert reserve.due - before == pytest.approx(wait, abs=0.1 * wait + 0.005)
        else:
            assert reserve.due - before < Reserve.LONGEST


def test_where_nobody_knows_what_is_left_nothing_is_short(tmp_path: Path) -> None:
    reserve = Reserve(str(tmp_path), str(tmp_path))
    assert reserve.size == 0 and not reserve.is_short()
