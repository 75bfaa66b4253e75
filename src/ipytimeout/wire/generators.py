"""Generators of random numbers. The one behind ``random.random()``, and numpy's, are each process's own.

Whatever refers to one of these (``from random import randint``, a distribution of scipy, an estimator) does so in the
other process too; what they have come to travels with the state of the process. In both processes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.by_name import import_from

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: Where they are, by the first name of the module of their class.
_OWN = {"random": ("random", "_inst"), "numpy": ("numpy.random.mtrand", "_rand")}


def reduce_generator(generator: Any, pickler: NamespacePickler) -> Any:
    where = _place_of_own(generator)
    return (import_from, where) if where is not None else NotImplemented


def _place_of_own(generator: Any) -> tuple[str, str] | None:
    where = _OWN.get((type(generator).__module__ or "").partition(".")[0])
    if where is None or getattr(sys.modules.get(where[0]), where[1], None) is not generator:
        return None
    return where


def state_of(generator: Any) -> Any:
    """Return what is to be compared and put back: nothing of a process's own."""
    if _place_of_own(generator) is not None:
        return None
    return generator.get_state(legacy=False) if hasattr(generator, "get_state") else generator.getstate()


def put_state(generator: Any, state: Any) -> None:
    if state is not None:
        generator.set_state(state) if hasattr(generator, "set_state") else generator.setstate(state)
