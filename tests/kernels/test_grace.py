"""The grace period, the kernel's interrupt, and what a finished cell leaves running, in real kernels."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernels.harness import Kernel
from tests.kernels.matrix import DEADLINE, GRACE, PROMISED, SLACK, Traces, started
from tests.kernels.runaways import KINDS

_CODES = {kind.name: kind.code for kind in KINDS}


@pytest.fixture
def run(tmp_path: Path) -> Traces:
    return Traces(tmp_path)


def test_kill_after_zero_ends_a_stubborn_cell_at_its_deadline(
    kernel: Kernel, run: Traces, measured: Callable[[str], None]
) -> None:
    """``-k 0`` kills at once."""
    kernel.run("rows = []")
    result = kernel.run(run.cell(f"%%timeout -k 0 {DEADLINE:g}", _CODES["every exception swallowed"]))
    seconds = result.ended - started(result)
    measured(f"back after {seconds:.3f} s of {DEADLINE:g} s")
    assert result.error is not None, result.text
    assert result.error.name == "DeadlineExceeded"
    assert run.left() == []
    assert DEADLINE <= seconds <= DEADLINE + PROMISED + SLACK


def test_an_interrupt_ends_a_timed_cell_and_keeps_what_it_had_done(
    kernel: Kernel, run: Traces, measured: Callable[[str], None]
) -> None:
    """Kernel interrupt is a KeyboardInterrupt, as natively, and names assigned before it come back."""
    kernel.run("rows = []; alias = rows")
    cell = kernel.submit(run.cell("%%timeout 60", "time.sleep(60)\nlater = 1"))
    cell.wait_for("started")
    time.sleep(0.2)  # the clock reading is printed a moment before the sleep begins
    kernel.interrupt()
    interrupted = time.monotonic()
    result = cell.wait()
    measured(f"back {result.ended - interrupted:.3f} s after the interrupt")
    assert result.error is not None, result.text
    assert result.error.name == "KeyboardInterrupt"
    assert result.ended - interrupted <= PROMISED + SLACK
    assert run.left() == []
    after = kernel.run("print(made, rows, alias is rows, 'later' in globals())")
    assert after.stdout == "1 ['changed'] True False\n"


def test_an_interrupt_that_takes_no_effect_ends_the_run_after_the_grace_period(
    kernel: Kernel, run: Traces, measured: Callable[[str], None]
) -> None:
    """Code that ignores SIGINT ends all the same, brings nothing back, and the user is told."""
    kernel.run("rows = []")
    cell = kernel.submit(run.cell("%%timeout 60", _CODES["SIGINT and SIGTERM ignored"]))
    cell.wait_for("started")
    time.sleep(0.2)
    kernel.interrupt()
    interrupted = time.monotonic()
    result = cell.wait()
    measured(f"back {result.ended - interrupted:.3f} s after the interrupt")
    assert result.error is not None, result.text
    assert result.error.name == "KeyboardInterrupt"
    assert result.ended - interrupted <= GRACE + PROMISED + SLACK
    assert run.left() == []
    assert kernel.run("print(rows, 'made' in globals())").stdout == "[] False\n"


def test_a_process_that_a_finished_cell_leaves_running_is_ended_and_named(kernel: Kernel, run: Traces) -> None:
    """The documented exception to "as if": what would have gone on is ended, and the user is told which."""
    kernel.run("rows = []")
    code = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True); None"
    result = kernel.run(run.cell("%%timeout 60", code))
    assert result.status == "ok", result.text
    assert "sleep 60" in result.text
    assert run.left() == []
    assert kernel.run("print(made, rows)").stdout == "1 ['changed']\n"
