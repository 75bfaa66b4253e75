"""What happens when something cannot travel, cannot be rebuilt, or fails in the middle."""

from __future__ import annotations

import pickle
import signal
from typing import Any

import pytest

from ipytimeout.host.commit import CannotRebuild, prepare
from ipytimeout.wire.facets import Swap
from ipytimeout.wire.pickling import CALL, dump_namespace

from .conftest import Notebook

#: What makes something that cannot travel, and the reason that the user is told.
UNSENDABLE = [
    ("import socket\nx = socket.socket()", "a socket cannot leave its process"),
    ("x = (i for i in [1, 2]); next(x)", "a generator that has begun cannot leave its process"),
    ("async def f(): yield 1\nx = f()", "an asynchronous generator cannot leave its process"),
    ("import types\n@types.coroutine\ndef f(): yield\nasync def g(): await f()\nx = g(); x.send(None)", "a coroutine cannot leave its process"),
    ("import sqlite3\nx = sqlite3.connect(':memory:')", "a database connection cannot leave its process"),
    ("import sqlite3\nx = sqlite3.connect(':memory:').cursor()", "a database cursor cannot leave its process"),
    ("import threading\nx = threading.Thread()", "a thread cannot leave its process"),
    ("import subprocess\nx = subprocess.Popen(['true'])", "a running process cannot leave its process"),
    ("import multiprocessing\nx = multiprocessing.Process()", "a process cannot leave its process"),
    ("import concurrent.futures\nx = concurrent.futures.ThreadPoolExecutor()", "an executor cannot leave its process"),
    ("import multiprocessing.pool\nx = multiprocessing.pool.ThreadPool(1)", "a pool of processes cannot leave its process"),
    ("import concurrent.futures\nx = concurrent.futures.Future()", "a future cannot leave its process"),
    ("x = open('/dev/null')", "an open file cannot leave its process"),
    ("import hashlib\nx = hashlib.sha256(b'a')", "a hash that was begun cannot leave its process"),
    ("import re\nx = re.finditer('a', 'aa')", "an iterator of matches cannot leave its process"),
    ("import mmap\nx = mmap.mmap(-1, 9)", "a memory map cannot leave its process"),
    ("import itertools\nx = itertools.pairwise('abc')", "an iterator of batches or pairs cannot leave its process"),
    ("import contextvars\nx = contextvars.ContextVar('v').set(1)", "a token of a context cannot leave its process"),
    ("import asyncio\nx = asyncio.new_event_loop().create_future()", "an asyncio task that is not done cannot leave its process"),
    ("import asyncio.subprocess as a, types\nx = a.Process.__new__(a.Process)\nx._transport = types.SimpleNamespace(get_returncode=int, _finished=False)", "a running process cannot leave its process"),
    ("import asyncio.subprocess as a, types\nx = a.Process.__new__(a.Process)\nx._transport = types.SimpleNamespace(get_returncode=int, _finished=True)\nx.stdout, x.stderr = types.SimpleNamespace(_buffer=b'a'), None", "a process with unread output cannot leave its process"),
    ("x = type('SuperLU', (), {'__module__': 'builtins'})()", "a factorization of SuperLU cannot leave its process"),
    ("import numpy as np; x = np.nditer([1, 2])", "an iterator of numpy's own cannot leave its process"),
    ("import io, pandas as pd; x = pd.read_csv(io.StringIO('a\\n1'), chunksize=1)", "a reader of pandas cannot leave its process"),
    ("import ctypes; x = ctypes.pointer(ctypes.c_int(1))", "a pointer cannot leave its process"),
    ("import ctypes; x = ctypes.CFUNCTYPE(ctypes.c_int)(int)", "a pointer cannot leave its process"),
    ("x = type('SQLContext', (), {'__module__': 'polars.sql.context'})()", "an SQL context of polars cannot leave its process"),
    ("x = []\nfor _ in range(100_000): x = [x]", "it is nested too deeply"),
]  # fmt: skip


