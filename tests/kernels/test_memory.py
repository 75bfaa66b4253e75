"""A limit of memory in real kernels: what counts, whatever takes it and however the process was started."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernels.harness import Kernel, Result
from tests.kernels.processes import marked

LIMIT = 400
#: Code that goes on taking memory, or takes much at once. None of it ends by itself; the machine has more than it takes.
EATERS = {
    "an array at once": "a = np.ones(250_000_000)",
    "arrays little by little": """
kept = []
for _ in range(400):
    kept.append(np.ones(1_000_000))
""",
    "a list": "kept = []\nwhile len(kept) < 10**8: kept.append([1.5])",
    "what swallows every exception": """
kept = []
while len(kept) < 400:
    try: kept.append(np.ones(1_000_000))
    except BaseException: pass
""",
    "a subprocess": """
import subprocess, sys
code = "kept = [bytearray(b'x') * 10**6 for _ in range(2000)]; input()"
subprocess.run([sys.executable, "-c", code], stdin=subprocess.PIPE)
""",
    "a pool": """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def work(i):
    kept = bytearray(b"x") * 200_000_000
    time.sleep(60)
with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
    list(pool.map(work, range(4)))
""",
    "shared memory": """
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=2_000_000_000)
view = np.frombuffer(memory.buf, "u1")
for i in range(0, len(view), 10**7): view[i : i + 10**7] = 1
""",
    "a memfd that is only written": """
file = os.memfd_create("data")
for _ in range(200): os.write(file, bytes(10**7))
time.sleep(60)
""",
    "writing to an array of the notebook": """
for i in range(0, len(big), 10**6):
    big[i : i + 10**6] = 2
""",
}
#: Code that stays within the limit, though it looks as if it did not.
FRUGAL = {
    "memory that is not touched": "a = np.zeros(10**9); a[:10] = 1; time.sleep(0.3); del a",
    "reading an array of the notebook": "total = big.sum(); time.sleep(0.3); assert total == len(big)",
    "workers that share an array": """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
data = np.ones(25_000_000)
def work(i):
    time.sleep(0.2)
    return data[i::4].sum()
with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
    assert sum(pool.map(work, range(4))) == 25_000_000
del pool, data
""",
    "a file that is mapped": """
data = np.memmap(path, "u1", "r")
assert data.sum() == 0
time.sleep(0.3)
del data
""",
    "memory that is given back": """
for _ in range(20):
    a = np.ones(25_000_000)
    del a
