"""The notebook ``notebooks/live.ipynb`` in JupyterLab: what its text says, a user sees.

One test function: a Playwright session keeps an event loop running in this thread.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator

from tests.e2e.front_ends import LAB_HERE, Served, served
from tests.kernels.environments import REPOSITORY

pytestmark = [pytest.mark.browser, pytest.mark.notebook, pytest.mark.timeout(300)]
NOTEBOOK = REPOSITORY / "notebooks" / "live.ipynb"


class Live:
    """The code cells of the notebook, spoken of by their ids."""

    def __init__(self, notebook: Served, names: list[str], pictures: Path) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self._numbers = {name: number for number, name in enumerate(names)}
        self._pictures = pictures

    def run(self, name: str) -> None:
        self.notebook.run(self._numbers[name])

    def find(self, name: str, selector: str, text: str = "") -> Locator:
        found = self.notebook.cell(self._numbers[name]).locator(f".jp-Cell-outputArea {selector}")
        return found.filter(has_text=text) if text else found

    def output(self, name: str) -> str:
        return self.notebook.cell(self._numbers[name]).locator(".jp-Cell-outputArea").inner_text()

    def ended(self, name: str) -> str:
        self.notebook.wait_for_prompt(self._numbers[name])
        self.page.wait_for_timeout(400)
        self.picture(name)
        return self.output(name)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, what
            self.page.wait_for_timeout(20)

    def picture(self, name: str) -> None:
        cell = self.notebook.cell(self._numbers[name.partition("-")[0]])
        cell.scroll_into_view_if_needed()
        cell.screenshot(path=str(self._pictures / f"{name}.png"))


def code_cells() -> dict[str, str]:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    return {cell.id: cell.source for cell in cells if cell.cell_type == "code"}


def test_the_live_notebook_shows_what_it_says(tmp_path: Path) -> None:
    """A bar moves, a slider is moved while code reads it, a question is asked, pictures follow each other."""
    cells = code_cells()
    with served(LAB_HERE, sys.executable, list(cells.values()), tmp_path) as notebook:
        errors: list[str] = []
        notebook.page.on("console", lambda each: errors.append(each.text) if each.type == "error" else None)
        live = Live(notebook, list(cells), tmp_path)
        live.run("load")
        live.ended("load")
        _a_bar_moves(live)
        _a_slider_is_moved(live)
        _a_question_is_asked(live)
        _pictures_follow_each_other(live)
        _what_is_ended_cannot_be_used(live)
        assert [text for text in errors if "widget" in text.lower() or "comm" in text.lower()] == []
        log = notebook.log.read_text()
        assert "No such comm" not in log and "Traceback" not in log, log[-3000:]


def _a_bar_moves(live: Live) -> None:
    live.run("bar")
    bar = live.find("bar", ".progress-bar-info, .progress-bar:not(.ipytimeout *)").last
    bar.wait_for(state="attached", timeout=20_000)
    seen: set[str] = set()

    def moved() -> bool:
        found = re.search(r"(\d+)/40", live.output("bar"))
        seen.update(found.groups() if found else ())
        return len(seen) > 3

    live.until(moved, "the bar does not move")
    live.picture("bar-running")
    output = live.ended("bar")
    assert "40/40" in output and "the sum is 780" in output and "✓" in output, output


def _a_slider_is_moved(live: Live) -> None:
    live.run("slider")
    handle = live.find("slider", ".noUi-handle")
    handle.wait_for(timeout=20_000)
    handle.focus()
    for _ in range(3):
        live.page.keyboard.press("ArrowRight")
        live.page.wait_for_timeout(300)
    live.picture("slider-running")
    assert "[*]" in live.notebook.prompt(list(code_cells()).index("slider"))
    live.find("slider", "button", "Stop").click()
    output = live.ended("slider")
    found = re.search(r"walked (\d+) at speed (\d)", output)
    assert found is not None and found[2] == "4" and 3 < int(found[1]) <= 203, output
    live.run("after")
    assert re.search(r"\(4, \d+\)", live.ended("after"))
    handle.focus()
    live.page.keyboard.press("ArrowRight")
    live.page.wait_for_timeout(500)
    live.run("after")
    assert re.search(r"\(5, \d+\)", live.ended("after")), "the slider is not the notebook's own"


def _a_question_is_asked(live: Live) -> None:
    live.run("question")
    field = live.notebook.page.locator(".jp-Stdin-input")
    field.wait_for(timeout=20_000)
    field.fill("Ada")
    field.press("Enter")
    assert "Hello, Ada" in live.ended("question")


def _pictures_follow_each_other(live: Live) -> None:
    live.run("animation")
    picture = live.find("animation", "img")
    picture.first.wait_for(timeout=30_000)
    seen: set[str] = set()

    def changed() -> bool:
        if picture.count() == 1:
            seen.add(str(picture.first.get_attribute("src"))[-200:])
        return len(seen) > 3

    live.until(changed, "the picture does not change", 60)
    assert "✓" in live.ended("animation")
    assert picture.count() == 1


def _what_is_ended_cannot_be_used(live: Live) -> None:
    live.run("ended")
    output = live.ended("ended")
    assert "✗ timed out after 1.5 s" in output and "left behind: 1 widget" in output, output
    slider = live.find("ended", ".widget-slider .noUi-target")
    assert slider.get_attribute("disabled") is not None
    assert "3" in live.find("ended", ".widget-readout").inner_text()


def test_the_live_notebook_is_stored_without_outputs() -> None:
    """Outputs would be what one machine showed once."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in notebook.cells if "outputs" in cell)
