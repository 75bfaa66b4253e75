"""The items of built-in containers and of their subclasses, as facets. In both processes.

The methods of the built-in class are called, never those of a subclass.
"""

from __future__ import annotations

import array
import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ipytimeout.wire.facets import (
    MISSING,
    CannotRestore,
    Facet,
    Sight,
    SingleFacet,
    Swap,
    fingerprint,
    same_items,
)
from ipytimeout.wire.notes import Notes, Rows, Seen


class Items(Facet):
    """The items of a list or a deque."""

    def __init__(self, cls: Any, code: str) -> None:
        self.code = code  # type: ignore[misc]
        self._cls = cls

    def _look(self, objs: Sequence[Any]) -> Seen:
        rows = objs if type(objs[0]) is self._cls else map(self._cls.__iter__, objs)
        return list(map(self._cls.__len__, objs)), [rows]

    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        return Rows(objs, self._look)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        (old,) = before
        now = list(self._cls.__iter__(obj))
        return None if len(now) == len(old) and same_items(now, old) else _splice(old, now)

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
    front = _same_ahead(old, new, limit)
    back = _same_ahead(reversed(old), reversed(new), limit - front)
    return front, back, list(new[front : len(new) - back])


def _same_ahead(old: Iterable[object], new: Iterable[object], limit: int) -> int:
    others = itertools.compress(range(limit), map(operator.is_not, old, new))
    return next(others, limit)


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

    def _look(self, objs: Sequence[Any]) -> Seen:
        return look_at_dicts(objs if self._cls is dict else list(map(self._copy, objs)))

    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        return Rows(objs, self._look)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        keys, values = before
        return dict_delta(keys, values, obj if self._cls is dict else self._copy(obj))

    def swap(self, obj: Any, delta: Any) -> Swap:
        old = self._copy(obj)
        return Swap(self._put(obj, dict_with(old, delta)), self._put(obj, old))

    def _put(self, obj: Any, values: dict[Any, Any]) -> Callable[[], None]:
        cls = self._cls

        def put() -> None:
            cls.clear(obj)
            cls.update(obj, values)  # into an empty dict: no __eq__ runs, and the hashes are known

        return put


def look_at_dicts(dicts: Sequence[dict[Any, Any]]) -> Seen:
    return list(map(dict.__len__, dicts)), [map(dict.keys, dicts), map(dict.values, dicts)]


def same_dict(keys: list[Any], values: list[Any], now: dict[Any, Any]) -> bool:
    return len(keys) == dict.__len__(now) and same_items(values, dict.values(now)) and same_items(keys, dict.keys(now))


def dict_delta(keys: list[Any], values: list[Any], now: dict[Any, Any]) -> Any:
    """Return None for no change; else whether values were only set or appended, and those, or everything.

    Args:
        keys, values: What the dict was. No dict, since making one may run a user's ``__eq__``.
        now: What it is.
    """
    if same_dict(keys, values, now):
        return None
    if dict.__len__(now) < len(keys) or not same_items(keys, dict.keys(now)):
        return False, list(dict.items(now))
    is_new = map(operator.is_not, itertools.chain(values, itertools.repeat(MISSING)), dict.values(now))
    return True, list(itertools.compress(dict.items(now), is_new))


def dict_with(old: dict[Any, Any], delta: Any) -> dict[Any, Any]:
    """Return a new dict: the old one with the delta applied. This may run a user's ``__hash__`` and ``__eq__``."""
    only_set, items = delta
    new = dict(old) if only_set else {}
    new.update(items)
    return new


class Members(Facet):
    """The elements of a set."""

    code = "set"

    def note(self, objs: Sequence[Any], sight: Sight) -> Notes:
        return Rows(objs, _look_at_sets)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        (old,) = before
        now = list(set.__iter__(obj))
        if len(now) == len(old) and (same_items(now, old) or set(map(id, now)) == set(map(id, old))):
            return None
        return now

    def swap(self, obj: Any, delta: Any) -> Swap:
        return Swap(self._put(obj, set(delta)), self._put(obj, set(set.__iter__(obj))))

    def _put(self, obj: Any, elements: set[Any]) -> Callable[[], None]:
        def put() -> None:
            set.clear(obj)
            set.update(obj, elements)

        return put


def _look_at_sets(objs: Sequence[Any]) -> Seen:
    return list(map(set.__len__, objs)), [map(set.__iter__, objs)]


class Numbers(SingleFacet):
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
