"""Output of a timed cell is that of a native one: each cell natively, then timed, in a real kernel."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.kernels.harness import Kernel, Result

#: Text whose order among the messages is the program's. Where streams are mixed, a kernel orders them as it likes.
WRITES = {
    "half lines": "import time\nprint('a', end='', flush=True); time.sleep(0.4); print('b')",
    "a progress bar in text": "for i in range(50): print(f'\\r{i} of 49', end='', flush=True)\nprint()",
    "colours and control characters": "print('\\x1b[31mred\\x1b[0m', 'ä€😀', 'a\\x07b\\x08c', sep='|')",
    "a long line": "print('x' * 1_500_000)",
    "many lines": "for i in range(20_000): print('line', i)",
    "lines of a list": "import sys; sys.stdout.writelines(['a', 'b\\n', ''])",
    "standard error": "import sys; print('a'); print('b', file=sys.stderr); print('c')",
    "logging": "import logging; logging.getLogger('here').warning('careful')",
    "warnings": "import warnings; warnings.simplefilter('always'); warnings.warn('careful')",
    "a thread that prints": "import threading\nt = threading.Thread(target=print, args=('in a thread',)); t.start(); t.join()",
    "redirected": "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as kept: print('in')\nkept.getvalue()",
    "bytes to the stream": "import sys; sys.stdout.buffer.write(b'x')",
    "what is no text": "import sys; sys.stdout.write(b'x')",
    "what a stream says of itself": "import sys; print([(s.name, s.encoding, s.errors, s.isatty(), s.closed) for s in (sys.stdout, sys.stderr)])",
}
#: Written past Python: complete within each stream, placed where it is read. Code, standard output, standard error.
BELOW_PYTHON = {
    "C's own output": ("import ctypes\nlibc = ctypes.CDLL(None); libc.puts(b'from C');", "from C\n", ""),
    "half a line of C": ("import ctypes\nlibc = ctypes.CDLL(None); libc.printf(b'half');", "half", ""),
    "descriptors": ("import os; os.write(1, b'out\\n'); os.write(2, b'err\\n');", "out\n", "err\n"),
    "a process": ("import subprocess; _ = subprocess.run(['sh', '-c', 'echo out; echo err >&2'])", "out\n", "err\n"),
    "a shell": ("import os; os.system('echo from a shell');", "from a shell\n", ""),
    "what is no UTF-8": ("import os; os.write(1, b'ok \\xff\\xe4 bad\\n');", "ok \ufffd\ufffd bad\n", ""),
    "a character in two parts": (
        "import os, time\nos.write(1, b'\\xe2\\x82'); time.sleep(0.3); os.write(1, b'\\xac\\n');",
        "€\n",
        "",
    ),
    "binary rubbish": (
        "import os; os.write(1, bytes(range(256)) * 10);",
        (bytes(range(256)) * 10).decode("utf-8", "replace"),
        "",
    ),
    "a flood": (
        "import os\nfor i in range(10_000): _ = os.write(1, b'%d\\n' % i)",
        "".join(f"{i}\n" for i in range(10_000)),
        "",
    ),
}
DISPLAYS = {
    "between prints": "print('a'); display(1); print('b'); display(2); print('c')",
    "an update": "h = display('first', display_id='here'); print('between'); h.update('second')",
    "two of one id": "display(1, display_id='two'); display(2, display_id='two'); h = display(3, display_id='two', update=True)",
    "an animation": "from IPython.display import clear_output\nfor i in range(5): clear_output(wait=True); print('frame', i); display(i)",
    "cleared at once": "from IPython.display import clear_output\nprint('gone'); clear_output(); print('stays')",
    "kinds": "from IPython.display import *\ndisplay(HTML('<b>x</b>'), Markdown('*x*'), JSON({'a': [1]}), Latex('$x$'))",
    "scripts": "from IPython.display import Javascript, SVG\ndisplay(Javascript('1 + 1'), SVG('<svg></svg>'))",
    "a sound": "from IPython.display import Audio\nimport numpy as np\nAudio(np.zeros(100), rate=8000)",
    "raw, with metadata": "display({'text/plain': 'x', 'application/x+json': {'a': 1}}, raw=True, metadata={'m': {'width': 3}})",
    "a chart of plotly's kind": """class Chart:
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {'application/vnd.plotly.v1+json': {'data': [{'y': [1, 2]}], 'layout': {}}, 'text/html': '<div/>'}
Chart()""",
    "a chart of altair's kind": """class Chart:
    def _repr_mimebundle_(self, **kwargs):
        return {'application/vnd.vegalite.v5+json': {'mark': 'bar'}}, {'application/vnd.vegalite.v5+json': {'x': 1}}
