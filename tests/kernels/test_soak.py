"""The short form of the soak: ``python -m tests.kernels.soak`` is the long one."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.kernels.harness import Kernel
from tests.kernels.matrix import prepared
from tests.kernels.soak import soak


def test_sixty_runs_with_random_endings_leave_nothing_behind(
    own_kernel: Kernel, measured: Callable[[str], None]
) -> None:
    """No process, descriptor, thread or file more than after the first few."""
    seed = random.randrange(1 << 32)
    measured(f"seed {seed}")
    readings, faults = soak(prepared(own_kernel), 60, seed)
    assert faults == []
    first, last = readings[0], readings[-1]
    assert last.holdings.beyond(first.holdings) == []
    assert last.threads <= first.threads
