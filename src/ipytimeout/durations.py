"""Durations, as people read and write them. Vocabulary: any process, any thread.

Law of the file: pure. A mistake is an ``OptionError`` of one line that says what a duration looks like.
"""

from __future__ import annotations

import decimal
import math
import numbers
import re
from datetime import timedelta

from ipytimeout.mistakes import OptionError, shown

#: What a duration looks like, for the user who wrote something else.
LOOKS = "a duration is seconds (5, 0.5), a number with units (500ms, 90s, 2m, 1h30m, 1d) or inf"

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_PLAIN = re.compile(rf"[+-]?{_NUMBER}(?:e[+-]?\d+)?", re.ASCII)
#: Each unit once, the larger ones first.
_WITH_UNITS = re.compile("".join(rf"(?:(?P<{u}>{_NUMBER}){u}(?![a-z]))?" for u in _UNITS), re.ASCII)


def parse_duration(duration: object, *, allow_zero: bool = False) -> float:
    """Read a duration and return it in seconds.

    Parameters
    ----------
    duration
        Seconds as a number or as text, text with the units d, h, m, s and ms, ``inf``, or a ``timedelta``.
    allow_zero
        Whether 0 is a duration here, as it is for the grace period.

    Raises
    ------
    OptionError
        For zero, a negative, NaN, and whatever is no duration.
    """
    seconds = _seconds(duration)
    if seconds is None:
        raise OptionError(f"not a duration: {shown(duration)}; {LOOKS}")
    if math.isnan(seconds):
        raise OptionError(f"a duration cannot be NaN; {LOOKS}")
    if seconds < 0:
        raise OptionError(f"a duration cannot be negative: {shown(duration)}; {LOOKS}")
    if seconds == 0 and not allow_zero:
        raise OptionError(f"a duration must be more than zero: {shown(duration)}; {LOOKS}")
    return seconds


def _seconds(duration: object) -> float | None:
    match duration:
        case bool():
            return None
        case timedelta():
            return duration.total_seconds()
        case str():
            return _seconds_of_text(duration.strip().lower())
        case numbers.Real() | decimal.Decimal():
            try:
                return float(duration)
            except (OverflowError, ValueError):
                return None
        case _:
            return None


def _seconds_of_text(text: str) -> float | None:
    if text in ("inf", "nan", "-inf"):
        return float(text)
    if _PLAIN.fullmatch(text):
        # Too large a number for a float is a typing error, not a wish for no deadline.
        return seconds if math.isfinite(seconds := float(text)) else None
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    found = _WITH_UNITS.fullmatch(text)
    if not text or found is None:
        return None
    seconds = math.fsum(float(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number)
    return sign * seconds if math.isfinite(seconds) else None


def format_duration(seconds: float) -> str:
    """Write a duration for people: ``"500 ms"``, ``"2.1 s"``, ``"1 min 30 s"``, ``"1 h 5 min"``, ``"inf"``."""
    if math.isinf(seconds):
        return "inf"
    if 0 < seconds < 0.9995:
        return f"{max(seconds * 1000, 0.001):.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    parts = []
    left = round(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next(i for i, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)
