"""ndarrays: how their memory travels, and how it is compared and written back. In both processes.

numpy is never imported here: where there is an array, there is ``sys.modules["numpy"]``.
"""

from __future__ import annotations

import functools
import gc
import pickle
import sys
import warnings
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.facets import CannotRestore, Sight, SingleFacet, Swap, Turn, Untouched, fingerprint, same_items

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: A view takes its base along when that is not much larger, or when somebody else shows it too.
_BASE_ALLOWANCE = 64 * 1024
#: From here on memory goes out-of-band, and the copy is an array upon the received buffer.
_LARGE = 64 * 1024


class SharedBase(BaseException):
    """Two views of one large array are sent, so it must be sent with them. The dump starts again, knowing that."""

    def __init__(self, base_id: int) -> None:
        super().__init__(base_id)
        self.base_id = base_id


class ArrayAliases:
    """What one dump remembers, so that arrays that showed the same memory do so again."""

    __slots__ = ("arrays", "known", "lone", "shared")

    def __init__(self) -> None:
        #: Arrays that are in the stream, by id.
        self.arrays: set[int] = set()
        #: What the receiver has, by id.
        self.known: Container[int] = ()
        #: Bases of views that travel without them: id of the base → id of the view.
        self.lone: dict[int, int] = {}
        #: Bases that must travel.
        self.shared: set[int] = set()


# ---------------------------------------------------------------- taken apart


def reduce_array(array: Any, pickler: NamespacePickler) -> Any:
    """An ndarray: its memory, or its place in the memory of its base."""
    ndarray = sys.modules["numpy"].ndarray
    if type(array) is not ndarray:
        return _reduce_subclass(array)
    aliases = pickler.arrays
    base = base_of(array)
    if type(base) is ndarray and _travels_with(array, base, aliases):
        offset = _address(array) - _address(base)
        return make_view, (base, offset, array.shape, array.strides, array.dtype, array.flags.writeable)
    shown = _shown_bytes(array)
    if shown is not None:
        offset = _address(array) - _address(ndarray((len(shown),), "u1", shown))
        return make_array, (shown, array.shape, array.dtype, offset, array.strides, array.flags.writeable)
    if id(array) in aliases.lone:
        raise SharedBase(id(array))
    aliases.arrays.add(id(array))
    if array.dtype.hasobject or array.nbytes < _LARGE or not array.flags.forc:
        reduced = array.__reduce__()  # this way the copy owns its memory, and can be resized
        return reduced if array.flags.writeable else (make_read_only, reduced)
    return make_array, (*_memory(array), array.flags.writeable)


def base_of(array: Any) -> Any:
    """Return what an array shows; one made by ``as_strided`` stands upon a stand-in for that."""
    base = array.base
    return base.base if type(base).__name__ == "DummyArray" and hasattr(base, "base") else base


def _memory(array: Any) -> tuple[Any, ...]:
    """Return the memory of a contiguous array as a buffer, and how it is laid out."""
    return pickle.PickleBuffer(_flat_bytes(array)), array.shape, array.dtype, 0, array.strides


def _flat_bytes(array: Any) -> Any:
    """Return the memory of a contiguous array as plain bytes: what a date is, the buffer protocol cannot say."""
    plain = _plain(array)
    return (plain if plain.flags.c_contiguous else plain.T).reshape(-1).view("u1")


def _reduce_subclass(array: Any) -> Any:
    """np.matrix, masked arrays, the notebook's own: the same memory, seen as that class."""
    numpy = sys.modules["numpy"]
    known = {numpy.ndarray}
    if "numpy.ma" in sys.modules:
        known.add(numpy.ma.MaskedArray)
    cls = type(array)
    if cls.__reduce_ex__ is not numpy.ndarray.__reduce_ex__ or not {cls.__reduce__, cls.__setstate__} <= {
        getattr(k, name) for k in known for name in ("__reduce__", "__setstate__")
    }:
        return NotImplemented
    state = getattr(array, "__dict__", None)
    plain = array.view(numpy.ndarray)
    return make_subclass, (plain, cls), state, None, None, set_subclass_state


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _travels_with(view: Any, base: Any, aliases: ArrayAliases) -> bool:
    """Whether the base is sent too: it is there anyway, or not much larger, or a second view shows it."""
    if any(id(base) in there for there in (aliases.arrays, aliases.known, aliases.shared)):
        return True
    if base.nbytes <= 4 * view.nbytes + _BASE_ALLOWANCE:
        return True
    if aliases.lone.setdefault(id(base), id(view)) != id(view):
        raise SharedBase(id(base))
    return False


