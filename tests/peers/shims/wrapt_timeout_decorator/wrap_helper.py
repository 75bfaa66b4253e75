"""What the suite asks of the platform."""

from __future__ import annotations


def is_system_windows() -> bool:
    return False
