"""What the suite uses of its helpers."""

from __future__ import annotations

_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def memconvert(x: float, *, frm: str = "B", to: str = "B") -> float:
    """Convert a size from one unit to another."""
    value = x * _UNITS[frm.upper()] / _UNITS[to.upper()]
    return round(value) if to.upper() == "B" else value


class Monitor:
    """Of a process that is measured from its start on: what the code uses counts, from nothing."""

    def memory(self, unit: str) -> float:
        return 0.0
