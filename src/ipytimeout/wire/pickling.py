"""The namespace by value, with one object table for both directions. Pure: no I/O, in the host and in the child.

A pickler numbers each object that it writes, an unpickler each object that it reads, and the numbers agree. So the
memo of the dump and the memo of the load are one table: entry *i* is the host's object there and the child's copy of
it here. On the way back whatever came from the host is its number in the stream. Identity, aliases and cycles hold,
and unchanged data never travels.

The first entries of the table are never written at all: ``_seeds`` are objects that each process has of its own, the
notebook's namespace first. That is how functions find the receiver's live globals.

Law of the file: only what ``reducers`` cannot express is here. Nothing of a run is kept in a module global.
"""

from __future__ import annotations

import builtins
import dataclasses
import gc
import io
import itertools
import logging
import os
import pickle
import sys
import threading
import types
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import cloudpickle

from ipytimeout.wire import arrays, frames, reducers
from ipytimeout.wire.facets import fingerprint
from ipytimeout.wire.messages import Buffer

__all__ = [
    "CALL",
    "CHANGES",
    "EXCEPTION",
    "RESULT",
    "CannotRebuild",
    "Dump",
    "Loaded",
    "Looker",
    "NamespacePickler",
    "NumberedPickler",
    "ObjectTable",
    "Reader",
    "collector_paused",
    "dump_namespace",
    "dump_parts",
    "load_namespace",
    "needed_first",
    "plain_reason",
    "staged",
    "warnings_held",
]

#: The pseudo-name under which (function, args, kwargs) travels in function mode. No notebook can have such a name.
CALL: Final = "\0call"
#: The pseudo-names of what comes back beside the names.
RESULT: Final = "\0result"
EXCEPTION: Final = "\0exception"
#: All changes in place; with a number behind it, those of one object of the table.
CHANGES: Final = "\0changes"

#: Smaller buffers are copied into the pickle: a message of its own for each would cost more.
OUT_OF_BAND: Final = 64 * 1024

_PROTOCOL: Final = 5
#: "Take the next buffer, note it in the memo, forget it": how an unpickler's memo is filled at the speed of C.
_REMEMBER: Final = b"\x97\x940"


