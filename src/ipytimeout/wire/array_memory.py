"""ndarrays: how their memory is compared, and written back. In both processes.

numpy is never imported here: where there is an array, there is ``sys.modules["numpy"]``.
"""

from __future__ import annotations

import functools
import gc
import pickle
import sys
import warnings
from typing import Any

from ipytimeout.wire.arrays import LARGE, address_of, base_of, flat_bytes, make_array, memory_of, plain_of
from ipytimeout.wire.facets import CannotRestore, Sight, SingleFacet, Swap, Turn, Untouched, fingerprint, same_items
from ipytimeout.wire.mapped import shows_file


class Content:
    """The whole content of an array, to be written into the array itself on the other side."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array

    def __reduce__(self) -> Any:
        plain = plain_of(self.array)
        if plain.dtype.hasobject or plain.nbytes < LARGE or not plain.flags.forc:
            return plain.__reduce__()
        return make_array, (*memory_of(plain), True, type(plain))


class Patches:
    """What was written into an array: parts of its memory, to be written into the same places on the other side."""

    __slots__ = ("array", "parts")

    def __init__(self, array: Any, parts: list[tuple[int, int]]) -> None:
        self.array = array
        self.parts = parts

    def __reduce__(self) -> Any:
        memory = memoryview(flat_bytes(self.array))
        return list, ([(begin, pickle.PickleBuffer(memory[begin : begin + size])) for begin, size in self.parts],)


class Memory(SingleFacet):
    """The shape, type, flags and content of an ndarray."""

    code = "ndarray"

    def snapshot(self, obj: Any, sight: Sight) -> Any:
        return _layout(obj), _content(obj, sight)

    def delta(self, obj: Any, before: Any, sight: Sight) -> Any:
        layout, content = _layout(obj), before[1]
        if isinstance(content, Untouched):
            parts = content.written() if (*layout[:3], address_of(obj)) == (*before[0][:3], content.address) else None
            if parts is None:  # it shows other memory now, or shows it otherwise
                return layout, Content(obj)
            return (layout, Patches(obj, parts)) if parts or layout != before[0] else None
        now = _content(obj, sight)
        if layout == before[0] and _same_content(now, content):
            return None
        return layout, None if now is None else Content(obj)

    def swap(self, obj: Any, delta: Any) -> Swap:
        (shape, dtype, strides, writeable), new = delta
        plain = plain_of(obj)
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
    flat = flat_bytes(plain)
    for begin, part in content:
        data = memoryview(part)
        flat[begin : begin + data.nbytes] = data


def _no_way_back() -> None:
    """Nothing: this write cannot fail, and nothing after it can."""


def _layout(obj: Any) -> tuple[Any, ...]:
    return obj.shape, obj.dtype, obj.strides, obj.flags.writeable


def _content(obj: Any, sight: Sight) -> Any:
    """Return what to compare an array's content with later; None where its base is, or where it is in a file."""
    numpy = sys.modules["numpy"]
    if isinstance(base := base_of(obj), numpy.ndarray) and sight.shared(base):
        return None
    if shows_file(obj):
        return None
    plain = plain_of(obj)
    if plain.dtype == object:
        return plain.ravel(order="K").tolist()
    if plain.dtype.hasobject:
        return sight.fingerprint(plain.__reduce__())
    if not plain.size:
        return b""
    if not plain.flags.forc:
        return fingerprint(plain.tobytes())
    return fingerprint(flat_bytes(plain))


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
            _put_content(plain_of(obj), content)
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
    plain_of(obj)[...] = content


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
