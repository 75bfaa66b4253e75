"""ndarrays and their subclasses: how their memory travels. In both processes; how it is compared: ``array_memory``.

numpy is never imported here: where there is an array, there is ``sys.modules["numpy"]``.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: A view takes its base along when that is not much larger, or when somebody else shows it too.
_BASE_ALLOWANCE = 64 * 1024
#: From here on memory goes out-of-band, and the copy is an array upon the received buffer.
LARGE = 64 * 1024
#: So many items are many; and what has no identity that a notebook would look for.
_MANY = 10_000
_VALUES = frozenset((str, bytes, int, float, bool, type(None)))


class SharedBase(BaseException):
    """Two views of one large array are sent, so it must be sent with them. The dump starts again, knowing that."""

    def __init__(self, base_id: int) -> None:
        super().__init__(base_id)
        self.base_id = base_id


class ArrayAliases:
    """What one dump remembers, so that arrays that showed the same memory do so again."""

    __slots__ = ("_first", "arrays", "known", "lone", "shared")

    def __init__(self, known: Container[int] = ()) -> None:
        #: Arrays that are in the stream, by id.
        self.arrays: set[int] = set()
        #: What the receiver has, by id.
        self.known = known
        #: Bases of views that travel without them: id of the base → id of the view.
        self.lone: dict[int, int] = {}
        #: Bases that must travel.
        self.shared: set[int] = set()
        #: The first array upon each memory that is a library's own.
        self._first: dict[tuple[Any, ...], Any] = {}

    def first(self, array: Any) -> Any:
        """Return the first array of this dump that shows the same memory of a library in the same way, or this one.

        Some libraries make a new array of their memory each time they are asked for it: the trees of scikit-learn.
        """
        if array.base is None or not array.size:
            return array
        key = address_of(array), array.shape, array.strides, array.dtype, type(array)
        return self._first.setdefault(key, array)


# ---------------------------------------------------------------- taken apart


def reduce_array(array: Any, pickler: NamespacePickler) -> Any:
    """An ndarray, or one of a subclass: its memory, or its place in the memory of its base."""
    numpy = sys.modules["numpy"]
    cls = type(array)
    if cls is numpy.ndarray:
        return _reduce_memory(array, cls, pickler.arrays)
    if not _is_all_memory(cls, numpy):
        return NotImplemented
    function, args, *own = _reduce_memory(array, cls, pickler.arrays)
    return function, args, (own[0] if own else None, getattr(array, "__dict__", None)), None, None, set_subclass_state


def _reduce_memory(array: Any, cls: type, aliases: ArrayAliases) -> Any:
    ndarray = sys.modules["numpy"].ndarray
    base = base_of(array)
    if isinstance(base, ndarray):
        base = aliases.first(base)
    elif (first := aliases.first(array)) is not array:
        base = first
    if isinstance(base, ndarray) and _axes(base) is not None and _travels_with(array, base, aliases):
        offset = address_of(array) - address_of(base)
        return make_view, (base, offset, array.shape, array.strides, array.dtype, array.flags.writeable, cls)
    shown = _shown_bytes(array)
    if shown is not None:
        offset = address_of(array) - address_of(ndarray((memoryview(shown).nbytes,), "u1", shown))
        return make_array, (shown, array.shape, array.dtype, offset, array.strides, array.flags.writeable, cls)
    if id(array) in aliases.lone:
        raise SharedBase(id(array))
    aliases.arrays.add(id(array))
    if not (array.flags.forc or array.dtype.hasobject) and (axes := _axes(array)) is not None:
        piece = plain_of(array).transpose(axes).copy()
        if piece.nbytes < LARGE:
            return make_ordered, (piece, axes, array.flags.writeable, cls)
        strides = _in_order(piece, axes).strides
        return make_array, (memory_of(piece)[0], array.shape, array.dtype, 0, strides, array.flags.writeable, cls)
    if not (array.dtype.isnative or array.dtype.hasobject):
        whole = array if array.flags.forc else plain_of(array).copy()
        return make_owned, (*memory_of(whole), array.flags.writeable, cls)
    if array.dtype.char == "O" and array.size >= _MANY and array.flags.forc:
        items = plain_of(array).ravel(order="K").tolist()
        if set(map(type, items)) <= _VALUES:
            # In one piece: as objects of the stream, a million texts would be a million entries of the object table.
            order = "C" if array.flags.c_contiguous else "F"
            packed = pickle.PickleBuffer(pickle.dumps(items, 5))
            return make_items, (packed, array.shape, order, array.flags.writeable, cls)
    if array.dtype.hasobject or array.nbytes < LARGE or not array.flags.forc:
        reduced = ndarray.__reduce__(array)  # this way the copy owns its memory, and can be resized
        return reduced if array.flags.writeable else (make_read_only, reduced)
    return make_array, (*memory_of(array), array.flags.writeable, cls)


def _is_all_memory(cls: Any, numpy: Any) -> bool:
    """Tell whether a subclass has no pickling of its own: np.matrix, masked arrays, most of the notebook's own."""
    known = {numpy.ndarray}
    if "numpy.ma" in sys.modules:
        known.add(numpy.ma.MaskedArray)
    return cls.__reduce_ex__ is numpy.ndarray.__reduce_ex__ and {cls.__reduce__, cls.__setstate__} <= {
        getattr(k, name) for k in known for name in ("__reduce__", "__setstate__")
    }


