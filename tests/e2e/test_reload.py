"""The page is reloaded, or a second one opened, while a timed cell runs: it goes on, and can be ended from any page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.front_ends import FRONT_ENDS, KERNELS, LAB_HERE, FrontEnd, Served, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = [
    "%load_ext ipytimeout\nimport ipywidgets, time",
    "%%timeout 60\nfor i in range(30):\n    print('tick', i)\n    time.sleep(0.2)\nx = i",
    "print('x is', x)",
    "%%timeout 600\ny = 1\nwhile True: time.sleep(0.1)",
    "print('y' in dir(), 'is there')",
    "%%timeout 600\nslider = ipywidgets.IntSlider(value=3)\ndisplay(slider)\nslider.value = 5\nwhile slider.value == 5: pass",
    "print('at', slider.value)",
    "%%timeout 600\nfor i in range(60):\n    print('tick', i)\n    time.sleep(0.2)\nz = i",
    "print('z is', z)",
    "%%timeout 600\nanswer = input('name? ')",
]


def _start(notebook: Served, number: int) -> None:
    """Run a cell until its panel is there, and is in the file."""
    notebook.run(number)
    notebook.button(number, "cancel").wait_for(timeout=20_000)
    notebook.page.wait_for_timeout(300)
    notebook.save()


def _interrupt(notebook: Served) -> None:
    """Interrupt as the page does it that is open now."""
    notebook.page.get_by_role("menuitem", name="Kernel", exact=True).first.click()
    notebook.page.get_by_role("menuitem", name="Interrupt Kernel").first.click()


def _second_tab(notebook: Served) -> Served:
    page = notebook.page.context.new_page()
    second = Served(page, notebook.front_end, notebook.url, notebook.directory, notebook.log)
    second.open()
    return second


def _cancel(notebook: Served, number: int) -> None:
    """Cancel on the panel of a page that did not start the run; it says there, too, how the run ended."""
    notebook.button(number, "cancel").click(timeout=20_000)
    notebook.cell(number).get_by_text("■ cancelled after").wait_for(timeout=10_000)


def test_a_run_goes_on_without_its_page_and_an_interrupt_from_any_page_ends_it(tmp_path: Path) -> None:
    """Reloaded in the middle of a run that ends by itself; then another one is seen from a second tab."""
    with served(LAB_HERE, sys.executable, CELLS, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        _start(notebook, 1)
        notebook.open()
        notebook.page.wait_for_timeout(1000)
        assert "x is 29" in notebook.run_to_the_end(2)  # it waits until the run has ended
        assert "✓" in notebook.output(1) or "tick 0" in notebook.output(1)

        _start(notebook, 3)
        second = _second_tab(notebook)
        second.page.wait_for_timeout(1000)
        _interrupt(second)
        output = notebook.ended(3)
        assert "interrupted after" in output and "KeyboardInterrupt" in output
        second.page.close()
        assert "True is there" in notebook.run_to_the_end(4)  # what was done stays, as after any interrupt


def test_the_panel_comes_back_in_a_page_that_is_opened_while_the_cell_runs(tmp_path: Path) -> None:
    """From the file that was saved meanwhile; a click on Cancel ends the run, and the page says so."""
    with served(LAB_HERE, sys.executable, CELLS, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        _start(notebook, 3)
        notebook.open()
        _cancel(notebook, 3)
        assert "False is there" in notebook.run_to_the_end(4)


@pytest.mark.full
def test_a_page_that_is_opened_after_the_end_says_how_the_run_ended(tmp_path: Path) -> None:
    """As natively it has the outputs up to when it was saved; in the place of the panel it has the line."""
    with served(LAB_HERE, sys.executable, CELLS, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        _start(notebook, 7)
        notebook.page.goto("about:blank")
        notebook.page.wait_for_timeout(14_000)
        notebook.open()
        notebook.cell(7).get_by_text("✓ 12.").wait_for(timeout=20_000)
        assert "tick 1" in notebook.output(7) and "widget" not in notebook.output(7)
        assert "z is 59" in notebook.run_to_the_end(8)


@pytest.mark.full
def test_after_a_restart_of_the_kernel_the_panel_has_no_buttons_and_says_why(tmp_path: Path) -> None:
    with served(LAB_HERE, sys.executable, CELLS, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        _start(notebook, 3)
        notebook.page.get_by_role("menuitem", name="Kernel", exact=True).first.click()
        notebook.page.get_by_role("menuitem", name="Restart Kernel…").first.click()
        notebook.page.get_by_role("button", name="Confirm Kernel Restart").click()
        panel = notebook.cell(3).locator(".ipytimeout.jupyter-widgets-disconnected")
        panel.wait_for(timeout=20_000)
        assert "out of reach" in panel.evaluate("it => getComputedStyle(it, '::before').content")
        assert not notebook.button(3, "cancel").is_visible()
        notebook.cell(3).screenshot(path=tmp_path / "restarted.png")
        notebook.run_to_the_end(0)
        assert "False is there" in notebook.run_to_the_end(4)


@pytest.mark.full
def test_a_question_whose_page_is_gone_can_be_ended_from_the_next(tmp_path: Path) -> None:
    """As natively nobody is asked a second time; the panel is there, and its Cancel ends the question."""
    with served(LAB_HERE, sys.executable, CELLS, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        notebook.run(9)
        notebook.page.locator(".jp-Stdin-input").wait_for(timeout=20_000)
        notebook.page.wait_for_timeout(500)
        notebook.save()
        notebook.open()
        _cancel(notebook, 9)
        assert "False is there" in notebook.run_to_the_end(4)


@pytest.mark.full
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=[each.name for each in FRONT_ENDS])
def test_panel_and_widgets_come_back_in_a_second_tab_and_after_a_reload(
    tmp_path: Path, front_end: FrontEnd, kernel: str
) -> None:
    with served(front_end, KERNELS[kernel](), CELLS, tmp_path) as notebook:
        notebook.run_to_the_end(0)
        _start(notebook, 3)
        second = _second_tab(notebook)
        _cancel(second, 3)
        output = notebook.ended(3)
        assert "■ cancelled after" in output and "RunCancelled" in output
        assert notebook.button(3, "cancel").count() == 0
        second.page.close()

        _start(notebook, 5)
        notebook.open()
        notebook.cell(5).locator(".widget-readout").get_by_text("5").wait_for(timeout=20_000)
        handle = notebook.cell(5).locator(".noUi-handle")
        handle.focus()
        handle.press("ArrowRight")
        assert "at 6" in notebook.run_to_the_end(6)
        handle.focus()
        handle.press("ArrowRight")  # alive after its cell
        notebook.page.wait_for_timeout(500)
        assert "at 7" in notebook.run_to_the_end(6)
