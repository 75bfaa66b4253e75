"""*Run all*: which cells run, in which order, after what ends a timed cell. As natively."""

from __future__ import annotations

import pytest

from tests.kernels.front import Front
from tests.kernels.harness import Kernel

QUEUES = {
    "all well": ["{timed}x = 1", "print(x)", "{timed}y = x + 1\nprint(y)", "print(x + y)"],
    "an error": ["{timed}x = 1", "{timed}x = 2\n1 / 0", "{timed}x = 3", "x = 4"],
    "an error of a native cell": ["1 / 0", "{timed}x = 3\nprint(x)"],
    "a syntax error": ["{timed}x = = 1", "{timed}x = 2"],
    "an exit": ["{timed}import sys, warnings; warnings.simplefilter('ignore'); sys.exit()", "{timed}x = 2"],
}


def outcome(front: Front, cells: list[str]) -> list[tuple[str, str, str]]:
    """Queue all cells at once; return how each ended, and what it wrote."""
    sent = [front.execute(cell) for cell in cells]
    replies = [front.reply(request) for request in sent]
    front.read(lambda: all(len(front.of(request, "status")) >= 2 for request in sent))
    texts = ["".join(each["text"] for each in front.of(request, "stream")) for request in sent]
    return [(str(r["status"]), str(r.get("ename", "")), text) for r, text in zip(replies, texts, strict=True)]


@pytest.mark.parametrize("cells", QUEUES.values(), ids=QUEUES)
def test_queued_cells_run_and_are_aborted_as_natively(kernel: Kernel, cells: list[str]) -> None:
    seen = []
    for magic in ("", "%%timeout -q 60\n"):
        kernel.run("%reset -f")
        seen.append(outcome(Front(kernel), [cell.format(timed=magic) for cell in cells]))
    assert seen[1] == seen[0]


@pytest.mark.parametrize(
    ("ending", "error"),
    [("while True: pass", "DeadlineExceeded"), ("import os; os._exit(1)", "ChildDied")],
    ids=["timed out", "died"],
)
def test_cells_behind_one_that_was_ended_are_aborted(kernel: Kernel, ending: str, error: str) -> None:
    cells = [f"%%timeout -q -k 0 0.5\n{ending}", "print('queued')", "%%timeout -q 5\nprint('queued')"]
    first, *rest = outcome(Front(kernel), cells)
    assert first[:2] == ("error", error)
    assert rest == [("aborted", "", "")] * 2
    assert kernel.run("print('later')").stdout == "later\n"


@pytest.mark.parametrize("magic", ["", "%%timeout -q 60\n"], ids=["natively", "timed"])
def test_an_interrupt_aborts_the_cells_behind_the_one_it_hits(kernel: Kernel, magic: str) -> None:
    front = Front(kernel)
    busy = front.execute(f"{magic}import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.1)")
    queued = [front.execute(f"{magic}print('queued')"), front.execute("print('queued')")]
    front.read(lambda: front.of(busy, "stream"))
    kernel.interrupt()
    assert front.reply(busy)["ename"] == "KeyboardInterrupt"
    assert [front.reply(request)["status"] for request in queued] == ["aborted"] * 2
