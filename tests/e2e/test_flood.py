"""Floods of output in a real page: it answers meanwhile, the server refuses nothing, and the file stays small."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.front_ends import LAB_HERE, Served, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = [
    "%load_ext ipytimeout",
    "%%timeout 5\nwhile True: print('x')",
    "%%timeout 3\nwhile True: print('a line of some length, with a number:', 'x' * 1000)",
    "%%timeout 3\nwhile True: display(1)",
    "%%timeout 600\nwhile True: print('x')",
    "print('queued')",
]
#: Notes for how long the page did nothing, at the longest.
_WATCH = """() => {
  window.stall = 0; let last = performance.now();
  window.beat = setInterval(() => {
    const now = performance.now(); window.stall = Math.max(window.stall, now - last); last = now;
  }, 20);
}"""
_STALL = "() => { clearInterval(window.beat); return window.stall; }"


def _run(notebook: Served, number: int) -> tuple[str, float]:
    """Run a cell to its end; return its output, and the longest time in which the page did nothing, in seconds."""
    notebook.page.evaluate(_WATCH)
    notebook.run(number)
    output = notebook.ended(number, settle=1.5)
    return output, notebook.page.evaluate(_STALL) / 1000


def test_a_flood_leaves_a_page_that_answers_and_a_small_file(tmp_path: Path, measured: Any) -> None:
    """Print loops and displays without end; the last is cancelled by a click while it goes on."""
    with served(LAB_HERE, sys.executable, CELLS, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        for number in (1, 2, 3):
            output, stall = _run(notebook, number)
            measured(f"cell {number}: the page stood still for {stall:.2f} s at most")
            assert "timed out after" in output
            # Of many displays the page shows the first only, and has a button for the rest.
            assert "Show more outputs" in output or ("left out here" in output and "DeadlineExceeded" in output)
            assert stall < 5
        notebook.run(4)
        notebook.run(5)
        notebook.button(4, "cancel").wait_for(timeout=20_000)
        notebook.page.wait_for_timeout(3000)
        begin = time.monotonic()
        notebook.button(4, "cancel").click()
        notebook.wait_for_prompt(4)
        took = time.monotonic() - begin
        measured(f"cancelled {took:.2f} s after the click, in the page")
        assert took < 10
        assert "cancelled after" in notebook.output(4)
        saved = notebook.save()
        assert "rate exceeded" not in json.dumps(saved)
        for cell in saved["cells"][1:4]:
            assert len(re.findall("left out here", json.dumps(cell))) in (1, 2)  # as text, and as HTML
            assert cell["outputs"][-1]["ename"] == "DeadlineExceeded"
        assert "rate exceeded" not in notebook.log.read_text()
        size = (tmp_path / "notebook.ipynb").stat().st_size
        measured(f"the file has {size / 1e6:.1f} MB")
        assert size < 8_000_000
