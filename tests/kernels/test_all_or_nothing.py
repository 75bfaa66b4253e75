"""The promise "all or nothing": whatever moment the end hits, the namespace is the old or the new one."""

from __future__ import annotations

import re

import pytest

from tests.kernels.environments import REPOSITORY
from tests.kernels.harness import Kernel


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("times", [50, pytest.param(1000, marks=pytest.mark.full)])
def test_the_namespace_is_the_old_or_the_new_one_wherever_the_end_hits(own_kernel: Kernel, times: int) -> None:
    """The child is killed, or the kernel interrupted, at a random byte, message or line of the way back."""
    own_kernel.run(f"import sys; sys.path.append({str(REPOSITORY)!r})\nfrom tests.kernels.injector import Injector")
    result = own_kernel.run(
        f"import random; seed = random.randrange(1 << 32); print('seed', seed)\n"
        f"faults = Injector(get_ipython(), seed).run({times})\n"
        "print('faults', len(faults), *faults, sep='\\n')",
        timeout=2900,
    )
    seed = re.search(r"^seed \d+$", result.stdout, re.MULTILINE)
    _, found, faults = result.stdout.partition("\nfaults\n")
    assert found and faults == "0\n", f"{seed and seed[0]}: {faults or result.text[-2000:]}"
