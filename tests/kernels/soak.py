"""Very many runs with random endings in one kernel: nothing grows, and the last is as fast as the first.

``python -m tests.kernels.soak [runs] [seed]`` prints, after every hundredth part, what kernel, warden and template hold, and
how long a plain run took then. ``test_soak.py`` runs a short form of it.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.harness import Kernel
from tests.kernels.matrix import Holdings, prepared, settled

#: The interrupt comes while the kernel runs this cell: between two cells it is ipykernel that it may hurt.
_AT_SOME_MOMENT = """
import time
try:
    print("begun", flush=True)
    get_ipython().run_cell_magic("timeout", "-q 60", "import time; time.sleep(0.03); made = list(range(1000))")
    time.sleep(2)
except KeyboardInterrupt: pass
"""
#: Cells by how they end, and the error they have to show; None: none, or a KeyboardInterrupt.
ENDINGS: dict[str, tuple[str, str, str | None]] = {
    "finishes": ("60", "rows.append(1); made = 1; print('output')", ""),
    "brings back much": ("60", "import numpy; big = numpy.ones(2_000_000); text = 'x' * 300_000", ""),
    "sends much": ("60", "total = len(kept) + len(text) if 'text' in globals() else 0; kept[:4] = b'abcd'", ""),
    "raises": ("60", "rows.append(1); 1 / 0", "ZeroDivisionError"),
    "displays": ("60", "from IPython.display import display\nfor n in range(20): display(n)", ""),
    "sleeps": ("-k 0.2 0.05", "import time; time.sleep(60)", "DeadlineExceeded"),
    "swallows": (
        "-k 0.1 0.05",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "DeadlineExceeded",
    ),
    "holds the GIL": ("-k 0 0.05", "import itertools; sum(itertools.repeat(1))", "DeadlineExceeded"),
    "floods": ("-k 0.1 0.05", "while True: print('x' * 1000)", "DeadlineExceeded"),
    "exits": ("60", "import os; os._exit(3)", "ChildDied"),
    "crashes": ("60", "import ctypes; ctypes.string_at(0)", "ChildDied"),
    "leaves a daemon": ("60", "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(60)", ""),
    "starts threads": (
        "60",
        "import threading\nfor _ in range(3): threading.Thread(target=time.sleep, args=(60,)).start()",
        "",
    ),
    "crashes on the way back": (
        "60",
        "import os\nclass C:\n    def __reduce__(self): os.abort()\nc = C()",
        "ChildDied",
    ),
    "is interrupted": ("60", "import time; print('begun', flush=True); time.sleep(60)", "KeyboardInterrupt"),
    "is interrupted at some moment": ("", _AT_SOME_MOMENT, None),
    "closes its channel": ("60", "import os; os.closerange(0, 65536)", "ChildDied"),
    "calls a function": ("", "import ipytimeout\nvalue = ipytimeout.run_with_timeout(60, sum, [1, 2])", ""),
}
PLAIN = "%%timeout -q 60\nmade = 1"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is held at one moment."""

    runs: int
    #: Private and shared memory of the kernel and of all it has started but the spares, in bytes.
    kernel: int
    others: int
    holdings: Holdings
    threads: int
    #: The median of some plain runs, in seconds.
    plain: float

    def __str__(self) -> str:
        """Show it as a line of the table."""
        held = self.holdings
        return (
            f"{self.runs:6}{self.kernel / 2**20:10.1f}{self.others / 2**20:10.1f}{sum(held.descriptors.values()):12}"
            f"{self.threads:9}{held.processes:11}{len(held.files):7}{self.plain * 1000:9.0f}"
        )


HEAD = f"{'runs':>6}{'kernel/MB':>10}{'others/MB':>10}{'descriptors':>12}{'threads':>9}{'processes':>11}{'files':>7}{'plain/ms':>9}"


def read(kernel: Kernel, runs: int) -> Reading:
    """Take a reading, once the next spare is idle."""
    times = [kernel.run(PLAIN).seconds for _ in range(15)]
    kernel.run("%reset -f\n%reload_ext ipytimeout\nimport gc; gc.collect()")
    holdings = settled(kernel)
    others = [each.pid for each in kernel.processes() if each.pid != kernel.pid]
    threads = len(os.listdir(f"/proc/{kernel.pid}/task"))
    return Reading(runs, _memory(kernel.pid), sum(map(_memory, others)), holdings, threads, statistics.median(times))


def _memory(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) << 10


def one_run(kernel: Kernel, choice: random.Random) -> list[str]:
    """Run one cell of a random ending; return what was wrong with it."""
    name = choice.choice(list(ENDINGS))
    limits, code, error = ENDINGS[name]
    method = " --start spawn" if choice.random() < 0.1 else ""
    magic = f"%%timeout{method} {limits}\n" if limits else ""
    cell = kernel.submit(f"{magic}{code}")
    if "interrupted" in name:
        cell.wait_for("begun")
        time.sleep(choice.uniform(0, 0.2))
        kernel.interrupt()
    try:
        result = cell.wait(60)
    except TimeoutError:
        raise TimeoutError(f"{name}{method}: no end; {[str(each) for each in kernel.processes()]}") from None
    ended = result.error.name if result.error is not None else ""
    if ended == error or (error is None and ended in ("", "KeyboardInterrupt")):
        return []
    return [f"{name}: ended with {ended or 'no error'}: {result.text[-400:]}"]


def soak(kernel: Kernel, runs: int, seed: int, say: object = None) -> tuple[list[Reading], list[str]]:
    """Run so often; return some readings, the first one after a tenth of the runs, and what was wrong."""
    choice, faults, readings = random.Random(seed), [], []
    kernel.run("import numpy")  # which keeps threads
    every = max(1, runs // 20)
    for number in range(1, runs + 1):
        if (number - 1) % every == 0:
            kernel.run("rows, kept = [0], bytearray(2_000_000)\nimport time")
        faults += one_run(kernel, choice)
        if number % every == 0:
            readings.append(read(kernel, number))
            if say is not None:
                print(readings[-1], flush=True)
    return readings[1:], faults


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"{runs} runs, seed {seed}\n{HEAD}")
    with tempfile.TemporaryDirectory() as directory:
        kernel = prepared(Kernel(sys.executable, Path(directory)))
        try:
            readings, faults = soak(kernel, runs, seed, print)
        finally:
            kernel.close()
    for fault in faults:
        print(f"✗ {fault}")
    print(f"more at the end: {readings[-1].holdings.beyond(readings[0].holdings) or 'nothing'}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
