"""Sizes of memory, as people write them."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipytimeout.sizes import LEAST, Share, format_size, parse_output_size, parse_size


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("2GB", 2 * 10**9),
        ("2gb", 2 * 10**9),
        (" 2 GB ", 2 * 10**9),
        ("1.5G", 1_500_000_000),
        (".5G", 500_000_000),
        ("512MiB", 512 << 20),
        ("2Gi", 2 << 30),
        ("1.5GiB", 3 << 29),
        ("1TB", 10**12),
        ("4000kB", 4_000_000),
        ("4096KiB", 4 << 20),
        ("1048576", 1 << 20),
        ("1048576B", 1 << 20),
        ("1e9", 10**9),
        ("+2GB", 2 * 10**9),
        (3e9, 3 * 10**9),
        (1 << 30, 1 << 30),
        (Decimal("2e9"), 2 * 10**9),
        (Fraction(2 * 10**9), 2 * 10**9),
        ("50%", Share(50)),
        ("12.5 %", Share(12.5)),
        ("100%", Share(100)),
        (Share(3), Share(3)),
    ],
    ids=str,
)
def test_a_size_is_read_in_bytes_or_as_a_share(written: object, size: int | Share) -> None:
    """Decimal and binary units, plain numbers, and percent."""
    assert parse_size(written) == size


@pytest.mark.parametrize(
    ("written", "says"),
    [
        *[
            (wrong, "not a size: .*2GB, 512MiB, 1.5G.*50%")
            for wrong in ("", "x", "GB", "2XB", "2iB", "2GBs", "٢GB", "1_0")
        ],
        *[
            (wrong, "not a size: .*2GB, 512MiB")
            for wrong in ("nan", "inf", math.inf, math.nan, 10**400, "1e30", "2GB\n3")
        ],
        *[(wrong, "not a size: a ") for wrong in (True, None, [2], b"2GB", 2j)],
        *[(wrong, "cannot be negative") for wrong in ("-2GB", -2e9, "-1")],
        *[(wrong, "a share is more than 0% and at most 100%") for wrong in ("0%", "101%", Share(0), Share(math.nan))],
        ("0", "more than 1 MB$"),
        (0, "more than 1 MB$"),
        ("2", "'2' is 2 bytes.*did you mean 2GB"),
        (2, "2 is 2 bytes.*did you mean 2GB"),
        ("10kB", "'10kB' is 10000 bytes, and a process needs more than 1 MB$"),
        ("x" * 1000, "…"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_size_is_answered_with_one_line(written: object, says: str) -> None:
    """It names the value, and says what a size looks like, or which one was meant."""
    with pytest.raises(ValueError, match=says) as caught:
        parse_size(written)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@given(st.integers(min_value=LEAST, max_value=10**15))
def test_a_number_of_bytes_reads_back_as_itself(size: int) -> None:
    """Through text too."""
    assert parse_size(size) == parse_size(str(size)) == size


@given(st.floats(min_value=1e6, max_value=1e14))
def test_what_is_written_for_people_reads_back_as_nearly_the_same(size: float) -> None:
    """Three digits are kept."""
    again = parse_size(format_size(size))
    assert isinstance(again, int) and again == pytest.approx(size, rel=0.006)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1 MB"), (2.14e9, "2.14 GB")],
)
def test_a_size_is_written_for_people(size: float, text: str) -> None:
    """Decimal units, three digits."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("written", "size"), [("2MB", 2e6), ("500 kB", 5e5), (1000, 1000), ("inf", math.inf), (math.inf, math.inf)]
)
def test_a_size_of_output_may_be_small_and_endless(written: object, size: float) -> None:
    assert parse_output_size(written) == size


@pytest.mark.parametrize("wrong", ["50%", Share(50), "999", 0, -1, "x", None, True, math.nan], ids=str)
def test_what_is_no_size_of_output_is_refused_in_one_line(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"size|bytes") as caught:
        parse_output_size(wrong)
    assert "\n" not in str(caught.value)
