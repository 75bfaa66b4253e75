"""How long large graphs of objects take to a timed cell and back, beside plain cloudpickle through a pipe.

``python -m tests.benchmarks.graphs [case ...]``. Each figure is of a fresh process, and so is its peak of memory: of
the process that has the graph, and of the largest of its children. A run either only looks at the graph or changes
it in one place. The plain way pickles it there and back in any case. The figures are printed, never asserted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SETTLE = 2.0
#: How often the peaks are looked at, in seconds.
INTERVAL = 0.03


@dataclass(frozen=True, slots=True)
class Case:
    """A graph, called ``x``, and one change of it."""

    make: str
    change: str
    check: str


_CLASS = "class P:\n    def __init__(self, i): self.a = i; self.b = str(i)\n"
_SLOTS = "class P:\n    __slots__ = ('a', 'b')\n    def __init__(self, i): self.a = i; self.b = str(i)\n"
CASES = {
    "1e6 tuples in a dict": Case("x = {i: (i, i + 1) for i in range(10**6)}", "x[5] = (9, 9)", "x[5] == (9, 9)"),
    "1e6 lists": Case("x = [[i, i + 1] for i in range(10**6)]", "x[5].append(9)", "x[5][-1] == 9"),
    "1e6 dicts": Case("x = [{'a': i} for i in range(10**6)]", "x[5]['a'] = 9", "x[5]['a'] == 9"),
    "1e6 instances": Case(_CLASS + "x = [P(i) for i in range(10**6)]", "x[5].a = 9", "x[5].a == 9"),
    "1e6 with slots": Case(_SLOTS + "x = [P(i) for i in range(10**6)]", "x[5].a = 9", "x[5].a == 9"),
    "1 GiB array": Case("import numpy as np\nx = np.ones(2**27)", "x[5] = 9; x[10**8] = 9", "x[5] == x[10**8] == 9"),
}
LOOK = "len(x);"


# ---------------------------------------------------------------- one run, in a process of its own


def _by_timed_cell(case: Case, code: str) -> float:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    run: Callable[[str], Any] = shell.run_cell
    run("%load_ext ipytimeout").raise_error()
    run(case.make).raise_error()
    run("%%timeout -q 60\npass").raise_error()
    time.sleep(SETTLE)
    begin = time.perf_counter()
    run(f"%%timeout -q 600\n{code}").raise_error()
    seconds = time.perf_counter() - begin
    run(f"assert {case.check if code == case.change else 'True'}").raise_error()
    return seconds


def _by_cloudpickle(case: Case, code: str) -> float:
    import cloudpickle

    here, there = multiprocessing.Pipe()
    # Before the graph is there, so that the child has none of it.
    process = multiprocessing.get_context("fork").Process(target=_change_there, args=(there, code))
    process.start()
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    names = vars(main)
    exec(case.make, names)
    time.sleep(SETTLE)
    begin = time.perf_counter()
    here.send_bytes(cloudpickle.dumps(names["x"], 5))
    names["x"] = cloudpickle.loads(here.recv_bytes())
    seconds = time.perf_counter() - begin
    process.join()
    exec(f"assert {case.check if code == case.change else 'True'}", names)
    return seconds


def _change_there(pipe: Connection, code: str) -> None:
    import cloudpickle

    names = {"x": cloudpickle.loads(pipe.recv_bytes())}
    exec(code, names)
    pipe.send_bytes(cloudpickle.dumps(names["x"], 5))


WAYS = {"ipytimeout": _by_timed_cell, "cloudpickle": _by_cloudpickle}


# ---------------------------------------------------------------- all runs


@dataclass(frozen=True, slots=True)
class Measured:
    seconds: float
    #: In MiB.
    here: int
    there: int


def measure(case: str, way: str, change: bool) -> Measured | None:
    """Make one run in a fresh process, and watch its memory and that of its children; None when it fails."""
    command = [sys.executable, "-m", "tests.benchmarks.graphs", "--one", way, "--", case, *(["change"] * change)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for pid in _family(process.pid):
            peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
        time.sleep(INTERVAL)
    out, _ = process.communicate()
    if process.returncode:
        return None
    here = peaks.pop(process.pid, 0)
    return Measured(json.loads(out.splitlines()[-1]), here, max(peaks.values(), default=0))


def _family(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _peak(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    except OSError:
        pass
    return 0


def report(cases: list[str]) -> None:
    """Print time and memory of each case, both ways."""
    versions = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    print(f"large graphs; {versions}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; MiB are peaks, here/there")
    print(f"{'':22} {'':10} {'cloudpickle s':>13} {'MiB':>12} {'ipytimeout s':>13} {'MiB':>12} {'ratio':>6}")
    for case in cases:
        for change in (False, True):
            plain, ours = (measure(case, way, change) for way in ("cloudpickle", "ipytimeout"))
            ratio = f"{ours.seconds / plain.seconds:6.2f}" if ours and plain else ""
            print(
                f"{case:22} {'changed' if change else 'unchanged':10} {_cells(plain)} {_cells(ours)} {ratio}",
                flush=True,
            )


def _cells(measured: Measured | None) -> str:
    if measured is None:  # cloudpickle cannot bring instances of a notebook's class with slots back
        return f"{'fails':>13} {'':>12}"
    return f"{measured.seconds:13.2f} {f'{measured.here}/{measured.there}':>12}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.graphs", description=__doc__.splitlines()[0])
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"the beginning of one of: {', '.join(CASES)}")
    options = parser.parse_args()
    if options.one:
        case = CASES[options.cases[0]]
        print(json.dumps(WAYS[options.one](case, case.change if "change" in options.cases[1:] else LOOK)))
    else:
        wanted = options.cases or [""]
        report([name for name in CASES if any(name.startswith(start) for start in wanted)])


if __name__ == "__main__":
    main()
