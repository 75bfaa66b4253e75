"""Large arrays of a real kernel: mapped in the child, and only what a timed cell writes comes back."""

from __future__ import annotations

from tests.kernels.harness import Kernel


def test_what_a_timed_cell_writes_into_a_large_array_is_written_into_the_kernels_own(kernel: Kernel) -> None:
    """And the child knows what was written without comparing: nothing else of the array is read or sent."""
    made = kernel.run(
        "import numpy as np\nx = np.arange(4_000_000.); y = x; v = x[1000:2000]\n"
        "where = x.__array_interface__['data'][0]"
    )
    assert made.status == "ok", made.text
    timed = kernel.run(
        "%%timeout 60\nfrom ipytimeout.wire import memory\nv[5] = -1; x[3_000_000] = -2\n"
        "parts = memory.written(x.__array_interface__['data'][0], x.nbytes)"
    )
    assert timed.status == "ok", timed.text
    checked = kernel.run(
        "print(x is y, v.base is x, x.__array_interface__['data'][0] == where, len(parts), (x < 0).sum(), v[5], y[-1])"
    )
    assert checked.stdout.split() == ["True", "True", "True", "2", "2", "-1.0", "3999999.0"], checked.text
