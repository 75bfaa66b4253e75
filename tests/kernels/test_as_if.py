"""The promise "as if", for what notebooks commonly do: each cell natively, then timed, in a real kernel.

The namespace is emptied in between. What is compared is what a reader of the page sees, and what a later cell
would find.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.kernels.harness import Kernel, Result

CELLS = {
    "a value": "6 * 7",
    "no value for a trailing semicolon": "6 * 7;",
    "prints and a value": "print('a'); print('b'); x = 3\nx",
    "standard error": "import sys; print('oops', file=sys.stderr)",
    "a new name": "new = {'a': 1}",
    "a deleted name": "del table",
    "a change in place": "rows.append('row'); alias is rows",
    "names that share one object": "first = second = []; first.append(1)",
    "an object that was only looked at": "best = rows; best is alias",
    "a frame changed in place": "frame['c'] = frame['a'] + 1; frame",
    "an array changed in place": "array[1] = 7; array",
    "a function and its call": "def double(x):\n    return 2 * x\ndouble(4)",
    "a class and an instance": "class Point:\n    x = 1\npoint = Point(); point.x += 1; point.x",
    "an instance of the notebook's class": "thing.colour = 'red'; isinstance(thing, Thing), thing.colour",
    "a lambda and a closure": "add = (lambda n: lambda x: x + n)(3); add(4)",
    "an error after work": "rows.append('row'); done = 1; 1 / 0",
    "an error in a function": "def fail():\n    raise ValueError('wrong')\nfail()",
    "an error with a cause": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('outer') from e",
    "a syntax error": "x = = 3",
    "a value that cannot be shown": "class Broken:\n    def __repr__(self):\n        raise ValueError('no')\nBroken()",
    "a missing name": "print(nowhere)",
    "an exit": "import sys; sys.exit('bye')",
    "a display": "from IPython.display import HTML, display; display(HTML('<b>x</b>')); HTML('<i>y</i>')",
    "a display that is updated": "from IPython.display import display\nh = display(1, display_id='here'); h.update(2)",
    "a figure": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
    "a figure that is shown at the end": "import matplotlib.pyplot as plt; line = plt.plot([1, 2])",
    "a shell line": "!echo shell",
    "a shell line with a value": "lines = !echo one; echo two\nlines",
    "a magic inside": "%precision 2\n3.14159",
    "a cell magic inside": "%%capture caught\nprint('hidden')",
    "top-level await": "import asyncio; await asyncio.sleep(0.01); 'awaited'",
    "random numbers": "import random; random.seed(1); random.random()",
    "the random generator goes on": "random.random()",
    "the working directory": "import os; os.chdir('..'); os.path.basename(os.getcwd())",
    "the environment": "import os; os.environ['NEW'] = '1'; os.environ['NEW']",
    "nothing": "",
    "a comment": "# nothing",
}
PREPARE = """
import os, random
import numpy as np, pandas as pd
random.seed(7)
class Thing: pass
thing = Thing()
rows = []; alias = rows; table = {}
frame = pd.DataFrame({'a': [1, 2]})
array = np.arange(3)
_home = os.getcwd()
"""
#: What a later cell would find. Functions and classes count by their kind and name.
LOOK = """
def _look():
    def show(value):
        return f"{type(value).__name__} {value.__name__}" if hasattr(value, "__name__") else repr(value)
    import re
    of_the_shell = ("In", "Out", "exit", "quit")
    found = {n: show(v) for n, v in globals().items() if not n.startswith("_") and n not in of_the_shell}
    found["shared"] = [rows is alias, globals().get("first") is globals().get("second"), isinstance(thing, Thing)]
    found["state"] = [random.random(), os.environ.pop("NEW", None), os.path.relpath(os.getcwd(), _home)]
    os.chdir(_home)
    get_ipython().run_line_magic("precision", "%r")
    return re.sub(r"0x[0-9a-f]+", "0x", "\\n".join(f"{n}: {v}" for n, v in sorted(found.items())))
