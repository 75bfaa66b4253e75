"""The harness itself: what the other tests of this folder see is what is there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kernels.harness import Kernel
from tests.kernels.processes import descendants, process


@pytest.fixture
def plain_kernel(python: str, tmp_path: Path):
    """A kernel without the extension."""
    kernel = Kernel(python, tmp_path)
    yield kernel
    kernel.close()


def test_the_harness_sees_what_a_front_end_sees(plain_kernel: Kernel) -> None:
    """Streams, results, errors, interrupts and processes are what the kernel did."""
    result = plain_kernel.run("import sys; print('out'); print('err', file=sys.stderr); 6 * 7")
    assert (result.status, result.stdout, result.stderr) == ("ok", "out\n", "err\n")
    assert [output["data"]["text/plain"] for output in result.outputs] == ["42"]

    error = plain_kernel.run("1 / 0").error
    assert error is not None
    assert (error.name, error.value) == ("ZeroDivisionError", "division by zero")

    cell = plain_kernel.submit("print('started'); import time; time.sleep(60)")
    cell.wait_for("started")
    plain_kernel.interrupt()
    interrupted = cell.wait().error
    assert interrupted is not None
    assert interrupted.name == "KeyboardInterrupt"


def test_the_harness_sees_a_daemon_that_left_the_kernels_tree(plain_kernel: Kernel) -> None:
    """A double-forked daemon is no descendant any more, and is found by its mark."""
    code = "import subprocess; print(subprocess.check_output('setsid sleep 60 >&- & echo $!', shell=True, text=True))"
    daemon = int(plain_kernel.run(code).stdout)
    try:
        assert daemon not in {each.pid for each in descendants(plain_kernel.pid)}
        assert daemon in {each.pid for each in plain_kernel.processes()}
    finally:
        plain_kernel.run(f"import os; os.kill({daemon}, 9)")
    until = time.monotonic() + 5
    while process(daemon) and time.monotonic() < until:
        time.sleep(0.01)
    assert process(daemon) is None
