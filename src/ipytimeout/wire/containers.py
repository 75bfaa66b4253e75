"""The items of built-in containers and of their subclasses, as facets. In both processes.

The methods of the built-in class are called, never those of a subclass.
"""

from __future__ import annotations

import array
import functools
from collections.abc import Callable, Sequence
from typing import Any

from ipytimeout.wire.facets import CannotRestore, Facet, Sight, Swap, fingerprint, same_items


class Items(Facet):
    """The items of a list or a deque."""

    def __init__(self, cls: Any, code: str) -> None:
        self.code = code  # type: ignore[misc]
        self._cls = cls

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return list(self._cls.__iter__(obj))

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = list(self._cls.__iter__(obj))
        if len(now) == len(before) and same_items(now, before):
            return None
        return _splice(before, now)

    def swap(self, obj: Any, delta: Any) -> Swap:
        front, back, new = delta
        old = list(self._cls.__iter__(obj))
        if front + back > len(old):
            raise CannotRestore("it was changed here meanwhile")
        items = [*old[:front], *new, *old[len(old) - back :]]
        return Swap(self._put(obj, items), self._put(obj, old))

    def _put(self, obj: Any, items: list[object]) -> Callable[[], None]:
        cls = self._cls

        def put_deque() -> None:
            cls.clear(obj)
            cls.extend(obj, items)

        return functools.partial(list.__setitem__, obj, slice(None), items) if cls is list else put_deque


def _splice(old: Sequence[object], new: Sequence[object]) -> tuple[int, int, list[object]]:
    """Return how many items at the front and at the back are the same objects, and the new ones between."""
    limit = min(len(old), len(new))
    front = next((i for i in range(limit) if old[i] is not new[i]), limit)
    limit -= front
    back = next((i for i in range(limit) if old[-1 - i] is not new[-1 - i]), limit)
    return front, back, list(new[front : len(new) - back])


class Entries(Facet):
    """The items of a dict or an OrderedDict, in their order."""

    def __init__(self, cls: Any, code: str) -> None:
        self.code = code  # type: ignore[misc]
        self._cls = cls

    def _copy(self, obj: Any) -> dict[Any, Any]:
        if self._cls is dict:
            return dict.copy(obj)
        keys = list(self._cls.__iter__(obj))
        return {key: dict.__getitem__(obj, key) for key in keys}

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return self._copy(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return dict_delta(before, obj if self._cls is dict else self._copy(obj))

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = self._copy(obj)
        return Swap(self._put(obj, dict_with(old, delta)), self._put(obj, old))

    def _put(self, obj: Any, values: dict[Any, Any]) -> Callable[[], None]:
        cls = self._cls

        def put() -> None:
            cls.clear(obj)
            cls.update(obj, values)  # into an empty dict: no __eq__ runs, and the hashes are known

        return put


def same_dict(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    return (
        len(before) == dict.__len__(now)
        and same_items(before.values(), dict.values(now))
        and same_items(before, dict.keys(now))
    )


def dict_delta(before: dict[Any, Any], now: dict[Any, Any]) -> Any:
    """Return None for no change; else whether values were only set or appended, and those, or everything."""
    if same_dict(before, now):
        return None
    size = len(before)
    if dict.__len__(now) < size or not same_items(before, dict.keys(now)):
        return False, list(dict.items(now))
    old = list(before.values())
    return True, [(k, v) for i, (k, v) in enumerate(dict.items(now)) if i >= size or v is not old[i]]


def dict_with(old: dict[Any, Any], delta: Any) -> dict[Any, Any]:
    """Return a new dict: the old one with the delta applied. This may run a user's ``__hash__`` and ``__eq__``."""
    only_set, items = delta
    new = dict(old) if only_set else {}
    new.update(items)
    return new


class Members(Facet):
    """The elements of a set."""

    code = "set"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return list(set.__iter__(obj))

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        now = list(set.__iter__(obj))
        if len(now) == len(before) and (same_items(now, before) or set(map(id, now)) == set(map(id, before))):
            return None
        return now

    def swap(self, obj: Any, delta: Any) -> Swap:
        return Swap(self._put(obj, set(delta)), self._put(obj, set(set.__iter__(obj))))

    def _put(self, obj: Any, elements: set[Any]) -> Callable[[], None]:
        def put() -> None:
            set.clear(obj)
            set.update(obj, elements)

        return put


class Numbers(Facet):
    """The content of a bytearray or an array.array."""

    def __init__(self, cls: Any, code: str) -> None:
        self.code = code  # type: ignore[misc]
        self._cls = cls

    def _copy(self, obj: Any) -> Any:
        return bytes(obj) if self._cls is bytearray else array.array(obj.typecode, obj)

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return fingerprint(obj)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return None if fingerprint(obj) == before else self._copy(obj)

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = self._copy(obj)
        if len(old) != len(delta):
            self._check_can_grow(obj)
        put = functools.partial(self._cls.__setitem__, obj, slice(None))
        return Swap(functools.partial(put, delta), functools.partial(put, old))

    def _check_can_grow(self, obj: Any) -> None:
        """Find out now, not in the middle of a commit, whether a memoryview holds its size."""
        try:
            self._cls.__iadd__(obj, self._cls.__getitem__(obj, slice(0, 1)) or _one(obj))
        except BufferError:
            raise CannotRestore("its size cannot change while another object shows its memory") from None
        self._cls.__delitem__(obj, slice(len(obj) - 1, None))


def _one(obj: Any) -> Any:
    """Return one item of the kind that this empty container holds."""
    if isinstance(obj, bytearray):
        return b"\0"
    return array.array(obj.typecode, "a" if obj.typecode in "uw" else [0])
