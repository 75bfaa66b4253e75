"""pandas: frames, their memory, and what they share until the first write. In both processes; pandas is not imported.

pandas copies on write: two frames may show one memory, and each knows it. A copy in another process does not, so
memory that is shared this way is copied on the way; memory that numpy arrays show on purpose is not.
"""

from __future__ import annotations

import copyreg
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: Attributes of a frame that are bound to this very frame, or that it makes again when it needs them.
NOT_SENT = frozenset(("_flags", "_item_cache", "_cacher", "_cache"))
#: Attributes that say nothing about a frame or an index, or that are compared by themselves.
CACHES = frozenset(("_flags", "_item_cache", "_cacher", "_cache", "_id", "_references", "_engine", "_is_copy"))
#: Those of them that hold what was true before a change.
STALE = frozenset(("_item_cache", "_cache"))
#: What frames are made of has no identity that a notebook could see: each frame is compared as a whole.
INTERNALS = ("pandas.core.internals.", "pandas._libs.internals")


def is_internal(cls: type) -> bool:
    return (cls.__module__ or "").startswith(INTERNALS)  # None for a class made by a call, as sympy's functions are


def reduce_frame(frame: Any, pickler: NamespacePickler) -> Any:
    """A DataFrame or Series, with its name, its attrs and whatever else was set on it."""
    attributes = {name: value for name, value in vars(frame).items() if name not in NOT_SENT}
    state = attributes, allows_duplicates(frame)
    return copyreg.__newobj__, (type(frame),), state, None, None, set_frame  # type: ignore[attr-defined]


def set_frame(frame: Any, state: tuple[dict[str, object], bool]) -> None:
    attributes, duplicates = state
    for name, value in attributes.items():
        object.__setattr__(frame, name, value)
    allow_duplicates(frame, duplicates)


def reduce_flags(flags: Any, pickler: NamespacePickler) -> Any:
    """The flags of a frame are a part of it: there is one such object for each."""
    frame = flags._obj()
    return (flags_of, (frame,)) if getattr(frame, "_flags", None) is flags else NotImplemented


def flags_of(frame: Any) -> Any:
    try:
        return object.__getattribute__(frame, "_flags")
    except AttributeError:  # it is only just being made
        object.__setattr__(frame, "_flags", sys.modules["pandas"].Flags(frame, allows_duplicate_labels=True))
        return flags_of(frame)


def allows_duplicates(frame: Any) -> bool:
    return bool(frame.flags.allows_duplicate_labels)


def allow_duplicates(frame: Any, allowed: bool) -> None:
    """Set this flag without a look at the labels: that was done where it was set."""
    flags_of(frame)._allows_duplicate_labels = allowed


def reduce_series_manager(manager: Any, pickler: NamespacePickler) -> Any:
    """The manager of a Series, whose own pickle knows nothing of its blocks."""
    return make_series_manager, (type(manager), manager.blocks[0], manager.axes[0])


def make_series_manager(cls: Any, block: Any, axis: Any) -> Any:
    return cls(block, axis, verify_integrity=False)


def reduce_block(block: Any, pickler: NamespacePickler) -> Any:
    function, args, *rest = block.__reduce_ex__(5)
    if block.refs.has_reference():
        args = tuple(_copy(arg) if arg is block.values else arg for arg in args)
    return function, args, *rest


def reduce_index(index: Any, pickler: NamespacePickler) -> Any:
    function, args, *rest = index.__reduce_ex__(5)
    references = getattr(index, "_references", None)
    match args:
        case (cls, {"data": data, **others}) if references is not None and references.has_reference():
            args = (cls, {"data": _copy(data), **others})
    return function, args, *rest


def _copy(values: Any) -> Any:
    return values.copy(order="K") if isinstance(values, sys.modules["numpy"].ndarray) else values.copy()
