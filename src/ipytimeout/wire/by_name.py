"""What each process has of its own and travels by its name: modules, and what is in those of libraries. In both.

Law of the file: what is imported here prints nothing: another process has imported it, and what it said was shown.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ipytimeout.wire import classes
from ipytimeout.wire.libraries import is_library

if TYPE_CHECKING:
    from ipytimeout.wire.streams import NamespacePickler


def reduce_module(module: types.ModuleType, pickler: NamespacePickler) -> Any:
    if sys.modules.get(module.__name__) is module and getattr(module, "__spec__", None) is not None:
        return import_quietly, (module.__name__,)
    if not classes.is_made_by_hand(module):
        return NotImplemented
    state = {name: value for name, value in vars(module).items() if name != "__builtins__"}
    return types.ModuleType, (module.__name__,), state, None, None, _set_module


def _set_module(module: types.ModuleType, state: dict[str, Any]) -> None:
    vars(module).update(state)


def import_quietly(name: str) -> types.ModuleType:
    """Import a module that another process has imported, and what it printed was shown."""
    if name not in sys.modules:
        with quietly():
            importlib.import_module(name)
    return sys.modules[name]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Drop what this thread prints."""
    with contextlib.redirect_stdout(Muted(sys.stdout)), contextlib.redirect_stderr(Muted(sys.stderr)):
        yield


class OfALibrary:
    """Stands in the stream for what ``from library import *`` gave: it cannot be pickled, but it can be imported."""

    def __init__(self, module: str, name: str, value: object) -> None:
        self._where = module, name
        #: What is in the table of objects: the other process has its own at this place.
        self.value = value

    def __reduce__(self) -> Any:
        return import_from, self._where


def of_a_library(name: str, value: object) -> OfALibrary | None:
    """Return a stand-in for a value that a module has under this very name; None where there is no such module.

    Looked for where an instance of a library's class is most likely: by itself it would come back as a copy, and
    ``from sympy import *`` brings dozens.
    """
    cls = type(value)
    if cls in (dict, list, set):
        packages = _packages(len(sys.modules), next(reversed(sys.modules)))
        found = [module for module, own in packages if own.get(name) is value]
        return OfALibrary(found[0].__name__, name, value) if found and is_library(found[0]) else None
    # That of a class made by a call, as sympy's functions are, may be None.
    if cls.__module__ in ("builtins", "__main__", None) or isinstance(
        value, type | types.FunctionType | types.ModuleType
    ):
        return None
    for module in (cls.__module__.partition(".")[0], cls.__module__):
        if _has(sys.modules.get(module), name, value):
            return OfALibrary(module, name, value)
    return None


@functools.lru_cache(maxsize=1)
def _packages(count: int, newest: str) -> list[tuple[types.ModuleType, dict[str, object]]]:
    """Return the modules that are in no package: where a library's own dicts are imported from."""
    modules = [module for name, module in list(sys.modules.items()) if "." not in name and name != "__main__"]
    return [(module, vars(module)) for module in modules if type(module) is types.ModuleType]


def of_any_module(name: str, value: object) -> OfALibrary | None:
    """The same for what cannot be pickled: now every module is looked into."""
    for module in list(sys.modules.values()):
        if _has(module, name, value):
            return OfALibrary(module.__name__, name, value)
    return None


def _has(module: types.ModuleType | None, name: str, value: object) -> bool:
    return (
        module is not None
        and getattr(module, "__spec__", None) is not None
        and module.__name__ != "__main__"
        and vars(module).get(name) is value
    )


def import_from(module: str, name: str) -> object:
    return getattr(import_quietly(module), name)


class Muted:
    """A stream that drops what this thread writes to it; what others write passes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