SHOWN_ELSEWHERE = "its size cannot change while another object shows its memory"
OF_A_TENSOR = "a tensor that remembers how it was computed cannot leave its process; detach() it"


@pytest.mark.parametrize(("make", "reason"), UNSENDABLE)
def test_what_cannot_travel_is_named_with_a_plain_reason(notebook: Notebook, make: str, reason: str) -> None:
    """In both directions, alone, and the rest travels."""
    notebook.cell(make)
    notebook.cell("y = [1]")
    notebook.timed("y.append(2)")
    assert notebook.refused["x"] == reason
    assert notebook["y"] == [1, 2]
    notebook.cell("del x")
    notebook.timed(make + "\ny.append(3); z = 5")
    assert set(notebook.left_behind) == {"x"}
    assert notebook.left_behind["x"] == reason
    assert "x" not in notebook.names
    assert notebook["y"] == [1, 2, 3]
    assert notebook["z"] == 5


def test_a_size_that_cannot_change_here_is_named(notebook: Notebook) -> None:
    """The view is released there, and not here."""
    notebook.cell("data = bytearray(b'ab'); view = memoryview(data)")
    notebook.timed("view.release(); data.append(1)")
    assert notebook.left_behind == {"data": SHOWN_ELSEWHERE}
    assert notebook["data"] == b"ab"


def test_a_nan_in_a_container_is_another_one_there(notebook: Notebook) -> None:
    """A list and a dict find it by its identity only."""
    notebook.cell("import math\nvalues = [math.nan]; table = {math.nan: 1}")
    notebook.timed("found = math.nan in values, math.nan in table, math.isnan(values[0])")
    assert notebook["found"] == (False, False, True)


def test_of_objects_that_share_one_dict_one_that_is_given_another_gives_it_to_both(notebook: Notebook) -> None:
    notebook.cell("class Shared: pass\na, b = Shared(), Shared()\nb.__dict__ = a.__dict__\na.x = 1")
    notebook.timed("b.__dict__ = {'x': 2}")
    assert (notebook["a"].x, notebook["b"].x) == (2, 2)


def test_a_change_that_cannot_travel_is_named_by_the_name_it_is_reached_from(notebook: Notebook) -> None:
    """And no other change is spoilt by it."""
    notebook.cell("rows = [[1], [2]]; other = {}")
    notebook.timed("import socket\nrows[0].append(socket.socket()); rows[1].append(3); other['k'] = 1; x = 1")
    assert list(notebook.left_behind) == ["an object reached from rows"]
    assert "socket" in notebook.left_behind["an object reached from rows"]
    assert notebook["rows"] == [[1], [2, 3]]
    assert notebook["other"] == {"k": 1}
    assert notebook["x"] == 1


def test_what_cannot_be_rebuilt_is_left_behind_alone(notebook: Notebook) -> None:
    """A name, and a change in place: the child is asked again without them."""
    notebook.cell(
        "rows = []; other = []\ndef fail(): raise OSError('no')\nclass Bad:\n    def __reduce__(self): return fail, ()"
    )
    notebook.timed("x = Bad(); y = 2; rows.append(Bad()); other.append(1)")
    assert notebook.left_behind == {"x": "OSError: no", "rows": "OSError: no"}
    assert "x" not in notebook.names
    assert (notebook["y"], notebook["rows"], notebook["other"]) == (2, [], [1])


def test_a_result_that_cannot_travel_is_named(notebook: Notebook) -> None:
    """The names come back all the same."""
    notebook.timed("x = 1\n(lambda begun: (next(begun), begun)[1])(i for i in [1, 2])")
    assert "generator" in notebook.left_behind["the result"]
    assert notebook["x"] == 1


def test_an_extra_that_cannot_travel_raises_a_pickling_error(notebook: Notebook) -> None:
    """The text is plain."""
    begun = (i for i in [1, 2])
    next(begun)
    with pytest.raises(pickle.PicklingError, match="a generator that has begun cannot leave its process"):
        dump_namespace(notebook.names, [], {CALL: (len, (begun,), {})})


