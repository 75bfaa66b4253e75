"""What a run did to the namespace. In the child, in its main thread: before the code runs and after.

``Watch`` takes shallow snapshots of everything that was sent, and afterwards tells what changed: names, objects in
place, the result, the exception, in one pickle whose references to what was sent are numbers of the object table.

Law of the file: what cannot be pickled is left out alone and named with its reason; it spoils nothing else.
"""

from __future__ import annotations

import gc
import pickle
import sys
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ipytimeout.wire import facets, kinds
from ipytimeout.wire.facets import Facet
from ipytimeout.wire.messages import Buffer
from ipytimeout.wire.pickling import CHANGES, EXCEPTION, RESULT, needed_first
from ipytimeout.wire.reducers import OWN_DICT
from ipytimeout.wire.streams import (
    Looker,
    NumberedPickler,
    collector_paused,
    dump_parts,
    plain_reason,
    warnings_held,
)
from ipytimeout.wire.table import ObjectTable

__all__ = ["MISSING", "Collected", "Watch", "collect_call"]

#: "There is no result", where None is one.
MISSING: Final[Any] = object()


@dataclass(slots=True)
class Collected:
    #: The head, the pickle, then the out-of-band buffers.
    buffers: list[Buffer]
    #: Names, or texts like "an object reached from model", that stay behind, each with its reason.
    left_behind: dict[str, str] = field(default_factory=dict)
    #: Why the exception cannot be pickled; "" when it can, or when there is none.
    exception_refused: str = ""


#: From so many objects on, they are kept out of the garbage collector's sight.
_MANY: Final = 50_000


class Watch:
    """Sees what a run changes. Made when the namespace is complete and before the code runs."""

    def __init__(self, namespace: dict[str, object], table: ObjectTable, before: Mapping[str, object]) -> None:
        self._namespace = namespace
        self._table = table
        self._before = dict(before)
        with collector_paused(), warnings_held():
            self._sight = _Sight(namespace, table)
            self._snapshots = _snapshots(table, self._sight)
        if len(self._snapshots) > _MANY:
            # Or the collector would go through all of them again and again while the code runs.
            gc.freeze()

    def collect(
        self,
        *,
        keep: Collection[str] | None,
        hidden: Collection[str],
        result: object = MISSING,
        exception: BaseException | None = None,
        without: Mapping[str, str] = {},
        only: str | None = None,
    ) -> Collected:
        """Pickle what changed, for ``host.commit``.

        Args:
            keep: The names whose bindings come back, or None for all. In-place changes always do.
            hidden: Names that never come back.
            result: The value of the code, if it has one.
            exception: What ended the code, if anything did.
            without: Parts that the host could not rebuild, each with its reason: they are named and left out.
            only: Send this part alone.
        """
        now, before = self._namespace, self._before

        def wanted(name: str) -> bool:
            return name not in hidden and (keep is None or name in keep)

        names = {
            name: value
            for name, value in list(now.items())
            if isinstance(name, str) and wanted(name) and before.get(name, MISSING) is not value
        }
        deleted = [name for name in before if name not in now and wanted(name)]
        left_behind: dict[str, str] = {}
        with collector_paused(), warnings_held():
            changes = self._changes(left_behind)
        parts = _Parts(names, deleted, changes, result, exception)
        table = self._table
        something = names or changes or result is not MISSING or exception is not None
        numbers: dict[int, int | tuple[int]] = {**table.numbers, **self._aliased_dicts()} if something else {}
        collected = _dump(parts, now, len(table.objects), numbers, without, only, self._describe)
        collected.left_behind = {**left_behind, **collected.left_behind}
        return collected

    def _changes(self, left_behind: dict[str, str]) -> dict[int, list[tuple[str, object]]]:
        """Return the deltas of every object that changed, by its number."""
        changes: dict[int, list[tuple[str, object]]] = {}
        sight = self._sight
        for number, obj, facets_, snapshots in self._snapshots:
            deltas: list[tuple[str, object]] = []
            try:
                for facet, before in zip(facets_, snapshots, strict=True):
                    delta = facet.delta(obj, before, sight)
                    if delta is not None:
                        deltas.append((facet.code, delta))
            except Exception as error:
                left_behind[self._describe(number)] = plain_reason(error)
                continue
            if deltas:
                changes[number] = deltas
        return changes

    def _aliased_dicts(self) -> dict[int, tuple[int]]:
        """Return the dicts of objects that the code has got hold of, and that are not in the table themselves."""
        shared, getrefcount = self._sight.shared, sys.getrefcount
        return {
            id(obj.__dict__): (number,)
            for number, obj, facets_, _ in self._snapshots
            if kinds.has_attributes(facets_) and getrefcount(obj.__dict__) > OWN_DICT and not shared(obj.__dict__)
        }

    def _describe(self, number: int) -> str:
        """Say through which name of the notebook an object is reached."""
        return kinds.describe(self._table.objects[number], {**self._before, **self._namespace})


#: The number of an object, the object, its facets, and what each of them noted.
_Snapshot: TypeAlias = tuple[int, Any, tuple[Facet, ...], list[Any]]


