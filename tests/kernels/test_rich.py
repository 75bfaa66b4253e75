"""What ``rich`` installs in a shell, natively or in a timed cell, is there in both; in a real kernel."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tests.kernels.harness import Kernel

#: Cells in pairs: what one of a pair sets, the other shows.
CELLS = [
    "from rich import pretty, traceback",
    "pretty.install(max_length=2)",
    "{'a': [1, 2, 3]}",
    "pretty.install(max_length=1)",
    "{'a': [1, 2, 3]}",
    "_ = traceback.install(extra_lines=1, width=80)",
    "def f(n):\n    1 / n\nf(0)",
    "f(0)",
    "print('text')",
    "from rich.console import Console\nconsole = Console(width=50)",
    "console.print('[bold]bold[/]' + 'x' * 60)",
    "console.print('y'); console.width",
    "%alias_magic much timeit",
    "get_ipython().find_line_magic('much') is not None",
    "1 +",
    "get_ipython().showtraceback.__module__",
]
_MADE_UP = re.compile(r"ipykernel_\d+/\d+|In ?\[\d+\]|\[\d+\]|<ipython-input-[^>]*>")


def shown(directory: Path, timed: int) -> list[tuple[str, str]]:
    """Run the cells in a kernel of their own, every second one with a deadline; return what each has published."""
    directory.mkdir()
    kernel = Kernel(sys.executable, directory)
    try:
        kernel.run("%load_ext ipytimeout")
        found = []
        for number, code in enumerate(CELLS):
            result = kernel.run(("%%timeout -q 100\n" if number % 2 == timed else "") + code, 120)
            published = [(kind, {**content, "execution_count": 0}) for kind, content in result.order]
            found.append((code, result.status + _MADE_UP.sub("…", json.dumps(published))))
        return found
    finally:
        kernel.close()


def test_what_rich_installs_shows_values_and_errors_whichever_of_two_cells_is_timed(tmp_path: Path) -> None:
    native = shown(tmp_path / "native", 2)
    for timed in (0, 1):
        for one, other in zip(native, shown(tmp_path / str(timed), timed), strict=True):
            assert other == one