def test_the_value_of_a_cell_is_the_kernels_own_object(notebook: Notebook) -> None:
    """``rows`` as the last line gives that very list."""
    notebook.cell("rows = [1]")
    assert notebook.timed("rows.append(2)\nrows") is notebook["rows"]


def test_hidden_names_and_names_not_kept_do_not_come_back(notebook: Notebook) -> None:
    """In-place changes do."""
    notebook.cell("a = 1; b = 1; rows = []")
    notebook.timed(
        "a = 2; b = 2; secret = 1; rows.append(1); del c" if False else "a = 2; b = 2; secret = 1; rows.append(1)",
        keep=["a"],
    )
    assert (notebook["a"], notebook["b"], notebook["rows"]) == (2, 1, [1])
    assert "secret" not in notebook.names


# ---------------------------------------------------------------- exceptions


def test_an_exception_comes_back_with_its_class_its_cause_and_its_notes(notebook: Notebook) -> None:
    """Its class takes other arguments than it passes on, as classes do."""
    notebook.cell(
        "class MyError(Exception):\n    def __init__(self, a, b):\n        super().__init__(f'{a}{b}'); self.b = b"
    )
    with pytest.raises(Exception, match="12") as info:
        notebook.timed(
            "e = MyError(1, 2); e.add_note('n'); x = 1\ntry: 1 / 0\nexcept ZeroDivisionError as z: raise e from z"
        )
    error = info.value
    assert type(error) is notebook["MyError"]
    assert type(error.__cause__) is ZeroDivisionError
    assert error.__suppress_context__
    assert (error.__notes__, error.b) == (["n"], 2)  # type: ignore[attr-defined]
    assert notebook["e"] is error
    assert notebook["x"] == 1


@pytest.mark.parametrize(
    ("code", "attribute", "value"),
    [
        ("open('/nowhere')", "filename", "/nowhere"),
        ("raise SystemExit(3)", "code", 3),
        ("undefined", "name", "undefined"),
        ("import nowhere", "name", "nowhere"),
        ("b'\\xff'.decode()", "start", 0),
        ("raise StopIteration(4)", "value", 4),
        ("raise ExceptionGroup('g', [ValueError(1)])", "message", "g"),
        ("{}['k']", "args", ("k",)),
    ],
)
def test_built_in_exceptions_keep_what_they_carry(notebook: Notebook, code: str, attribute: str, value: object) -> None:
    """Also what is no argument."""
    with pytest.raises(BaseException) as info:  # noqa: PT011 - each row raises another
        notebook.timed(code)
    assert getattr(info.value, attribute) == value


def test_an_exception_that_cannot_travel_says_why(notebook: Notebook) -> None:
    """Its cause is dropped first; only then is the exception itself left behind."""
    commit = notebook.uncommitted("g = (i for i in [1, 2]); next(g)\nraise ValueError(1) from KeyError(g)")
    assert isinstance(commit.exception, ValueError)
    assert commit.exception.__cause__ is None
    commit = notebook.uncommitted("g = (i for i in [1, 2]); next(g)\nraise ValueError(g)")
    assert commit.exception is None
    assert "generator" in commit.exception_reason


# ---------------------------------------------------------------- all or nothing


class Broken(Exception):
    pass


def test_a_failed_commit_leaves_the_namespace_as_it_was(notebook: Notebook) -> None:
    """Whatever swap fails, all before it are undone."""
    notebook.cell(
        "import collections\na = [1]; d = {'k': 1}; s = {1}\nclass C: n = 0\nc = C(); c.v = 1; q = collections.deque([1])\ndef f(x=1): return x"
    )
    before = {n: notebook[n] for n in notebook.names}
    commit = notebook.uncommitted(
        "a.append(2); d['j'] = 2; s.add(3); C.n = 1; del c.v; q.append(2); f.__defaults__ = (5,); new = 1; del a"
    )

    def fail() -> None:
        raise Broken

    commit._swaps.append(Swap(fail, lambda: None))
    with pytest.raises(Broken):
        commit.apply()
    assert {n: notebook[n] for n in notebook.names} == before
    assert (notebook["a"], notebook["d"], notebook["s"], list(notebook["q"])) == ([1], {"k": 1}, {1}, [1])
    assert (notebook["C"].n, notebook["c"].v, notebook["f"]()) == (0, 1, 1)


