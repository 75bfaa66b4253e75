"""A live kernel that is measured in, and what it takes to compare things in it. The benchmark's process.

The kernel has numpy and pandas imported, as a notebook has, and the other packages installed beside this one.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kernels.environments import REPOSITORY, make_environment, pip_install
from tests.kernels.harness import Kernel

ENVIRONMENT = REPOSITORY / ".venv-benchmarks"
#: What a user would pick instead.
PEERS = ("func-timeout", "ipyparallel", "loky", "pebble", "pynisher", "wrapt-timeout-decorator")
#: Until the next idle process is ready, in seconds.
REST = 0.4
_LONG = 900.0
_SETUP = f"""
import json, os, sys, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np, pandas as pd
"""


class Live:
    """A kernel with the extension loaded."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def run(self, code: str) -> float:
        """Run a cell; return how long it took, in milliseconds, as a front end sees it."""
        result = self.kernel.run(code, _LONG)
        if result.status != "ok":
            raise RuntimeError(f"{code!r}:\n{result.text}")
        return result.seconds * 1000

    def late(self, magic: str, timeout: float, code: str) -> float:
        """Run a cell that does not end; return how long after its deadline the kernel is idle, in milliseconds.

        ``timeout``: what the magic says, in seconds, from the first line of the code on.
        """
        cell = f"{magic}\nimport time; print('began', time.monotonic(), flush=True)\n{code}"
        result = self.kernel.run(cell, _LONG)
        assert result.status == "error", result
        return (result.ended - float(result.stdout.split()[1]) - timeout) * 1000

    def value(self, expression: str) -> Any:
        """Return the value of an expression, natively."""
        self.kernel.run("", _LONG)
        return json.loads(self.kernel.run(f"print(json.dumps({expression}))", _LONG).stdout)

    def clocked(self, code: str, magic: str = "") -> float:
        """Return how long these lines take by the clock inside the cell, in milliseconds."""
        lines = (
            f"import time as _time; _begin = _time.perf_counter()\n{code}\nprint('took', _time.perf_counter() - _begin)"
        )
        result = self.kernel.run(f"{magic}\n{lines}" if magic else lines, _LONG)
        assert result.status == "ok", result.text
        return float(result.stdout.rpartition("took")[2]) * 1000


@contextmanager
def live(setup: str = "", *, load: bool = True) -> Iterator[Live]:
    """Start a kernel, and end it."""
    with tempfile.TemporaryDirectory() as directory:
        # As on a user's machine, where what is imported was compiled once.
        kernel = Kernel(environment(), Path(directory), {"PYTHONDONTWRITEBYTECODE": ""})
        try:
            here = Live(kernel)
            here.run(_SETUP + setup)
            if load:
                here.run("%load_ext ipytimeout\nfrom ipytimeout import timeout")
                here.run("%%timeout -q 600\npass")
                time.sleep(2 * REST)
            yield here
        finally:
            kernel.close()


def environment() -> str:
    """Return the Python of the environment of the kernel, made at first use."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "made-of"
    made_of = f"{sys.version}\n{PEERS}"
    if not stamp.exists() or stamp.read_text() != made_of:
        print(f"making {ENVIRONMENT.name} (once)", file=sys.stderr)
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)  # one of another Python would keep that
        make_environment(sys.executable, ENVIRONMENT)
        pip_install(python, "-e", ".[notebooks]", "cloudpickle", "pyarrow", *PEERS, cwd=REPOSITORY)
        stamp.write_text(made_of)
    return str(python)


def interleaved(rounds: int, ways: Mapping[str, Callable[[], float]], rest: float = REST) -> dict[str, list[float]]:
    """Measure each way once in each round, after a rest: what the machine does else hits all of them alike.

    In another order each time: what ran just before has left the caches as it needed them.
    """
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in random.Random(number).sample(list(ways), len(ways)):
            time.sleep(rest)
            measured[name].append(ways[name]())
    return measured


def less(these: list[float], those: list[float]) -> list[float]:
    """Return the differences, round by round."""
    return [a - b for a, b in zip(these, those, strict=True)]


def median(values: list[float]) -> float:
    return statistics.median(values)


def p95(values: list[float]) -> float:
    """Return what 95 % of the values stay below."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
