"""How much memory an object of the user takes, roughly. In the user's process, main thread; pure.

Law of the file: a bounded number of objects is looked at, and no code of the user runs.
"""

from __future__ import annotations

import gc
import itertools
import sys
import types
from collections import deque
from typing import Any

from ipytimeout.host.look import (
    ATOMS,
    CLOSED,
    CLOSED_PACKAGES,
    dict_slot,
    is_object_array,
    module_of,
    mro_slot,
    words,
)

_SAMPLE = 32
_MOST_SIZED = 400
#: Libraries whose arrays tell their size; asking runs their code, not the user's.
_WITH_NBYTES = words("numpy torch pyarrow cupy jax jaxlib")


def estimate_size(value: Any) -> int:
    """Estimate the memory of an object and what it holds, in bytes, from a sample of a bounded number of objects."""
    if type(value) in ATOMS:
        return sys.getsizeof(value)
    total = 0.0
    seen: set[int] = set()
    todo: deque[tuple[Any, float]] = deque([(value, 1.0)])
    while todo and len(seen) < _MOST_SIZED:
        item, weight = todo.popleft()
        if id(item) in seen:
            continue
        seen.add(id(item))
        total += weight * _own_size(item)
        try:
            items, count = _sample(item)
        except RuntimeError:  # another thread of the user is changing it
            continue
        if items:
            share = weight * count / len(items)
            todo.extend((inner, share) for inner in items)
    return int(total)


def _own_size(value: Any) -> int:
    kind = type(value)
    package = module_of(kind).partition(".")[0]
    try:
        if package in _WITH_NBYTES or kind is memoryview:
            size = int(value.nbytes)
            # Each object of an object array has a size of its own: of the order of a short text.
            return size * 8 if package == "numpy" and is_object_array(value) else size
        if package == "polars":
            return int(value.estimated_size())
    except Exception:
        pass  # a type without it, or one that refuses
    # A __sizeof__ in Python is the user's, or pandas', which looks at every text.
    python = any(type(dict_slot.__get__(c).get("__sizeof__")) is types.FunctionType for c in mro_slot.__get__(kind))
    return object.__sizeof__(value) if python else sys.getsizeof(value)


def _sample(value: Any) -> tuple[list[Any], int]:
    """Return some of what an object holds, and how much of it there is."""
    kind = type(value)
    if kind in CLOSED or kind in (types.ModuleType, memoryview) or issubclass(kind, type):
        return [], 0
    if kind is types.FunctionType:
        return [x for x in (value.__closure__, value.__defaults__, value.__kwdefaults__, value.__dict__) if x], 4
    for container in (list, tuple, set, frozenset, deque):
        if issubclass(kind, container):
            count = container.__len__(value)
            items = list(itertools.islice(container.__iter__(value), _SAMPLE))
            return items, count
    if issubclass(kind, dict):
        count = dict.__len__(value)
        pairs = list(itertools.islice(dict.items(value), _SAMPLE))
        return [x for pair in pairs for x in pair], 2 * count
    if module_of(kind).partition(".")[0] in CLOSED_PACKAGES:
        return [], 0
    items = [x for x in gc.get_referents(value) if type(x) is not types.ModuleType and not issubclass(type(x), type)]
    return items[:_SAMPLE], len(items)
