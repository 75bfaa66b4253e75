"""Durations, read and written."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipytimeout.durations import format_duration, parse_duration
from ipytimeout.mistakes import OptionError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (5, 5),
        (0.5, 0.5),
        ("5", 5),
        (".5", 0.5),
        ("5.", 5),
        (" 5 ", 5),
        ("1e2", 100),
        ("500ms", 0.5),
        ("90s", 90),
        ("2m", 120),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1d", 86400),
        ("1d2h3m4s500ms", 93784.5),
        ("2M", 120),
        ("inf", math.inf),
        (math.inf, math.inf),
        (timedelta(minutes=2), 120),
        (Fraction(1, 2), 0.5),
        (Decimal("0.25"), 0.25),
    ],
)
def test_a_duration_is_read_in_seconds(written: object, seconds: float) -> None:
    """Numbers, units, inf and timedelta."""
    assert parse_duration(written) == pytest.approx(seconds)


NO_DURATIONS = [
    0,
    "0",
    "0ms",
    -1,
    "-5",
    "-2m",
    "-inf",
    math.nan,
    "nan",
    True,
    None,
    "",
    "abc",
    "5 s",
    "1m1h",
    "m",
    "5x",
]
NO_DURATIONS += ["5x", "1e999", 10**400, [5], "2min", "5,5", "٥", "1_0", timedelta(seconds=-1), "5\n6"]


@pytest.mark.parametrize("written", NO_DURATIONS, ids=lambda w: repr(w)[:20])
def test_what_is_no_duration_is_answered_with_one_line_that_says_what_one_looks_like(written: object) -> None:
    """SPEC: zero, a negative, NaN and text."""
    with pytest.raises(OptionError) as caught:
        parse_duration(written)
    text = str(caught.value)
    assert "\n" not in text
    assert "500ms" in text
    assert "1h30m" in text


def test_an_error_survives_a_value_whose_repr_fails() -> None:
    """The text of a mistake is made from the user's object."""

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(OptionError, match="a Hostile"):
        parse_duration(Hostile())


@given(st.floats(min_value=0.001, max_value=1e9))
def test_a_number_of_seconds_reads_back_as_itself(seconds: float) -> None:
    """Through text too."""
    assert parse_duration(seconds) == parse_duration(repr(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0005, "0.5 ms"),
        (0.5, "500 ms"),
        (0.9999, "1 s"),
        (2.14, "2.1 s"),
        (5, "5 s"),
        (59.96, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (2 * 86400, "2 d"),
        (math.inf, "inf"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    """Two units at most."""
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e12))
def test_every_duration_can_be_written(seconds: float) -> None:
    """No rounding leads to an empty text."""
    assert format_duration(seconds)
