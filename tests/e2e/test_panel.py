"""The panel in real front ends: what a user sees and clicks while a cell runs, and what stays when it has ended.

One story for each front end and kernel, in one browser: a Playwright session keeps an event loop running in this
thread. The short form, with what these tests run in, is part of the gate; the whole matrix is marked ``full``.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.front_ends import FRONT_ENDS, KERNELS, LAB_HERE, FrontEnd, Served, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

_WIDGET = "application/vnd.jupyter.widget-view+json"
#: The page's record of where the first lines of a cell's output are, in every frame.
_WATCH = """(number) => {
  window.seen = [];
  const look = () => {
    const outputs = document.querySelectorAll('.jp-Notebook .jp-Cell')[number].querySelectorAll('.jp-OutputArea-child');
    const place = [...outputs].slice(0, 2).map(o => Math.round(o.getBoundingClientRect().top));
    const what = outputs[0] && (outputs[0].querySelector('.ipytimeout') ? 'panel' : outputs[0].innerText.trim());
    const line = JSON.stringify([what, ...place]);
    if (outputs.length && window.seen.at(-1) !== line) window.seen.push(line);
    window.looking = requestAnimationFrame(look);
  };
  look();
}"""
_SEEN = "() => { cancelAnimationFrame(window.looking); return window.seen.map(JSON.parse); }"

CELLS = {
    "load": "%load_ext ipytimeout\nimport time\nfrom ipytimeout import run_with_timeout\nx = 0",
    "finished": "%%timeout 60\nprint('begin')\ntime.sleep(1.5)\nx = 1\nprint('end')",
    "endless": "%%timeout -m 4GB 600\nx = 2\nwhile True: pass",
    "queued": "x = 3",
    "queued too": "x = 4",
    "after": "print('x is', x)",
    "timed out": "%%timeout 1\ndef slow():\n    while True: pass\nslow()",
    "extended": "%%timeout 2\ntime.sleep(3)\nprint('in time')",
    "hangs in C": "%%timeout 600\nimport re\ndef match(text):\n    return re.match('(a+)+$', text)\nmatch('a' * 40 + 'b')",
    "stubborn": "%%timeout -k 60 600\nwhile True:\n    try: time.sleep(1)\n    except BaseException: pass",
    "clears": "%%timeout 60\nfrom IPython.display import clear_output\nfor i in range(9):\n"
    "    clear_output(wait=i % 2 == 0)\n    print('round', i)\n    time.sleep(0.2)",
    "captured": "%%capture kept\n%%timeout 60\nprint('kept text')\ntime.sleep(2.5)",
    "in an Output": "import ipywidgets\nout = ipywidgets.Output()\ndisplay(out)\nwith out:\n"
    "    print('in the widget')\n    get_ipython().run_cell_magic('timeout', '60', 'time.sleep(2.5)')",
    "function": "run_with_timeout(60, lambda: (time.sleep(2.5), 7)[1])",
    "progress": "%%timeout 60\nfrom ipytimeout import progress\ntime.sleep(1.5)\n"
    "for i in progress(range(20)):\n    progress(0.5, 'words ' * 9)\n    time.sleep(0.15)",
    "progress without a limit": "%%timeout inf\nfrom ipytimeout import progress\ntime.sleep(1.5)\n"
    "for i in range(20):\n    progress(i / 20, 'fitting ' * 6)\n    time.sleep(0.15)",
    "quiet": "%%timeout -q 60\nprint('quiet')\ntime.sleep(0.8)",
    "widgets": "from ipywidgets.widgets import widget\nprint('widgets left:', [w for w in widget._instances.values()"
    " if 'ipytimeout' in str(getattr(w, '_dom_classes', '')) or 'ipt-' in str(getattr(w, '_dom_classes', ''))])",
}
_NUMBERS = {name: number for number, name in enumerate(CELLS)}


class Story:
    """The notebook of the cells above, spoken of by their names."""

    def __init__(self, notebook: Served) -> None:
        self.notebook = notebook

    def run(self, *names: str) -> None:
        for name in names:
            self.notebook.run(_NUMBERS[name])

    def ended(self, name: str) -> str:
        """Wait for the end of a cell and return what its output says."""
        return self.notebook.ended(_NUMBERS[name], settle=0.4)

    def output(self, name: str) -> str:
        return self.notebook.output(_NUMBERS[name])

    def panel(self, name: str) -> str:
        """Wait for the panel of a cell and return what it says."""
        self.notebook.button(_NUMBERS[name], "cancel").wait_for(timeout=20_000)
        return self.notebook.cell(_NUMBERS[name]).locator(".ipytimeout").inner_text()

    def click(self, name: str, button: str) -> None:
        self.notebook.button(_NUMBERS[name], button).click()

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, what
            self.notebook.page.wait_for_timeout(20)

    def watched(self, name: str) -> list[list[Any]]:
        """Run a cell to its end; return what its first outputs were, and where, in every frame of the page."""
        self.notebook.page.evaluate(_WATCH, _NUMBERS[name])
        self.run(name)
        self.notebook.page.wait_for_timeout(500)
        self.ended(name)
        seen: list[list[Any]] = self.notebook.page.evaluate(_SEEN)
        return seen


def tell_story(notebook: Served) -> None:
    """Everything that a user does with the panel, in one notebook."""
    story = Story(notebook)
    story.run("load")
    assert story.ended("load").strip() == ""

    _nothing_moves(story)
    _cancel_while_cells_are_queued(story)
    _extend_and_where(story)
    _second_click_ends_at_once(story)
    _survives_the_cells_own_outputs(story)
    _functions_leave_nothing(story)
    _progress_moves_nothing_but_the_bar(story)

    story.run("timed out")
    assert "✗ timed out after 1 s in slow(), line 2" in story.ended("timed out")
    story.run("quiet")
    notebook.page.wait_for_timeout(500)
    assert notebook.button(_NUMBERS["quiet"], "cancel").count() == 0
    assert story.ended("quiet").strip() == "quiet"
    story.run("widgets")
    assert "widgets left: []" in story.ended("widgets")


def _nothing_moves(story: Story) -> None:
    """Blank line, panel, summary: each in the same place, and the text below stays where it is."""
    story.run("finished")
    assert "✓" in story.ended("finished")
    seen = story.watched("finished")
    whats = [what for what, *_ in seen]
    started = whats.index("") if "" in whats else 0
    rest = seen[started:]
    assert [w for i, w in enumerate(whats[started:]) if i == 0 or whats[started:][i - 1] != w][1:-1] == ["panel"], seen
    assert re.fullmatch(r"✓ \d\.\d s of 1 min", whats[-1]), whats
    assert len({top for _, top, *_ in rest}) == 1, seen
    assert len({below[0] for _, _, *below in rest if below}) == 1, seen


def _cancel_while_cells_are_queued(story: Story) -> None:
    """The click arrives although the kernel is busy; what waits behind the cell is aborted, as after any error."""
    story.run("endless", "queued", "queued too")
    assert "of 10 min" in story.panel("endless")
    assert [story.notebook.prompt(_NUMBERS[n]) for n in ("endless", "queued", "queued too")] == ["[*]:"] * 3
    _memory_appears_and_nothing_moves(story)
    _cancel_stays_in_sight(story)
    begin = time.monotonic()
    story.click("endless", "cancel")
    output = story.ended("endless")
    assert time.monotonic() - begin < 5
    assert "■ cancelled after" in output and "RunCancelled" in output
    story.ended("queued too")
    assert [story.notebook.prompt(_NUMBERS[n]) for n in ("queued", "queued too")] == ["[ ]:"] * 2
    story.run("after")
    assert "x is 1" in story.ended("after")


def _memory_appears_and_nothing_moves(story: Story) -> None:
    """It is known only after a while, and its place is kept for it."""
    button = story.notebook.button(_NUMBERS["endless"], "cancel")
    before = button.bounding_box()
    story.until(lambda: re.search(r"\d MB of 4 GB", story.panel("endless")) is not None, "it shows no memory in use")
    assert button.bounding_box() == before
    memory = story.notebook.cell(_NUMBERS["endless"]).locator(".ipt-memory .widget-html-content")
    assert memory.evaluate("it => it.scrollWidth <= it.clientWidth"), "it is cut off"


def _cancel_stays_in_sight(story: Story) -> None:
    """On a narrow page, as at a zoom of 200 %, other parts of the panel make room."""
    page = story.notebook.page
    usual = page.viewport_size
    assert usual is not None
    for width in (800, 640):
        page.set_viewport_size({"width": width, "height": usual["height"]})
        page.wait_for_timeout(400)
        button = story.notebook.button(_NUMBERS["endless"], "cancel").bounding_box()
        panel = story.notebook.cell(_NUMBERS["endless"]).locator(".ipytimeout").bounding_box()
        assert button is not None and panel is not None
        assert button["x"] + button["width"] <= panel["x"] + panel["width"] + 1, (width, button, panel)
    page.set_viewport_size(usual)
    page.wait_for_timeout(400)


def _extend_and_where(story: Story) -> None:
    story.run("extended")
    assert "of 2 s" in story.panel("extended")
    story.click("extended", "more")
    story.until(lambda: "of 4 s" in story.panel("extended"), "the panel does not say that there is more time")
    output = story.ended("extended")
    assert "in time" in output and re.search(r"✓ 3\.\d s of 4 s", output)
    story.run("hangs in C")
    story.panel("hangs in C")
    story.notebook.page.wait_for_timeout(500)
    story.click("hangs in C", "where")
    story.until(lambda: "return re.match('(a+)+$', text)" in story.panel("hangs in C"), "no stack is shown")
    assert "line 3 in match" in story.panel("hangs in C")
    story.click("hangs in C", "cancel")
    assert "■ cancelled after" in story.ended("hangs in C")


def _second_click_ends_at_once(story: Story) -> None:
    """The grace period of this cell is a minute."""
    story.run("stubborn")
    story.panel("stubborn")
    story.notebook.page.wait_for_timeout(500)
    story.click("stubborn", "cancel")
    story.until(lambda: "End now" in story.panel("stubborn"), "the panel does not say that the run is being ended")
    begin = time.monotonic()
    story.click("stubborn", "cancel")
    assert "■ cancelled after" in story.ended("stubborn")
    assert time.monotonic() - begin < 5


def _survives_the_cells_own_outputs(story: Story) -> None:
    seen = story.watched("clears")
    assert story.output("clears").split() == ["✓", *re.findall(r"\S+", story.output("clears"))[1:6], "round", "8"]
    whats = [what for what, *_ in seen]
    shown = seen[whats.index("panel") :]  # from the first frame on that has it
    assert {what for what, *_ in shown[:-1]} == {"panel"} and whats[-1].startswith("✓"), seen
    assert len({top for _, top, *_ in shown}) == 1, seen
    story.run("captured")
    assert "of 1 min" in story.panel("captured")
    output = story.ended("captured")
    assert output.startswith("✓") and "kept text" not in output
    story.run("in an Output")
    assert "of 1 min" in story.panel("in an Output")
    output = story.ended("in an Output")
    assert "in the widget" in output and "✓" in output, output


def _functions_leave_nothing(story: Story) -> None:
    story.run("function")
    assert "of 1 min" in story.panel("function")
    assert story.ended("function").split()[1:] == ["7"]
    heights = (
        story.notebook.cell(_NUMBERS["function"])
        .locator(".jp-OutputArea-child")
        .evaluate_all("all => all.map(each => each.getBoundingClientRect().height)")
    )
    assert [h for h in heights[:-1] if h > 1] == [], heights


def _progress_moves_nothing_but_the_bar(story: Story) -> None:
    """What the code says of itself is seen, and no button leaves its place, also where there is little room."""
    page = story.notebook.page
    usual = page.viewport_size
    assert usual is not None
    page.set_viewport_size({"width": 1000, "height": usual["height"]})
    for name, words, has_bar in (
        ("progress", "of 20 · words words", True),
        ("progress without a limit", "fitting fitting", False),
    ):
        story.run(name)
        assert words not in story.panel(name)
        page.wait_for_timeout(400)
        buttons = [story.notebook.button(_NUMBERS[name], each) for each in ("where", "cancel")]
        before = [button.bounding_box() for button in buttons]
        bar = story.notebook.cell(_NUMBERS[name]).locator(".ipt-bar")
        assert bar.is_visible() == has_bar
        story.until(
            functools.partial(lambda name, words: words in story.panel(name), name, words), "no progress is shown"
        )
        page.wait_for_timeout(600)
        assert bar.is_visible()
        assert [button.bounding_box() for button in buttons] == before
        assert "✓" in story.ended(name)
    page.set_viewport_size(usual)
    page.wait_for_timeout(400)


def check_file(notebook: dict[str, Any]) -> None:
    """The saved notebook has the lines, and needs no widgets to show them."""
    assert "widgets" not in notebook["metadata"]
    lines = {}
    for name, cell in zip(CELLS, notebook["cells"], strict=True):
        data = [output["data"] for output in cell["outputs"] if "data" in output]
        if name not in ("in an Output", "widgets"):
            assert not any(_WIDGET in each for each in data), name
        lines[name] = ["".join(each["text/plain"]) for each in data]
    assert lines["finished"][0].startswith("✓ ")
    assert lines["endless"][0].startswith("■ cancelled after")
    assert lines["timed out"][0].startswith("✗ timed out after 1 s in slow(), line 2")
    assert lines["captured"][0].startswith("✓ ")


def check_reopened(notebook: Served) -> None:
    """Opened anew, with no kernel to be had, the page shows the lines."""
    for session in notebook.ask("api/sessions"):
        notebook.delete(f"api/sessions/{session['id']}")
    notebook.lose_kernel()
    notebook.open()
    notebook.page.wait_for_timeout(2000)
    story = Story(notebook)
    assert "■ cancelled after" in story.output("endless")
    assert "✗ timed out after 1 s" in story.output("timed out")


def test_a_run_is_shown_cancelled_extended_and_summed_up(tmp_path: Path, python: str) -> None:
    """The whole story in the JupyterLab of this environment, in the light theme and, with the old kernel, the dark."""
    dark = python != sys.executable
    with served(LAB_HERE, python, list(CELLS.values()), tmp_path, dark=dark) as notebook:
        tell_story(notebook)
        check_file(notebook.save())
        check_reopened(notebook)


@pytest.mark.full
@pytest.mark.parametrize("subshells", ["default", "disabled"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=[each.name for each in FRONT_ENDS])
def test_the_panel_works_in(tmp_path: Path, front_end: FrontEnd, kernel: str, subshells: str) -> None:
    """Each front end with each kernel, with comms over subshells where the front end knows them, and without."""
    if subshells == "disabled" and not front_end.knows_subshells:
        pytest.skip("not here: this front end sends no comms over subshells")
    settings: dict[str, dict[str, Any]] = {}
    if subshells == "disabled":
        settings["@jupyterlab/apputils-extension/kernels-settings"] = {"commsOverSubshells": "disabled"}
    with served(front_end, KERNELS[kernel](), list(CELLS.values()), tmp_path, settings=settings) as notebook:
        tell_story(notebook)
        check_file(notebook.save())
        check_reopened(notebook)


def test_the_static_lines_are_in_what_nbconvert_makes(tmp_path: Path) -> None:
    """A notebook that was run without a front end: the line is its only trace, in HTML too."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    notebook = nbformat.v4.new_notebook()
    sources = ("%load_ext ipytimeout", "%%timeout 60\nimport time; time.sleep(0.6)", "%%timeout 0.6\nwhile True: pass")
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    assert "widgets" not in notebook.metadata
    assert _WIDGET not in json.dumps(notebook)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert "✓" in page and " s of 1 min" in page and "timed out after 600 ms" in page
