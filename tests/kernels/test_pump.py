"""Clicks in a real kernel whose main thread is inside a cell, with everything else that a front end sends meanwhile."""

from __future__ import annotations

import os
import re
import signal
import threading
import time

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel

#: How many rounds of messages the storm has; each is a cell, another request, and a click.
ROUNDS = 60
STUBBORN = """%%timeout -k 600 60
import time
print("begun", flush=True)
while True:
    try: time.sleep(1)
    except BaseException: pass"""


@pytest.fixture
def front(kernel: Kernel) -> Front:
    return Front(kernel)


def test_a_click_ends_a_busy_cell_and_the_cells_behind_it_are_aborted(front: Front) -> None:
    """As after any error of a cell; and no widget is left."""
    cell = front.execute("%%timeout 600\nwhile True: pass")
    behind = [front.execute("queued = 1"), front.execute("queued = 2")]
    front.read(lambda: "Cancel" in front.buttons() and front.of(cell, "update_display_data"))
    front.click("Cancel")
    front.read(lambda: all(map(front.replied, [cell, *behind])))
    statuses = {r["parent_header"]["msg_id"]: r["content"]["status"] for r in front.replies}
    assert [statuses[each] for each in (cell, *behind)] == ["error", "aborted", "aborted"]
    front.read(lambda: front.of(cell, "error"))
    assert front.line(cell).startswith("■ cancelled after")
    opened = {m["content"]["comm_id"] for m in front.iopub if m["msg_type"] == "comm_open"}
    closed = {m["content"]["comm_id"] for m in front.iopub if m["msg_type"] == "comm_close"}
    assert opened == closed


def test_a_cell_that_runs_in_a_subshell_is_ended_by_a_click(front: Front) -> None:
    """It runs in another thread, with a shell stream of its own; the main shell stays free meanwhile."""
    subshell = front.new_subshell()
    if subshell is None:
        pytest.skip("not here: ipykernel 6 has no subshells")
    cell = front.execute("%%timeout 600\nwhile True: pass", subshell=subshell)
    front.read(lambda: "Cancel" in front.buttons() and front.of(cell, "update_display_data"))
    other = front.execute("free = 1")
    front.read(lambda: front.replied(other))
    assert not front.replied(cell)
    front.click("Cancel")
    front.read(lambda: front.replied(cell) and front.of(cell, "error"))
    assert front.line(cell).startswith("■ cancelled after")


def test_in_a_storm_of_messages_and_interrupts_nothing_is_lost_and_nothing_out_of_order(front: Front) -> None:
    """Cells, other requests and clicks, interleaved, with SIGINTs all the while."""
    log = front.execute("log = []")
    front.read(lambda: front.replied(log))
    cell = front.execute(STUBBORN, stop_on_error=False)
    front.read(lambda: "+ 1 min" in front.buttons() and front.of(cell, "stream"))
    storm = threading.Event()

    def interrupt() -> None:
        while not storm.wait(0.003):
            os.kill(front.kernel.pid, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    sent = []
    try:
        for number in range(ROUNDS):
            sent.append(front.execute(f"log.append({number})", stop_on_error=False))
            front.click("+ 1 min")
            sent.append(front.send("is_complete_request", {"code": "x"}))
            time.sleep(0.002)
        time.sleep(0.5)
    finally:
        storm.set()
        thread.join()
    front.click("Cancel")
    front.click("Cancel")
    front.read(lambda: all(map(front.replied, [cell, *sent])))
    order = [r["parent_header"]["msg_id"] for r in front.replies]
    assert [each for each in order if each in {cell, *sent}] == [cell, *sent]
    hours, minutes = divmod(1 + ROUNDS, 60)
    assert f"of {hours} h {minutes} min" in front.line(cell)
    assert front.kernel.run("print(log == list(range(len(log))), len(log))").stdout == f"True {ROUNDS}\n"


def where_it_is(front: Front, code: str) -> str:
    """Run a cell, click "Where?" until it answers, and return the answer."""
    cell = front.execute(code)
    front.read(lambda: "Where?" in front.buttons() and front.of(cell, "update_display_data"))

    def stack() -> str:
        values = [
            m["content"]["data"].get("state", {}).get("value") for m in front.iopub if m["msg_type"] == "comm_msg"
        ]
        return next((v for v in values if isinstance(v, str) and "<pre>" in v), "")

    def asked() -> bool:
        if not stack():
            front.click("Where?")
            time.sleep(0.1)
        return bool(stack())

    front.read(asked)
    front.click("Cancel")
    front.read(lambda: front.replied(cell))
    return stack()


def test_the_panel_shows_where_the_code_is(front: Front) -> None:
    """Its live stack, also while it hangs in C code."""
    stack = where_it_is(front, "%%timeout 600\nimport re\nre.match('(a+)+$', 'a' * 40 + 'b')")
    assert ", line 2</b>" in stack and "re.match(&#x27;(a+)+$&#x27;" in stack
    assert "<details>" not in stack


def test_the_panel_shows_the_other_threads_one_click_away(front: Front) -> None:
    """Also while the main thread is blocked in ``join``."""
    code = """%%timeout 600
import threading, time
def work():
    time.sleep(600)
thread = threading.Thread(target=work, name="a <worker>")
thread.start()
thread.join()"""
    own, _, others = where_it_is(front, code).partition("<details><summary>1 other thread</summary>")
    assert "thread.join()" in own and "time.sleep" not in own
    assert "<b>a &lt;worker&gt;</b>" in others and "time.sleep(600)" in others


def test_a_page_that_draws_no_widgets_gets_the_line_only(kernel: Kernel) -> None:
    """nbclient, papermill and consoles name no cell in their requests."""
    result = kernel.run("%%timeout 60\nimport time; time.sleep(0.6)")
    assert [output["output_type"] for output in result.outputs] == ["display_data"]
    assert re.fullmatch(r"✓ \d\.\d s of 1 min", result.text.strip())


def test_a_quiet_cell_opens_no_comm_and_shows_nothing(front: Front) -> None:
    cell = front.execute("%%timeout -q 60\nimport time; time.sleep(0.6)")
    front.read(lambda: front.replied(cell) and len(front.of(cell, "status")) == 2)
    kinds = {m["msg_type"] for m in front.iopub if m["parent_header"].get("msg_id") == cell}
    assert kinds == {"status", "execute_input"}


def test_a_click_is_answered_while_the_kernel_stays_busy_with_the_cell(front: Front) -> None:
    """The page keeps the cell's star: the last status before the end is busy."""
    cell = front.execute("%%timeout 600\nwhile True: pass")
    front.read(lambda: "+ 10 min" in front.buttons() and front.of(cell, "update_display_data"))
    front.click("+ 10 min")
    front.read(lambda: len(front.of(cell, "status")) == 2)
    assert [s["execution_state"] for s in front.of(cell, "status")] == ["busy", "busy"]
    front.click("Cancel")
    front.read(lambda: front.replied(cell))