class _Sight:
    """How facets look at the child's side of the table."""

    def __init__(self, namespace: dict[str, object], table: ObjectTable) -> None:
        self._namespace = namespace
        self._table = table

    def shared(self, obj: object) -> bool:
        return type(obj) in kinds.SCALARS or obj is facets.MISSING or id(obj) in self._table.numbers

    def fingerprint(self, obj: object) -> object:
        try:
            return Looker(self._namespace, self._table.numbers).look(obj)
        except Exception:
            return None  # it cannot travel either: only its identity is compared

    def state_fingerprint(self, obj: object) -> object:
        try:
            return Looker(self._namespace, self._table.numbers).look_inside(obj)
        except Exception:
            return None


def _snapshots(table: ObjectTable, sight: _Sight) -> list[_Snapshot]:
    taken: list[_Snapshot] = []
    known: dict[type, tuple[Facet, ...]] = {}
    getrefcount, private = sys.getrefcount, table.private
    for number, obj in enumerate(table.objects):
        try:
            own = known[type(obj)]
        except KeyError:
            own = known[type(obj)] = kinds.facets_of(type(obj))
        # What only the table holds, no code of the notebook can reach.
        if not own or number < table.seeds or number in private or getrefcount(obj) <= _ALONE:
            continue
        try:
            snapshots = [facet.snapshot(obj, sight) for facet in own]
        except Exception:
            # Not what its class promises; its pickle still tells.
            own = (kinds.OPAQUE,)
            snapshots = [kinds.OPAQUE.snapshot(obj, sight)]
        taken.append((number, obj, own, snapshots))
    return taken


def _alone() -> int:
    """Measure the reference count of an object that only a list holds, as ``_snapshots`` sees it."""
    objects = [object()]
    for _, obj in enumerate(objects):
        return sys.getrefcount(obj)
    raise AssertionError


_ALONE = _alone()


# ---------------------------------------------------------------- function mode


def collect_call(table: ObjectTable, result: object, exception: BaseException | None) -> Collected:
    """Pickle the value and the exception of a call. Nothing that the caller passed is referred to, but its code.

    Classes, functions and modules of the notebook stay the very same; all data goes by value.
    """
    namespace: Any = table.objects[0]
    numbers = {
        id(obj): number
        for number, obj in enumerate(table.objects)
        if number < table.seeds or isinstance(obj, type | types.FunctionType | types.ModuleType | types.CellType)
    }
    return _dump(_Parts({}, [], {}, result, exception), namespace, len(table.objects), numbers, {}, None, str)


# ---------------------------------------------------------------- the dump


@dataclass(slots=True)
class _Parts:
    names: dict[str, object]
    deleted: list[str]
    changes: dict[int, list[tuple[str, object]]]
    result: object
    exception: BaseException | None

    def listed(self, without: Mapping[str, str], only: str | None) -> list[tuple[str, object]]:
        every: list[tuple[str, object]] = sorted(self.names.items(), key=needed_first)
        # One part for all changes: a part each costs too much for a million. Only in trouble they are split.
        if CHANGES in without or (only or "").startswith(CHANGES):
            every += [(f"{CHANGES}{number}", [(number, deltas)]) for number, deltas in self.changes.items()]
        elif self.changes:
            every.append((CHANGES, list(self.changes.items())))
        if self.result is not MISSING:
            every.append((RESULT, self.result))
        if self.exception is not None:
            every.append((EXCEPTION, self.exception))
        return every


def _dump(
    parts: _Parts,
    namespace: dict[str, object],
    size: int,
    numbers: Mapping[int, int | tuple[int]],
    without: Mapping[str, str],
    only: str | None,
    describe: Callable[[int], str],
) -> Collected:
    """Pickle all parts; leave out those that cannot be pickled, each with its reason."""
    without = dict(without)
    while True:
        every = [part for part in parts.listed(without, only) if part[0] not in without and only in (None, part[0])]
        stream = dump_parts(every, lambda file, take: NumberedPickler(file, namespace, take, numbers))
        if CHANGES in stream.failed:
            without[CHANGES] = ""  # now one by one
        elif not (EXCEPTION in stream.failed and parts.exception is not None and _cut_chain(parts.exception)):
            break
    reasons = {**without, **{name: plain_reason(error) for name, error in stream.failed.items()}}
    left_behind = {
        _title(name, describe): reason for name, reason in reasons.items() if name not in (CHANGES, EXCEPTION)
    }
    names = [name for name, _ in every if name not in stream.failed]
    head = pickle.dumps((size, names, parts.deleted, reasons.get(EXCEPTION, "")), 5)
    return Collected([head, stream.pickle, *stream.buffers], left_behind, reasons.get(EXCEPTION, ""))


def _title(name: str, describe: Callable[[int], str]) -> str:
    if name == RESULT:
        return "the result"
    if name.startswith(CHANGES):
        return describe(int(name.removeprefix(CHANGES)))
    return name


def _cut_chain(exception: BaseException) -> bool:
    """Drop what the exception came from, the less important first. Tell whether there was something to drop."""
    if exception.__context__ is not None and exception.__context__ is not exception.__cause__:
        exception.__context__ = None
        return True
    if exception.__cause__ is not None:
        exception.__cause__ = exception.__context__ = None
        return True
    return False