display(Chart())""",
    "a document of bokeh's kind": """from IPython.display import publish_display_data
publish_display_data({'application/javascript': 'x', 'application/vnd.bokehjs_exec.v0+json': ''},
    metadata={'application/vnd.bokehjs_exec.v0+json': {'id': 'p1'}})""",
    "a figure": "import matplotlib.pyplot as plt\nplt.plot([1, 2]); print('before'); plt.show(); print('after')",
    "captured inside": "from IPython.utils.capture import capture_output\nwith capture_output() as c: print('x'); display(1)\n"
    "c.stdout, len(c.outputs)",
    "captured by a magic inside": "get_ipython().run_cell_magic('capture', 'c', 'print(1); display(2)')\nc.show()",
    "an error in the middle": "display(1)\nprint('x')\nraise ValueError('no')",
    "a value of each expression": "%config InteractiveShell.ast_node_interactivity = 'all'\n1\nprint('x')\n2",
}


def plain(value: Any) -> Any:
    """Return what does not differ from one execution to the next."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", repr(value))
    return re.sub(r"0x[0-9a-f]{6,}|In ?\[\d+\]|'execution_count': \d+|ipykernel_\d+/\d+\.py", "…", text)


def both(kernel: Kernel, code: str) -> tuple[Result, Result]:
    """Run a cell natively, then timed."""
    results = []
    for magic in ("", "%%timeout -q 60\n"):
        kernel.run("%reset -f")
        prepared = kernel.run("%matplotlib inline\n%config InteractiveShell.ast_node_interactivity = 'last_expr'")
        assert prepared.status == "ok", prepared.text
        results.append(kernel.run(magic + code))
    return results[0], results[1]


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in WRITES.items()])
def test_text_is_complete(kernel: Kernel, code: str) -> None:
    native, timed = both(kernel, code)
    assert (timed.status, plain(timed.streams)) == (native.status, plain(native.streams))
    assert plain(timed.error and timed.error.name) == plain(native.error and native.error.name)


def test_what_is_flushed_keeps_its_order_between_the_streams(kernel: Kernel) -> None:
    """A kernel gathers the texts of each stream for a while, but for those that are flushed."""
    code = "import sys\nfor i in range(8): print(i, flush=True, file=sys.stderr if i % 2 else sys.stdout)"
    native, timed = kernel.run(code), kernel.run(f"%%timeout -q 60\n{code}")
    assert timed.order == native.order and len(native.order) == 8


@pytest.mark.parametrize(("code", "stdout", "stderr"), BELOW_PYTHON.values(), ids=BELOW_PYTHON)
def test_text_that_is_written_past_python_is_complete(kernel: Kernel, code: str, stdout: str, stderr: str) -> None:
    """What a kernel itself shows of it depends on how it was started."""
    result = kernel.run("%%timeout -q 60\n" + code)
    assert (result.status, result.stdout, result.stderr) == ("ok", stdout, stderr)


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in DISPLAYS.items()])
def test_displays_and_text_are_those_of_a_native_cell_in_its_order(kernel: Kernel, code: str) -> None:
    native, timed = both(kernel, code)
    kernel.run("%config InteractiveShell.ast_node_interactivity = 'last_expr'")
    assert plain(timed.order) == plain(native.order)


@pytest.mark.parametrize(
    ("first", "second"), [("%%timeout -q 60\n", ""), ("", "%%timeout -q 60\n"), ("%%timeout -q 60\n",) * 2]
)
def test_a_display_is_updated_by_a_later_cell(kernel: Kernel, first: str, second: str) -> None:
    """Made in a timed cell and updated in a native one, the reverse, and both timed; by its handle and by its id."""
    made = kernel.run(first + "handle = display('old', display_id=True)")
    transient = made.outputs[0]["transient"]
    for code in (
        "handle.update('new')",
        "from IPython.display import update_display\nupdate_display('new', display_id=handle.display_id)",
    ):
        (output,) = kernel.run(second + code).outputs
        assert output["output_type"] == "update_display_data" and output["transient"] == transient
        assert output["data"]["text/plain"] == "'new'"


def test_what_a_timed_cell_shows_is_captured_around_it(kernel: Kernel) -> None:
    code = "print('out'); import sys; print('err', file=sys.stderr); display(1); 2"
    assert not kernel.run(f"%%capture kept\n%%timeout -q 60\n{code}").order
    shown = kernel.run("print(repr(kept.stdout), repr(kept.stderr), [o.data['text/plain'] for o in kept.outputs])")
    assert shown.stdout == "'out\\n' 'err\\n' ['1', '2']\n"
