"""What the child notes of many objects before a run, to find the few that changed. Pure; in the child.

A note of its own for each of a million objects costs seconds and a hundred bytes each. So the items of all objects of
a class are laid end to end, in one list, by what runs in C; and so they are compared afterwards, by identity.

Law of the file: no code of the notebook runs here, and nothing is done for each object in Python.
"""

from __future__ import annotations

import collections
import itertools
import operator
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, compress
from typing import Any, TypeAlias


class Notes(ABC):
    """What was noted of some objects, in their order."""

    @abstractmethod
    def suspects(self, objs: Sequence[Any]) -> Iterable[int]:
        """Return which of the objects may have changed: at least those that have."""

    @abstractmethod
    def before(self, index: int) -> Any:
        """Return what one object was, for the ``delta`` of its facet."""


class Each(Notes):
    """A note for each object."""

    def __init__(self, notes: Sequence[Any]) -> None:
        self._notes = notes

    def suspects(self, objs: Sequence[Any]) -> Iterable[int]:
        return range(len(objs))

    def before(self, index: int) -> Any:
        return self._notes[index]


#: How many items each object has, and those of all objects, in one or more columns (the keys, the values).
Seen: TypeAlias = tuple[list[int], list[Iterable[Iterable[object]]]]


#: Behind the last item.
_END = (object(),)


class Rows(Notes):
    """The items of each object, as ``look`` sees them, end to end."""

    def __init__(self, objs: Sequence[Any], look: Callable[[Sequence[Any]], Seen]) -> None:
        self._look = look
        self._lengths, columns = look(objs)
        self._columns = [list(chain.from_iterable(rows)) for rows in columns]
        self._bounds: list[int] = []

    def _starts(self) -> list[int]:
        """Return where each row begins, and where the last one ends. Made when something has changed."""
        self._bounds = self._bounds or [0, *itertools.accumulate(self._lengths)]
        return self._bounds

    def before(self, index: int) -> tuple[list[object], ...]:
        starts = self._starts()
        return tuple(column[starts[index] : starts[index + 1]] for column in self._columns)

    def suspects(self, objs: Sequence[Any]) -> Iterable[int]:
        lengths, columns = self._look(objs)
        if lengths == self._lengths:
            return self._moved(self._columns, columns, self._lengths, range(len(objs)))
        # Only rows that have kept their length can be compared end to end.
        kept = list(map(operator.eq, lengths, self._lengths))
        others = [index for index, same in enumerate(kept) if not same]
        before = [chain.from_iterable(self._between(column, others)) for column in self._columns]
        rows = [compress(column, kept) for column in columns]
        indices = list(compress(itertools.count(), kept))
        return sorted({*others, *self._moved(before, rows, list(compress(lengths, kept)), indices)})

    def _between(self, column: list[object], others: list[int]) -> Iterator[Iterable[object]]:
        """Return the column without some of its rows."""
        starts, items, end = self._starts(), iter(column), 0
        for index in others:
            yield itertools.islice(items, starts[index] - end)
            end = starts[index + 1]
            collections.deque(itertools.islice(items, end - starts[index]), maxlen=0)
        yield items

    def _moved(
        self,
        before: Sequence[Iterable[object]],
        columns: Iterable[Iterable[Iterable[object]]],
        lengths: list[int],
        indices: Sequence[int],
    ) -> Iterable[int]:
        """Return which rows hold other items than before, all having the lengths that they had."""
        found: set[int] = set()
        starts: list[int] = []
        for old, rows in zip(before, columns, strict=True):
            now = chain(chain.from_iterable(rows), _END)
            for place in compress(itertools.count(), map(operator.is_not, chain(old, _END), now)):
                starts = starts or list(itertools.accumulate(lengths, initial=0))
                if place >= starts[-1]:  # there are fewer or more now: another thread is at it
                    return indices
                found.add(indices[bisect_right(starts, place) - 1])
        return sorted(found)


class OneClass(Notes):
    """That all objects are of one class."""

    def __init__(self, cls: type) -> None:
        self._cls = cls

    def suspects(self, objs: Sequence[Any]) -> Iterable[int]:
        return compress(itertools.count(), map(operator.is_not, map(type, objs), itertools.repeat(self._cls)))

    def before(self, index: int) -> type:
        return self._cls
