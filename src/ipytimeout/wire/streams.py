"""Picklers and unpicklers of the namespace, and streams of parts. Pure: no I/O, in the host and in the child.

A stream is some objects ("parts"), pickled one after the other with one memo: aliases between them hold, and a part
that fails is known by its name.

Law of the file: only what ``reducers`` cannot express is here. Nothing of a run is kept in a module global.
"""

from __future__ import annotations

import gc
import io
import itertools
import pickle
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cloudpickle

from ipytimeout.wire import arrays, by_name, classes, ended, functions, modules, reducers
from ipytimeout.wire.facets import CannotRestore, fingerprint
from ipytimeout.wire.messages import Buffer

#: Smaller buffers are copied into the pickle: a message of its own for each would cost more.
OUT_OF_BAND: Final = 64 * 1024

PROTOCOL: Final = 5
#: "Take the next buffer, note it in the memo, forget it": how an unpickler's memo is filled at the speed of C.
_REMEMBER: Final = b"\x97\x940"


#: How the stream names what the receiver has.
Number: TypeAlias = "int | tuple[int] | modules.Place"


class CannotRebuild(Exception):
    """What the other process sent cannot be unpickled here; ``name`` says which name it was, when one is known."""

    def __init__(self, name: str | None, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


class NamespacePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles what notebooks hold."""

    def __init__(
        self,
        file: io.BytesIO,
        namespace: dict[str, object],
        buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None,
    ) -> None:
        super().__init__(file, protocol=PROTOCOL, buffer_callback=buffer_callback)
        self.namespace = namespace
        self.arrays = arrays.ArrayAliases()
        #: Stand-ins for the globals of functions that come from a module.
        self.module_globals: dict[str, functions.ModuleGlobals] = {}
        #: Objects that would leave something out of their pickles, by ``id``: whether all of it can be pickled.
        self.whole: dict[int, bool] = {}
        self._reducers: dict[type, reducers.Reducer | None] = {}

    def reducer_override(self, obj: Any) -> Any:
        try:
            reduce = self._reducers[type(obj)]
        except KeyError:
            reduce = self._reducers[type(obj)] = reducers.find_reducer(type(obj))
        return NotImplemented if reduce is None else reduce(obj, self)

    def can_pickle(self, obj: object) -> bool:
        """Tell whether this could be pickled by itself: where it could be left out, and the rest could not."""
        from ipytimeout.wire.table import seeds_of

        trial = SeededPickler(io.BytesIO(), self.namespace, lambda buffer: False, seeds_of(self.namespace))
        trial.whole = self.whole
        try:
            trial.dump(obj)
        except FAULTS:
            return False
        return True

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
    whose ``__dict__`` is meant is its number in a tuple; what is in a module of the user's own is its place in there.
    """

    def __init__(
        self,
        file: io.BytesIO,
        namespace: dict[str, object],
        buffer_callback: Callable[[pickle.PickleBuffer], bool],
        numbers: Mapping[int, Number],
    ) -> None:
        super().__init__(file, namespace, buffer_callback)
        self._number_of = numbers.get
        self.arrays = arrays.ArrayAliases(numbers)

    def persistent_id(self, obj: object) -> Number | None:
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
def warnings_held(module: re.Pattern[str] | None = None) -> Iterator[None]:
    """Pickle without a word: which protocol an object uses is no concern of the user.

    ``module``: hold the warnings of modules with such a name only. ``warnings.catch_warnings`` would make every warning
    that was to be shown once be shown again.
    """
    ours = ("ignore", None, Warning, module, 0)
    filters: list[Any] = warnings.filters  # type: ignore[assignment]  # declared as a Sequence
    filters.insert(0, ours)
    try:
        yield
    finally:
        # By identity: the user may have made an equal one. It is gone when the notebook's code has reset them.
        for index, entry in enumerate(filters):
            if entry is ours:
                del filters[index]
                break


#: What the user's own code may raise while it is pickled, rebuilt or compared; all but an interrupt.
FAULTS = (Exception, SystemExit)


class _PartFailed(Exception):
    def __init__(self, name: str, error: BaseException) -> None:
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
    failed: dict[str, BaseException]


#: Makes a pickler for a new stream, from the stream's file and the taker of its large buffers.
NewPickler: TypeAlias = Callable[[io.BytesIO, Callable[[pickle.PickleBuffer], bool]], NamespacePickler]


def dump_parts(parts: Sequence[tuple[str, object]], new_pickler: NewPickler) -> Stream:
    """Pickle the parts one after the other into one stream, with one memo: aliases between them hold.

    A part that cannot be pickled is left out. A pickler that failed has a memo nobody can use, so after the first
    failure the other bad parts are found one by one, and the good ones are pickled anew.
    """
    failed: dict[str, BaseException] = {}
    shared: set[int] = set()
    parts = [(name, value if (own := by_name.of_a_library(name, value)) is None else own) for name, value in parts]

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
                stand_in = by_name.of_any_module(first.name, dict(wanted)[first.name])
                if stand_in is not None:
                    parts = [(name, stand_in if name == first.name else value) for name, value in parts]
                    continue
                failed[first.name] = first.error
                names = [name for name, _ in wanted]
                for part in wanted[names.index(first.name) + 1 :]:
                    try:
                        attempt([part])
                    except _PartFailed as other:
                        if by_name.of_any_module(*part) is None:
                            failed[other.name] = other.error


def _dump_once(
    parts: Sequence[tuple[str, object]], new_pickler: NewPickler, shared: set[int], failed: dict[str, BaseException]
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
        except FAULTS as error:
            # Without its traceback, whose frames would keep every temporary object alive.
            raise _PartFailed(name, error.with_traceback(None)) from None
    return Stream(file.getvalue(), buffers, pickler, failed)


class Reader(pickle.Unpickler):
    """Loads the parts of a stream one after the other."""

    def __init__(
        self, stream: Buffer, buffers: Iterable[Buffer], seeds: Sequence[object] = (), known: Sequence[object] = ()
    ) -> None:
        file = io.BytesIO(b"".join((_prelude(len(seeds)), stream)))
        super().__init__(file, buffers=itertools.chain(seeds, buffers))
        self._known = known
        self.load()

    def find_class(self, module: str, name: str) -> Any:
        if module not in sys.modules:
            by_name.import_quietly(module)
        return super().find_class(module, name)

    def persistent_load(self, number: Number) -> Any:
        if isinstance(number, int):
            return self._known[number]
        if len(number) == 1:
            return vars(self._known[number[0]])
        found = modules.adopt(number)
        if type(found) is modules.Absent:
            raise ModuleNotFoundError(f"the module {number[0]!r} cannot be imported", name=number[0])
        return found

    def read(self, name: str | None) -> Any:
        """Return the next part. ``name`` is who is to blame when it cannot be rebuilt."""
        try:
            return self.load()
        except FAULTS as error:
            raise CannotRebuild(name, plain_reason(error)) from error

    def close(self) -> None:
        """Let go of what was made and then not used."""
        classes.drop_unfilled()

    def objects(self) -> list[object]:
        """Return what was read so far, by number."""
        return list(self.memo.copy().values())  # which is in the order of the numbers


class Looker(NumberedPickler):
    """Pickles only to compare: what the table has is a number, however it changes; all else is gone through.

    One is for many objects: to make a pickler costs more than to look at most of them.
    """

    def __init__(self, namespace: dict[str, object], numbers: Mapping[int, Number]) -> None:
        self._file = io.BytesIO()
        self._digests: list[object] = []
        self._numbers = numbers
        super().__init__(self._file, namespace, self._digest, numbers)

    def _digest(self, buffer: pickle.PickleBuffer) -> bool:
        self._digests.append(fingerprint(buffer.raw()))
        return False

    def look(self, obj: object) -> object:
        """Return something equal as long as the object is; raise when it cannot be pickled."""
        try:
            self.dump(obj)
            return fingerprint(self._file.getvalue()), tuple(self._digests)
        finally:
            self._forget()

    def look_inside(self, obj: Any) -> object:
        """The same for an object of the table itself."""
        reduced = self.reducer_override(obj)
        if reduced is NotImplemented:
            reduce = self.dispatch_table.get(type(obj))
            reduced = reduce(obj) if reduce is not None else obj.__reduce_ex__(PROTOCOL)
        if isinstance(reduced, str):
            return reduced
        return self.look([part if i < 3 or part is None else list(part) for i, part in enumerate(reduced[:5])])

    def _forget(self) -> None:
        """Hold nothing: who holds an object tells what it is."""
        self._file.seek(0)
        self._file.truncate()
        self._digests = []
        self.clear_memo()
        self.module_globals.clear()
        self.whole.clear()
        self.arrays = arrays.ArrayAliases(self._numbers)


# ---------------------------------------------------------------- words


def plain_reason(error: BaseException) -> str:
    """Say in plain words why something cannot be pickled or rebuilt."""
    text = str(error).strip().partition("\n")[0]
    match error:
        case ended.Refused() | CannotRestore():
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
