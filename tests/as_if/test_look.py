"""How values are written down for comparison."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.as_if.look import Walk, shared


def text(obj: object) -> str:
    return Walk({}).text(obj)


class Loud:
    """Whose ``repr`` must not be asked for."""

    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)

    def __repr__(self) -> str:
        raise AssertionError("repr was called")


def twice(item: Any) -> list[Any]:
    return [item, item]


SAME = {
    "sets in another order": ({"a", "b", "c", 1}, {1, "c", "b", "a"}),
    "attributes in another order": (Loud(a=1, b=2), Loud(b=2, a=1)),
    "arrays": (np.arange(3), np.arange(3)),
    "parts of memory that nobody else shows": (np.arange(9)[2:4], np.arange(1, 9)[1:3]),
    "frames": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]})),
}
DIFFERENT = {
    "one list twice, and two lists": (twice([]), [[], []]),
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "int and bool": (1, True),
    "an attribute": (Loud(a=1), Loud(a=2)),
    "dtype": (np.arange(3), np.arange(3.0)),
    "a view and a copy": (np.arange(4)[:2], np.arange(2)),
    "a name of a series": (pd.Series([1], name="a"), pd.Series([1])),
    "attributes of a frame": (
        pd.DataFrame({"a": [1]}),
        pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    ),
    "code": (lambda: 1, lambda: 2),
    "defaults": (
        types.FunctionType((lambda a: a).__code__, {}, "f", (1,)),
        types.FunctionType((lambda a: a).__code__, {}),
    ),
    "subclass and items": (type("L", (list,), {})([1]), type("L", (list,), {})([2])),
    "exceptions": (ValueError(1), ValueError(2)),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_equal_values_read_the_same(pair: tuple[object, object]) -> None:
    """Whatever has no meaning for the value is not in the text."""
    assert text(pair[0]) == text(pair[1])


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_different_values_read_differently(pair: tuple[object, object]) -> None:
    """Whatever a later cell could find out is."""
    assert text(pair[0]) != text(pair[1])


def test_names_that_share_an_object_are_found() -> None:
    """By name, below a name, and by memory."""
    rows: list[int] = []
    array = np.arange(4)
    names = {"a": rows, "b": rows, "c": {"k": rows}, "x": array, "y": array[1:], "n": 5, "m": 5}
    assert shared(names, {}) == ["a is b is c['k']", "memory: x = y"]


def test_a_cycle_has_an_end() -> None:
    """A list that is its own item."""
    rows: list[Any] = []
    rows.append(rows)
    assert text(rows) == "#0:list(@0)"


def test_expressions_of_sympy_are_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal ones are as good as one twice: its caches decide; a name is not said to be shared for it."""

    class Basic:
        def __init__(self, name: str) -> None:
            self.name = name

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Basic) and self.name == other.name

        def __hash__(self) -> int:
            return hash(self.name)

    Basic.__module__ = "sympy.core.basic"
    library = types.ModuleType("sympy.core.basic")
    monkeypatch.setattr(library, "Basic", Basic, raising=False)
    monkeypatch.setitem(sys.modules, "sympy.core.basic", library)
    x, y = Basic("x"), Basic("y")
    assert text([x, x]) == text([x, Basic("x")]) != text([x, y])
    assert shared({"a": x, "b": x}, {}) == []


def test_what_a_transform_would_say_is_written_whether_it_has_computed_it_or_not() -> None:
    """One that has not been asked reads like one that has, and one that remembers the wrong thing does not."""
    transforms = pytest.importorskip("matplotlib.transforms")

    def made(*, asked: bool, remembers: float | None = None) -> Any:
        both = transforms.Affine2D().scale(2) + transforms.Affine2D().translate(1, 2)
        assert type(both) is transforms.CompositeAffine2D
        if asked:
            both.get_matrix()
        if remembers is not None:
            both._mtx, both._invalid = np.full((3, 3), remembers), 0
        return both

    assert text(made(asked=False)) == text(made(asked=True)) != text(made(asked=True, remembers=7.0))
    asked_not = made(asked=False)
    text(asked_not)
    assert asked_not._mtx is None
