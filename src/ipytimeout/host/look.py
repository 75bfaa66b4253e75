"""Look at objects of the user without running their code. In the user's process, main thread; pure.

Law of the file: no ``getattr``, ``isinstance`` or ``repr`` on the user's objects; slots of ``type`` are asked instead.
"""

from __future__ import annotations

import sys
import types
from typing import Any


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ATOMS: frozenset[type] = frozenset(
    {int, float, complex, bool, str, bytes, bytearray, range, slice, type(None), type(...), type(NotImplemented)}
)
#: Nothing of the notebook is reached through these; frames would lead to every variable of every caller.
CLOSED: frozenset[type] = ATOMS | {types.CodeType, types.FrameType, types.TracebackType}
#: Instances of classes from here belong to the process: their references lead everywhere, and they are not sent.
CLOSED_PACKAGES = words(
    "IPython ipykernel comm zmq tornado asyncio _asyncio logging threading _thread "
    "concurrent multiprocessing subprocess socket _socket ssl _io"
)

_module_slot, dict_slot, mro_slot = (type.__dict__[name] for name in ("__module__", "__dict__", "__mro__"))


def module_of(cls: type) -> str:
    """Where a class was defined, without asking a metaclass of the user."""
    try:
        module = _module_slot.__get__(cls)
    except AttributeError:
        return ""
    return module if type(module) is str else ""


def is_array_class(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, getattr(numpy, "ndarray", ()))


def is_object_array(value: Any) -> bool:
    """Whether this is an array of Python objects, which numpy hides from the garbage collector."""
    if not is_array_class(type(value)):
        return False
    return bool(sys.modules["numpy"].ndarray.__dict__["dtype"].__get__(value).hasobject)


def object_items(array: Any) -> list[Any]:
    items: list[Any] = sys.modules["numpy"].ndarray.ravel(array).tolist()
    return items
