"""The tables of ``tests/namespace`` with the real thing: real kernels, and real children of all start methods.

There the namespace's code is tried alone; here it is tried with the shell, the capture of names, the template and the
transport of large buffers around it. ``.ci/full`` runs all of it, the gate all of ``warm`` and a sample of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import pytest

from tests.kernels.environments import ENVIRONMENTS
from tests.kernels.harness import Kernel, Result
from tests.namespace.test_in_place import NAMED, RESTORED, Change
from tests.namespace.test_traps import TRAPS, Trap

#: What belongs to the process: the tables of ``tests/namespace`` have no process of a notebook.
STATE = [
    Trap("numpy's random numbers go on", "import numpy as np; np.random.seed(0)", "import numpy as np; a = np.random.random()", ("b = np.random.random()",), "abs(a - 0.5488135039273248) < 1e-9 and abs(b - 0.7151893663724195) < 1e-9"),
    Trap("the seed of the cell", "import random", "random.seed(1); a = random.random()", ("b = random.random(); random.seed(1); c = random.random()",), "a == c and b == random.random()"),
    Trap("the working directory", "import os; os.chdir('/')", "os.chdir('/usr')", (), "os.getcwd() == '/usr'"),
    Trap("the environment", "import os; os.environ['YY'] = '0'", "os.environ['ZZ'] = '1'; del os.environ['YY']", (), "os.environ['ZZ'] == '1' and 'YY' not in os.environ"),
    Trap("the notebook's docstring", "__doc__ = 'mine'", "seen = __doc__; del __doc__", (), "seen == 'mine' and '__doc__' not in globals()"),
    Trap("the import path", "import sys", "import sys; sys.path.append('/zz')", (), "sys.path[-1] == '/zz'"),
]  # fmt: skip
#: What does not come back in this version, and spoils nothing: the check holds whether it does or not.
NOT_YET = [
    Trap("an attribute of a module", "import math; x = [1]", "math.foo = 1; x.append(math.foo); y = math", (), "x == [1, 1] and y is math and math.sqrt(4) == 2 and getattr(math, 'foo', 1) == 1"),
    Trap("the level of a logger", "import logging; x = [1]", "log = logging.getLogger('q'); log.setLevel(10); x.append(log.level)", (), "x == [1, 10] and log is logging.getLogger('q') and log.level in (0, 10)"),
]  # fmt: skip
#: For what costs a second each: one of every kind that has a way of its own across the processes.
SAMPLE = {
    "a function sees the global that the cell rebinds",
    "a class of the cell goes back in",
    "an enum of the cell",
    "a closure's counter",
    "the best of some models",
    "a view made in the cell",
    "an object with a lock",
    "a figure",
    "numpy's random numbers go on",
    "the working directory",
    "a large ndarray",
    "a deque",
    "the attrs of a frame",
    "a memoryview holds its size",
}
#: What is an error natively, and in a copy of the kernel.
ONLY_BY_VALUE = {("fork", "a memoryview holds its size")}
#: The environment and the start method whose whole tables the gate runs.
WHOLE = "ipykernel7", "warm"
#: Rows that import one of these have a kernel of their own: under ``spawn`` every other row would import it too.
HEAVY = re.compile("pandas|sklearn|matplotlib")
#: In the kernel, once; and then before each row: an empty namespace, and the process as it was. Not by ``%reset``, which
#: collects garbage for longer than three timed cells take.
PREPARE = """
%load_ext ipytimeout
import os as _os, sys as _sys
_home, _environ, _path = _os.getcwd(), dict(_os.environ), list(_sys.path)
_name = None; _kept = {"_kept", *globals()}
"""
CLEAN = """
for _name in set(globals()) - _kept:
    if _name[0] != "_" or _name.strip("_i0123456789"):  # the others are IPython's record of its cells
        del globals()[_name]
