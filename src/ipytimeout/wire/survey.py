"""The table of objects of a process that is about to be copied: laid before the fork, and then in both. In the host.

A pickler goes through what the code can reach, as it does where names are sent, and what it writes goes nowhere: what
counts is the number that each object gets. Nothing large is copied on the way, and nothing can be refused: what
cannot be pickled has its number too.

Law of the file: an object that cannot be restored from outside is *closed*: it is not watched, nor is what only it
holds, and who used it is told when it has changed, or may have.
"""

from __future__ import annotations

import gc
import inspect
import io
import itertools
import sys
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ipytimeout.wire import arrays, frames, kinds, mapped
from ipytimeout.wire.by_name import of_a_library
from ipytimeout.wire.libraries import users_modules
from ipytimeout.wire.modules import MODULES, places_in
from ipytimeout.wire.pickling import needed_first, objects_of, private_among
from ipytimeout.wire.streams import FAULTS, PROTOCOL, SeededPickler, collector_paused, plain_reason, warnings_held
from ipytimeout.wire.table import ALONE, ObjectTable, seeds_of

#: Instances of classes of these packages belong to the process, and lead everywhere in it.
_OF_THE_PROCESS = frozenset(
    (
        *("IPython", "ipykernel", "ipytimeout", "jupyter_client", "jupyter_core"),
        *("comm", "zmq", "tornado", "asyncio", "_asyncio", "logging"),
    )
)
#: Temporaries of the pickling, which nothing refers to.
_SCRAPS = frozenset((dict, tuple, list, bytes, bytearray, str))


def _in_index(index: Any) -> object:
    """Lists that only an index has are a part of it, as it is compared and restored: they get no number."""
    own = [value for name, value in vars(index).items() if name not in frames.CACHES]
    return tuple(tuple(value) if isinstance(value, list) else value for value in own)


#: What is one piece of memory, which is not to be copied; what it holds beside that.
_WHOLE: dict[str, Callable[[Any], object]] = {
    "torch.Tensor": lambda tensor: tensor.grad,
    "polars.dataframe.frame.DataFrame": lambda frame: None,
    "polars.series.series.Series": lambda series: None,
    "PIL.Image.Image": lambda picture: picture.info,
    "array.array": lambda numbers: None,
    "pandas.core.internals.blocks.Block": lambda block: block.values,
    "pandas.core.internals.managers.BaseBlockManager": lambda manager: (*manager.blocks, *manager.axes),
    "pandas.Index": _in_index,
    "pandas.core.indexes.base.Index": _in_index,
}


@dataclass(frozen=True, slots=True)
class Survey:
    table: ObjectTable
    #: Objects that cannot be restored from outside, by their number: each with the reason.
    closed: Mapping[int, str]
    #: Names that could not be gone through, each with the reason.
    unseen: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a copy of a process has from it, and must know: there is nothing to send."""

    namespace: dict[str, object]
    extra: dict[str, object]
    #: The shell of the process.
    shell: Any
    survey: Survey


def survey(
    namespace: dict[str, object],
    names: Collection[str],
    extra: Mapping[str, object] = {},
    modules: Collection[str] = (),
) -> Survey:
    """Number all objects that these names, ``extra`` and the data of these modules of the user's own lead to."""
    own = seeds_of(namespace)
    known = set(map(id, own))
    placed = [each for each in places_in(sorted(modules), lambda value: True) if id(each[1]) not in known]
    seeds = [*own, *(value for _, value, _ in placed)]
    values = sorted(((name, namespace[name]) for name in names if name in namespace), key=needed_first)
    parts: list[tuple[str, object]] = [(MODULES, (list(users_modules()), [state for _, _, state in placed]))]
    parts += [*values, *extra.items()]
    parts = [(name, value if (stand_in := of_a_library(name, value)) is None else stand_in) for name, value in parts]
    surveyor = _Surveyor(namespace, seeds)
    unseen: dict[str, str] = {}
    with collector_paused(), warnings_held():
        for name, value in parts:
            try:
                surveyor.dump(value)
            except FAULTS as error:  # what it has numbered so far holds: nobody reads what it has written
                unseen[name] = plain_reason(error)
        closed = surveyor.closed
        count, objects = len(seeds), objects_of(surveyor)
        surveyor.clear_memo()
        surveyor.module_globals.clear()
        # Nothing here may hold an object now: who else holds it tells what is private.
        del parts, values, placed, seeds, surveyor, value
        reasons = {number: closed[id(obj)][1] for number, obj in enumerate(objects) if id(obj) in closed}
        closed.clear()
        private = [number for number in private_among(objects) if number >= count and number not in reasons]
        alone = itertools.compress(itertools.count(), map(ALONE.__ge__, map(sys.getrefcount, objects)))
        for number in [number for number in alone if number >= count and type(objects[number]) in _SCRAPS]:
            objects[number] = None
        del closed
    table = ObjectTable(lambda: objects, len(own), private)
    return Survey(table, reasons, {name: reason for name, reason in unseen.items() if not name.startswith("\0")})


class _Nowhere(io.BytesIO):
    def write(self, data: Any) -> int:
        return len(data)


