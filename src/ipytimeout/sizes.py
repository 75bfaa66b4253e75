"""Sizes of memory and of output, as people read and write them. Vocabulary: any process, any thread.

Law of the file: pure. A mistake is a ``ValueError`` of one line that says what a size looks like; a share of what there
is stays a share here, because how much there is must be asked of the system.
"""

from __future__ import annotations

import decimal
import math
import numbers
import re
from dataclasses import dataclass

#: Less than any Python process has: somebody has left out the unit.
LEAST = 1_000_000
#: The same for what is shown of an output.
LEAST_OUTPUT = 1_000

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_UNIT = r"[kmgtp]?i?b?"
_SIZE = re.compile(rf"(?P<sign>[+-]?)(?P<number>{_NUMBER}) ?(?P<unit>{_UNIT}|%)", re.ASCII)
#: A unit alone: of ``-m 2 GB``.
UNIT = re.compile(rf"(?!b?$){_UNIT}|B", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Share:
    """Part of the memory that this container, or this machine, may use."""

    percent: float

    def __str__(self) -> str:
        return f"{self.percent:g}%"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a size is the size of."""

    looks: str
    least: int
    #: Why it cannot be less.
    why: str
    #: The unit that was probably left out.
    unit: str


_MEMORY = _Kind(
    "a size is a number with a unit (2GB, 512MiB, 1.5G), a number of bytes, or a share of what may be used (50%)",
    LEAST,
    "a process needs more",
    "GB",
)
_OUTPUT = _Kind(
    "a size is a number with a unit (2MB, 500kB, 10MiB), a number of bytes, or inf",
    LEAST_OUTPUT,
    "output needs more",
    "MB",
)


def parse_size(size: object) -> int | Share:
    """Read a size of memory and return it in bytes, or as a share.

    Parameters
    ----------
    size
        Text with a unit, decimal (``2GB``, ``1.5G``) or binary (``512MiB``, ``2Gi``), small or capital letters; bytes
        as a number or as text; ``50%``; or a ``Share``.

    Raises
    ------
    ValueError
        For zero, a negative, NaN, infinity, less than a process needs (``2`` for ``2GB``), and what is no size.
    """
    if isinstance(size, Share):
        return _share(size.percent, str(size))
    return _parsed(size, _MEMORY)


def parse_output_size(size: object) -> float:
    """Read a size of output and return it in bytes: as ``parse_size``, but no share; ``inf`` is all of it."""
    if (size.strip().lower() if isinstance(size, str) else size) in ("inf", math.inf):
        return math.inf
    parsed = _parsed(size, _OUTPUT)
    if isinstance(parsed, Share):
        raise ValueError(f"not a size of output: {str(parsed)!r}; {_OUTPUT.looks}")
    return parsed


def _parsed(size: object, kind: _Kind) -> int | Share:
    match size:
        case str():
            return _of_text(size, kind)
        case numbers.Real() | decimal.Decimal() if not isinstance(size, bool):
            try:
                value = float(size)
            except (OverflowError, ValueError):
                value = math.nan
            return _bytes(value, f"{value:g}", kind)
        case _:
            raise ValueError(f"not a size: a {type(size).__name__}; {kind.looks}")


def _of_text(text: str, kind: _Kind) -> int | Share:
    shown = repr(text if len(text) <= 40 else text[:39] + "…")
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"not a size: {shown}; {kind.looks}")
    number, unit = float(found["number"]), found["unit"]
    if found["sign"] == "-":
        raise ValueError(f"a size cannot be negative: {shown}; {kind.looks}")
    if unit == "%":
        return _share(number, shown)
    prefix = unit.removesuffix("b")
    if prefix == "i":
        raise ValueError(f"not a size: {shown}; {kind.looks}")
    base = 1024 if prefix.endswith("i") else 1000
    return _bytes(number * base ** " kmgtp".index(prefix[:1] or " "), shown, kind)


def _share(percent: float, shown: str) -> Share:
    if not 0 < percent <= 100:
        raise ValueError(f"a share is more than 0% and at most 100%, not {shown}")
    return Share(percent)


def _bytes(value: float, shown: str, kind: _Kind) -> int:
    if not math.isfinite(value) or value > 1e18:
        raise ValueError(f"not a size: {shown}; {kind.looks}")
    if value < 0:
        raise ValueError(f"a size cannot be negative: {shown}; {kind.looks}")
    if value < kind.least:
        hint = f"; did you mean {value:g}{kind.unit}?" if 0 < value < 1000 and value == int(value) else ""
        raise ValueError(f"{shown} is {value:g} bytes, and {kind.why} than {format_size(kind.least)}{hint}")
    return int(value)


def format_size(size: float) -> str:
    """Write a number of bytes for people: ``"512 B"``, ``"1.2 GB"``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
