"""The table of a process that is about to be copied: everything has a number, and nothing is copied."""

from __future__ import annotations

import sqlite3
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ipytimeout.wire.survey import Witness, survey


def numbered(namespace: dict[str, Any]) -> Any:
    return survey(namespace, list(namespace))


class Refuses:
    def __init__(self) -> None:
        self.items = [1]

    def __reduce__(self) -> Any:
        raise TypeError("no")


@pytest.mark.parametrize(
    "value",
    [sqlite3.connect(":memory:"), threading.Lock(), Refuses(), (i for i in [1]), {"a": Refuses()}],
    ids=["database", "lock", "class", "generator", "dict"],
)
def test_what_cannot_be_pickled_has_a_number(value: Any) -> None:
    """It, and what is beside it."""
    beside = [1, 2]
    surveyed = numbered({"x": value, "beside": beside, "both": [value, beside]})
    numbers = surveyed.table.numbers
    assert {id(value), id(beside)} <= numbers.keys()
    assert surveyed.unseen == {}


def test_an_object_that_refuses_to_be_pickled_is_gone_through() -> None:
    """All there is of it is its attributes, so it is none that cannot be restored."""
    value = Refuses()
    surveyed = numbered({"x": value})
    assert id(value.items) in surveyed.table.numbers
    assert surveyed.closed == {}


def test_what_is_nested_too_deeply_is_told() -> None:
    """Such a name is not watched, and who uses it is told so; the others are."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    other = [1]
    surveyed = numbered({"deep": deep, "other": other})
    assert surveyed.unseen == {"deep": "it is nested too deeply"}
    assert id(other) in surveyed.table.numbers


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros(4_000_000),
        lambda: np.zeros((2000, 2000))[::2, ::2],
        lambda: np.ma.masked_array(np.zeros(4_000_000)),
        lambda: pd.DataFrame({"a": np.zeros(2_000_000), "b": np.zeros(2_000_000)}),
        lambda: pd.DataFrame({"a": np.zeros(4_000_000)})["a"],
        lambda: pd.Series(np.zeros(4_000_000), index=pd.Index(np.arange(4_000_000))),
        lambda: bytearray(32_000_000),
        lambda: [bytes(8_000_000) for _ in range(4)],
    ],
    ids=["array", "strided", "masked", "frame", "series", "index", "bytearray", "bytes"],
)
def test_nothing_large_is_copied(make: Any) -> None:
    """The survey of 32 MB takes less than one."""
    value = make()
    tracemalloc.start()
    try:
        surveyed = numbered({"x": value})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert id(value) in surveyed.table.numbers
    assert peak < 1_000_000


def count() -> Iterator[int]:
    n = 0
    while True:
        n += 1
        yield n


def test_a_witness_tells_what_has_changed() -> None:
    """A generator, and a database; but not what was only looked at."""
    generators, databases = [count(), count()], [sqlite3.connect(":memory:") for _ in range(2)]
    for each in generators:
        next(each)
    for database in databases:
        database.execute("create table t(a)")
    objects: list[object] = [*generators, *databases]
    witness = Witness(objects, dict.fromkeys(range(4), "it cannot"))
    assert witness.lost() == {}
    next(generators[1])
    databases[1].execute("insert into t values (1)")
    databases[0].execute("select * from t").fetchall()
    assert witness.lost() == dict.fromkeys((1, 3), "it was changed, and it cannot")


def test_where_nothing_tells_that_is_said() -> None:
    """A cursor, say."""
    witness = Witness([sqlite3.connect(":memory:").cursor()], {0: "it cannot"})
    assert "cannot be told" in witness.lost()[0]
