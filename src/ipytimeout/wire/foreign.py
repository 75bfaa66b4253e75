"""ctypes: the types that it makes when asked, numbers and structures, libraries and their functions. In both processes.

What is in memory travels as its bytes, a library as its name. A pointer is a place in its own process, and is refused.
ctypes is never imported here: where there is such an object, there is ``sys.modules["ctypes"]``.
"""

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING, Any

from ipytimeout.wire import classes
from ipytimeout.wire.ended import Refused
from ipytimeout.wire.views import address_of_buffer

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler

_A_POINTER = "a pointer cannot leave its process"
#: ``FUNCFLAG_USE_ERRNO``.
_USE_ERRNO = 8


# ---------------------------------------------------------------- types


def reduce_array_type(cls: Any, pickler: NamespacePickler) -> Any:
    """``c_int * 3``: each process makes it once."""
    made = hasattr(cls, "_length_") and cls._type_ * cls._length_ is cls
    return (operator.mul, (cls._type_, cls._length_)) if made else classes.reduce_class(cls)


def reduce_pointer_type(cls: Any, pickler: NamespacePickler) -> Any:
    made = hasattr(cls, "_type_") and sys.modules["ctypes"].POINTER(cls._type_) is cls
    return (sys.modules["ctypes"].POINTER, (cls._type_,)) if made else classes.reduce_class(cls)


def reduce_function_type(cls: Any, pickler: NamespacePickler) -> Any:
    """``CFUNCTYPE(c_int)``, the same."""
    make = sys.modules["ctypes"].CFUNCTYPE
    parts = getattr(cls, "_restype_", None), *(getattr(cls, "_argtypes_", None) or ())
    return (make, parts) if make(*parts) is cls else classes.reduce_class(cls)


# ---------------------------------------------------------------- memory


def reduce_data(obj: Any, pickler: NamespacePickler) -> Any:
    """A number, an array, a structure; or its place in the memory of another object."""
    try:
        reduced = obj.__reduce__()
    except ValueError:
        raise Refused(_A_POINTER) from None
    if (whole := memory_shown_by(obj)) is not None:
        return type(obj).from_buffer, (whole, sys.modules["ctypes"].addressof(obj) - address_of_buffer(whole))
    return reduced


def memory_shown_by(obj: Any) -> Any:
    """Return what has the memory that this one shows, where that is another object; None where it has its own."""
    whole = obj
    while whole._b_base_ is not None:
        whole = whole._b_base_
    shown = [each for each in (whole._objects or {}).values() if type(each) is memoryview]
    if len(shown) == 1 and not shown[0].readonly:
        return shown[0].obj
    return None if whole is obj else whole


def bytes_of(obj: Any) -> bytes:
    return bytes(obj)


def put_bytes(obj: Any, data: bytes) -> None:
    ctypes = sys.modules["ctypes"]
    ctypes.memmove(ctypes.addressof(obj), data, len(data))


# ---------------------------------------------------------------- libraries


def reduce_library(library: Any, pickler: NamespacePickler) -> Any:
    ctypes = sys.modules["ctypes"]
    if library is ctypes.pythonapi:
        return getattr, (ctypes, "pythonapi")
    functions = {name: each for name, each in vars(library).items() if isinstance(each, ctypes._CFuncPtr)}
    use_errno = bool(library._FuncPtr._flags_ & _USE_ERRNO)
    return open_library, (type(library), library._name, use_errno), functions, None, None, set_functions


def open_library(cls: Any, name: str | None, use_errno: bool) -> Any:
    return cls(name, use_errno=use_errno)


def set_functions(library: Any, functions: dict[str, Any]) -> None:
    vars(library).update(functions)


def reduce_function(function: Any, pickler: NamespacePickler) -> Any:
    library = (function._objects or {}).get("0")
    if not isinstance(library, sys.modules["ctypes"].CDLL):
        raise Refused(_A_POINTER)
    own = vars(library).get(function.__name__) is function
    take: Any = getattr if own else operator.getitem
    return take, (library, function.__name__), prototype_of(function), None, None, put_prototype


def prototype_of(function: Any) -> Any:
    """Return what a function of a library takes and gives, as far as that was said."""
    return function.restype, function.argtypes, function.errcheck


def put_prototype(function: Any, prototype: Any) -> None:
    function.restype, function.argtypes, errcheck = prototype
    if errcheck is not None:
        function.errcheck = errcheck
    else:
        del function.errcheck
