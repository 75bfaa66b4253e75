"""Every front end of the matrix, by its name, and how its row is measured."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from tests.e2e.front_ends import FRONT_ENDS, KERNELS, FrontEnd
from tests.matrix.pages import notebook_row, voila_row
from tests.matrix.programs import nbclient_row, papermill_row
from tests.matrix.table import Row
from tests.matrix.terminals import console_row, ipython_row, script_row

Measure = Callable[[str, Path], Row]


def _in_page(front_end: FrontEnd, kernel: str, name: str, directory: Path) -> Row:
    return notebook_row(name, front_end, KERNELS[kernel](), directory)


#: In the order of the table.
ROWS: dict[str, Measure] = {
    **{
        f"{front_end.name}, {kernel}": functools.partial(_in_page, front_end, kernel)
        for front_end in FRONT_ENDS
        for kernel in KERNELS
    },
    "Voilà 0.5, in a callback": voila_row,
    "nbclient": nbclient_row,
    "papermill": papermill_row,
    "`jupyter console`": console_row,
    "IPython in a terminal": ipython_row,
    "a script in a terminal": functools.partial(script_row, piped=False),
    "a script in a pipe": functools.partial(script_row, piped=True),
}
#: What the gate measures too: seconds each.
SAMPLE = ("nbclient", "IPython in a terminal", "a script in a pipe")
