"""JupyterLab, Notebook and Voilà in a browser, with any kernel: every feature as a user tries it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.e2e.chromium import open_page
from tests.e2e.front_ends import FrontEnd, Served, served
from tests.e2e.test_voila import voila
from tests.matrix.table import Feature, Row, see

_CELLS = {
    "load": "%load_ext ipytimeout\nimport ipywidgets, time",
    "deadline": "%%timeout 1\nkept = 1\nwhile True: pass",
    "cancel": "%%timeout 600\nwhile True: pass",
    "live": "%%timeout 60\nprint('first')\ntime.sleep(2.5)\nprint('second')",
    "update": "%%timeout 60\nshown = display('before', display_id=True)\ntime.sleep(1)\nshown.update('after')",
    "widget": "%%timeout 15\nslider = ipywidgets.IntSlider()\ndisplay(slider)\nwhile slider.value < 3: time.sleep(0.01)\n"
    "print('moved to', slider.value)",
    "input": "%%timeout 60\nprint('Hello,', input())",
    "interrupt": "%%timeout 600\ndone = 'what was done stays'\nwhile True: pass",
    "interrupted": "print(done)",
}
_NUMBERS = {name: number for number, name in enumerate(_CELLS)}

#: Each button of the page calls a function with a deadline; what it shows appears below.
_APP = """
import time, ipywidgets
from IPython.display import display
from ipytimeout import DeadlineExceeded, RunCancelled, run_with_timeout
def spin():
    while True: pass
def live():
    print('first')
    time.sleep(2.5)
    print('second')
def widget():
    slider = ipywidgets.IntSlider()
    display(slider)
    while slider.value < 3: time.sleep(0.01)
    print('moved to', slider.value)
def start(name, function, seconds):
    button, out = ipywidgets.Button(description=name), ipywidgets.Output()
    def clicked(_):
        with out:
            try: run_with_timeout(seconds, function)
            except DeadlineExceeded: print('timed out')
            except RunCancelled: print('cancelled')
    button.on_click(clicked)
    return ipywidgets.VBox([button, out])
ipywidgets.VBox([start('deadline', spin, 1), start('cancel', spin, 600), start('live', live, 60),
                 start('widget', widget, 60)])
"""


def notebook_row(name: str, front_end: FrontEnd, kernel: str, directory: Path) -> Row:
    """Try every feature in a notebook that is open in a page."""
    row = Row(name)
    with served(front_end, kernel, list(_CELLS.values()), directory) as notebook:
        notebook.page.set_default_timeout(20_000)
        _end(notebook, "load")
        with row.measuring(Feature.DEADLINE):
            see("DeadlineExceeded", _end(notebook, "deadline"))
        with row.measuring(Feature.CANCEL):
            notebook.run(_NUMBERS["cancel"])
            notebook.button(_NUMBERS["cancel"], "cancel").click()
            see("RunCancelled", _ended(notebook, "cancel"))
        with row.measuring(Feature.LIVE):
            notebook.run(_NUMBERS["live"])
            notebook.cell(_NUMBERS["live"]).get_by_text("first").wait_for()
            see("*", notebook.prompt(_NUMBERS["live"]))
            see("second", _ended(notebook, "live"))
        with row.measuring(Feature.UPDATE):
            output = _end(notebook, "update")
            see("after", output)
            assert "before" not in output
        with row.measuring(Feature.WIDGET):
            notebook.run(_NUMBERS["widget"])
            cell = notebook.cell(_NUMBERS["widget"])
            _move(notebook.page, cell.locator(".noUi-handle"))
            see("moved to", _ended(notebook, "widget"))
        with row.measuring(Feature.INPUT):
            notebook.run(_NUMBERS["input"])
            field = notebook.page.locator(".jp-Stdin-input")
            field.fill("Ada")
            field.press("Enter")
            see("Hello, Ada", _ended(notebook, "input"))
        with row.measuring(Feature.INTERRUPT):
            notebook.run(_NUMBERS["interrupt"])
            notebook.button(_NUMBERS["interrupt"], "cancel").wait_for()
            for key in ("Escape", "i", "i"):
                notebook.page.keyboard.press(key)
            see("KeyboardInterrupt", _ended(notebook, "interrupt"))
            see("what was done stays", _end(notebook, "interrupted"))
        with row.measuring(Feature.LINE):
            outputs = notebook.save()["cells"][_NUMBERS["deadline"]]["outputs"]
            data = [output["data"] for output in outputs if "data" in output]
            see("✗ timed out after 1 s", "".join(data[0]["text/plain"]))
            assert not any("widget" in kind for each in data for kind in each)
    return row


def voila_row(name: str, directory: Path) -> Row:
    """Try what a page without cells has: callbacks that call functions with a deadline.

    What a callback shows is caught by an Output widget, in which no front end updates a display.
    """
    row = Row(name)
    with voila(directory, _APP) as address, open_page(directory / "profile") as page:
        page.set_default_timeout(20_000)
        page.goto(address)
        page.get_by_role("button", name="deadline").wait_for(timeout=60_000)
        with row.measuring(Feature.DEADLINE):
            page.get_by_role("button", name="deadline").click()
            page.get_by_text("timed out", exact=True).wait_for()
        with row.measuring(Feature.LINE):
            page.get_by_text("✗ timed out after 1 s in spin").wait_for()
        with row.measuring(Feature.CANCEL):
            page.get_by_role("button", name="cancel").click()
            page.locator(".ipytimeout button.ipt-cancel").click()
            page.get_by_text("cancelled", exact=True).wait_for()
        with row.measuring(Feature.LIVE):
            page.get_by_role("button", name="live").click()
            page.get_by_text("first", exact=True).wait_for()
            assert page.get_by_text("second", exact=True).count() == 0
            page.get_by_text("second", exact=True).wait_for()
        with row.measuring(Feature.WIDGET):
            page.get_by_role("button", name="widget").click()
            _move(page, page.locator(".noUi-handle"))
            page.get_by_text("moved to").wait_for()
    return row


def _end(notebook: Served, name: str) -> str:
    notebook.run(_NUMBERS[name])
    return _ended(notebook, name)


def _ended(notebook: Served, name: str) -> str:
    return notebook.ended(_NUMBERS[name], settle=0.4)


def _move(page: Page, handle: Locator) -> None:
    """Drag a slider to the right, as a user does."""
    handle.wait_for()
    page.wait_for_timeout(800)  # until the panel has come, and nothing moves any more
    handle.scroll_into_view_if_needed()
    place = handle.bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=5)
    page.mouse.up()
