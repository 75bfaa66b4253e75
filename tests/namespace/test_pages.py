"""Large arrays are mapped in the other process: only what was written into them comes back, into their own memory."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from ipytimeout.wire import memory

from .conftest import Notebook

pytestmark = [
    pytest.mark.skipif(not memory.available, reason="there is no shared memory of this kind here"),
    # Of numpy, of what it will not do one day: setting a shape, matrices.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]
pytest.importorskip("numpy")

PAGE = 4096
#: The bytes of the array that most of these cells make.
WHOLE = 8 * 500_000


class Write(NamedTuple):
    title: str
    before: str
    timed: str
    check: str
    #: So many bytes may come back: a few hundred tell where they belong.
    most: int


#: The array is always called ``x``.
MAKE = "import numpy as np\nx = np.arange(500_000.); y = x\n"
WRITES = [
    Write("two places", MAKE, "x[7] = -1; x[400_000] = -2", "(y[7], y[400_000], y.sum()) == (-1, -2, 124999750000.0 - 400_010)", 2 * PAGE + 800),
    Write("the last item", MAKE, "x[-1] = -1", "y[-1] == -1 and y[-2] == 499_998", PAGE + 700),
    Write("everything", MAKE, "x += 1", "y[0] == 1 and y[-1] == 500_000", WHOLE + 2000),
    Write("every tenth page", MAKE, "x[::5120] = -1", "(y[::5120] == -1).all() and (y == -1).sum() == 98", 98 * (PAGE + 50)),
    Write("through a view", MAKE + "v = x[1000:300_000:3]", "v[5] = -1", "x[1015] == -1 and v.base is x", PAGE + 700),
    Write("through a view that the names no longer show", MAKE + "v = x[1000:]; del x, y; x = v", "x[5] = -1", "v[5] == v.base[1005] == -1", PAGE + 700),
    Write("a view made by the cell", MAKE, "v = x.reshape(1000, 500); v[2, 3] = -1", "x[1003] == -1 and v.base is x", PAGE + 900),
    Write("in columns", "import numpy as np\nx = y = np.asfortranarray(np.arange(500_000.).reshape(1000, 500))", "x[3, 400] = -1", "y[3, 400] == -1 and (y < 0).sum() == 1 and y.flags.f_contiguous", PAGE + 700),
    Write("dates", "import numpy as np\nx = y = np.zeros(500_000, 'M8[s]')", "x[9] = np.datetime64('2020')", "str(y[9]).startswith('2020') and y[8] == y[10] == y[0]", PAGE + 700),
    Write("a read-only array made writeable", MAKE + "x.flags.writeable = False", "x.flags.writeable = True; x[9] = -1", "y[9] == -1 and y[8] == 8 and y.flags.writeable", PAGE + 700),
    Write("a read-only array that stays so", MAKE + "x.flags.writeable = False", "x.flags.writeable = True; x[9] = -1; x.flags.writeable = False", "y[9] == -1 and y[8] == 8 and not y.flags.writeable", PAGE + 700),
    Write("an array made read-only", MAKE, "x.flags.writeable = False", "not y.flags.writeable and y[9] == 9", 700),
    Write("a matrix", MAKE + "x = y = np.matrix(x)", "x[0, 9] = -1", "y[0, 9] == -1 and y[0, 8] == 8 and type(y) is np.matrix", PAGE + 700),
    Write("a masked array", MAKE + "x = y = np.ma.array(x)", "x[9] = -1", "y[9] == -1 and y[8] == 8", 2 * PAGE + 1500),
    Write("a subclass that shows an array", MAKE + "a = x; x = np.asmatrix(a)", "x[0, 9] = -1", "a[9] == x[0, 9] == -1", 2 * PAGE + 900),
    Write("an array that its owner writes to when it is rebuilt", MAKE + "class O:\n    def __setstate__(self, state): vars(self).update(state); self.x[1] = 7\no = O(); o.x = x", "x[9] = -1", "y[9] == -1 and y[8] == 8 and o.x is x", WHOLE + 2000),
    Write("another shape", MAKE, "x.shape = (1000, 500); x[0, 9] = -1", "y.shape == (1000, 500) and y[0, 9] == -1", WHOLE + 2000),
    Write("a frame", "import pandas as pd\nx = y = pd.DataFrame({'a': range(500_000), 'b': 1.5})", "x.loc[9, 'a'] = -1; x.iloc[400_000, 1] = -1", "y['a'][9] == y['b'][400_000] == -1 and y['a'][8] == 8 and y['b'][9] == 1.5", 2 * PAGE + 2000),
    Write("a series", "import pandas as pd\nx = y = pd.Series(range(500_000))", "x[9] = -1", "y[9] == -1 and y[8] == 8", PAGE + 2000),
]  # fmt: skip


@pytest.mark.parametrize("pages_known", [True, False], ids=["by page", "by comparison"])
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.title)
def test_what_was_written_comes_back_into_the_same_array(notebook: Notebook, write: Write, pages_known: bool) -> None:
    """Little else travels when the pages are known; and when they are not, the whole array does."""
    notebook.pages_known = pages_known
    notebook.cell(write.before)
    same = notebook["x"]
    notebook.timed(write.timed)
    assert notebook.refused == notebook.left_behind == {}
    assert notebook["x"] is same
    assert notebook.value(write.check)
    if pages_known:
        assert notebook.received <= write.most


UNTOUCHED = [
    "import numpy as np\nx = np.arange(500_000.)",
    "import numpy as np\nx = np.arange(500_000.)[::-1]",
    "import numpy as np\nx = np.arange(500_000.); x.flags.writeable = False",
    "import numpy as np\nx = np.ma.array(np.arange(500_000.), mask=False)",
    "import pandas as pd\nx = pd.DataFrame({'a': range(500_000), 'b': 1.5})",
    "import pandas as pd\nx = pd.DataFrame({'a': range(500_000), 'b': 1.5}); s = x['a']",
    "import pandas as pd\nx = pd.Series(range(500_000))",
    "import pandas as pd\nx = pd.Index([float(i) for i in range(500_000)])",
    "import pandas as pd\nx = pd.Series(pd.date_range('2020', periods=500_000, freq='s'))",
]


@pytest.mark.parametrize("pages_known", [True, False], ids=["by page", "by comparison"])
@pytest.mark.parametrize("before", UNTOUCHED)
def test_an_array_that_was_only_read_brings_nothing_back(notebook: Notebook, before: str, pages_known: bool) -> None:
    """Whoever tells what was written."""
    notebook.pages_known = pages_known
    notebook.cell(before)
    notebook.timed("total = repr(x) + str(x.max())")
    assert notebook.left_behind == {}
    assert notebook.commit is not None and (notebook.commit.changed, notebook.commit.names) == (0, ["total"])
    assert notebook.received < 2000


def test_no_digest_is_made_of_mapped_memory(notebook: Notebook) -> None:
    """That would cost a second for each GiB, before the code and after it."""
    notebook.cell("import numpy as np, pandas as pd\nx = np.arange(500_000.)\ndf = pd.DataFrame({'a': x}); s = df['a']")
    notebook.timed(
        "import sys\n"
        "frame = sys._getframe(1)\nwhile 'watch' not in frame.f_locals: frame = frame.f_back\n"
        "notes = [note for group in frame.f_locals['watch']._watched.groups for note in group.notes]\n"
        "found = sum(str(vars(note)).count('Untouched(') for note in notes)\ndel frame, notes"
    )
    assert notebook["found"] >= 2


@pytest.mark.parametrize("pages_known", [True, False], ids=["by page", "by comparison"])
def test_an_array_that_was_replaced_travels_whole(notebook: Notebook, pages_known: bool) -> None:
    """The old one is not touched, and stays where others hold it."""
    notebook.pages_known = pages_known
    notebook.cell(MAKE)
    notebook.timed("x = x + 1")
    assert notebook["x"] is not notebook["y"]
    assert (notebook["x"][0], notebook["y"][0]) == (1, 0)
    assert notebook.received > WHOLE


def test_other_memory_under_the_same_array_travels_whole(notebook: Notebook) -> None:
    """Nothing is known of that memory."""
    notebook.cell(MAKE)
    notebook.timed("x.__setstate__((1, x.shape, x.dtype, False, bytes(np.ones(500_000))))")
    assert (notebook["y"] == 1).all()


def test_an_array_changed_here_meanwhile_is_named(notebook: Notebook) -> None:
    """Parts that belong to another layout are not written into it."""
    notebook.cell("import numpy as np\nx = np.zeros((1000, 500))")
    dump = notebook.dump()
    notebook["x"].shape = (500, 1000)
    notebook.exchange(dump, "x[1, 2] = 5").apply()
    assert "meanwhile" in notebook.left_behind["x"]
    assert not notebook["x"].any()