_os.chdir(_home); _os.environ.clear(); _os.environ.update(_environ); _sys.path[:] = _path
"""


class Place(NamedTuple):
    """Where a row of a table is tried."""

    environment: str
    start: str

    def __str__(self) -> str:
        return f"{self.environment}-{self.start}"


Row = TypeVar("Row", Trap, Change)
Notebooks = Callable[[Place, Trap | Change], "Notebook"]


def _is_sample(place: Place, title: str) -> bool:
    """Whether the gate has this row here; a copy of the kernel is little different in an older one."""
    return title in SAMPLE and (place.start != "fork" or place.environment == "ipykernel7")


def everywhere(table: Iterable[Row]) -> list[object]:
    """Return each row of a table in each place; ``full`` where it is neither of the whole table nor of the sample."""
    return [
        pytest.param(
            place := Place(environment, start),
            row,
            id=f"{place}-{row.title}",
            marks=[] if tuple(place) == WHOLE or _is_sample(place, row.title) else [pytest.mark.full],
        )
        for environment in ENVIRONMENTS
        for start in ("warm", "spawn", "fork")
        for row in table
        if (start, row.title) not in ONLY_BY_VALUE
    ]


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebooks]:
    """Return the notebook of a row in a place, made when it is first asked for; two for a whole table."""
    made: dict[tuple[Place, bool], Notebook] = {}

    def get(place: Place, row: Trap | Change) -> Notebook:
        if "import polars" in row.before and place.environment != "ipykernel7":
            pytest.skip("not here: only the environment of the tests has polars")
        key = place, bool(HEAVY.search(row.before))
        if key not in made:
            kernel = Kernel(ENVIRONMENTS[place.environment](), tmp_path_factory.mktemp(str(place)))
            made[key] = Notebook(kernel, place.start)
        made[key].clean()
        return made[key]

    yield get
    for notebook in made.values():
        notebook.kernel.close()


class Notebook:
    """A kernel whose timed cells are run with one start method."""

    def __init__(self, kernel: Kernel, start: str) -> None:
        self.kernel = kernel
        self._magic = f"%%timeout -q --start {start} 60\n"
        self.cell(PREPARE)

    def clean(self) -> None:
        """Empty the namespace, and have the process as it was at first."""
        self.cell(CLEAN)

    def cell(self, code: str) -> Result:
        """Run a cell natively."""
        return self._run(code)

    def timed(self, code: str) -> str:
        """Run a timed cell; return what was said below it: what was left behind, or that it was not run as asked."""
        result = self._run(self._magic + code)
        return "\n".join(
            text
            for output in result.outputs
            if output["output_type"] == "display_data"
            and not (text := output["data"]["text/plain"]).startswith("… --start fork:")  # it is told of polars
        )

    def value(self, expression: str) -> str:
        return self.cell(f"print({expression})").stdout.strip()

    def _run(self, code: str) -> Result:
        result = self.kernel.run(code)
        assert result.status == "ok", result.text
        return result


@pytest.mark.parametrize(("place", "trap"), everywhere([*TRAPS, *STATE, *NOT_YET]))
def test_a_timed_cell_leaves_what_a_native_one_leaves(notebooks: Notebooks, place: Place, trap: Trap) -> None:
    """The check, which holds natively, holds after a timed cell, and nothing is said to be left behind."""
    notebook = notebooks(place, trap)
    notebook.cell(trap.before)
    assert notebook.timed(trap.timed) == ""
    for code in trap.later:
        (notebook.timed if code.startswith("@") else notebook.cell)(code.removeprefix("@"))
    assert notebook.value(f"bool({trap.check})") == "True"


@pytest.mark.parametrize(("place", "change"), everywhere(RESTORED))
def test_a_change_in_place_comes_back_into_the_same_object(notebooks: Notebooks, place: Place, change: Change) -> None:
    """Aliases of the object see the change, and a cell that only looks leaves it the very same."""
    notebook = notebooks(place, change)
    notebook.cell(change.before + "\n_same = x")
    assert notebook.timed("_ = repr(x)") == ""
    assert notebook.value("x is _same") == "True"
    assert notebook.timed(change.timed) == ""
    assert notebook.value(f"x is _same and bool({change.check})") == "True"


@pytest.mark.parametrize(("place", "change"), everywhere(NAMED))
def test_a_change_that_cannot_be_put_back_is_named(notebooks: Notebooks, place: Place, change: Change) -> None:
    """Never silently stale."""
    notebook = notebooks(place, change)
    notebook.cell(change.before)
    assert f"left behind: {change.check} (" in notebook.timed(change.timed)


def test_the_sample_is_of_the_tables() -> None:
    """A row that is renamed does not drop out of the gate."""
    assert {row.title for row in [*TRAPS, *STATE, *NOT_YET, *RESTORED, *NAMED]} >= SAMPLE
