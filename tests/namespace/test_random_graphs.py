"""Random graphs of objects, changed in the other process and natively: the same shape, values and sharing."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Notebook

SETUP = """
import collections
import numpy as np

class Plain: pass

class Slotted:
    __slots__ = ("a", "b", "c")

class Both(Slotted):
    pass

class OwnList(list): pass
class OwnDict(dict): pass
class OwnSet(set): pass

class Copying:
    def __init__(self): self.held = []
    def __getstate__(self): return {"held": list(self.held), **{k: v for k, v in vars(self).items() if k != "held"}}

class Private:
    def __init__(self): self.held = []
    def __reduce__(self): return rebuilt, (list(self.held),), {k: v for k, v in vars(self).items() if k != "held"}

def rebuilt(held):
    new = Private()
    new.held = held
    return new

def closure():
    held = None
    def get(): return held
    def put(value):
        nonlocal held
        held = value
    get.put = put
    return get

def function(a=None): pass

MAKERS = [
    list, dict, set, collections.deque, OwnList, OwnDict, OwnSet, collections.OrderedDict, collections.Counter,
    lambda: collections.defaultdict(list), Plain, Slotted, Both, Copying, Private, closure, bytearray, Exception,
    lambda: types_made(), lambda: np.zeros(4), lambda: np.arange(20_000), lambda: np.array([None] * 3, dtype=object),
]

def types_made():
    return type("Made", (), {"__module__": "__main__"})

def put(target, key, value):
    name = "abc"[key % 3]
    match target:
        case list():
            target.insert(key % (len(target) + 1), value)
        case collections.deque():
            target.append(value)
        case collections.Counter():
            target[name] = key
        case dict():
            target[name] = value
        case set():
            try:
                target.add(value)
            except TypeError:
                target.add(key)
        case bytearray():
            target.append(key)
        case np.ndarray() if target.dtype == object:
            target[key % len(target)] = value
        case np.ndarray():
            target[key % len(target)] = key
        case BaseException():
            target.args = (*target.args, value)
        case Copying() if key % 2:
            target.held.append(value)
        case Private() if key % 2:
            target.held.append(key)  # what a constructor needs cannot lead back to the object
        case _ if hasattr(target, "put"):
            target.put(value)
        case _:
            setattr(target, name, value)

def drop(target, key):
    name = "abc"[key % 3]
    match target:
        case list() | collections.deque() | bytearray():
            if target:
                del target[key % len(target)]
        case dict():
            target.pop(name, None)
        case set():
            target.discard(key)
        case np.ndarray():
            target[:] = None if target.dtype == object else 0
        case BaseException():
            target.args = target.args[1:]
        case _ if hasattr(target, name):
            delattr(target, name)
"""

NODES = 6
node = st.integers(0, NODES - 1)
key = st.integers(0, 8)
value = st.one_of(
    node.map(lambda i: f"n{i}"),
    node.map(lambda i: f"(n{i}, 1)"),
    node.map(lambda i: f"[n{i}]"),
    st.sampled_from(["None", "'text'", "1.5", "10 ** 30", "(1, 'a')", "frozenset({1})", "b'x'", "{'k': []}"]),
)
operation = st.one_of(
    st.builds("put(n{}, {}, {})".format, node, key, value),
    st.builds("drop(n{}, {})".format, node, key),
    st.builds("n{} = n{}".format, node, node),
    st.builds("n{0} = n{0}[1:] if isinstance(n{0}, np.ndarray) and len(n{0}) > 2 else n{0}".format, node),
)
change = st.one_of(operation, st.builds("n{} = MAKERS[{}]()".format, node, st.integers(0, 21)))
kinds = st.lists(st.integers(0, 21), min_size=NODES, max_size=NODES)


def shape(roots: list[Any]) -> list[Any]:
    """Return what is reachable: each object once, by the order of its first visit."""
    numbers: dict[int, int] = {}
    kept: list[Any] = []
    rows: list[Any] = []

    def visit(obj: Any) -> Any:
        if obj is None or isinstance(obj, int | float | str | bytes | types.ModuleType | frozenset):
            return obj
        if isinstance(obj, tuple):
            return ("tuple", *map(visit, obj))
        if id(obj) in numbers:
            return f"#{numbers[id(obj)]}"
        number = numbers[id(obj)] = len(numbers)
        kept.append(obj)
        row: list[Any] = [type(obj).__name__]
        rows.append(row)
        row += parts(obj)
        return f"#{number}"

    def parts(obj: Any) -> list[Any]:
        found: list[Any] = []
        if isinstance(obj, type):
            return [(k, visit(v)) for k, v in vars(obj).items() if k in "abc"]
        if isinstance(obj, types.FunctionType):
            cells = [c.cell_contents for c in obj.__closure__ or () if obj.__name__ == "get"]
            return [(k, visit(v)) for k, v in vars(obj).items() if k != "put"] + [visit(c) for c in cells]
        match obj:
            case dict():
                found = [(visit(k), visit(v)) for k, v in obj.items()]
            case set():
                found = sorted(map(repr, map(visit, sorted(obj, key=repr_of))))
            case list() | bytearray() | BaseException() if not isinstance(obj, bytearray):
                found = [visit(v) for v in (obj.args if isinstance(obj, BaseException) else obj)]
            case bytearray():
                found = [bytes(obj)]
            case _ if type(obj).__name__ == "deque":
                found = [visit(v) for v in obj]
            case _ if type(obj).__name__ == "ndarray":
                base = obj.base if type(obj.base).__name__ == "ndarray" else None  # else it is a received buffer
                found = [obj.dtype.str, obj.shape, [visit(v) for v in obj.tolist()], visit(base)]
        names = [*getattr(obj, "__dict__", {}), *(s for s in "abc" if hasattr(type(obj), s) and hasattr(obj, s))]
        return found + [(name, visit(getattr(obj, name))) for name in names]

    return [[visit(root) for root in roots], rows]


def repr_of(obj: Any) -> str:
    return obj if isinstance(obj, str) else f"{type(obj).__name__}{obj if isinstance(obj, int | float) else ''}"


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kinds=kinds, before=st.lists(operation, max_size=8), timed=st.lists(change, min_size=1, max_size=6))
def test_a_random_graph_is_changed_as_natively(
    other_process: Any, monkeypatch: pytest.MonkeyPatch, kinds: list[int], before: list[str], timed: list[str]
) -> None:
    """Also as seen from objects that the names no longer show, and with nothing left behind."""
    shapes = []
    for native in (True, False):
        notebook = Notebook(other_process)
        monkeypatch.setitem(sys.modules, "__main__", notebook.module)
        notebook.cell(SETUP)
        notebook.cell("\n".join(f"n{i} = MAKERS[{kind}]()" for i, kind in enumerate(kinds)))
        notebook.cell("\n".join(before) or "pass")
        held = [notebook[f"n{i}"] for i in range(NODES)]
        if native:
            notebook.cell("\n".join(timed))
        else:
            notebook.timed("\n".join(timed))
            assert notebook.left_behind == {}
        shapes.append(shape([notebook[f"n{i}"] for i in range(NODES)] + held))
    assert shapes[0] == shapes[1]
