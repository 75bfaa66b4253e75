"""How long it takes from a click on Cancel until the code is interrupted, and until the child is gone.

``python -m tests.benchmarks.click [clicks]``, in each front end with each kernel. The cell is an endless loop, so the
kernel is busy with it. The click is timed in the page, the interrupt by the code itself, the death of the child, which
first says where it was, by the operating system; all read the same clock. The figures are printed, never asserted.
Environments are made on first use.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import statistics
import tempfile
import time
from pathlib import Path

from tests.e2e.front_ends import FRONT_ENDS, KERNELS, FrontEnd, Served, served

_LOAD, _ENDLESS = 0, 1
_CELLS = [
    # In a function: CPython leaves the jump of a loop outside of the ``try`` around it, where the interrupt would hit.
    "%load_ext ipytimeout\nimport os, time\ndef spin():\n    while True: pass",
    "%%timeout 600\nprint('pid', os.getpid(), flush=True)\ntry: spin()\nfinally: print('interrupted', time.time())",
]
_NOTE_CLICKS = """() => document.addEventListener('click',
    () => { window.clicked = performance.timeOrigin + performance.now(); }, {capture: true})"""


def _said(notebook: Served, what: str) -> float:
    """Wait until the cell has said this, and return the number that follows."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        output = notebook.cell(_ENDLESS).locator(".jp-Cell-outputArea").inner_text()
        if found := re.search(rf"^{what} ([\d.]+)$", output, flags=re.MULTILINE):
            return float(found[1])
        notebook.page.wait_for_timeout(20)
    raise TimeoutError(f"the cell did not say {what!r}")


def _click(notebook: Served) -> tuple[float, float]:
    """Run the endless cell and cancel it; return the times until the interrupt and until the child's end, in ms."""
    notebook.run(_ENDLESS)
    button = notebook.button(_ENDLESS, "cancel")
    button.wait_for(timeout=30_000)
    child = os.pidfd_open(int(_said(notebook, "pid")))
    try:
        notebook.page.wait_for_timeout(300)
        # What waits must not be what clicks: playwright comes back from a click only after a while.
        reader, writer = os.pipe()
        watcher = os.fork()
        if watcher == 0:
            select.select([child], [], [], 20)
            os.write(writer, repr(time.time()).encode())
            os._exit(0)
        button.click()
        gone = float(os.read(reader, 100)) * 1000
        os.waitpid(watcher, 0)
        os.close(reader)
        os.close(writer)
    finally:
        os.close(child)
    clicked: float = notebook.page.evaluate("() => window.clicked")
    notebook.wait_for_prompt(_ENDLESS)
    return _said(notebook, "interrupted") * 1000 - clicked, gone - clicked


def measure(front_end: FrontEnd, kernel: str, clicks: int) -> list[tuple[float, float]]:
    with (
        tempfile.TemporaryDirectory() as directory,
        served(front_end, KERNELS[kernel](), _CELLS, Path(directory)) as notebook,
    ):
        notebook.run(_LOAD)
        notebook.wait_for_prompt(_LOAD)
        notebook.page.evaluate(_NOTE_CLICKS)
        _click(notebook)  # the first run of a kernel imports
        return [_click(notebook) for _ in range(clicks)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.click", description=__doc__.splitlines()[0])
    parser.add_argument("clicks", nargs="?", type=int, default=20)
    parser.add_argument("--only", default="", help="front ends and kernels whose names contain this")
    arguments = parser.parse_args()
    print(f"click on Cancel → …, median and max in ms; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| front end | kernel | n | code interrupted | child gone |\n|---|---|---|---|---|")
    for front_end in FRONT_ENDS:
        for kernel in KERNELS:
            if arguments.only in f"{front_end.name} {kernel}":
                times = measure(front_end, kernel, max(1, arguments.clicks))
                columns = [f"{statistics.median(each):.0f}, {max(each):.0f}" for each in zip(*times, strict=True)]
                print("| " + " | ".join([front_end.name, kernel, str(len(times)), *columns]) + " |", flush=True)


if __name__ == "__main__":
    main()
