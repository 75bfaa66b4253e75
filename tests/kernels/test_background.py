"""Cells in the background, in a real kernel: their output, their panel, and when what they did is put in place."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel

GATE = "import os, time\ndef wait_for(name):\n    while not os.path.exists(name): time.sleep(0.02)"


@pytest.fixture
def front(kernel: Kernel) -> Front:
    return Front(kernel)


class Page:
    """A page whose cells are run one after the other."""

    def __init__(self, front: Front, gates: Path) -> None:
        self.front = front
        self.gates = gates
        self.run(GATE)

    def start(self, code: str) -> str:
        """Run a cell; return its request when the kernel has answered it."""
        request = self.front.execute(code)
        reply = self.front.reply(request)
        assert reply["status"] == "ok", reply
        return request

    def run(self, code: str) -> str:
        """Run a cell; return what it printed."""
        request = self.start(code)
        self.front.read(lambda: self.front.is_idle(request))
        return self.text(request)

    def text(self, request: str) -> str:
        return "".join(content["text"] for content in self.front.of(request, "stream"))

    def gate(self, name: str) -> str:
        return str(self.gates / name)

    def open(self, name: str) -> None:
        (self.gates / name).touch()

    def ended(self, request: str) -> None:
        """Wait until the slot of a background cell has its line."""
        self.front.read(lambda: bool(self.lines(request)))

    def lines(self, request: str) -> list[str]:
        """Return the static lines of a cell."""
        contents = self.front.of(request, "display_data") + self.front.of(request, "update_display_data")
        texts = [str(c["data"].get("text/plain", "")) for c in contents]
        return [text for text in texts if text[:1] in ("✓", "✗", "■")]

    def left_behind(self, request: str) -> str:
        texts = [str(c["data"].get("text/plain", "")) for c in self.front.of(request, "display_data")]
        return "\n".join(text for text in texts if text.startswith("… left behind"))


@pytest.fixture
def page(front: Front, tmp_path: Path) -> Page:
    return Page(front, tmp_path)


def test_a_background_cell_shows_its_output_in_its_own_cell_while_later_cells_run(page: Page) -> None:
    """And what it did is there when it has ended, between two cells."""
    begun = time.monotonic()
    cell = page.start(
        f"%%timeout -b job 60\nfor i in range(3):\n    print('line', i, flush=True)\n    wait_for({page.gate('g')!r} + str(i))\n"
        "from IPython.display import display\ndisplay('shown')\nimport sys; print('bad', file=sys.stderr)\nmade = i * 10\nmade"
    )
    assert time.monotonic() - begun < 20
    for i in range(3):
        page.front.read(lambda i=i: f"line {i}" in page.text(cell))  # type: ignore[misc]
        assert page.run(f"print('other', {i}, job.state, 'made' in globals())") == f"other {i} running False\n"
        page.open(f"g{i}")
    page.ended(cell)
    assert page.run("print(made, job.result(), job.state, job.done())") == "20 20 finished True\n"
    assert page.text(cell) == "line 0\nline 1\nline 2\nbad\n"
    assert page.lines(cell)[-1].startswith("✓")
    shown = [c["data"].get("text/plain") for c in page.front.of(cell, "display_data")]
    assert "'shown'" in shown and "20" in shown


#: What the notebook has, the background cell, what the notebook does meanwhile, what is printed afterwards, and what is named.
MEANWHILE: dict[str, tuple[str, str, str, str, str, list[str]]] = {
    "a change in place": ("rows = [1]; alias = rows", "rows.append(2)", "pass", "alias, rows is alias", "([1, 2], True)", []),
    "of an object that the notebook has changed": (
        "rows, other = [1], [1]", "rows.append(2); other.append(2)", "rows.append(9)", "rows, other", "([1, 9], [1, 2])",
        ["rows (the notebook has changed it meanwhile)"],
    ),
    "of an array that the notebook has changed": (
        "import numpy as np; a, b = np.zeros(50_000), np.zeros(3)", "a[0] = b[0] = 1", "a[1] = 7", "a[0], a[1], b[0]", "(np.float64(0.0), np.float64(7.0), np.float64(1.0))",
        ["a (the notebook has changed it meanwhile)"],
    ),
    "a name that the notebook has set": (
        "x, y = 1, 1", "x = 'cell'; y = 'cell'; z = 'cell'", "x = 'notebook'; z = 'notebook'", "x, y, z", "('notebook', 'cell', 'notebook')",
        ["x (the notebook has set it meanwhile)", "z (the notebook has set it meanwhile)"],
    ),
    "a name that the notebook has deleted": (
        "x = y = 1", "x = 2; del y", "del x; y = 3", "'x' in globals(), y", "(False, 3)",
        ["x (the notebook has deleted it meanwhile)", "y (the notebook has set it meanwhile)"],
    ),
    "the state of the process": (
        "import os; os.environ.update(A_='1', B_='1')", "os.environ.update(A_='2', B_='2', C_='2')", "os.environ['A_'] = '3'",
        "os.environ['A_'], os.environ['B_'], os.environ['C_']", "('3', '2', '2')", ["os.environ['A_'] (the notebook has set it meanwhile)"],
    ),
    "two background cells": (
        "rows = [1]", "rows.append('first')", "get_ipython().run_cell_magic('timeout', '-q -b second 60', 'rows.append(\"second\")'); second.result()", "rows", "[1, 'second']",
        ["rows (the notebook has changed it meanwhile)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANWHILE)
def test_what_the_notebook_does_meanwhile_is_never_overwritten(page: Page, name: str) -> None:
    before, inside, meanwhile, asked, answer, named = MEANWHILE[name]
    page.run(before)
    cell = page.start(f"%%timeout -b job 60\nwait_for({page.gate('g')!r})\n{inside}")
    page.run(meanwhile)
    page.open("g")
    page.run("job.result()")
    assert page.run(f"print(({asked}))") == answer + "\n"
    page.front.read(lambda: all(words in page.left_behind(cell) for words in named))
    assert bool(page.left_behind(cell)) == bool(named)


def test_nothing_is_put_in_place_while_another_cell_runs_unless_it_asks(page: Page) -> None:
    """Not in the middle of a loop, nor where a cell awaits something."""
    page.run("rows = []")
    page.start(f"%%timeout -b job 60\nwait_for({page.gate('g')!r})\nrows.append(1)")
    printed = page.run(
        f"import asyncio\nopen({page.gate('g')!r}, 'w').close()\nwhile not job.done(): await asyncio.sleep(0.02)\n"
        "await asyncio.sleep(0.3)\nprint(rows)\njob.result()\nprint(rows)"
    )
    assert printed == "[]\n[1]\n"


def test_it_is_put_in_place_while_the_kernel_is_idle(page: Page) -> None:
    """Without a later cell: what asks the kernel for a name, as a completer does, sees it."""
    cell = page.start("%%timeout -b job 60\nfresh_name = 1")
    page.ended(cell)

    def known() -> bool:
        request = page.front.send("inspect_request", {"code": "fresh_name", "cursor_pos": 3, "detail_level": 0})
        return bool(page.front.reply(request)["found"])

    page.front.read(known)


#: How a background cell fails, and what its cell shows.
FAILURES = {
    "an error": ("rows.append(1)\n1 / 0", "ZeroDivisionError", "✗ raised an error", "[1]"),
    "the deadline": ("rows.append(1)\nwhile True: pass", "DeadlineExceeded", "✗ timed out after 1 s", "[]"),
    "a death": ("rows.append(1)\nos._exit(3)", "ChildDied", "✗ died", "[]"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_background_cell_that_fails_shows_it_in_its_own_cell(page: Page, name: str) -> None:
    """And raises it again where its result is asked for."""
    code, error, line, rows = FAILURES[name]
    page.run("rows = []")
    cell = page.start(f"%%timeout -b job 1\n{code}")
    page.ended(cell)
    page.front.read(lambda: bool(page.front.of(cell, "error")))
    assert [content["ename"] for content in page.front.of(cell, "error")] == [error]
    assert page.lines(cell)[-1].startswith(line)
    later = page.front.execute("job.result()")
    assert page.front.reply(later)["ename"] == error
    page.front.read(lambda: bool(page.front.of(later, "error")))
    assert page.run("print(rows)") == rows + "\n"


@pytest.mark.parametrize(
    "busy", ["", "import time; time.sleep(0)", "%%timeout 60\nwait_for({gate!r})"], ids=["idle", "idle again", "busy"]
)
def test_its_cancel_button_works_while_the_kernel_is(page: Page, busy: str) -> None:
    cell = page.start("%%timeout -b job 600\nwhile True: pass")
    page.front.read(lambda: "Cancel" in page.front.buttons())
    button = page.front.buttons()["Cancel"]
    other = page.front.execute(busy.format(gate=page.gate("g"))) if busy else ""
    if "timeout" in busy:
        page.front.read(lambda: page.front.buttons()["Cancel"] != button)
    data = {"method": "custom", "content": {"event": "click"}, "buffers": []}
    page.front.send("comm_msg", {"comm_id": button, "data": data})
    page.ended(cell)
    assert page.lines(cell)[-1].startswith("■ cancelled after")
    page.open("g")
    if other:
        assert page.front.reply(other)["status"] == "ok"
    assert page.run("print(job.state)") == "cancelled\n"


def test_an_interrupt_of_the_kernel_does_not_touch_it(page: Page, kernel: Kernel) -> None:
    cell = page.start(f"%%timeout -b job 60\nwait_for({page.gate('g')!r})\nfree = 1")
    busy = page.front.execute("print('busy', flush=True)\ntime.sleep(60)")
    page.front.read(lambda: "busy" in page.text(busy))
    kernel.interrupt()
    assert page.front.reply(busy)["status"] == "error"
    assert page.run("print(job.state)") == "running\n"
    page.open("g")
    page.ended(cell)
    assert page.run("print(free)") == "1\n"


def test_a_job_is_shown_as_its_panel_wherever_it_is_asked_for(page: Page) -> None:
    """With buttons that work; as text where nothing draws widgets, and when it is over."""
    page.start("%%timeout -b job 600\nwhile True: pass")
    shown = page.start("import ipytimeout\nipytimeout.jobs()")

    def titles() -> int:
        opened = [m["content"]["data"]["state"] for m in page.front.iopub if m["msg_type"] == "comm_open"]
        return [state.get("value") for state in opened].count("job")

    page.front.read(lambda: titles() == 2)
    page.front.click("Cancel")
    page.ended(shown)
    later = page.start("job")
    page.front.read(lambda: bool(page.front.of(later, "execute_result")))
    data: dict[str, Any] = page.front.of(later, "execute_result")[0]["data"]
    assert data["text/plain"].startswith("<Job job: cancelled") and "job · cancelled after" in data["text/html"]
    assert page.run("print(ipytimeout.jobs())") == "[]\n"
    opened = {m["content"]["comm_id"] for m in page.front.iopub if m["msg_type"] == "comm_open"}
    page.front.read(
        lambda: opened == {m["content"]["comm_id"] for m in page.front.iopub if m["msg_type"] == "comm_close"}
    )


def test_input_in_the_background_says_what_to_do(page: Page) -> None:
    cell = page.start("%%timeout -b job 60\ninput('?')")
    page.front.read(lambda: bool(page.front.of(cell, "error")))
    assert page.front.of(cell, "error")[0]["evalue"].startswith("a run in the background cannot ask")


def test_a_line_runs_in_the_background_too_and_options_hold(page: Page) -> None:
    page.run("def f(x): global g; g = x; return 2 * x")
    assert page.run("%timeout -q -b job --keep nothing 60 f(3)\nprint(job.result(), 'g' in globals())") == "6 False\n"
    for wrong in ("-b 1x", "-b for", "-b"):
        request = page.front.execute(f"%%timeout {wrong} 60\npass")
        assert page.front.reply(request)["ename"] == "UsageError"


def test_what_a_function_changes_is_put_in_place_between_cells(page: Page) -> None:
    """``submit`` with ``commit=True``, whose result nobody asks for."""
    page.run(
        "from ipytimeout import timeout\nrows = []\ndef f(x): rows.append(x)\n"
        "job = timeout(60, commit=True).submit(f, 1)\nimport time\nwhile not job.done(): time.sleep(0.02)"
    )
    assert page.run("print(rows)") == "[1]\n"


def test_a_map_has_one_panel_with_a_tally_and_a_cancel_button(front: Front) -> None:
    """It leaves nothing on the page, and no widget; after Cancel nothing more is begun."""
    cell = front.execute(
        "from ipytimeout import timeout\nimport time\ndef f(i):\n    if i == 1: 1 / 0\n    if i > 2: time.sleep(60)\n    return i\n"
        "found = list(timeout(600).map(f, range(1000), workers=2))\nprint([type(v).__name__ for v in found])"
    )

    def said() -> str:
        states = [
            m["content"]["data"].get("state", {}) for m in front.iopub if m["msg_type"] in ("comm_open", "comm_msg")
        ]
        return " ".join(str(state.get("value", "")) for state in states)

    front.read(lambda: "2 done, 1 failed, 997 left" in said())
    front.click("Cancel")
    assert front.reply(cell)["status"] == "ok"
    front.read(lambda: bool(front.of(cell, "stream")))
    assert (
        front.of(cell, "stream")[0]["text"] == "['int', 'ZeroDivisionError', 'int', 'RunCancelled', 'RunCancelled']\n"
    )
    assert front.line(cell) == ""
    opened = {m["content"]["comm_id"] for m in front.iopub if m["msg_type"] == "comm_open"}
    assert opened == {m["content"]["comm_id"] for m in front.iopub if m["msg_type"] == "comm_close"}


def test_a_restart_ends_it(own_kernel: Kernel, tmp_path: Path) -> None:
    own_kernel.run(
        f"%%timeout -b job inf\nimport os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nwhile True: pass"
    )
    until = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    pid = (tmp_path / "pid").read_text()
    own_kernel.manager.restart_kernel(now=True)
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < until
        time.sleep(0.02)
    own_kernel.client.wait_for_ready(timeout=60)


def test_a_flood_in_the_background_is_capped_in_its_own_cell_and_the_notebook_goes_on(page: Page) -> None:
    """Also while another cell captures what it shows, and with a size of its own."""
    cell = page.start("%%timeout -b job -k 0 3\nn = 0\nwhile True: print(n); n += 1")
    small = page.start("%%timeout -b other -k 0 --max-output 10kB 3\nn = 0\nwhile True: print(n); n += 1")
    assert page.run("%%capture kept\nprint('captured'); time.sleep(1)") == ""
    assert page.run("print(repr(kept.stdout))") == "'captured\\n'\n"
    page.run("from concurrent.futures import wait; _ = wait([job, other])")
    for request, most in ((cell, 2_000_000), (small, 10_000)):
        page.ended(request)
        page.front.read(lambda request=request: page.front.of(request, "error"))  # type: ignore[misc]
        notes = [str(c["data"]["text/plain"]) for c in page.front.of(request, "display_data")]
        assert [note for note in notes if "left out here; --max-output shows more" in note]
        numbers = [int(line) for line in page.text(request).split()]
        head = next(i for i, number in enumerate(numbers) if i != number)
        tail = numbers[head:]
        assert head > 100 and tail == list(range(tail[0], tail[0] + len(tail))) and len(page.text(request)) <= most
    messages = [m for m in page.front.iopub if m["parent_header"].get("msg_id") in (cell, small)]
    assert len(messages) < 3000
