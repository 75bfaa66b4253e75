"""The namespace by value, with one object table for both directions. Pure: no I/O, in the host and in the child.

The memo of the dump and the memo of the load are one table: entry *i* is the host's object there and the child's copy
of it here. On the way back whatever came from the host is its number in the stream. Identity, aliases and cycles
hold, and unchanged data never travels.

The first entries of the table are never written at all: seeds are objects that each process has of its own, the
notebook's namespace first. That is how functions find the receiver's live globals.
"""

from __future__ import annotations

import gc
import io
import itertools
import pickle
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from ipytimeout.wire import frames
from ipytimeout.wire.by_name import OfALibrary
from ipytimeout.wire.libraries import users_modules
from ipytimeout.wire.messages import Buffer
from ipytimeout.wire.modules import MODULES, Place, adopt, places_in, put
from ipytimeout.wire.streams import (
    FAULTS,
    OUT_OF_BAND,
    PROTOCOL,
    CannotRebuild,
    NamespacePickler,
    Reader,
    SeededPickler,
    collector_paused,
    dump_parts,
    plain_reason,
    warnings_held,
)
from ipytimeout.wire.table import ALONE, ObjectTable, seeds_of

__all__ = [
    "CALL",
    "CHANGES",
    "EXCEPTION",
    "FAULTS",
    "OUT_OF_BAND",
    "RESULT",
    "CannotRebuild",
    "Dump",
    "Loaded",
    "ObjectTable",
    "dump_namespace",
    "load_namespace",
    "needed_first",
    "objects_of",
    "plain_reason",
    "private_among",
    "staged",
]

#: The pseudo-name under which (function, args, kwargs) travels in function mode. No notebook can have such a name.
CALL: Final = "\0call"
#: The pseudo-names of what comes back beside the names.
RESULT: Final = "\0result"
EXCEPTION: Final = "\0exception"
#: All changes in place; with a number behind it, those of one object of the table.
CHANGES: Final = "\0changes"


@dataclass(slots=True)
class Dump:
    #: The pickle, the private numbers of the table, then the out-of-band buffers.
    buffers: list[Buffer]
    table: ObjectTable
    #: Names that cannot leave the process, each with its reason.
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Loaded:
    values: dict[str, object]
    extra: dict[str, object]
    table: ObjectTable
    #: Modules of the user's own that the other process has.
    modules: frozenset[str] = frozenset()


def dump_namespace(
    namespace: dict[str, object],
    names: Collection[str],
    extra: Mapping[str, object] = {},
    modules: Collection[str] = (),
) -> Dump:
    """Pickle these names of the namespace, and ``extra`` beside them, for ``load_namespace``.

    Args:
        namespace: Becomes the receiver's own namespace wherever a function or a value refers to it.
        names: Names of the namespace. One that cannot be pickled is left out and named in ``Dump.refused``.
        extra: What travels along under pseudo-names, sharing objects with the names.
        modules: Modules of the user's own, whose data goes along.

    Raises:
        pickle.PicklingError: The call cannot be pickled; the text says why. Any other ``extra`` is refused like a name.
    """
    own = seeds_of(namespace)
    placed = _placed(namespace, modules, own) if modules else []
    seeds = [*own, *(value for _, value, _ in placed)]
    values = sorted(((name, namespace[name]) for name in names if name in namespace), key=needed_first)
    parts = [(MODULES, (list(users_modules()), [state for _, _, state in placed])), *values, *extra.items()]
    stream = dump_parts(parts, lambda file, take: SeededPickler(file, namespace, take, seeds))
    if CALL in stream.failed:
        raise pickle.PicklingError(plain_reason(stream.failed[CALL])) from stream.failed[CALL]
    refused = {name: plain_reason(error) for name, error in stream.failed.items()}
    sent = [name for name, _ in parts if name not in refused]
    pickler = stream.pickler
    private: list[int] = []
    places = [place for place, _, _ in placed]
    count = len(seeds)
    if pickler.copies_state:
        # Neither the parts nor the pickler may hold an object now: who else holds it tells what is private.
        del values, parts, placed, seeds
        with collector_paused():
            objects = objects_of(pickler)
            pickler.clear_memo()
            pickler.module_globals.clear()
            private = [i for i in private_among(objects) if i >= count]
        table = ObjectTable(lambda: objects, len(own), private)
    else:
        table = ObjectTable(lambda: objects_of(pickler), len(own))
    head = pickle.dumps((sent, [name for name in extra if name not in refused], private, places), PROTOCOL)
    return Dump([stream.pickle, head, *stream.buffers], table, refused)


