"""What code may say and ask while it runs: ``progress``, ``remaining``, ``checkpoint``. Vocabulary: any process.

Law of the file: standard library only, and harmless outside a run: the same notebook runs with and without a
deadline. In a child, ``enter`` has put the run that is meant in place.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar, overload

T = TypeVar("T")

#: What rounding may add to a fraction of 1.
_ROUNDING = 1e-6


class Run(Protocol):
    """The run that this process is. Called by the user's code, in any of its threads."""

    def remaining(self) -> float:
        """Return the seconds that are left."""

    def save(self, values: Mapping[str, object]) -> None:
        """Make values safe."""

    def follow(self, iterable: Iterable[T], total: float | None) -> Iterator[T]:
        """Yield what the iterable yields, and tell how far that is."""

    def say(self, fraction: float, text: str) -> None:
        """Tell how far the code is."""


_run: Run | None = None


def enter(run: Run | None) -> None:
    """From now on this process is that run; with None, it is none any more."""
    global _run
    _run = run


def remaining() -> float:
    """Return how many seconds are left until the deadline of the innermost run.

    Never less than 0; ``inf`` without a deadline and outside a run. What ``+`` on the panel adds counts, and the
    time that the user is asked something does not.
    """
    return math.inf if _run is None else _run.remaining()


def checkpoint(**values: object) -> None:
    """Make values safe: a run that is timed out, cancelled, over a limit or killed later still brings them back.

    For a cell they are then bound to these names in the notebook; for a function they are in ``error.checkpoints``.
    A run that ends by itself brings back what it has done, as ever, and its checkpoints are not needed. Outside a
    run nothing happens.

    Parameters
    ----------
    **values
        The values, by name. They are pickled now: what happens to them later does not matter. The values of one
        call belong together, and go on sharing what they share; a later checkpoint of a name replaces the former.
        They come back as new objects, but for the notebook's own functions and classes.

    Raises
    ------
    pickle.PicklingError
        A value cannot leave its process; the text names it. Nothing of this call is safe, all earlier ones are.
    TypeError
        A name is none of a variable.
    RuntimeError
        It is called in a process that the run has forked.
    """
    for name in values:
        if not name.isidentifier():
            raise TypeError(f"checkpoint() takes names of variables, not {name!r}")
    if _run is not None and values:
        _run.save(values)


@overload
def progress(iterable: Iterable[T], /, total: float | None = None) -> Iterator[T]: ...
@overload
def progress(fraction: float, /, text: str = "") -> None: ...
def progress(  # type: ignore[misc]  # the second argument has two names
    what: Any, /, detail: Any = None, *, total: Any = None, text: Any = None
) -> Any:
    """Move the bar of the panel: around an iterable, or by a fraction.

    ``for row in progress(rows):`` yields the rows and shows how many are done, and how long the rest will take; loops
    inside loops share the bar. ``progress(0.4, "fitting")`` says it directly. Cheap enough for every iteration.
    Outside a run an iterable is passed through, and a fraction is not shown.

    Parameters
    ----------
    what
        An iterable, or a fraction from 0 to 1.
    total
        With an iterable: how many items it has, where ``len()`` does not tell.
    text
        With a fraction: a few words to be shown beside the bar.

    Returns
    -------
    For an iterable, an iterator; else None.

    Raises
    ------
    ValueError
        A fraction is not from 0 to 1, or a total is negative or NaN.
    TypeError
        What is given is neither an iterable nor a number.
    """
    # The class first: asking an abstract one takes longer than all the rest.
    iterator = None if type(what) is float or isinstance(what, numbers.Real) else _iterator(what)
    if iterator is None:
        if total is not None:
            raise TypeError("progress() of a fraction takes a text, and no total")
        fraction = what if type(what) is float and 0 <= what <= 1 else _fraction(what)
        if _run is not None:
            words = detail if text is None else text
            _run.say(fraction, "" if words is None else str(words))
        return None
    if text is not None:
        raise TypeError("progress() of an iterable takes a total, and no text")
    count = _total(detail if total is None else total)
    if _run is None:
        return iterator
    return _run.follow(iterator, _length(what) if count is None else count)


def _iterator(what: Any) -> Iterator[Any] | None:
    """Return an iterator; None for what is a number although it is no Python number."""
    try:
        iterator: Iterator[Any] = iter(what)
    except TypeError:
        if hasattr(what, "__float__"):  # a scalar of a library
            return None
        raise TypeError(f"progress() takes an iterable or a fraction, not {type(what).__name__}") from None
    return iterator


def _fraction(what: Any) -> float:
    fraction = float(what)
    if not -_ROUNDING <= fraction <= 1 + _ROUNDING:
        raise ValueError(f"progress() takes a fraction from 0 to 1, not {fraction:g}; for a count write done / total")
    return min(1.0, max(0.0, fraction))


def _total(total: Any) -> float | None:
    if total is None:
        return None
    if not hasattr(total, "__float__"):
        raise TypeError(f"the total of progress() is a number, not {type(total).__name__}")
    if not float(total) >= 0:
        raise ValueError(f"the total of progress() cannot be {total}")
    if math.isinf(float(total)):
        return None
    return int(total) if float(total).is_integer() else float(total)


def _length(iterable: Any) -> float | None:
    try:
        return len(iterable)
    except Exception:  # a class may promise a length and have none
        return None
