"""``memoryview``: a part of another object's memory, which is sent beside it. In both processes.

Python tells of a view whose memory it is, but not where in it: the address does.
"""

from __future__ import annotations

import array
import ctypes
import mmap
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.ended import Refused

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler


class _Buffer(ctypes.Structure):
    """``Py_buffer``, as far as it is needed; the rest is room."""

    _fields_ = (("address", ctypes.c_void_p), ("rest", ctypes.c_void_p * 15))


#: What is known to travel, if only to be refused with a reason of its own.
_USUAL = frozenset((bytes, bytearray, array.array, mmap.mmap))
#: ``PyBUF_FULL_RO``: all that there is to know, for reading.
_FULL_FOR_READING = 0x11C


def reduce_view(view: Any, pickler: NamespacePickler) -> Any:
    try:
        whole = memoryview(view.obj)
    except ValueError:
        return released_view, ()
    shown = _shown(view)
    if type(view.obj) not in _USUAL and not pickler.can_pickle(view.obj):
        # What a library shows of its own memory: what is there now.
        data = bytes(view) if view.readonly else bytearray(view)
        return make_view, (data, (0, *_shown(memoryview(data).cast(view.format, list(view.shape)))), view.readonly)
    if shown == _shown(whole) and address_of_buffer(view) == address_of_buffer(whole):
        return make_view, (view.obj, None, view.readonly)
    if not whole.c_contiguous or not (view.c_contiguous or (view.ndim == 1 and view.strides and view.strides[0] > 0)):
        raise Refused("a memoryview with such steps cannot leave its process")
    place = address_of_buffer(view) - address_of_buffer(whole), *shown
    return make_view, (view.obj, place, view.readonly)


def make_view(obj: Any, place: tuple[int, Any, tuple[int, ...], tuple[int, ...]] | None, readonly: bool) -> Any:
    view: Any = memoryview(obj)
    if place is not None:
        start, form, shape, strides = place
        size = memoryview(b"\0" * 16)[:16].cast(form).itemsize
        if len(shape) == 1:
            end = start + (shape[0] - 1) * strides[0] + size if shape[0] else start
            view = view.cast("B")[start:end].cast(form)[:: strides[0] // size or 1]
        else:
            count = size
            for length in shape:
                count *= length
            view = view.cast("B")[start : start + count].cast(form, shape)
    return view.toreadonly() if readonly and not view.readonly else view


def released_view() -> memoryview:
    view = memoryview(b"")
    view.release()
    return view


def _shown(view: Any) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return view.format, view.shape, view.strides


def address_of_buffer(view: Any) -> int:
    """Return where the memory of an object begins."""
    buffer = _Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), _FULL_FOR_READING)
    try:
        return buffer.address or 0
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