def reduce_dtype(dtype: Any, pickler: NamespacePickler) -> Any:
    """One of numpy's own is the same object wherever it is used, and parts of numpy rely on that."""
    numpy = sys.modules["numpy"]
    known = dtype.isbuiltin == 1 and numpy.dtype(dtype.char) is dtype
    return (numpy.dtype, (dtype.char,)) if known else NotImplemented


def base_of(array: Any) -> Any:
    """Return what an array shows: one whose memory is in one piece, if there is such a one.

    A field of a record array stands upon another view; one made by ``as_strided`` stands upon a stand-in.
    """
    base, ndarray = array.base, sys.modules["numpy"].ndarray
    if type(base).__name__ == "DummyArray" and hasattr(base, "base"):
        base = base.base
        while type(base) is ndarray and isinstance(base.base, ndarray):  # as any other view would stand
            base = base.base
    while isinstance(base, ndarray) and not base.flags.forc and isinstance(base.base, ndarray):
        base = base.base
    return base


def _axes(array: Any) -> list[int] | None:
    """Return the order of the axes in which the memory of an array is in one piece; None when it never is."""
    axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return axes if plain_of(array).transpose(axes).flags.c_contiguous else None


def _in_one_piece(array: Any) -> Any:
    return array if array.flags.c_contiguous else array.transpose(_axes(array))


def memory_of(array: Any) -> tuple[Any, ...]:
    """Return the memory of a contiguous array as a buffer, and how it is laid out."""
    return pickle.PickleBuffer(flat_bytes(array)), array.shape, array.dtype, 0, array.strides


def flat_bytes(array: Any) -> Any:
    """Return the memory of a contiguous array as plain bytes: what a date is, the buffer protocol cannot say."""
    plain = plain_of(array)
    return (plain if plain.flags.c_contiguous else plain.T).reshape(-1).view("u1")


def plain_of(array: Any) -> Any:
    return array.view(sys.modules["numpy"].ndarray)


