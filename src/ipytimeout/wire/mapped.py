"""Arrays that show a file: ``np.memmap``. In both processes; numpy is not imported.

Such an array travels as the name of its file, which each process maps for itself. What the code writes into it is in
the file at once, and so in the other mapping too, as natively; only copy-on-write (mode "c") has a content of its own.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.arrays import base_of, reduce_array
from ipytimeout.wire.ended import Refused

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

#: What belongs to the mapping of each process.
OWN = frozenset(("_mmap",))


def reduce_mapped(array: Any, pickler: NamespacePickler) -> Any:
    """An array that is a whole mapping, a view of one, or what was computed from one and is in memory."""
    if not _is_mapping(array):
        function, args, (own, attributes), *_ = reduce_array(array, pickler)
        attributes = {name: value for name, value in attributes.items() if name not in OWN}
        return function, args, (own, attributes), None, None, set_mapped_state
    name = array.filename
    if name is None or not os.path.isfile(name):
        raise Refused("a memory map of a file without a name cannot leave its process")
    attributes = {key: value for key, value in vars(array).items() if key not in OWN}
    where = (os.fspath(name), array.dtype, array.mode, array.offset, array.shape, array.flags.c_contiguous)
    content = _own_content(array, where)
    pickler.arrays.arrays.add(id(array))
    return make_mapped, (type(array), *where, content), (None, attributes), None, None, set_mapped_state


def shows_file(array: Any) -> bool:
    """Tell whether what is written into an array is in a file at once, where the other process sees it."""
    if "mmap" not in sys.modules:
        return False
    while isinstance(base := base_of(array), sys.modules["numpy"].ndarray):
        array = base
    return _is_mapping(array) and array.mode != "c"


def _is_mapping(array: Any) -> bool:
    return type(array.base).__name__ == "mmap" and getattr(array, "mode", None) is not None


def _own_content(array: Any, where: tuple[str, Any, str, int, tuple[int, ...], bool]) -> Any:
    """Return what was written into a mapping for copying on write; None where nothing was."""
    if array.mode != "c":
        return None
    numpy = sys.modules["numpy"]
    plain = array.view(numpy.ndarray)
    fresh = make_mapped(type(array), *where, None).view(numpy.ndarray)
    return None if plain.tobytes() == fresh.tobytes() else plain.copy(order="K")


def make_mapped(
    cls: Any, name: str, dtype: Any, mode: str, offset: int, shape: tuple[int, ...], in_c_order: bool, content: Any
) -> Any:
    array = cls(name, dtype, "r+" if mode == "w+" else mode, offset, shape, "C" if in_c_order else "F")
    if content is not None:
        array[...] = content
    return array


def set_mapped_state(array: Any, state: tuple[Any, dict[str, Any]]) -> None:
    own, attributes = state
    if own is not None:
        sys.modules["numpy"].ndarray.__setstate__(array, own)
    vars(array).update(attributes)
    if array._mmap is None:  # a view of a mapping
        base = base_of(array)
        while isinstance(base, sys.modules["numpy"].ndarray) and getattr(base, "_mmap", None) is None:
            base = base_of(base)
        array._mmap = getattr(base, "_mmap", None)