class _Surveyor(SeededPickler):
    def __init__(self, namespace: dict[str, object], seeds: list[object]) -> None:
        super().__init__(_Nowhere(), namespace, lambda buffer: False, seeds)
        #: By ``id``, what cannot be restored from outside, with the reason.
        self.closed: dict[int, tuple[object, str]] = {}
        self._whole: dict[type, Callable[[Any], object] | None] = {}

    def reducer_override(self, obj: Any) -> Any:
        cls = type(obj)
        try:
            inside = self._whole[cls]
        except KeyError:
            inside = self._whole[cls] = _inside(cls)
        if inside is not None:
            return _nothing, (), (inside(obj),)
        try:
            reduced = super().reducer_override(obj)
            if reduced is NotImplemented and cls is not types.FunctionType and not issubclass(cls, type):
                reduce = self.dispatch_table.get(cls)
                reduced = reduce(obj) if reduce is not None else obj.__reduce_ex__(PROTOCOL)
        except FAULTS as error:
            if _is_told_by_attributes(cls):
                return _nothing, (), (vars(obj) if hasattr(obj, "__dict__") else None,)
            if not frames.is_internal(cls):
                self.closed[id(obj)] = obj, plain_reason(error)
            return _nothing, ()
        return reduced


def _inside(cls: type) -> Callable[[Any], object] | None:
    """Return what to ask for what an object holds, where that is not its pickle."""
    names = [f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__]
    if "numpy.ndarray" in names:
        return _in_array
    for name in names:
        if name in _WHOLE:
            return _WHOLE[name]
    if (cls.__module__ or "").partition(".")[0] in _OF_THE_PROCESS and not issubclass(cls, type | BaseException):
        return lambda obj: None
    return None


def _in_array(array: Any) -> object:
    ndarray = sys.modules["numpy"].ndarray
    base = arrays.base_of(array)
    items = array.ravel(order="K").tolist() if array.dtype.hasobject else None
    attributes = getattr(array, "__dict__", None)
    if attributes is not None and not mapped.OWN.isdisjoint(attributes):
        attributes = {name: value for name, value in attributes.items() if name not in mapped.OWN}
    return items, base if isinstance(base, ndarray) else None, attributes


def _is_told_by_attributes(cls: type) -> bool:
    """Whether all there is of an object is in its attributes, however its class refuses to be pickled."""
    facets = kinds.facets_of(cls)
    package = (cls.__module__ or "").partition(".")[0]
    return kinds.has_attributes(facets) and kinds.OPAQUE not in facets and package not in _LIVING


#: Threads, processes, pools: what such an object says of itself is true in its own process only.
_LIVING = frozenset(("threading", "subprocess", "multiprocessing", "concurrent", "asyncio", "socket"))


def _nothing(*args: object) -> None:
    return None


# ---------------------------------------------------------------- witnesses


#: What tells whether a closed object has changed; None: nothing that could be lost can.
_WITNESSES: dict[str, Callable[[Any], object]] = {
    "builtins.generator": lambda each: _place_in(each, each.gi_frame),
    "builtins.coroutine": lambda each: _place_in(each, each.cr_frame),
    "builtins.async_generator": lambda each: _place_in(each, each.ag_frame),
    "sqlite3.Connection": lambda each: (each.total_changes, each.in_transaction),
    "_socket.socket": lambda each: (each.fileno(), each.gettimeout()),
    "_io._IOBase": lambda each: each.closed,
    "_csv.reader": lambda each: each.line_num,
    "_hashlib.HASH": lambda each: each.digest(),
    **dict.fromkeys(
        (
            *("threading.Thread", "subprocess.Popen", "multiprocessing.process.BaseProcess", "_contextvars.Token"),
            *("concurrent.futures._base.Executor", "concurrent.futures._base.Future", "comm.base_comm.BaseComm"),
            *("multiprocessing.pool.Pool", "_asyncio.Future", "asyncio.futures.Future", "builtins.frame"),
        ),
        lambda each: None,
    ),
}
_UNKNOWN = "whether the code has changed it cannot be told; a change would be lost"


class Witness:
    """What the closed objects were before the code ran. In the child."""

    def __init__(self, objects: list[object], closed: Mapping[int, str]) -> None:
        self._closed = closed
        self._before = {number: _testimony(objects[number]) for number in closed}
        self._objects = objects

    def lost(self) -> dict[int, str]:
        """Return what has changed, or may have, each with the reason why that does not come back."""
        found: dict[int, str] = {}
        for number, before in self._before.items():
            now = _testimony(self._objects[number])
            if now is None or before is None:
                found[number] = f"{self._closed[number]}: {_UNKNOWN}"
            elif now != before:
                found[number] = f"it was changed, and {self._closed[number]}"
        return found


def _testimony(obj: object) -> tuple[object] | None:
    """Return something equal as long as an object is; None where nothing tells."""
    for base in type(obj).__mro__:
        if (witness := _WITNESSES.get(f"{base.__module__}.{base.__qualname__}")) is not None:
            try:
                return (witness(obj),)
            except FAULTS as error:  # it is closed, say
                return (type(error).__name__,)
    return None


def _place_in(each: Any, frame: types.FrameType | None) -> object:
    """Return where code that was begun is, and what its variables and its iterators are."""
    if frame is None:
        return None
    inside = gc.get_referents(each)
    left = [item.__length_hint__() for item in inside if hasattr(type(item), "__length_hint__")]
    state = inspect.getgeneratorstate(each) if inspect.isgenerator(each) else ""
    # The very objects are kept, so that no other can take the place of one that is gone.
    return state, frame.f_lasti, _Held([*frame.f_locals.values()]), left


class _Held:
    """Objects, compared by identity."""

    def __init__(self, objects: list[object]) -> None:
        self._objects = objects

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Held)
            and len(self._objects) == len(other._objects)
            and all(a is b for a, b in zip(self._objects, other._objects, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]