""",
}


@pytest.fixture
def ready(kernel: Kernel, tmp_path: Path) -> Kernel:
    """A kernel with a file of 500 MB on a disk."""
    path = tmp_path / "data"
    made = kernel.run(
        "import os, sys, time\nimport numpy as np\nfrom ipytimeout import timeout\nrows = ['row']\n"
        f"path = {str(path)!r}\nwith open(path, 'wb') as file: file.truncate(500_000_000)"
    )
    assert made.status == "ok", made.text
    return kernel


def with_its_array(kernel: Kernel, code: str) -> Kernel:
    """Give the notebook an array of 480 MB, if the code has a use for it."""
    if "big" in code:
        kernel.run("big = np.ones(60_000_000)")
    return kernel


def exceeded(result: Result) -> float:
    """Return the peak that the error tells, in MB."""
    assert result.error is not None, result.text
    assert result.error.name == "MemoryLimitExceeded", result.text
    found = re.search(r"used ([\d.]+) ([MG])B of memory, and 400 MB were allowed", result.error.value)
    assert found, result.error.value
    return float(found[1]) * {"M": 1, "G": 1000}[found[2]]


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in EATERS.items()])
def test_a_cell_ends_when_it_uses_more_memory_than_it_may(
    ready: Kernel, code: str, measured: Callable[[str], None]
) -> None:
    """Whoever takes it; nothing of the run is left, and nothing was changed."""
    with_its_array(ready, code)
    mark = f"IPYTIMEOUT_TEST_MEMORY={ready.mark}"
    name, value = mark.split("=")
    result = ready.run(
        f"%%timeout -m {LIMIT}MB 60\nos.environ[{name!r}] = {value!r}\nrows.append(1)\n{code}\nassert False"
    )
    peak = exceeded(result)
    measured(f"ended at {peak:g} MB of {LIMIT} MB, back after {result.seconds:.1f} s")
    assert LIMIT <= peak < 2 * LIMIT
    assert "✗ over memory after" in result.text and "nothing was changed in the notebook" in result.text
    assert marked(mark) == []
    assert ready.run("print(rows)").stdout == "['row']\n"
    if "big" in code:
        assert ready.run("print(big.min(), big.max())").stdout == "1.0 1.0\n"


def test_a_cell_that_is_over_its_limit_says_where_it_was(ready: Kernel) -> None:
    result = ready.run(f"%%timeout -m {LIMIT}MB 60\ndef fill(kept):\n    while True: kept.append([1.5])\nfill([])")
    exceeded(result)
    assert re.search(r"✗ over memory after [\d.]+ s of 1 min: 4\d\d MB of 400 MB in fill\(\), line 2 — ", result.text)


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in FRUGAL.items()])
def test_what_a_cell_does_not_use_does_not_count(ready: Kernel, code: str) -> None:
    """Addresses, another's pages, and pages that the system can drop."""
    with_its_array(ready, code)
    result = ready.run(f"%%timeout -m {LIMIT}MB 60\nrows.append(1)\n{code}")
    assert result.status == "ok", result.text
    assert ready.run("print(rows)").stdout == "['row', 1]\n"


def test_a_spawned_process_has_the_same_limit(ready: Kernel) -> None:
    """What it begins with is its own, and no template's."""
    result = ready.run(f"%%timeout -m {LIMIT}MB --start spawn 60\n{EATERS['arrays little by little']}")
    assert LIMIT <= exceeded(result) < 2 * LIMIT
    assert ready.run(f"%%timeout -m {LIMIT}MB --start spawn 60\nmade = np.ones(10**7)").status == "ok"


def test_a_function_has_a_limit_too_and_its_error_has_the_figures(ready: Kernel) -> None:
    """``default`` is for the deadline only."""
    ready.run("def eat(n): return np.ones(n).sum()")
    limits = f"timeout(60, memory='{LIMIT} MB', default=None)"
    assert ready.run(f"print({limits}.run(eat, 10**7))").stdout == "10000000.0\n"
    result = ready.run(
        f"try:\n    {limits}.run(eat, 250_000_000)\nexcept MemoryError as error:\n"
        "    print(type(error).__name__, error.limit, 400e6 < error.peak < 800e6, error.where[-1])"
    )
    assert result.stdout.startswith("MemoryLimitExceeded 400000000 True "), result.text


def test_a_limit_can_be_an_expression_a_name_or_a_share(ready: Kernel) -> None:
    """A share is of what the container, or the machine, may use."""
    ready.run("gb = 0.2e9; limit = '400MB'")
    for written in ("{2 * gb}", "$limit", "0.4 GB"):
        assert exceeded(ready.run(f"%%timeout -m {written} 60\n{EATERS['an array at once']}")) >= LIMIT
    total = int(ready.run("print(int(open('/proc/meminfo').read().split()[1]) * 1024)").stdout)
    share = ready.run(f"%timeout -m {100 * 3e8 / total:.6f}% 60 np.ones(10**8).sum()")
    assert share.error is not None and share.error.name == "MemoryLimitExceeded", share.text


def test_a_wrong_limit_is_one_line_and_nothing_runs(ready: Kernel) -> None:
    result = ready.run("%%timeout -m 2 60\nrows.append(1)")
    assert result.status == "error" and "UsageError: --memory: '2' is 2 bytes" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert ready.run("print(rows)").stdout == "['row']\n"
