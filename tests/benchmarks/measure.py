"""Measure ways to do the same thing, one after another in each round, and print them as a table.

What the machine does else hits all of them alike. Memory is measured in a round of its own, which is also the one
that warms up: looking at processes costs time. Nothing is asserted.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from types import TracebackType
from typing import Self

MIB = 1 << 20


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do something."""

    name: str
    run: Callable[[], object]
    #: Seconds that the machine is left alone before each run: until the next idle process is ready.
    settle: float = 0.0
    #: What each run finds done, not timed.
    before: Callable[[], object] = _nothing
    #: Whether ``run`` measures by itself, and returns seconds.
    own_clock: bool = False

    def measure(self, settle: float) -> float:
        """Return how long it takes now, in milliseconds; ``settle`` scales the time that is left before."""
        self.before()
        gc.collect()
        time.sleep(self.settle * settle)
        begin = time.perf_counter()
        value = self.run()
        seconds = time.perf_counter() - begin
        if self.own_clock:
            assert isinstance(value, float)
            seconds = value
        return seconds * 1000


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one way: milliseconds, and MiB."""

    name: str
    times: list[float]
    #: How far this process rose above where it was.
    host: float
    #: The peak of the largest process that ended in the run; NaN when it was too short to be seen.
    child: float

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.times, n=20, method="inclusive")[-1] if len(self.times) > 1 else self.times[0]


def measure(title: str, ways: Sequence[Way], rounds: int, *, settle: float, memory: bool) -> None:
    """Measure and print; the time alone where ``memory`` is not wanted."""
    peaks = [(nan, nan)] * len(ways)
    if memory:
        with Peaks() as watcher:
            peaks = [watcher.of(way) for way in ways]
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, values in zip(ways, times, strict=True):
            values.append(way.measure(settle))
    print_table(title, [Row(way.name, t, *m) for way, t, m in zip(ways, times, peaks, strict=True)])


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print; what a row is compared with is the first one."""
    first = rows[0].median or 1e-9
    print(f"\n{title:50} {'n':>3} {'median ms':>10} {'p95 ms':>10} {'× first':>8} {'host +MiB':>10} {'child MiB':>10}")
    for row in rows:
        print(
            f"  {row.name:48} {len(row.times):3} {row.median:10.2f} {row.p95:10.2f} {row.median / first:8.2f}"
            f" {_or_dash(row.host)} {_or_dash(row.child)}"
        )
    sys.stdout.flush()


def _or_dash(size: float) -> str:
    return f"{'–':>10}" if isnan(size) else f"{size:10.0f}"


class Peaks:
    """Peak memory: of this process by its own high-water mark, of others by a process that looks on."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-S", str(Path(__file__).with_name("watcher.py"))]
        self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watcher.communicate()

    def of(self, way: Way) -> tuple[float, float]:
        """Run once; return the two peaks of ``Row``."""
        assert self._watcher.stdin is not None and self._watcher.stdout is not None
        way.before()
        gc.collect()
        time.sleep(min(way.settle, 0.2))
        Path("/proc/self/clear_refs").write_text("5")  # from here the high-water mark counts anew
        resident = status("VmRSS")
        self._watcher.stdin.write("watch\n")
        self._watcher.stdin.flush()
        self._watcher.stdout.readline()
        way.run()
        peak = status("VmHWM")
        self._watcher.stdin.write("stop\n")
        self._watcher.stdin.flush()
        child = float(self._watcher.stdout.readline()) or nan
        return max(0.0, peak - resident) / MIB, child / MIB


def status(field: str, pid: int | str = "self") -> float:
    """Return a size of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024.0
    return 0.0