def test_nothing_changes_before_the_commit_is_applied(notebook: Notebook) -> None:
    """Cancel may still come."""
    notebook.cell("a = [1]; x = 1")
    notebook.uncommitted("a.append(2); x = 2; y = 3")
    assert (notebook["a"], notebook["x"], "y" in notebook.names) == ([1], 1, False)


def test_an_interrupt_waits_until_the_commit_is_done(notebook: Notebook) -> None:
    """It is raised right after, and everything is in place."""
    notebook.cell("a = [1]")
    commit = notebook.uncommitted("a.append(2); x = 2")
    commit._swaps.insert(0, Swap(lambda: signal.raise_signal(signal.SIGINT), lambda: None))
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            commit.apply()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert (notebook["a"], notebook["x"]) == ([1, 2], 2)


def test_no_finalizer_of_the_notebook_runs_inside_a_commit(notebook: Notebook) -> None:
    """What is replaced lives until the commit has ended."""
    notebook.cell(
        "seen = []\nclass D:\n    def __del__(self): seen.append((list(a), x))\na = [D()]; x = D()\nd = {'k': D()}\ndef __getstate__(self): return None"
    )
    notebook.timed("a[:] = [1]; x = 2; d.clear()", names=["a", "x", "d", "D"])
    assert notebook["a"] == [1]
    assert all(entry == ([1], 2) for entry in notebook["seen"])


def test_the_answer_to_another_namespace_is_refused(notebook: Notebook) -> None:
    """A mix-up would put values into wrong objects."""
    notebook.cell("a = [1]")
    dump = dump_namespace(notebook.names, ["a"])
    head = pickle.dumps((99, ["x"], [], ""))
    with pytest.raises(CannotRebuild):
        prepare([head, b""], notebook.names, dump.table)


# ---------------------------------------------------------------- functions


def test_a_function_changes_nothing_of_its_caller(notebook: Notebook) -> None:
    """Neither arguments nor globals, nor the attributes of classes."""
    notebook.cell(
        "n = 0; rows = [1]\nclass C: k = 0\ndef f(a):\n    global n\n    n += 1; a.append(2); C.k = 1\n    return a, n, C()"
    )
    a, n, c = notebook.call(notebook["f"], notebook["rows"])
    assert (a, n) == ([1, 2], 1)
    assert notebook["rows"] == [1]
    assert a is not notebook["rows"]
    assert (notebook["n"], notebook["C"].k) == (0, 0)
    assert type(c) is notebook["C"]


def test_a_function_returns_functions_with_the_notebooks_globals(notebook: Notebook) -> None:
    """And the notebook's own functions as they are."""
    notebook.cell("k = 1\ndef g(): return k\ndef f():\n    return g, lambda: k")
    g, h = notebook.call(notebook["f"])
    assert g is notebook["g"]
    notebook.cell("k = 5")
    assert h() == 5


def test_a_functions_exception_has_its_own_class(notebook: Notebook) -> None:
    """``except MyError`` works around a call."""
    notebook.cell("class MyError(Exception): pass\ndef f(x): raise MyError(x)")
    with pytest.raises(notebook["MyError"], match="3"):
        notebook.call(notebook["f"], 3)


# ---------------------------------------------------------------- pandas copies on write


