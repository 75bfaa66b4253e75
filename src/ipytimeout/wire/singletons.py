"""Objects of which a library has one in each process: generators of random numbers, options, registries.

Whatever refers to one of these (``from random import randint``, a distribution of scipy, ``rc = plt.rcParams``) refers
to that of its own process, and what is set in it travels with the state of the process. In both processes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.by_name import import_from

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: Where they are, by their class.
PLACES: dict[str, tuple[tuple[str, str], ...]] = {
    "random.Random": (("random", "_inst"),),
    "numpy.random.mtrand.RandomState": (("numpy.random.mtrand", "_rand"),),
    "matplotlib.RcParams": tuple(("matplotlib", name) for name in ("rcParams", "rcParamsDefault", "rcParamsOrig")),
    "matplotlib.cm.ColormapRegistry": (("matplotlib", "colormaps"),),
    "matplotlib.colors.ColorSequenceRegistry": (("matplotlib", "color_sequences"),),
    "matplotlib.font_manager.FontManager": (("matplotlib.font_manager", "fontManager"),),
}


def reduce_singleton(obj: Any, pickler: NamespacePickler) -> Any:
    place = _place_of(obj)
    return (import_from, place) if place is not None else NotImplemented


def _place_of(obj: Any) -> tuple[str, str] | None:
    cls = type(obj)
    for module, name in PLACES.get(f"{cls.__module__}.{cls.__qualname__}", ()):
        if getattr(sys.modules.get(module), name, None) is obj:
            return module, name
    return None


def state_of_generator(generator: Any) -> Any:
    """Return what is to be compared and put back: nothing of a process's own."""
    if _place_of(generator) is not None:
        return None
    return generator.get_state(legacy=False) if hasattr(generator, "get_state") else generator.getstate()


def put_generator(generator: Any, state: Any) -> None:
    if state is not None:
        generator.set_state(state) if hasattr(generator, "set_state") else generator.setstate(state)
