"""What process state costs a run that changes none of it: ``python -m tests.benchmarks.state``.

In a real kernel with numpy, pandas and pyplot. The parts are timed where they run, in the kernel and in the child of a timed cell, each many times: the smallest tells
what the work takes, the median what it takes on this machine now. Their sum is the goal's: 2 ms.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.kernels.harness import Kernel

#: The goal, in milliseconds.
GOAL = 2.0
_TIME = """
import json, time
def times(function, n=200):
    taken = []
    for _ in range(n):
        begin = time.perf_counter()
        function()
        taken.append(1000 * (time.perf_counter() - begin))
    return sorted(taken)
"""
_HOST = f"""{_TIME}
from ipytimeout.host import process_state
from ipytimeout.wire.state import apply_state, read_state
state = read_state()
def sends():
    process_state.code_ran()  # a cell has run since
    process_state.to_send()
print(json.dumps({{
    "kernel: directory, environment, path, generators": times(read_state),
    "kernel: read by adapters, and packed": times(sends),
}}))
"""
_CHILD = f"""{_TIME}
from ipytimeout.wire.adapters import difference, load
from ipytimeout.wire.state import read_state
adapters = load([])
before, state = adapters.read(), read_state()
print(json.dumps({{
    "child, before the code: directory, environment, path, generators": times(read_state),
    "child, after the code: the same": times(lambda: read_state() == state),
    "child, after the code: read by adapters, and compared": times(lambda: difference(before, adapters.read())),
}}))
"""


def measured(python: str) -> dict[str, list[float]]:
    """Return the times of each part, in milliseconds, the smallest first."""
    with tempfile.TemporaryDirectory() as directory:
        kernel = Kernel(python, Path(directory))
        try:
            kernel.run("%load_ext ipytimeout\nimport numpy, pandas, matplotlib.pyplot as plt, random")
            kernel.run("%%timeout -q 60\nplt.plot([1]); plt.close(); print(pandas.DataFrame({'a': [1]}))")
            found: dict[str, list[float]] = json.loads(kernel.run(_HOST).stdout)
            found |= json.loads(kernel.run(f"%%timeout -q 60\n{_CHILD}").stdout)
        finally:
            kernel.close()
    return found


def main() -> None:
    found = measured(sys.executable)
    for part, times in found.items():
        print(f"{part:70} {times[0]:6.3f} ms at least, median {statistics.median(times):6.3f}")
    least, usual = sum(times[0] for times in found.values()), sum(map(statistics.median, found.values()))
    print(f"{'all':70} {least:6.3f} ms at least, median {usual:6.3f}; the goal is {GOAL:g} ms")


if __name__ == "__main__":
    main()