class CannotRebuild(Exception):
    """What the other process sent cannot be unpickled here; ``name`` says which name it was, when one is known."""

    def __init__(self, name: str | None, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


class ObjectTable:
    """What was sent: ``objects[i]`` is the same thing in both processes.

    ``private`` are numbers that mean nothing: objects that only existed while pickling (a copied state, say). The
    child's counterpart of one may be alive, but the host has nothing that it would stand for.
    """

    __slots__ = ("_build", "_numbers", "_objects", "private", "seeds")

    def __init__(self, build: Callable[[], list[object]], seeds: int, private: Iterable[int] = ()) -> None:
        self._build: Callable[[], list[object]] | None = build
        self._objects: list[object] = []
        self._numbers: dict[int, int] | None = None
        self.seeds = seeds
        self.private = frozenset(private)

    @property
    def objects(self) -> list[object]:
        """Every object by its number. Made when it is first asked for: that takes a second for a million objects."""
        if self._build is not None:
            with collector_paused():
                self._objects = self._build()
            self._build = None
        return self._objects

    @property
    def numbers(self) -> dict[int, int]:
        """The number of each object that both sides have, by its ``id``."""
        if self._numbers is None:
            with collector_paused():
                private = self.private
                self._numbers = {id(obj): i for i, obj in enumerate(self.objects) if i not in private}
        return self._numbers


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


# ---------------------------------------------------------------- the pickler and the unpickler


def _seeds(namespace: dict[str, object]) -> list[object]:
    """Return what each process has of its own, so that none of it is ever pickled or patched.

    The same length everywhere; what one process lacks is a placeholder, and so is what would come twice.
    """
    ipython = sys.modules.get("IPython")
    own: list[object] = [
        namespace,
        builtins.__dict__,
        sys.modules,
        os.environ,
        sys.stdin,
        sys.stdout,
        sys.stderr,
        sys.__stdin__,
        sys.__stdout__,
        sys.__stderr__,
        ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None,
        threading.main_thread(),
        logging.root,
        # Sentinels that are compared by identity and have no reduce of their own.
        dataclasses.MISSING,
        dataclasses.KW_ONLY,
        dataclasses._HAS_DEFAULT_FACTORY,  # type: ignore[attr-defined]
    ]
    seen: set[int] = set()
    seeds: list[object] = []
    for obj in own:
        seeds.append(object() if obj is None or id(obj) in seen else obj)
        seen.add(id(obj))
    return seeds


class NamespacePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles what notebooks hold."""

    def __init__(
        self,
        file: io.BytesIO,
        namespace: dict[str, object],
        buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None,
    ) -> None:
        super().__init__(file, protocol=_PROTOCOL, buffer_callback=buffer_callback)
        self.namespace = namespace
        self.arrays = arrays.ArrayAliases()
        #: Stand-ins for the globals of functions that come from a module.
        self.module_globals: dict[str, reducers.ModuleGlobals] = {}
        self._reducers: dict[type, reducers.Reducer | None] = {}

    def reducer_override(self, obj: Any) -> Any:
        try:
            reduce = self._reducers[type(obj)]
        except KeyError:
            reduce = self._reducers[type(obj)] = reducers.find_reducer(type(obj))
        return NotImplemented if reduce is None else reduce(obj, self)

    @property
    def copies_state(self) -> bool:
        """Whether a class was seen whose state may be another object than what its instances hold."""
        return any(reducers.changes_pickling(cls) for cls in self._reducers)


class SeededPickler(NamespacePickler):
    """On the way to the child: the receiver has the seeds already, as the first entries of its memo."""

    def __init__(
        self,
        file: io.BytesIO,
        namespace: dict[str, object],
        buffer_callback: Callable[[pickle.PickleBuffer], bool],
        seeds: Sequence[object],
    ) -> None:
        super().__init__(file, namespace, buffer_callback)
        self.memo = {id(obj): (i, obj) for i, obj in enumerate(seeds)}


class NumberedPickler(NamespacePickler):
    """On the way back: what the host has is a number.

    A persistent id and not an entry of the memo, since a memo of a million entries costs a second to fill. An object
    whose ``__dict__`` is meant is its number in a tuple.
    """

    def __init__(
        self,
        file: io.BytesIO,
        namespace: dict[str, object],
        buffer_callback: Callable[[pickle.PickleBuffer], bool],
        numbers: Mapping[int, int | tuple[int]],
    ) -> None:
        super().__init__(file, namespace, buffer_callback)
        self._number_of = numbers.get
        self.arrays.known = numbers

    def persistent_id(self, obj: object) -> int | tuple[int] | None:
        return self._number_of(id(obj))


def _prelude(count: int) -> bytes:
    """Return a pickle that moves the first ``count`` buffers into the unpickler's memo, and is None.

    A memo cannot be assigned: the C unpickler's setter for a dict fills the memo it throws away, and its other
    setter forgets how many entries there are.
    """
    return b"\x80\x05" + _REMEMBER * count + b"N."


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold the garbage collector: it would look at a growing graph again and again, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def warnings_held() -> Iterator[None]:
    """Pickle without a word: which protocol an object uses is no concern of the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _PartFailed(Exception):
    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.name = name
        self.error = error


@dataclass(slots=True)
class Stream:
    """Parts, pickled one after the other."""

    pickle: bytes
    buffers: list[Buffer]
    pickler: NamespacePickler
    #: Parts that were left out, each with what went wrong.
    failed: dict[str, Exception]


#: Makes a pickler for a new stream, from the stream's file and the taker of its large buffers.
NewPickler: TypeAlias = Callable[[io.BytesIO, Callable[[pickle.PickleBuffer], bool]], NamespacePickler]


def dump_parts(parts: Sequence[tuple[str, object]], new_pickler: NewPickler) -> Stream:
    """Pickle the parts one after the other into one stream, with one memo: aliases between them hold.

    A part that cannot be pickled is left out. A pickler that failed has a memo nobody can use, so after the first
    failure the other bad parts are found one by one, and the good ones are pickled anew.
    """
    failed: dict[str, Exception] = {}
    shared: set[int] = set()

    def attempt(wanted: Sequence[tuple[str, object]]) -> Stream:
        while True:
            try:
                return _dump_once(wanted, new_pickler, shared, failed)
            except arrays.SharedBase as base:
                shared.add(base.base_id)

    with collector_paused(), warnings_held():
        while True:
            wanted = [part for part in parts if part[0] not in failed]
            try:
                return attempt(wanted)
            except _PartFailed as first:
                failed[first.name] = first.error
                names = [name for name, _ in wanted]
                for part in wanted[names.index(first.name) + 1 :]:
                    try:
                        attempt([part])
                    except _PartFailed as other:
                        failed[other.name] = other.error


def _dump_once(
    parts: Sequence[tuple[str, object]], new_pickler: NewPickler, shared: set[int], failed: dict[str, Exception]
) -> Stream:
    buffers: list[Buffer] = []

    def take(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND:
            return True  # in the pickle itself
        buffers.append(view)
        return False

    file = io.BytesIO()
    pickler = new_pickler(file, take)
    pickler.arrays.shared = shared
    for name, value in parts:
        try:
            pickler.dump(value)
        except Exception as error:
            # Without its traceback, whose frames would keep every temporary object alive.
            raise _PartFailed(name, error.with_traceback(None)) from None
    return Stream(file.getvalue(), buffers, pickler, failed)


class Reader(pickle.Unpickler):
    """Loads the parts of a stream one after the other."""

    def __init__(
        self, stream: Buffer, buffers: Iterable[Buffer], seeds: Sequence[object] = (), known: Sequence[object] = ()
    ) -> None:
        file = io.BytesIO(_prelude(len(seeds)) + bytes(stream))
        super().__init__(file, buffers=itertools.chain(seeds, buffers))
        self._known = known
        self.load()

    def persistent_load(self, number: int | tuple[int]) -> Any:
        return self._known[number] if isinstance(number, int) else vars(self._known[number[0]])

    def read(self, name: str | None) -> Any:
        """Return the next part. ``name`` is who is to blame when it cannot be rebuilt."""
        try:
            return self.load()
        except Exception as error:
            raise CannotRebuild(name, plain_reason(error)) from error

    def objects(self) -> list[object]:
        """Return what was read so far, by number."""
        memo = self.memo.copy()
        return list(map(memo.__getitem__, range(len(memo))))


class Looker(NumberedPickler):
    """Pickles only to compare: what the table has is a number, however it changes; all else is gone through."""

    def __init__(self, namespace: dict[str, object], numbers: Mapping[int, int | tuple[int]]) -> None:
        self._file = io.BytesIO()
        self._digests: list[bytes] = []
        super().__init__(self._file, namespace, self._digest, numbers)

    def _digest(self, buffer: pickle.PickleBuffer) -> bool:
        self._digests.append(fingerprint(buffer.raw()))
        return False

    def look(self, obj: object) -> object:
        """Return something equal as long as the object is; raise when it cannot be pickled."""
        self.dump(obj)
        return fingerprint(self._file.getvalue()), tuple(self._digests)

    def look_inside(self, obj: Any) -> object:
        """The same for an object of the table itself."""
        reduced = self.reducer_override(obj)
        if reduced is NotImplemented:
            reduce = self.dispatch_table.get(type(obj))
            reduced = reduce(obj) if reduce is not None else obj.__reduce_ex__(_PROTOCOL)
        if isinstance(reduced, str):
            return reduced
        return self.look([part if i < 3 or part is None else list(part) for i, part in enumerate(reduced[:5])])


# ---------------------------------------------------------------- from the host to the child


def dump_namespace(namespace: dict[str, object], names: Collection[str], extra: Mapping[str, object] = {}) -> Dump:
    """Pickle these names of the namespace, and ``extra`` beside them, for ``load_namespace``.

    Args:
        namespace: Becomes the receiver's own namespace wherever a function or a value refers to it.
        names: Names of the namespace. One that cannot be pickled is left out and named in ``Dump.refused``.
        extra: What travels along under pseudo-names, sharing objects with the names.

    Raises:
        pickle.PicklingError: An ``extra`` cannot be pickled; the text says why.
    """
    seeds = _seeds(namespace)
    values = sorted(((name, namespace[name]) for name in names if name in namespace), key=needed_first)
    parts = [*values, *extra.items()]
    stream = dump_parts(parts, lambda file, take: SeededPickler(file, namespace, take, seeds))
    for name in extra:
        if name in stream.failed:
            raise pickle.PicklingError(plain_reason(stream.failed[name])) from stream.failed[name]
    refused = {name: plain_reason(error) for name, error in stream.failed.items()}
    sent = [name for name, _ in parts if name not in refused]
    pickler = stream.pickler
    private: list[int] = []
    if pickler.copies_state:
        # Neither the parts nor the pickler may hold an object now: who else holds it tells what is private.
        del values, parts
        with collector_paused():
            objects = _objects_of(pickler)
            pickler.clear_memo()
            pickler.module_globals.clear()
            private = [i for i in _private(objects) if i >= len(seeds)]
        table = ObjectTable(lambda: objects, len(seeds), private)
    else:
        table = ObjectTable(lambda: _objects_of(pickler), len(seeds))
    head = pickle.dumps((sent, list(extra), private), _PROTOCOL)
    return Dump([stream.pickle, head, *stream.buffers], table, refused)


def _objects_of(pickler: NamespacePickler) -> list[object]:
    memo = pickler.memo.copy()
    objects: list[object] = [None] * len(memo)
    for number, obj in memo.values():
        objects[number] = obj
    return objects


def _private(objects: list[object]) -> list[int]:
    """Return the numbers of the temporaries of the pickling: objects that only this list holds, or one of them.

    A state that ``__getstate__`` made is one, and a list that it copied into that state is another; the ``__dict__``
    of an object is none. What frames are made of has no identity either.
    """
    internal = {cls for cls in set(map(type, objects)) if frames.is_internal(cls)}
    getrefcount = sys.getrefcount
    private = [i for i, obj in enumerate(objects) if getrefcount(obj) <= _ALONE or type(obj) in internal]
    holders = [objects[i] for i in private if type(objects[i]) in (dict, list, tuple)]
    if not holders:
        return private
    number_of: dict[int, int] = {}
    held_by_them: dict[int, int] = {}
    while holders:
        for inner in gc.get_referents(holders.pop()):
            if type(inner) in _NEVER_COPIED:
                continue
            if not number_of:
                number_of = {id(obj): i for i, obj in enumerate(objects)}
            number = number_of.get(id(inner))
            if number is None:
                continue
            held = held_by_them[number] = held_by_them.get(number, 0) + 1
            # The list, the loop's name and the argument count too.
            if getrefcount(inner) - held <= _ALONE:
                private.append(number)
                holders.append(inner)
    return private


_NEVER_COPIED = frozenset(
    (int, float, complex, bool, str, bytes, type(None), type, types.ModuleType, types.FunctionType, types.CodeType)
)


def _alone() -> int:
    """Measure the reference count of an object that only a list holds, as ``_private`` sees it."""
    objects = [object()]
    return next(sys.getrefcount(obj) for _, obj in enumerate(objects))


def load_namespace(buffers: Sequence[Buffer], namespace: dict[str, object]) -> Loaded:
    """Rebuild what ``dump_namespace`` made. Functions get ``namespace`` as their globals; it is not changed.

    Raises:
        CannotRebuild: A name cannot be unpickled here, a module that cannot be imported for one.
    """
    seeds = _seeds(namespace)
    sent, extra, private = pickle.loads(buffers[1])
    reader = Reader(buffers[0], buffers[2:], seeds)
    with collector_paused(), warnings_held(), staged(namespace) as stage:
        values: dict[str, object] = {}
        for name in sent:
            values[name] = reader.read(name)
            stage(name, values[name])
    extras = {name: values.pop(name) for name in extra}
    return Loaded(values, extras, ObjectTable(reader.objects, len(seeds), private))


@contextmanager
def staged(namespace: dict[str, object]) -> Iterator[Callable[[str, object], None]]:
    """Let names be seen in the namespace while others are rebuilt: a ``__setstate__`` may need them.

    Names that are there already stay what they are; afterwards all is as before.
    """
    added: list[str] = []

    def stage(name: str, value: object) -> None:
        if name not in namespace:
            namespace[name] = value
            added.append(name)

    try:
        yield stage
    finally:
        for name in added:
            del namespace[name]


def needed_first(part: tuple[str, object]) -> int:
    """Sort parts by what the code that rebuilds others may use: modules, then functions and classes, then data."""
    value = part[1]
    return 0 if isinstance(value, types.ModuleType) else 1 if isinstance(value, types.FunctionType | type) else 2


# ---------------------------------------------------------------- words


def plain_reason(error: BaseException) -> str:
    """Say in plain words why something cannot be pickled or rebuilt."""
    text = str(error).strip().partition("\n")[0]
    match error:
        case reducers.Refused():
            return text
        case RecursionError():
            return "it is nested too deeply"
        case MemoryError():
            return "there is not enough memory"
        case ModuleNotFoundError():
            return f"it needs the module {error.name!r}, which cannot be imported"
        case TypeError() | pickle.PicklingError():
            for before in ("cannot pickle '", "Cannot pickle '"):
                if before in text:
                    kind = text.partition(before)[2].partition("'")[0]
                    return f"a {kind} object cannot leave its process"
    if "recursion" in text:
        return "it is nested too deeply"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_ALONE = _alone()
