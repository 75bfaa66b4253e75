"""How long a run of nothing takes, beside the other ways to call a function in a process.

``python -m tests.benchmarks [rounds]``. All ways are measured in one process, which is like a notebook's (IPython,
numpy and pandas are imported), one after another in each round, so that what the machine does else hits all of
them alike. The figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.noop import noop, noop_into

#: Long enough for the next idle process to be ready, on a loaded machine too.
SETTLE = 1.0
TIMEOUT = 5


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run ``noop`` in a process of its own."""

    name: str
    run: Callable[[], None]
    settle: float = 0.0


def _multiprocessing(method: str) -> Callable[[], None]:
    context = multiprocessing.get_context(method)

    def run() -> None:
        queue = context.Queue()
        process = context.Process(target=noop_into, args=(queue,))
        process.start()
        queue.get(timeout=TIMEOUT)
        process.join()

    return run


def _pebble_pool() -> None:
    from pebble import ProcessPool

    with ProcessPool(max_workers=1) as pool:
        pool.schedule(noop, timeout=TIMEOUT).result()


def _pebble_process() -> Callable[[], None]:
    from pebble import concurrent

    timed = concurrent.process(timeout=TIMEOUT)(noop)
    return lambda: timed().result()


def _fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _ways() -> list[Way]:
    from ipytimeout import run_with_timeout

    def ipytimeout() -> None:
        run_with_timeout(TIMEOUT, noop)

    return [
        Way("ipytimeout, idle process ready", ipytimeout, settle=SETTLE),
        Way("ipytimeout, right after another", ipytimeout),
        Way("multiprocessing + Queue, fork", _multiprocessing("fork")),
        Way("multiprocessing + Queue, spawn", _multiprocessing("spawn")),
        Way("pebble.ProcessPool, a new one", _pebble_pool),
        Way("pebble.concurrent.process", _pebble_process()),
        Way("bare fork + waitpid", _fork),
    ]


def _like_a_notebook() -> None:
    """Import what a notebook has imported, and be an interactive IPython to whoever asks."""
    import numpy  # noqa: ICN001
    import pandas  # noqa: ICN001
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    numpy.ones(10) @ numpy.ones(10)
    pandas.DataFrame({"x": [1, 2]}).sum()


def _measure(way: Way) -> float:
    time.sleep(way.settle)
    begin = time.perf_counter()
    way.run()
    return (time.perf_counter() - begin) * 1000


def _print_table(times: dict[str, list[float]]) -> None:
    reference = statistics.median(next(iter(times.values())))
    print(f"{'':34} {'n':>4} {'median ms':>10} {'p95 ms':>9} {'times the first':>16}")
    for name, values in times.items():
        median, p95 = statistics.median(values), statistics.quantiles(values, n=20, method="inclusive")[-1]
        print(f"{name:34} {len(values):4} {median:10.2f} {p95:9.2f} {median / reference:16.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("rounds", nargs="?", type=int, default=30)
    rounds = max(2, parser.parse_args().rounds)
    # Forking a process that has threads is what is measured here, and what Python warns about.
    warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
    _like_a_notebook()
    ways = _ways()
    for way in ways:
        way.run()
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            times[way.name].append(_measure(way))
    versions = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    print(f"a run of nothing; {versions}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; interleaved")
    _print_table(times)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
