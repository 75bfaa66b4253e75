"""What a run did to the namespace. In the child, in its main thread: before the code runs and after.

``Watch`` takes shallow snapshots of everything that was sent, and afterwards tells what changed: names, objects in
place, the result, the exception, in one pickle whose references to what was sent are numbers of the object table.

Law of the file: what cannot be pickled is left out alone and named with its reason; it spoils nothing else.
"""

from __future__ import annotations

import gc
import io
import itertools
import operator
import pickle
import sys
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ipytimeout.wire import kinds
from ipytimeout.wire.adapters.packing import ITEM, titles
from ipytimeout.wire.libraries import users_modules
from ipytimeout.wire.messages import Buffer
from ipytimeout.wire.modules import MODULES, places_in
from ipytimeout.wire.modules import Place as ModulePlace
from ipytimeout.wire.pickling import CHANGES, EXCEPTION, RESULT, needed_first
from ipytimeout.wire.streams import (
    NamespacePickler,
    Number,
    NumberedPickler,
    collector_paused,
    dump_parts,
    plain_reason,
    warnings_held,
)
from ipytimeout.wire.survey import Witness
from ipytimeout.wire.table import ALONE, ObjectTable
from ipytimeout.wire.watched import Place, Watched

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


#: From so many objects on, they are kept out of the garbage collector's sight, and are not all numbered for little.
_MANY: Final = 50_000
#: So much is little.
_LITTLE: Final = 1000


class Watch:
    """Sees what a run changes. Made when the namespace is complete and before the code runs."""

    def __init__(
        self,
        namespace: dict[str, object],
        table: ObjectTable,
        before: Mapping[str, object],
        modules: Collection[str] = (),
        closed: Mapping[int, str] = {},
        unseen: Mapping[str, str] = {},
    ) -> None:
        """``modules``: those of the user's own that the host has; ``closed`` and ``unseen`` as in ``wire.survey``."""
        self._modules = modules
        self._unseen = unseen
        self._namespace = namespace
        self._table = table
        self._before = dict(before)
        with collector_paused(), warnings_held():
            known = _known(table)
            for number in closed:
                known[number] = False
            self._watched = Watched(namespace, table, known)
            self._witness = Witness(table.objects, closed) if closed else None
        #: Where the classes and functions are, by their numbers; made when it is first asked for.
        self._code: dict[int, Place] | None = None
        if len(table.objects) > _MANY:
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
        settings: tuple[Mapping[str, object], Sequence[str]] = ({}, ()),
    ) -> Collected:
        """Pickle what changed, for ``host.commit``.

        Args:
            keep: The names whose bindings come back, or None for all. In-place changes always do.
            hidden: Names that never come back.
            result: The value of the code, if it has one.
            exception: What ended the code, if anything did.
            without: Parts that the host could not rebuild, each with its reason: they are named and left out.
            only: Send this part alone.
            settings: What was set in the process, by pseudo-name, and pseudo-names of what is unset.
        """
        now, before = self._namespace, self._before

        def wanted(name: str) -> bool:
            return name not in hidden and (keep is None or name in keep)

        names = {
            name: value
            for name, value in list(now.items())
            if isinstance(name, str) and wanted(name) and before.get(name, MISSING) is not value
        }
        names.update(settings[0])
        deleted = [name for name in before if name not in now and wanted(name)] + list(settings[1])
        left_behind: dict[str, str] = {}
        with collector_paused(), warnings_held():
            changes, failed = self._watched.changes()
            lost = self._witness.lost() if self._witness is not None else {}
        left_behind.update((self._describe(number), reason) for number, reason in {**failed, **lost}.items())
        left_behind.update(
            (name, f"{reason}, and so a change in it would be lost") for name, reason in self._unseen.items()
        )
        placed = self._new_modules()
        states: dict[str, list[tuple[object, object]]] = {}
        for place, obj, state in placed:
            states.setdefault(place[0], []).append((obj, state))
        parts = _Parts(names, deleted, changes, result, exception, states)
        table = self._table
        something = names or changes or result is not MISSING or exception is not None
        numbers: Mapping[int, Number] = self._numbers_for(parts) if something else {}
        if placed:
            numbers = {**{id(obj): place for place, obj, _ in placed}, **numbers}
        collected = _dump(parts, now, len(table.objects), numbers, without, only, self._describe)
        collected.left_behind = {**left_behind, **collected.left_behind}
        return collected

    def changed_code(self, numbers: Collection[int]) -> list[str]:
        """Say which of these classes and functions the code has changed in place by now. Called while it runs."""
        if self._code is None:
            self._code = self._watched.places(lambda cls: issubclass(cls, type | types.FunctionType))
        code, has_changed = self._code, self._watched.has_changed
        return [self._describe(number) for number in sorted(code.keys() & numbers) if has_changed(code[number])]

    def _new_modules(self) -> list[tuple[ModulePlace, Any, Any]]:
        """Return the data of the modules of the user's own that the code was the first to import."""
        new = [name for name in users_modules() if name not in self._modules]
        if not new:
            return []
        can_pickle = NamespacePickler(io.BytesIO(), self._namespace).can_pickle
        return [each for each in places_in(new, can_pickle) if id(each[1]) not in self._table.numbers]

    def _numbers_for(self, parts: _Parts) -> Mapping[int, Number]:
        """Return the numbers of all objects that the parts may lead to."""
        table = self._table
        if len(table.objects) > _MANY and (met := _met(parts)) is not None:
            numbers = table.numbers_of(met)
            if all(_is_plain(obj) for key, obj in met.items() if key not in numbers):
                return {**numbers, **self._aliased_dicts()}
        return {**table.numbers, **self._aliased_dicts()}

    def _aliased_dicts(self) -> dict[int, tuple[int]]:
        """Return the dicts of objects that the code has got hold of, and that are not in the table themselves."""
        found: dict[int, tuple[int]] = {}
        for group in self._watched.groups:
            if not kinds.has_attributes(group.facets):
                continue
            dicts = list(map(_attributes_of, group.objects))
            held = map(_ALONE_DICT.__lt__, map(sys.getrefcount, dicts))
            for index in itertools.compress(itertools.count(), held):
                if not self._watched.sight.shared(dicts[index]):
                    found[id(dicts[index])] = (group.numbers[index],)
        return found

    def _describe(self, number: int) -> str:
        """Say through which name of the notebook an object is reached."""
        return kinds.describe(self._table.objects[number], {**self._before, **self._namespace})