def _shown_bytes(array: Any) -> bytearray | None:
    """Return the bytearray that an array shows, when somebody else has it too."""
    base = array.base
    if type(base) is memoryview:
        base = base.obj
    # An array that came out-of-band stands upon a bytearray that nobody knows of: held by it and by two names here.
    if type(base) is bytearray and sys.getrefcount(base) > 3 and len(base) <= 4 * array.nbytes + _BASE_ALLOWANCE:
        return base
    return None


class Content:
    """The whole content of an array, to be written into the array itself on the other side."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array

    def __reduce__(self) -> Any:
        plain = self.array.view(sys.modules["numpy"].ndarray)
        if plain.dtype.hasobject or plain.nbytes < _LARGE or not plain.flags.forc:
            return plain.__reduce__()
        return make_array, (*_memory(plain), True)


class Patches:
    """What was written into an array: parts of its memory, to be written into the same places on the other side."""

    __slots__ = ("array", "parts")

    def __init__(self, array: Any, parts: list[tuple[int, int]]) -> None:
        self.array = array
        self.parts = parts

    def __reduce__(self) -> Any:
        memory = memoryview(_flat_bytes(self.array))
        return list, ([(begin, pickle.PickleBuffer(memory[begin : begin + size])) for begin, size in self.parts],)


# ---------------------------------------------------------------- put together


def make_array(
    memory: Any, shape: tuple[int, ...], dtype: Any, offset: int, strides: tuple[int, ...], writeable: bool
) -> Any:
    # Directly upon the buffer: then the base of a later view is this array.
    array = sys.modules["numpy"].ndarray(shape, dtype, memory, offset, strides)
    if array.flags.writeable and not writeable:
        array.flags.writeable = False
    return array


def make_read_only(function: Callable[..., Any], args: tuple[Any, ...], state: Any) -> Any:
    array = function(*args)
    array.__setstate__(state)
    array.flags.writeable = False
    return array


def make_view(
    base: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool
) -> Any:
    numpy = sys.modules["numpy"]
    flat = base if base.flags.c_contiguous else base.T
    if dtype.hasobject:  # numpy builds these upon no buffer; a view has the type of its base
        view = _sliced(base, offset, shape, strides)
    else:
        view = numpy.ndarray(shape, dtype, flat, offset, strides)
    if view.flags.writeable and not writeable:
        view.flags.writeable = False
    return view


def _sliced(base: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return a view of an array of objects by indexing, which keeps the base; by force where indexing cannot tell."""
    numpy = sys.modules["numpy"]
    flat = (base if base.flags.c_contiguous else base.T).reshape(-1)
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
        if (view.shape, view.strides, _address(view) - _address(base)) == (shape, strides, offset):
            return view
    return numpy.lib.stride_tricks.as_strided(flat[offset // base.itemsize :], shape, strides)


def make_subclass(plain: Any, cls: type) -> Any:
    return plain.view(cls)


def set_subclass_state(array: Any, state: dict[str, Any]) -> None:
    vars(array).update(state)


# ---------------------------------------------------------------- compared, and written back


class Memory(SingleFacet):
    """The shape, type, flags and content of an ndarray."""

    code = "ndarray"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return _layout(obj), _content(obj, sight)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        layout, content = _layout(obj), before[1]
        if isinstance(content, Untouched):
            parts = content.written() if (*layout[:3], _address(obj)) == (*before[0][:3], content.address) else None
            if parts is None:  # it shows other memory now, or shows it otherwise
                return layout, Content(obj)
            return (layout, Patches(obj, parts)) if parts or layout != before[0] else None
        now = _content(obj, sight)
        if layout == before[0] and _same_content(now, content):
            return None
        return layout, None if now is None else Content(obj)

    def swap(self, obj: Any, delta: Any) -> Swap:
        (shape, dtype, strides, writeable), new = delta
        plain = _plain(obj)
        if isinstance(new, list) and (shape, dtype, strides) != _layout(obj)[:3]:
            raise CannotRestore("it was changed here meanwhile")
        if (obj.shape, obj.dtype) == (shape, dtype) and obj.flags.writeable == writeable:
            if obj.flags.writeable:
                return Swap(functools.partial(_put_content, plain, new), _no_way_back, Turn.LAST)
        elif new is not None and not isinstance(new, list) and new.nbytes != obj.nbytes:
            return _resized(obj, new)
        _check_writeable(obj)
        old_layout, old = _layout(obj), plain.copy(order="K")
        return Swap(
            functools.partial(_put_layout, obj, shape, dtype, writeable, new),
            functools.partial(_put_layout, obj, old_layout[0], old_layout[1], old_layout[3], old),
        )


def _put_content(plain: Any, content: Any) -> None:
    if not isinstance(content, list):
        plain[...] = content
        return
    flat = _flat_bytes(plain)
    for begin, part in content:
        data = memoryview(part)
        flat[begin : begin + data.nbytes] = data


def _no_way_back() -> None:
    """Nothing: this write cannot fail, and nothing after it can."""


def _plain(obj: Any) -> Any:
    return obj.view(sys.modules["numpy"].ndarray)


def _layout(obj: Any) -> tuple[Any, ...]:
    return obj.shape, obj.dtype, obj.strides, obj.flags.writeable


def _content(obj: Any, sight: Sight) -> Any:
    """Return what to compare an array's content with later; None where its base is compared instead."""
    numpy = sys.modules["numpy"]
    if type(base := base_of(obj)) is numpy.ndarray and sight.shared(base):
        return None
    plain = _plain(obj)
    if plain.dtype == object:
        return plain.ravel(order="K").tolist()
    if plain.dtype.hasobject:
        return sight.fingerprint(plain.__reduce__())
    if not plain.size:
        return b""
    if not plain.flags.forc:
        return fingerprint(plain.tobytes())
    return fingerprint(_flat_bytes(plain))


def _same_content(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and same_items(a, b)
    return bool(a == b)


def _check_writeable(obj: Any) -> None:
    if not obj.flags.writeable:
        try:
            obj.flags.writeable = True
        except ValueError:
            raise CannotRestore("its memory is read-only") from None
        obj.flags.writeable = False


def _put_layout(obj: Any, shape: Any, dtype: Any, writeable: bool, content: Any) -> None:
    with warnings.catch_warnings():  # of numpy, that such assignments have an uncertain future
        warnings.simplefilter("ignore")
        if not obj.flags.writeable:
            obj.flags.writeable = True
        if obj.dtype != dtype:
            obj.dtype = dtype
        if obj.shape != shape:
            obj.shape = shape
        if content is not None:
            _put_content(_plain(obj), content)
        if obj.flags.writeable != writeable:
            obj.flags.writeable = writeable


def _resized(obj: Any, new: Any) -> Swap:
    if not obj.flags.owndata:
        raise CannotRestore("an array that does not own its memory cannot be resized in place")
    if _is_shown_elsewhere(obj):
        raise CannotRestore("an array cannot be resized in place while others show its memory")
    old = obj.copy()
    return Swap(functools.partial(_put_size, obj, new), functools.partial(_put_size, obj, old))


def _put_size(obj: Any, content: Any) -> None:
    obj.resize(content.shape, refcheck=False)
    _plain(obj)[...] = content


def _is_shown_elsewhere(obj: Any) -> bool:
    """Look through everything alive: resizing moves the memory away under whoever shows it."""
    ndarray = sys.modules["numpy"].ndarray
    for container in gc.get_objects():
        for inner in gc.get_referents(container):
            if isinstance(inner, ndarray) and inner.base is obj:
                return True
            if isinstance(inner, memoryview) and inner.obj is obj:
                return True
    return False
