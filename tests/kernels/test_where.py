"""Where a run was when it ended: an ordinary notebook traceback with the cell's own lines, also from within C code."""

from __future__ import annotations

import re

import pytest

from tests.kernels.harness import Kernel, Result

_CELL = """%%timeout {options} 0.5
import ctypes, os, re, signal, time
def hang(text):
    {line}
hang("a" * 40 + "b")
"""
#: The line of ``hang``, and the class of the error.
PLACES = {
    "a sleep": ("time.sleep(60)", "DeadlineExceeded"),
    "a C call without the GIL": (
        "lib = ctypes.CDLL(None); m = b'\\0' * 64; lib.pthread_mutex_lock(m); lib.pthread_mutex_lock(m)",
        "DeadlineExceeded",
    ),
    "a C call with the GIL": ("re.match('(a+)+$', text); sum(iter(int, 1))", "DeadlineExceeded"),
    "a segmentation fault": ("ctypes.string_at(0)", "ChildDied"),
    "an abort": ("os.abort()", "ChildDied"),
    "a bus error": ("os.kill(os.getpid(), signal.SIGBUS)", "ChildDied"),
}


def plain(result: Result) -> str:
    """Return the cell's traceback without colours."""
    assert result.error is not None, result.text
    return re.sub(r"\x1b\[[\d;]*m", "", result.error.traceback)


@pytest.mark.parametrize("options", ["", "-k 0"], ids=["with grace", "killed at once"])
@pytest.mark.parametrize(("line", "name"), [pytest.param(*place, id=name) for name, place in PLACES.items()])
def test_a_run_that_is_ended_shows_the_cells_own_lines(kernel: Kernel, line: str, name: str, options: str) -> None:
    """The call and the line that hung or crashed, with an arrow, as in any traceback of a notebook."""
    result = kernel.run(_CELL.format(options=options, line=line), timeout=20)
    shown = plain(result)
    assert result.error is not None and result.error.name == name
    assert re.search(r"-> +4 hang\(", shown), shown
    assert re.search(r"-> +3 +" + re.escape(line[:20]), shown), shown
    assert "in hang(" in shown
    assert "in hang(), line 3" in result.error.value
    assert "ipytimeout/" not in shown.replace("\\", "/"), shown


def test_the_stack_of_a_run_is_an_attribute_of_its_error(kernel: Kernel) -> None:
    """For programs: one line of text for each frame, the innermost last."""
    code = """
import ipytimeout
def hang():
    while True: pass
try: ipytimeout.timeout(0.3, kill_after=0).run(hang)
except ipytimeout.DeadlineExceeded as error: print(error.where[-1])
"""
    assert re.fullmatch(r"Cell In\[\d+\], line 3, in hang: while True: pass\n", kernel.run(code).stdout)