def _known(table: ObjectTable) -> list[bool]:
    """Tell of each object whether code of the notebook can reach it; drop what nobody needs any more."""
    objects = table.objects
    # What only the table holds, no code of the notebook can reach.
    known = list(map(ALONE.__lt__, map(sys.getrefcount, objects)))
    table.drop(_scraps(objects, known, table.seeds))
    return known


def _scraps(objects: list[object], known: list[bool], seeds: int) -> list[int]:
    """Return the numbers of the states that instances were made from, and the like: a million of them are memory.

    Nothing can refer weakly to these, so nobody sees them go.
    """
    return [
        number
        for number in itertools.compress(itertools.count(), map(operator.not_, known))
        if number >= seeds and type(objects[number]) in (dict, tuple, list)
    ]


_attributes_of = operator.attrgetter("__dict__")


def _alone_dict() -> int:
    obj = types.SimpleNamespace(attribute=1)
    return next(map(sys.getrefcount, list(map(_attributes_of, [obj]))))


#: The reference count of a ``__dict__`` that its object and a list hold, as ``map`` over the list sees it.
_ALONE_DICT = _alone_dict()


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
    #: By module, its data: objects, each with its state.
    modules: dict[str, list[tuple[object, object]]] = field(default_factory=dict)

    def listed(self, without: Mapping[str, str], only: str | None) -> list[tuple[str, object]]:
        every: list[tuple[str, object]] = [(MODULES + name, states) for name, states in self.modules.items()]
        every += sorted(self.names.items(), key=needed_first)
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


def _met(parts: _Parts) -> dict[int, object] | None:
    """Return, by their ``id``, the objects that a pickler of the parts would meet first; None when these are many.

    Plain containers are looked into. Whatever else is met must be known, since it may lead anywhere.
    """
    met: dict[int, object] = {}
    waiting: list[object] = [parts.names, parts.changes, parts.result, parts.exception]
    while waiting:
        obj = waiting.pop()
        if id(obj) not in met:
            met[id(obj)] = obj
            if len(met) > _LITTLE:
                return None
            if _is_plain(obj) and type(obj) in _CONTAINERS:
                waiting += gc.get_referents(obj)
    return met


def _is_plain(obj: Any) -> bool:
    return obj is MISSING or type(obj) in kinds.SCALARS or (type(obj) in _CONTAINERS and len(obj) <= _LITTLE)


_CONTAINERS: Final = frozenset((dict, list, tuple, set, frozenset))


def _dump(
    parts: _Parts,
    namespace: dict[str, object],
    size: int,
    numbers: Mapping[int, Number],
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
    if name.startswith(MODULES):
        return f"the data of {name.removeprefix(MODULES)}"
    if name.startswith(ITEM):
        return next(iter(titles({name: ""})))
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