def address_of(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _travels_with(view: Any, base: Any, aliases: ArrayAliases) -> bool:
    """Whether the base is sent too: it is there anyway, or not much larger, or a file, or a second view shows it."""
    if any(id(base) in there for there in (aliases.arrays, aliases.known, aliases.shared)):
        return True
    if base.nbytes <= 4 * view.nbytes + _BASE_ALLOWANCE or type(base.base).__name__ == "mmap":
        return True
    if aliases.lone.setdefault(id(base), id(view)) != id(view):
        raise SharedBase(id(base))
    return False


def _shown_bytes(array: Any) -> Any:
    """Return the bytearray that an array shows, when somebody else has it too, or the object of ctypes."""
    base = array.base
    if type(base) is memoryview:
        base = base.obj
    if any(cls.__module__ == "_ctypes" and cls.__name__ == "_CData" for cls in type(base).__mro__):
        return base
    # An array that came out-of-band stands upon a bytearray that nobody knows of: held by it and by two names here.
    if type(base) is bytearray and sys.getrefcount(base) > 3 and len(base) <= 4 * array.nbytes + _BASE_ALLOWANCE:
        return base
    return None


# ---------------------------------------------------------------- put together


def make_array(
    memory: Any, shape: tuple[int, ...], dtype: Any, offset: int, strides: tuple[int, ...], writeable: bool, cls: Any
) -> Any:
    # Directly upon the buffer: then the base of a later view is this array.
    array = sys.modules["numpy"].ndarray.__new__(cls, shape, dtype, memory, offset, strides)
    if array.flags.writeable and not writeable:
        array.flags.writeable = False
    return array


def make_owned(
    memory: Any, shape: tuple[int, ...], dtype: Any, offset: int, strides: tuple[int, ...], writeable: bool, cls: Any
) -> Any:
    """Put together what numpy would turn into the byte order of this machine."""
    plain = sys.modules["numpy"].ndarray
    array = make_array(memory, shape, dtype, offset, strides, True, plain).copy(order="K")
    array = array if cls is plain else array.view(cls)
    array.flags.writeable = writeable
    return array


def make_items(packed: Any, shape: tuple[int, ...], order: str, writeable: bool, cls: type) -> Any:
    numpy = sys.modules["numpy"]
    items = pickle.loads(packed)
    array = numpy.empty(len(items), object)
    array[:] = items
    if len(shape) != 1:
        array = array.reshape(shape, order=order).copy(order="K")  # its own memory, and no view
    array.flags.writeable = writeable
    return array if cls is numpy.ndarray else array.view(cls)


def make_read_only(function: Callable[..., Any], args: tuple[Any, ...], state: Any) -> Any:
    array = function(*args)
    sys.modules["numpy"].ndarray.__setstate__(array, state)
    array.flags.writeable = False
    return array


def make_ordered(piece: Any, axes: list[int], writeable: bool, cls: Any) -> Any:
    """Put the axes of an array that was sent in one piece where they were; it owns its memory."""
    shown = _in_order(piece, axes)
    array = sys.modules["numpy"].ndarray.__new__(cls, shown.shape, shown.dtype, strides=shown.strides)
    plain_of(array)[...] = shown
    array.flags.writeable = writeable
    return array


def _in_order(piece: Any, axes: list[int]) -> Any:
    return piece.transpose(sorted(range(len(axes)), key=axes.__getitem__))


def make_view(
    base: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool, cls: Any
) -> Any:
    if dtype.hasobject:  # numpy builds these upon no buffer; a view has the type of its base
        view = _sliced(base, offset, shape, strides)
        view = view if type(view) is cls else view.view(cls)
    else:
        flat = _in_one_piece(base)
        view = sys.modules["numpy"].ndarray.__new__(cls, shape, dtype, flat, offset, strides)
    if view.flags.writeable and not writeable:
        view.flags.writeable = False
    return view


def _sliced(base: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return a view of an array of objects by indexing, which keeps the base; by force where indexing cannot tell."""
    numpy = sys.modules["numpy"]
    base = base if type(base) is numpy.ndarray else plain_of(base)
    flat = _in_one_piece(base).reshape(-1)
    for whole in (base, flat):
        if whole.ndim != len(shape) or not whole.size:
            continue
        place, starts = offset, []
        for stride in whole.strides:  # in C order, or only one
            starts.append(place // stride)
            place %= stride
        steps = [have // own if own else 1 for have, own in zip(strides, whole.strides, strict=True)]
        view = whole[
            tuple(
                slice(start, stop if (stop := start + step * count) >= 0 else None, step or 1)
                for start, step, count in zip(starts, steps, shape, strict=True)
            )
        ]
        if (view.shape, view.strides, address_of(view) - address_of(base)) == (shape, strides, offset):
            return view
    return numpy.lib.stride_tricks.as_strided(flat[offset // base.itemsize :], shape, strides)


def set_subclass_state(array: Any, state: tuple[Any, dict[str, Any] | None]) -> None:
    own, attributes = state
    if own is not None:
        sys.modules["numpy"].ndarray.__setstate__(array, own)
    if attributes:
        vars(array).update(attributes)
