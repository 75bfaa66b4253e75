"""The page is reloaded, or a second one opened, while a timed cell runs: the run goes on, and an interrupt ends it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.e2e.front_ends import LAB_HERE, Served, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = [
    "%load_ext ipytimeout\nimport time",
    "%%timeout 60\nfor i in range(30):\n    print('tick', i)\n    time.sleep(0.2)\nx = i",
    "print('x is', x)",
    "%%timeout 600\ny = 1\nwhile True: time.sleep(0.1)",
    "print('y is', y)",
]


def _output(notebook: Served, number: int) -> str:
    return notebook.cell(number).locator(".jp-Cell-outputArea").inner_text()


def _run_to_the_end(notebook: Served, number: int) -> str:
    notebook.run(number)
    notebook.wait_for_prompt(number)
    notebook.page.wait_for_timeout(500)
    return _output(notebook, number)


def _interrupt(notebook: Served) -> None:
    """Interrupt as the page does it that is open now."""
    notebook.page.get_by_role("menuitem", name="Kernel", exact=True).first.click()
    notebook.page.get_by_role("menuitem", name="Interrupt Kernel").first.click()


def test_a_run_goes_on_without_its_page_and_an_interrupt_from_any_page_ends_it(tmp_path: Path) -> None:
    """Reloaded in the middle of a run that ends by itself, and of one that does not; then seen from a second tab."""
    with served(LAB_HERE, sys.executable, CELLS, tmp_path) as notebook:
        _run_to_the_end(notebook, 0)
        notebook.run(1)
        notebook.button(1, "cancel").wait_for(timeout=20_000)
        notebook.save()
        notebook.open()
        notebook.page.wait_for_timeout(1000)
        assert "x is 29" in _run_to_the_end(notebook, 2)  # it waits until the run has ended
        assert "not finished when this was saved" in _output(notebook, 1) or "tick 0" in _output(notebook, 1)

        notebook.run(3)
        notebook.button(3, "cancel").wait_for(timeout=20_000)
        notebook.save()
        notebook.open()
        notebook.page.wait_for_timeout(1000)
        begin = time.monotonic()
        _interrupt(notebook)
        assert "y is 1" in _run_to_the_end(notebook, 4)  # what was done stays, as after any interrupt
        assert time.monotonic() - begin < 20

        notebook.run(3)
        notebook.button(3, "cancel").wait_for(timeout=20_000)
        notebook.save()
        second = Served(notebook.page.context.new_page(), LAB_HERE, notebook.url, notebook.directory, notebook.log)
        second.open()
        second.page.wait_for_timeout(1000)
        _interrupt(second)
        notebook.wait_for_prompt(3)
        notebook.page.wait_for_timeout(500)
        assert "interrupted after" in _output(notebook, 3) and "KeyboardInterrupt" in _output(notebook, 3)
