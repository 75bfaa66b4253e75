"""The memory of a kernel and of what it has started, over the time of a run. The benchmark's process.

Sizes are proportional (PSS): a page that two processes share counts half in each, so that the sum is what is there.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.benchmarks.live import Live

_INTERVAL = 0.02


@dataclass(slots=True)
class Watched:
    """What was seen: seconds, and bytes of the kernel and of all else."""

    seconds: list[float] = field(default_factory=list)
    kernel: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)

    @property
    def curves(self) -> dict[str, list[float]]:
        mib = 1 << 20
        return {
            "seconds": self.seconds,
            "kernel": [each / mib for each in self.kernel],
            "its processes": [each / mib for each in self.others],
        }

    @property
    def extra(self) -> int:
        """How far all together rose above what was there before."""
        sums = [a + b for a, b in zip(self.kernel, self.others, strict=True)]
        return max(sums) - sums[0]

    @property
    def above_end(self) -> int:
        """How far all together rose above what there is at the end."""
        sums = [a + b for a, b in zip(self.kernel, self.others, strict=True)]
        return max(sums) - sums[-1]


def over_time(here: Live, code: str) -> Watched:
    """Run a cell and look at the memory until a second after its end."""
    watched, over = Watched(), threading.Event()
    kernel = psutil.Process(here.kernel.pid)

    def look() -> None:
        begin = time.perf_counter()
        while not over.is_set():
            watched.seconds.append(time.perf_counter() - begin)
            watched.kernel.append(_pss(kernel.pid))
            watched.others.append(sum(_pss(each.pid) for each in kernel.children(recursive=True)))
            time.sleep(_INTERVAL)

    time.sleep(1)
    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.3)
    here.run(code)
    time.sleep(1)
    over.set()
    thread.join()
    return watched


def _pss(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def at_rest(here: Live, seconds: float) -> tuple[float, list[int]]:
    """Return the share of a core that a kernel and its processes take, in percent, and their sizes (USS), its own first."""
    kernel = psutil.Process(here.kernel.pid)
    every = [kernel, *kernel.children(recursive=True)]

    def used() -> float:
        return sum(each.cpu_times().user + each.cpu_times().system for each in every)

    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds * 100, [each.memory_full_info().uss for each in every]
