"""The functions that are timed. A module of its own, so that a spawned process imports no more than this."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def noop() -> None:
    """Do nothing."""


def same(item: int) -> int:
    """Return what is given."""
    return item


def total(array: NDArray[np.float64]) -> float:
    """Read all of an array."""
    return float(array.sum())


def ones(size: int) -> NDArray[np.float64]:
    """Make an array."""
    import numpy as np

    return np.ones(size)