print(_look())
"""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def seen(result: Result) -> dict[str, Any]:
    """Return what a reader sees, without what differs from one execution to the next."""

    def plain(text: str) -> str:
        text = re.sub(r"(Cell )?In ?\[\d+\]", "In[n]", _COLOUR.sub("", text))
        return re.sub(r"0x[0-9a-f]{6,}|ipykernel_\d+/\d+", "…", text)

    outputs = [
        (output["output_type"], {kind: plain(str(data)) for kind, data in output["data"].items()})
        for output in result.outputs
    ]
    error = result.error and (result.error.name, plain(result.error.value), plain(result.error.traceback))
    streams = {name: plain(text) for name, text in result.streams.items()}
    return {"status": result.status, "streams": streams, "outputs": outputs, "error": error}


def once(kernel: Kernel, magic: str, code: str) -> tuple[dict[str, Any], str]:
    """Run one cell in an emptied kernel; return what is seen, and what is there afterwards."""
    kernel.run("%reset -f")
    prepared = kernel.run("%reload_ext ipytimeout\n%matplotlib inline\n" + PREPARE)
    assert prepared.status == "ok", prepared.text
    result = kernel.run(magic + code)
    look = kernel.run(LOOK)
    assert look.status == "ok", look.text
    return seen(result), look.stdout


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in CELLS.items()])
def test_a_cell_that_ends_leaves_what_it_would_have_left_without_timeout(kernel: Kernel, code: str) -> None:
    """The same outputs, and the same names afterwards."""
    native_seen, native_left = once(kernel, "", code)
    timed_seen, timed_left = once(kernel, "%%timeout -q 60\n", code)
    assert timed_seen == native_seen
    # A report shows of a list what differs, of a long text how it begins.
    assert timed_left.splitlines() == native_left.splitlines()


#: Cells one after the other, all native or all timed; what the last one shows is compared.
SEQUENCES = {
    "earlier inputs and outputs": ["1 + 1", "[2]", "_.append(_i.splitlines()[-1]); Out[max(Out)], _ih is In, len(In) > 3"],
    "outputs that are forgotten": ["1", "Out.clear()", "len(Out)"],
    "the source of an earlier function": ["def f():\n    return 1", "import inspect; inspect.getsource(f)"],
    "an exception that was shown": ["kept = ValueError(1)\nraise kept", "vars(kept)"],
    "a syntax error in a string": ["eval('1 +')"],
    "an error in a string": ["exec('def f():\\n    1 / 0\\nf()')"],
    "the folder before": ["import os; here = os.getcwd()", "%cd -q ..", "%cd -q -", "os.getcwd() == here, len(_dh) > 2"],
    "a file that is left closed": ["with open('/proc/self/status') as file:\n    text = file.read()", "file.closed, file.name"],
    "a match": ["import re; match = re.search('b+', 'abbc')", "match"],
    "a generator that has not begun": ["some = (2 * n for n in range(3))", "list(some)", "list(some)"],
    "a function of a library with a cache": ["from fnmatch import _compile_pattern as f; f('x')", "import fnmatch; fnmatch._compile_pattern is f"],
}  # fmt: skip


@pytest.mark.parametrize("cells", [pytest.param(cells, id=name) for name, cells in SEQUENCES.items()])
def test_cells_that_build_on_each_other_show_what_they_would_have_shown(kernel: Kernel, cells: list[str]) -> None:
    """What the last one shows depends on what those before it have left."""

    def last(magic: str) -> dict[str, Any]:
        kernel.run("%reset -f")
        kernel.run("%reload_ext ipytimeout")
        return seen([kernel.run(magic + code) for code in cells][-1])

    native = last("")
    assert last("%%timeout -q 60\n") == native


@pytest.mark.parametrize("name", ["a change in place", "a frame changed in place"])
def test_discard_brings_nothing_back(kernel: Kernel, name: str) -> None:
    """With --discard only the outputs are as if."""
    native_seen, _ = once(kernel, "", CELLS[name])
    _, untouched = once(kernel, "", "")
    timed_seen, timed_left = once(kernel, "%%timeout -q --discard 60\n", CELLS[name])
    assert timed_seen == native_seen
    assert timed_left == untouched


def test_keep_brings_back_the_named_only(kernel: Kernel) -> None:
    """With --keep every other name is as it was."""
    kernel.run("a = b = 0; rows = []")
    result = kernel.run("%%timeout -q --keep a,rows 60\na = b = 1; rows.append(1); c = 2")
    assert result.status == "ok", result.text
    assert kernel.run("print(a, b, rows, 'c' in globals())").stdout == "1 0 [1] False\n"


def test_with_sends_a_name_that_the_code_is_not_seen_to_use(kernel: Kernel) -> None:
    """A name that only a string tells of is there when it was asked for."""
    kernel.run("hidden = 5")
    result = kernel.run("%%timeout -q --with hidden 60\nprint(globals()['hid' + 'den'])")
    assert result.stdout == "5\n"


@pytest.mark.parametrize("start", ["auto", "warm", "spawn", "fork"])
def test_each_start_method_runs_a_cell(kernel: Kernel, start: str) -> None:
    """``--start`` changes how the child is had, and nothing else."""
    kernel.run("x = 20")
    result = kernel.run(f"%%timeout -q --start {start} 60\ny = x + 1\ny * 2")
    assert result.status == "ok", result.text
    assert [output["data"]["text/plain"] for output in result.outputs] == ["42"]
    assert kernel.run("print(y)").stdout == "21\n"


@pytest.mark.parametrize("line", ["0", "-1", "nan", "soon", "", "--nothing 5"])
def test_a_wrong_line_is_a_usage_error_and_nothing_runs(kernel: Kernel, line: str) -> None:
    """One line says what is wrong, and what a duration looks like."""
    result = kernel.run(f"%%timeout {line}\nmade = 1")
    assert "UsageError" in result.text
    assert "Traceback" not in result.text
    assert kernel.run("print('made' in globals())").stdout == "False\n"


@pytest.mark.parametrize("duration", ["20", "20.0", "20000ms", "20s", "1m", "1h30m", "1d", "{10 * 2}", "$limit", "inf"])
def test_every_form_of_a_duration_is_taken(kernel: Kernel, duration: str) -> None:
    """Those that the README names."""
    kernel.run("limit = 20")
    result = kernel.run(f"%%timeout -q {duration}\nprint('ran')")
    assert result.stdout == "ran\n", result.text


def test_the_line_magic_returns_the_value_of_its_statement(kernel: Kernel) -> None:
    """``y = %timeout 5 f(x)`` is the value, and the line is taken as it is written."""
    kernel.run("def f(x, option):\n    return [x, option]")
    result = kernel.run("y = %timeout -q 20 f(3, '-p {x}')\nprint(y)")
    assert result.stdout == "[3, '-p {x}']\n", result.text