PANDAS: list[tuple[str, str, str]] = [
    ("df = pd.DataFrame({'a': [1, 2]}); s = df['a']", "s[0] = 9", "df['a'].tolist() == [1, 2] and s.tolist() == [9, 2]"),
    ("df = pd.DataFrame({'a': [1, 2]}); d2 = df[:]", "df.iloc[0, 0] = 9", "d2['a'].tolist() == [1, 2] and df['a'].tolist() == [9, 2]"),
    ("df = pd.DataFrame({'a': [1, 2]})", "d2 = df[:]; s = df['a']", "df.iloc.__setitem__((0, 0), 9) or (d2['a'][0], s[0], df['a'][0]) == (1, 1, 9)"),
    ("s = pd.Series([1, 2]); i = pd.Index(s)", "s[0] = 9", "i.tolist() == [1, 2] and s.tolist() == [9, 2]"),
    ("df = pd.DataFrame({'a': range(100_000)}); d2 = df.copy(deep=False)", "d2.iloc[0, 0] = 9", "df.iloc[0, 0] == 0 and d2.iloc[0, 0] == 9"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "timed", "check"), PANDAS)
def test_frames_that_share_memory_do_not_see_each_others_writes(
    notebook: Notebook, before: str, timed: str, check: str
) -> None:
    """Neither in the child nor afterwards in the kernel."""
    notebook.cell("import pandas as pd\n" + before)
    notebook.timed(timed)
    assert notebook.left_behind == {}
    assert notebook.value(check)


# ---------------------------------------------------------------- size


def test_an_unchanged_large_array_does_not_travel_back(notebook: Notebook) -> None:
    """Only the small change does."""
    notebook.cell("import numpy as np\nbig = np.ones(1_000_000); rows = []")
    notebook.timed("rows.append(big.sum())")
    assert notebook["rows"] == [1_000_000]
    assert notebook.received < 10_000


def test_a_large_array_that_came_back_is_not_resized_in_place_and_says_so(notebook: Notebook) -> None:
    """A small one is, as natively."""
    notebook.cell("import numpy as np")
    notebook.timed("large, small = np.zeros(100_000), np.zeros(10)")
    notebook["small"].resize(20, refcheck=False)
    with pytest.raises(ValueError, match="does not own its data"):
        notebook["large"].resize(200_000, refcheck=False)


def test_a_large_graph_comes_back_right(notebook: Notebook) -> None:
    """A hundred thousand instances, two of them changed."""
    notebook.cell("class P:\n    def __init__(self, i): self.i = i\nps = [P(i) for i in range(100_000)]; first = ps[0]")
    notebook.timed("ps[5].i = -1; ps.append(ps[0]); last = ps[99_999]; last.next = first")
    ps: Any = notebook["ps"]
    assert ps[5].i == -1
    assert ps[-1] is ps[0] is notebook["first"] is notebook["last"].next
    assert notebook["last"] is ps[99_999]
    assert notebook.received < 10_000


def test_a_torch_tensor_and_its_gradient_come_back(notebook: Notebook) -> None:
    """By what a tensor offers publicly: torch is not needed for that."""
    notebook.cell(FAKE_TORCH)
    same = notebook["w"]
    notebook.timed("w.add_(1); w.grad = type(w)([5.0]); v = type(w)([3.0])")
    assert notebook.left_behind == {}
    assert notebook["w"] is same
    assert (same.values, same.grad.values, notebook["v"].values) == ([2.0], [5.0], [3.0])
    notebook.cell("g = type(w)([1.0]); g.grad_fn = 'AddBackward'")
    notebook.timed("1")
    assert notebook.refused["g"] == OF_A_TENSOR


FAKE_TORCH = """
class Tensor:
    __slots__ = ("values", "grad", "requires_grad", "grad_fn")
    shape, dtype, device = (1,), "float", "cpu"
    def __init__(self, values):
        self.values, self.grad, self.requires_grad, self.grad_fn = values, None, False, None
    def __reduce_ex__(self, protocol): return Tensor, (self.values,)
    def detach(self):
        other = Tensor(self.values)
        return other
    def clone(self): return Tensor(list(self.values))
    def copy_(self, other): self.values[:] = other.values
    def add_(self, n): self.values[:] = [v + n for v in self.values]
    def requires_grad_(self, flag): self.requires_grad = flag
Tensor.__module__ = "torch"
w = Tensor([1.0])
"""
