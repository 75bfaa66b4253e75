"""The promises "on time" and "without a trace", for everything that code can do against them, in real kernels.

The table is in ``runaways.py``, the judge in ``matrix.py``. The ordinary run has most kinds once, with start methods,
cells and functions, and kernels in turn; with ``-m full`` it is every combination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernels.environments import ENVIRONMENTS
from tests.kernels.harness import Kernel
from tests.kernels.matrix import FACES, METHODS, TRIALS, Trial, attempt, prepared
from tests.kernels.runaways import KINDS, SELDOM

_ORDINARY = [kind for kind in KINDS if kind.name not in SELDOM]
_COMBINATIONS = [(method, face, kernel) for kernel in ENVIRONMENTS for face in FACES for method in METHODS]


def _in_turn(trial: Trial, kernel: str) -> bool:
    if trial.kind not in _ORDINARY:
        return False
    return _COMBINATIONS[_ORDINARY.index(trial.kind) % len(_COMBINATIONS)] == (trial.method, trial.face, kernel)


def test_the_kinds_that_are_left_out_are_kinds() -> None:
    assert {kind.name for kind in KINDS} >= SELDOM


@pytest.fixture(scope="session")
def kernel_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Kernel]]:
    """Give a kernel by the name of its environment: one that has had a run of each start method, for all trials."""
    kernels: dict[str, Kernel] = {}

    def get(name: str) -> Kernel:
        if name not in kernels or not kernels[name].alive:
            kernels[name] = prepared(Kernel(ENVIRONMENTS[name](), tmp_path_factory.mktemp("kernel")))
        return kernels[name]

    yield get
    for kernel in kernels.values():
        kernel.close()


@pytest.mark.parametrize(
    ("kernel", "trial"),
    [
        pytest.param(kernel, trial, id=f"{kernel}-{trial}", marks=[] if _in_turn(trial, kernel) else pytest.mark.full)
        for kernel in ENVIRONMENTS
        for trial in TRIALS
    ],
)
def test_a_run_ends_on_time_in_the_right_words_and_without_a_trace(
    kernel_of: Callable[[str], Kernel], kernel: str, trial: Trial, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """Control is back in time, nothing of the run is left, the kernel is as it was, and the next run works."""
    report = attempt(kernel_of(kernel), trial, tmp_path)
    measured(f"back after {report.seconds:.3f} s")
    assert report.faults == []
