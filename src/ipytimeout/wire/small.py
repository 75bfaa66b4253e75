"""Small things that can be told by their parts: writers of CSV, a thread's own values, numpy's made functions and
flags, the order of matplotlib's axes.

In both processes. What they are made of is known to the garbage collector only.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
import types
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.ended import Refused

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
    lines = [inner for inner in gc.get_referents(reader) if hasattr(inner, "__next__") and not isinstance(inner, type)]
    if reader.line_num or len(lines) != 1:
        raise Refused("a reader of CSV that has begun cannot leave its process")
    return make_reader, (lines[0], _dialect(reader))


def make_reader(lines: Any, dialect: dict[str, Any]) -> Any:
    import csv

    return csv.reader(lines, **dialect)


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


def index_of(shapes: Any) -> int:
    return int(shapes.index)


def go_to(shapes: Any, index: int) -> None:
    shapes.reset()
    for _ in range(index):
        next(shapes)


# ---------------------------------------------------------------- matplotlib
