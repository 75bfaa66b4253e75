"""How large a value is, about."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ipytimeout.host.estimate import estimate_size


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (1, 20, 40),
        ("x" * 10**6, 10**6, 1.01e6),
        (bytearray(10**6), 10**6, 1.2e6),
        (memoryview(bytes(10**6)), 10**6, 1.2e6),
        ([float(i) for i in range(100_000)], 2e6, 4e6),
        ({i: str(i) for i in range(100_000)}, 5e6, 20e6),
        ([[b"x" * 1000] * 1 for _ in range(1000)], 0.05e6, 2e6),
        (sys, 0, 10_000),
        (print, 0, 10_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_size_is_estimated_from_a_sample(value: object, least: float, most: float) -> None:
    """Good enough to tell large from small."""
    assert least <= estimate_size(value) <= most


def test_the_size_of_what_an_instance_or_a_closure_holds_counts() -> None:
    """A model is as large as its parts."""

    class Holder:
        def __init__(self) -> None:
            self.payload = bytearray(10**6)

    payload = bytearray(10**6)
    assert estimate_size(Holder()) > 10**6
    assert estimate_size(lambda: payload) > 10**6


def test_arrays_and_frames_tell_their_size() -> None:
    """Without being looked through."""
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    array = numpy.zeros(10**6)
    assert estimate_size(array) == 8 * 10**6
    assert 8 * 10**6 <= estimate_size(pandas.DataFrame({"a": array})) < 17 * 10**6


def test_a_size_needs_a_bounded_number_of_steps() -> None:
    """Also for deep and for endless structures."""
    endless: list[Any] = []
    endless.append(endless)
    assert estimate_size(endless) < 1000
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert estimate_size(deep) < 100_000
    while deep:
        deep = deep[0]
