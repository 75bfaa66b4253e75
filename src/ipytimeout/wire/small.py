"""Small things that can be told by their parts: readers and writers of CSV, finalizers, a thread's own values, numpy's
made functions and flags, the order of matplotlib's axes.

In both processes. What they are made of is known to the garbage collector only.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import gc
import io
import itertools
import sys
import types
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.ended import Refused
from ipytimeout.wire.facets import CannotRestore, Sight, SingleFacet, Swap, Turn
from ipytimeout.wire.states import ADVANCED

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

# ---------------------------------------------------------------- CSV

_DIALECT = (
    "delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace", "strict",
)  # fmt: skip


def _dialect(of: Any) -> dict[str, Any]:
    return {name: getattr(of.dialect, name) for name in _DIALECT}


def reduce_writer(writer: Any, pickler: NamespacePickler) -> Any:
    for inner in gc.get_referents(writer):
        file = getattr(inner, "__self__", None)
        if getattr(inner, "__name__", "") == "write" and file is not None:
            return make_writer, (file, _dialect(writer))
    raise Refused("a writer of CSV cannot leave its process")


def make_writer(file: Any, dialect: dict[str, Any]) -> Any:
    import csv

    return csv.writer(file, **dialect)


def reduce_reader(reader: Any, pickler: NamespacePickler) -> Any:
    """It goes on where its lines are: it reads no further than to the end of a row."""
    return make_reader, (_lines_of(reader), _dialect(reader), reader.line_num)


def _lines_of(reader: Any) -> Any:
    lines = [inner for inner in gc.get_referents(reader) if hasattr(inner, "__next__") and not isinstance(inner, type)]
    if len(lines) != 1 or reader.line_num > _MOST_LINES:
        raise Refused("a reader of CSV that has begun cannot leave its process")
    return lines[0].of if type(lines[0]) is Lines else lines[0]


#: More than this are not counted up to.
_MOST_LINES = 10_000_000


def make_reader(lines: Any, dialect: dict[str, Any], line_num: int) -> Any:
    import csv

    if not line_num:
        return csv.reader(lines, **dialect)
    reader = csv.reader(Lines(lines, line_num), **dialect)
    for _ in range(line_num):
        next(reader)
    return reader


class Lines:
    """Lines of something, after some empty ones: how many lines a reader has read can only be had by reading them."""

    def __init__(self, of: Any, empty: int) -> None:
        self.of = of
        self._empty = empty

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> Any:
        if self._empty:
            self._empty -= 1
            return ""
        return next(self.of)


class LinesRead(SingleFacet):
    """How many lines a reader of CSV has read. It is advanced; where its lines are is put right by themselves."""

    code = "lines"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return obj.line_num

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        return None if obj.line_num == before else obj.line_num

    def swap(self, obj: Any, delta: Any) -> Swap:
        lines = _lines_of(obj)
        if type(lines) not in (*ADVANCED, io.TextIOWrapper, io.StringIO):
            raise CannotRestore("what it reads cannot be set from outside")
        return Swap(functools.partial(_read_on, obj, delta), int, Turn.FIRST)


def _read_on(reader: Any, to: int) -> None:
    while reader.line_num < to and next(reader, None) is not None:
        continue


# ---------------------------------------------------------------- finalizers


def reduce_finalizer(finalizer: Any, pickler: NamespacePickler) -> Any:
    """``weakref.finalize``: for which object, what is called, and whether at exit too; or one that is done."""
    alive = finalizer.peek()
    state = (*alive, finalizer.atexit) if alive is not None else None
    return make_finalizer, (type(finalizer),), state, None, None, set_finalizer


def make_finalizer(cls: Any) -> Any:
    return cls.__new__(cls)


def set_finalizer(finalizer: Any, state: tuple[Any, Any, Any, Any, bool]) -> None:
    of, function, args, kwargs, at_exit = state
    finalizer.__init__(of, function, *args, **kwargs)
    finalizer.atexit = at_exit


def is_alive(finalizer: Any) -> tuple[bool, Any]:
    return finalizer.alive, finalizer.atexit


def put_alive(finalizer: Any, state: tuple[bool, Any]) -> None:
    """Let it be done, where it was called or detached there."""
    alive, at_exit = state
    if not alive:
        finalizer.detach()
    elif finalizer.alive:
        finalizer.atexit = at_exit


# ---------------------------------------------------------------- a thread's own


def reduce_local(local: Any, pickler: NamespacePickler) -> Any:
    """With the values of the thread that runs the cells; any other thread begins with what it is made of."""
    cls, values = type(local), values_of_local(local)
    if dataclasses.is_dataclass(cls) and cls.__init__ is not object.__init__:
        fields = {each.name: values[each.name] for each in dataclasses.fields(cls) if each.init and each.name in values}
        return make_local, (cls, fields), values, None, None, put_local
    if cls.__init__ is not object.__init__:
        raise Refused("a thread's own values cannot leave their process")
    return cls, (), values, None, None, put_local


def make_local(cls: Any, fields: dict[str, Any]) -> Any:
    return cls(**fields)


def values_of_local(local: Any) -> dict[str, Any]:
    return dict(vars(local))


def put_local(local: Any, values: dict[str, Any]) -> None:
    vars(local).clear()
    vars(local).update(values)


# ---------------------------------------------------------------- numpy


def reduce_ufunc(ufunc: Any, pickler: NamespacePickler) -> Any:
    """One that ``numpy.frompyfunc`` made of a function; those of libraries are known by their name."""
    functions = [inner for inner in gc.get_referents(ufunc) if isinstance(inner, types.FunctionType)]
    if not ufunc.__name__.endswith("(vectorized)") or len(functions) != 1:
        return NotImplemented
    return make_ufunc, (functions[0], ufunc.nin, ufunc.nout, ufunc.identity)


def make_ufunc(function: Any, inputs: int, outputs: int, identity: Any) -> Any:
    made = sys.modules["numpy"].frompyfunc
    return made(function, inputs, outputs) if identity is None else made(function, inputs, outputs, identity=identity)


def reduce_flags(flags: Any, pickler: NamespacePickler) -> Any:
    """``x.flags``: a note of how the array was. Which array it was, it does not tell."""
    return make_flags, (flags.c_contiguous, flags.f_contiguous, flags.owndata, flags.writeable, flags.aligned)


def make_flags(in_c_order: bool, in_f_order: bool, owns: bool, writeable: bool, aligned: bool) -> Any:
    """Return the flags of an array that has such ones."""
    numpy: Any = sys.modules["numpy"]
    array = numpy.zeros((2, 2, 2))
    if in_c_order:
        array = array[0, 0] if in_f_order else array[:]
    else:
        array = array.T if in_f_order else array.transpose(0, 2, 1)
    array = array.copy(order="K") if owns else array
    array.setflags(write=writeable, align=aligned)
    return array.flags


def reduce_broadcast(shapes: Any, pickler: NamespacePickler) -> Any:
    """``numpy.broadcast``: the arrays, and how far it is."""
    return make_broadcast, (type(shapes), tuple(each.base for each in shapes.iters), shapes.index)


def make_broadcast(cls: Any, arrays: tuple[Any, ...], index: int) -> Any:
    made = cls(*arrays)
    go_to(made, index)
    return made


def index_of(each: Any) -> int:
    return int(each.index)


def go_to(shapes: Any, index: int) -> None:
    shapes.reset()
    _step(shapes, index)


def reduce_flat(flat: Any, pickler: NamespacePickler) -> Any:
    """``array.flat``: the array, and how far it is."""
    return make_flat, (flat.base, flat.index)


def make_flat(array: Any, index: int) -> Any:
    flat = array.flat
    _step(flat, index)
    return flat


def go_to_flat(flat: Any, index: int) -> None:
    flat[:0]  # begins anew
    _step(flat, index)


def _step(iterator: Any, count: int) -> None:
    collections.deque(itertools.islice(iterator, count), 0)


def reduce_npz(file: Any, pickler: NamespacePickler) -> Any:
    """What ``numpy.load`` gives for several arrays. It refers to itself where its arrays are attributes."""
    state = {name: value for name, value in vars(file).items() if name != "f"}
    return make_npz, (type(file),), (state, type(vars(file).get("f"))), None, None, set_npz


def make_npz(cls: Any) -> Any:
    return object.__new__(cls)


def set_npz(file: Any, state: tuple[dict[str, Any], Any]) -> None:
    attributes, by_name = state
    vars(file).update(attributes)
    if by_name is not type(None):
        file.f = by_name(file)


# ---------------------------------------------------------------- matplotlib