def _placed(
    namespace: dict[str, object], modules: Collection[str], seeds: Sequence[object]
) -> list[tuple[Place, Any, Any]]:
    known = set(map(id, seeds))
    can_pickle = NamespacePickler(io.BytesIO(), namespace).can_pickle
    return [each for each in places_in(sorted(modules), can_pickle) if id(each[1]) not in known]


def objects_of(pickler: NamespacePickler) -> list[object]:
    memo = pickler.memo.copy()
    objects: list[object] = [None] * len(memo)
    for number, obj in memo.values():
        objects[number] = obj.value if type(obj) is OfALibrary else obj
    return objects


def private_among(objects: list[object]) -> list[int]:
    """Return the numbers of the temporaries of the pickling: objects that only this list holds, or one of them.

    A state that ``__getstate__`` made is one, and a list that it copied into that state is another; the ``__dict__``
    of an object is none. What frames are made of has no identity either.
    """
    getrefcount = sys.getrefcount
    private = list(itertools.compress(itertools.count(), map(ALONE.__ge__, map(getrefcount, objects))))
    internal = {cls for cls in set(map(type, objects)) if frames.is_internal(cls)}
    if internal:
        private = sorted({*private, *(i for i, obj in enumerate(objects) if type(obj) in internal)})
    holders = [obj for obj in map(objects.__getitem__, private) if type(obj) in (dict, list, tuple)]
    if not holders:
        return private
    number_of: dict[int, int] = {}
    held_by_them: dict[int, int] = {}
    while holders:
        for inner in gc.get_referents(holders.pop()):
            if type(inner) in _NEVER_COPIED:
                continue
            if not number_of:
                number_of = dict(zip(map(id, objects), itertools.count()))
            number = number_of.get(id(inner))
            if number is None:
                continue
            held = held_by_them[number] = held_by_them.get(number, 0) + 1
            # The list, the loop's name and the argument count too.
            if getrefcount(inner) - held <= _ALONE_BY_NAME:
                private.append(number)
                holders.append(inner)
    return private


_NEVER_COPIED = frozenset(
    (int, float, complex, bool, str, bytes, type(None), type, types.ModuleType, types.FunctionType, types.CodeType)
)


def _alone_by_name() -> int:
    """Measure the reference count of an object that a list, a name and nobody else holds."""
    objects = [object()]
    return next(sys.getrefcount(obj) for _, obj in enumerate(objects))


def load_namespace(buffers: Sequence[Buffer], namespace: dict[str, object]) -> Loaded:
    """Rebuild what ``dump_namespace`` made. Functions get ``namespace`` as their globals; it is not changed.

    Raises:
        CannotRebuild: A name cannot be unpickled here, a module that cannot be imported for one.
    """
    seeds = seeds_of(namespace)
    sent, extra, private, places = pickle.loads(buffers[1])
    with collector_paused(), warnings_held(), staged(namespace) as stage:
        adopted = list(map(adopt, places))
        reader = Reader(buffers[0], buffers[2:], [*seeds, *adopted])
        values: dict[str, object] = {}
        modules: frozenset[str] = frozenset()
        for name in sent:
            value: Any = reader.read(name)
            if name == MODULES:
                modules = frozenset(value[0])
                for obj, state in zip(adopted, value[1], strict=True):
                    put(obj, state)
            else:
                values[name] = value
                stage(name, value)
        reader.close()
    extras = {name: values.pop(name) for name in extra}
    return Loaded(values, extras, ObjectTable(reader.objects, len(seeds), private), modules)


@contextmanager
def staged(namespace: dict[str, object]) -> Iterator[Callable[[str, object], None]]:
    """Let names be seen in the namespace while others are rebuilt: a ``__setstate__`` may need them.

    Names that are there already stay what they are; afterwards all is as before.
    """
    added: dict[str, object] = {}

    def stage(name: str, value: object) -> None:
        if name not in namespace:
            namespace[name] = value
            added[name] = value

    try:
        yield stage
    finally:
        for name, value in added.items():
            if namespace.get(name) is value:  # a cell may have set it meanwhile
                del namespace[name]


def needed_first(part: tuple[str, object]) -> int:
    """Sort parts by what the code that rebuilds others may use: modules, then functions and classes, then data."""
    value = part[1]
    return 0 if isinstance(value, types.ModuleType) else 1 if isinstance(value, types.FunctionType | type) else 2


_ALONE_BY_NAME = _alone_by_name()
