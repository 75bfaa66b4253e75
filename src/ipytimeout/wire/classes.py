"""Classes by value: those that were made in the notebook, or inside a function. In both processes.

A class is first made bare and then filled, because its methods lead back to it. Making it again must not have the
effects that its definition had: hooks of the notebook (``__init_subclass__``, the ``__new__`` of a metaclass) ran
when it was defined, and what they did is data, which travels as such.
"""

from __future__ import annotations

import abc
import gc
import importlib.util
import sys
import types
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle

from ipytimeout.wire.libraries import is_in_library

#: What a new class has by itself, or what only describes how it was made.
_OWN = frozenset(("__dict__", "__weakref__", "_abc_impl", "__annotations_cache__"))
#: What a class must have from its first moment: ``typing.Generic`` looks at it, the layout depends on it.
_AT_BIRTH = ("__module__", "__qualname__", "__slots__", "__orig_bases__")


def by_reference(obj: Any) -> bool:
    """Whether a function or class is found by its name in a module that the other process can import."""
    module_name = getattr(obj, "__module__", None)
    if not isinstance(module_name, str) or module_name == "__main__":
        return module_name == "builtins"
    module = sys.modules.get(module_name)
    if module is not None and is_made_by_hand(module):
        return False
    if module is None:
        try:  # a library's class whose module was dropped from sys.modules, or was never there under this name
            if not _is_in_library(module_name):
                return False  # of the user's own, or a script that ``%run -n`` has run: to import it would run it
            __import__(module_name)
            module = sys.modules[module_name]
        except Exception:
            return False
    found: Any = module
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj


def _is_in_library(module_name: str) -> bool:
    package = module_name.partition(".")[0]
    spec = importlib.util.find_spec(package)
    return package in sys.modules or spec is None or not spec.has_location or is_in_library(spec.origin or "")


def is_made_by_hand(module: Any) -> bool:
    """Whether a module came from no file, but from code of the notebook: ``types.ModuleType("mine")``."""
    return (
        type(module) is types.ModuleType
        and getattr(module, "__spec__", None) is None
        and getattr(module, "__file__", None) is None
        and module.__name__ != "__main__"
        and "." not in module.__name__
    )


def is_by_value(cls: type) -> bool:
    """Whether this class belongs to the notebook, so that it travels by value and may be changed in place."""
    return bool(cls.__flags__ & _HEAP_TYPE) and not by_reference(cls)


_HEAP_TYPE = 1 << 9


def reduce_class(cls: type) -> Any:
    if cls.__module__ == "builtins":
        # NoneType and the like have no name in builtins: cloudpickle knows where to find them.
        return cloudpickle.cloudpickle._class_reduce(cls)
    if by_reference(cls):
        return NotImplemented
    birth = {name: vars(cls)[name] for name in _AT_BIRTH if name in vars(cls)}
    birth.setdefault("__qualname__", cls.__qualname__)
    meta = None if is_of_ctypes(type(cls)) else type(cls)  # those of ctypes have no name
    args = (meta, cls.__name__, cls.__bases__, birth)
    return make_class, args, (class_attributes(cls), registered(cls)), None, None, set_class_state


def class_attributes(cls: type) -> dict[str, object]:
    """Return what was assigned in the class: all of it but what each class has by itself."""
    return {
        name: value
        for name, value in vars(cls).items()
        if name not in _OWN and name not in _AT_BIRTH and not _follows(cls, value)
    }


def _follows(cls: type, value: object) -> bool:
    """Tell whether this is made from ``__slots__``, or from the ``_fields_`` of ctypes."""
    if isinstance(value, types.MemberDescriptorType):
        return value.__objclass__ is cls
    return type(value).__module__ == "_ctypes" and type(value).__name__ == "CField"


def registered(cls: type) -> list[type]:
    if not isinstance(cls, abc.ABCMeta):
        return []
    registry = abc._get_dump(cls)[0]  # type: ignore[attr-defined]
    return [sub for sub in (ref() for ref in registry) if sub is not None]


def make_class(meta: type | None, name: str, bases: tuple[type, ...], birth: dict[str, Any]) -> type:
    """Make the bare class, without the hooks of the notebook. ``meta``: None for that of the bases."""
    meta = type(bases[0]) if meta is None else meta
    maker = next(m for m in meta.__mro__ if not is_by_value(m))
    if maker.__name__ == "_TypedDictMeta":
        maker = type  # it would take the bases that the class was written with, not those that it has
    with hooks_muted(bases):
        made: type = maker.__new__(meta, name, bases, dict(birth))
    if is_of_ctypes(meta):
        type.__getattribute__(meta, "__init__")(made, name, bases, dict(birth))
    # What the hook of a library has put there comes again, at its place, if the class still has it.
    for attribute in [attribute for attribute in class_attributes(made) if not attribute.startswith("__")]:
        type.__delattr__(made, attribute)
    _unfilled.append(weakref.ref(made))
    return made


#: Classes that were made and not filled yet. Where a base keeps a list of its subclasses, pickle meets the subclass
#: while it is at its bases, makes it twice, and drops one, which ``__subclasses__()`` would show.
_unfilled: list[weakref.ref[type]] = []


def drop_unfilled() -> None:
    """After something was read: let go of those that were dropped. A class is only gone when it is collected."""
    if any(ref() is not None for ref in _unfilled):
        gc.collect()
    _unfilled.clear()


def set_class_state(cls: type, state: tuple[dict[str, object], list[type]]) -> None:
    attributes, registered = state
    _unfilled[:] = [ref for ref in _unfilled if ref() is not cls]
    for name, value in sorted(attributes.items(), key=lambda item: item[0] == "_fields_"):  # which depend on others
        set_attribute(cls, name, value)
    if "__firstlineno__" in attributes:  # assigning __module__ or __doc__ drops it
        set_attribute(cls, "__firstlineno__", attributes["__firstlineno__"])
    for sub in registered:
        abc.ABCMeta.register(cls, sub)  # type: ignore[arg-type]


def set_attribute(cls: type, name: str, value: object) -> None:
    """Set it, not by the ``__setattr__`` of a metaclass of the notebook: it may refuse, or count."""
    setter: Any = type(cls) if is_of_ctypes(type(cls)) else type
    setter.__setattr__(cls, name, value)


def is_of_ctypes(meta: type) -> bool:
    return meta.__module__ == "_ctypes"


@contextmanager
def hooks_muted(bases: tuple[type, ...]) -> Iterator[None]:
    hooks = {}
    for base in bases:
        for cls in base.__mro__:
            if "__init_subclass__" in vars(cls) and is_by_value(cls):
                hooks[cls] = vars(cls)["__init_subclass__"]
    for cls in hooks:
        type.__setattr__(cls, "__init_subclass__", classmethod(_no_hook))
    try:
        yield
    finally:
        for cls, hook in hooks.items():
            type.__setattr__(cls, "__init_subclass__", hook)


def _no_hook(cls: type, /, **kwargs: object) -> None:
    return None
