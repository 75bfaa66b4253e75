"""What the objects of a table were at one moment, and which of them have changed since. Pure; in child and host.

The child asks what its code has changed; the host, what the kernel has changed while a background run had a copy.

Law of the file: an object that breaks its class's promises is compared by its pickle, and spoils nothing for others.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ipytimeout.wire import facets, kinds
from ipytimeout.wire.facets import Facet
from ipytimeout.wire.notes import Notes
from ipytimeout.wire.streams import FAULTS, Looker, plain_reason
from ipytimeout.wire.table import ObjectTable

#: What changed in an object: for each facet that did, its code and the delta.
Deltas: TypeAlias = list[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Group:
    """Objects of one class, their numbers, and what was noted of them for each of their facets."""

    numbers: list[int]
    objects: list[Any]
    facets: tuple[Facet, ...]
    notes: list[Notes]


#: Where an object is: its group, and the index in it.
Place: TypeAlias = tuple[Group, int]


class Watched:
    """The objects of a table, as they were when this was made."""

    def __init__(self, namespace: dict[str, object], table: ObjectTable, known: Sequence[bool]) -> None:
        """``known`` tells of each object of the table whether it is to be watched."""
        self.sight = _Sight(namespace, table)
        self.groups = _grouped(table, list(known), self.sight)

    def changes(self) -> tuple[dict[int, Deltas], dict[int, str]]:
        """Return what changed in every object, by its number; and why that cannot be told of others."""
        changes: dict[int, Deltas] = {}
        failed: dict[int, str] = {}
        for group in self.groups:
            for facet, notes in zip(group.facets, group.notes, strict=True):
                for index in _suspects(notes, group.objects):
                    number = group.numbers[index]
                    try:
                        delta = facet.delta(group.objects[index], notes.before(index), self.sight)
                    except FAULTS as error:
                        failed.setdefault(number, plain_reason(error))
                    else:
                        if delta is not None:
                            changes.setdefault(number, []).append((facet.code, delta))
        return {number: changes[number] for number in sorted(changes) if number not in failed}, failed

    def places(self, of: Callable[[type], bool]) -> dict[int, Place]:
        """Return where the objects of such classes are, by their numbers."""
        groups = [group for group in self.groups if of(type(group.objects[0]))]
        return {number: (group, index) for group in groups for index, number in enumerate(group.numbers)}

    def has_changed(self, place: Place) -> bool:
        """Tell whether an object has changed; also where that cannot be told."""
        group, index = place
        for facet, notes in zip(group.facets, group.notes, strict=True):
            try:
                if facet.delta(group.objects[index], notes.before(index), self.sight) is not None:
                    return True
            except FAULTS:
                return True
        return False


class _Sight:
    """How facets look at this side of the table."""

    def __init__(self, namespace: dict[str, object], table: ObjectTable) -> None:
        self._namespace = namespace
        self._table = table
        self._own_looker: Looker | None = None

    @property
    def _looker(self) -> Looker:
        if self._own_looker is None:
            self._own_looker = Looker(self._namespace, self._table.numbers)
        return self._own_looker

    def shared(self, obj: object) -> bool:
        return type(obj) in kinds.SCALARS or obj is facets.MISSING or id(obj) in self._table.numbers

    def unshared(self, objs: Sequence[object]) -> Iterable[int]:
        if set(map(type, objs)) <= kinds.SCALARS:
            return ()
        return [index for index, obj in enumerate(objs) if not self.shared(obj)]

    def fingerprint(self, obj: object) -> object:
        if not obj and type(obj) in kinds.CONTAINERS:
            return type(obj)  # the attributes of most frames
        if kinds.is_fixed(type(obj)):
            return True
        try:
            return self._looker.look(obj)
        except FAULTS:
            return None  # it cannot travel either: only its identity is compared

    def state_fingerprint(self, obj: object) -> object:
        try:
            return self._looker.look_inside(obj)
        except FAULTS:
            return None


def _grouped(table: ObjectTable, known: list[bool], sight: _Sight) -> list[Group]:
    """Note what every object is, the objects of a class together."""
    objects = table.objects
    for number in (*range(table.seeds), *table.private):
        known[number] = False
    classes = list(map(type, objects))
    members: dict[type, list[int]] = {cls: [] for cls in set(classes) if kinds.facets_of(cls)}
    watched = map(operator.and_, known, map(members.__contains__, classes))
    for number, cls in itertools.compress(enumerate(classes), watched):
        members[cls].append(number)
    groups: list[Group] = []
    for cls, numbers in members.items():
        if numbers:
            groups += _noted(numbers, list(map(objects.__getitem__, numbers)), kinds.facets_of(cls), sight)
    return groups


def _noted(numbers: list[int], objects: list[Any], own: tuple[Facet, ...], sight: _Sight) -> list[Group]:
    try:
        return [Group(numbers, objects, own, [facet.note(objects, sight) for facet in own])]
    except FAULTS:
        # One is not what its class promises; its pickle still tells.
        half = len(objects) // 2
        if not half:
            return [Group(numbers, objects, (kinds.OPAQUE,), [kinds.OPAQUE.note(objects, sight)])]
        return [
            *_noted(numbers[:half], objects[:half], own, sight),
            *_noted(numbers[half:], objects[half:], own, sight),
        ]


def _suspects(notes: Notes, objects: list[Any]) -> Iterable[int]:
    try:
        return list(notes.suspects(objects))
    except FAULTS:
        return range(len(objects))  # each by itself; who is at fault will be named
