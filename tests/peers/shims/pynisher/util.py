"""What the suite uses of its helpers."""

from __future__ import annotations

_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def memconvert(x: float, *, frm: str = "B", to: str = "B") -> float:
    """Convert a size from one unit to another."""
    value = x * _UNITS[frm.upper()] / _UNITS[to.upper()]
    return round(value) if to.upper() == "B" else value


class Monitor:
    """Of what a child uses before its code runs."""

    def memory(self, unit: str) -> float:
        return memconvert(40, frm="MB", to=unit)
