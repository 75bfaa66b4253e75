"""Enumerations and what annotations are made of, there and back in one process."""

from __future__ import annotations

import sys

import pytest

from ipytimeout.wire.kinds import FACETS
from tests.wire.test_bare import travelled

ENUMS = """
import datetime, enum
made = []
class Planet(enum.Enum):
    EARTH = (5.9, 6.3)
    def __init__(self, mass, radius): made.append(mass); self.mass, self.radius = mass, radius
class Labelled(enum.Enum):
    def __new__(cls, value, label):
        self = object.__new__(cls)
        self._value_, self.label = value, label
        return self
class Size(Labelled):
    S = 1, "small"
    TINY = 1, "tiny"
class Word(str, enum.Enum):
    A = "a"
class Number(int, enum.Enum):
    def __new__(cls, value, note):
        self = int.__new__(cls, value)
        self._value_, self.note = value, note
        return self
    ONE = 1, "one"
class Day(datetime.date, enum.Enum):
    FIRST = 2020, 1, 1
class Perm(enum.Flag):
    R = 1
    W = 2
    RW = R | W
class Kept(enum.IntFlag, boundary=enum.KEEP):
    A = 1
class Missing(enum.Enum):
    A = 1
    @classmethod
    def _missing_(cls, value): return cls.A
members = [Size.TINY, Perm.R | Perm.W, Kept.A | 8, Word.A, Number.ONE, Day.FIRST]
made.clear()
"""
CHECKS = {
    "attributes of members": "Planet.EARTH.mass == 5.9 and made == []",
    "values and labels": "Size(1).label == 'small' and Size['TINY'] is Size.S and list(Size.__members__) == ['S', 'TINY']",
    "members elsewhere": "members[0] is Size.S and members[1] is Perm.RW and members[2] == 9",
    "members that are text or numbers too": "members[3:] == [Word.A, Number.ONE, Day.FIRST] and members[3] is Word.A and members[4] is Number.ONE",
    "a kind of text": "Word.A == 'a' and Word('a') is Word.A",
    "a kind of number": "Number(1).note == 'one' and Number.ONE + 1 == 2",
    "a kind of date": "Day.FIRST.year == 2020",
    "flags": "list(Perm.RW) == [Perm.R, Perm.W] and ~Perm.R is Perm.W and Perm.RW.name == 'RW'",
    "what is kept at the boundary": "(Kept.A | 8).value == 9",
    "what a value stands for that is none": "Missing(7) is Missing.A",
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_an_enumeration_is_what_it_was(check: str) -> None:
    """Under all its names, with what its members have; and the notebook's constructors do not run again."""
    there = travelled(ENUMS)
    assert eval(check, there)


def test_what_is_put_on_a_member_is_a_change_of_its_class() -> None:
    """Members are in no table: their class makes them."""
    there = travelled(ENUMS)
    size, facet = there["Size"], FACETS["members"]
    before = facet.snapshot(size, None)  # type: ignore[attr-defined, arg-type]
    size.S.extra = "put"
    delta = facet.delta(size, before, None)  # type: ignore[arg-type]
    assert list(delta) == ["S", "TINY"]
    del size.S.extra
    swap = facet.swap(size, delta)
    swap.do()
    assert size.S.extra == "put"
    swap.undo()
    assert not hasattr(size.S, "extra")


HINTS = """
from typing import *
class Movie(TypedDict, total=False):
    name: str
class Sub(Movie):
    year: int
UserId = NewType("UserId", int)
T = TypeVar("T", int, str)
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
class Box(Generic[T]): pass
def deco(f: Callable[P, T]) -> Callable[P, T]: return f
arguments = P.args
"""


def test_what_annotations_are_made_of_belongs_to_the_notebook_there_too() -> None:
    """With their module, for the next journey goes by it."""
    there = travelled(HINTS)
    assert there["Movie"](name="x") == {"name": "x"}
    assert there["Sub"].__annotations__.keys() == {"name", "year"}
    assert there["UserId"](3) == 3
    assert [there[name].__module__ for name in ("UserId", "T", "P", "Ts")] == ["__main__"] * 4
    assert there["Box"].__parameters__ == (there["T"],)
    assert there["arguments"] == there["P"].args


@pytest.mark.skipif(sys.version_info < (3, 12), reason="not here: the syntax is newer")
def test_parameters_in_brackets_are_what_they_were() -> None:
    """``class Stack[T]`` infers how it varies, which shows in how ``T`` is shown."""
    code = "type Pair[A] = tuple[A, A]\nclass Stack[T]: pass\ndef first[*Us, **Q, V: int](xs: list[V]) -> V: ..."
    there = travelled(code)
    assert repr(there["Stack"].__type_params__) == "(T,)"
    assert repr(there["Pair"].__value__) == "tuple[A, A]"
    assert there["Pair"].__module__ == "__main__"
    assert [type(each).__name__ for each in there["first"].__type_params__] == ["TypeVarTuple", "ParamSpec", "TypeVar"]
