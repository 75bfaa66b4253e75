"""networkx: the functions that it compiles at their first call. In host and child, main thread; see ``adapters``.

A traceback shows how that is done, the number that the code then got, and whether it was shown before. So a function
is compiled in both processes or in none, under the same number.
"""

from __future__ import annotations

import importlib
import linecache
import sys
import types
from collections.abc import Collection, Iterator, Mapping
from typing import Any

#: What stands before the number in the name of a file that there is not.
_MARK = "compilation "


class _Networkx:
    module = "networkx.utils.decorators"
    #: How much was numbered.
    _count = "count"

    def __init__(self) -> None:
        #: How much was numbered when these were found to be compiled: to look through all functions takes milliseconds.
        self._known: tuple[int, list[tuple[str, str]]] = (0, [])

    def read(self) -> dict[str, Any]:
        count = getattr(getattr(sys.modules[self.module], "argmap", None), "_argmap__count", 0)
        if not count:
            return {}
        if count != self._known[0]:
            modules = [name for name in sys.modules if name.partition(".")[0] == "networkx"]
            every = [found for module in modules for found in _decorated_in(module)]
            self._known = count, [(item, _file(function)) for item, function in every if _number(function)]
        compiled = {item: (int(file.partition(_MARK)[2]), file in linecache.cache) for item, file in self._known[1]}
        return {self._count: count, **compiled}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        library: Any = sys.modules[self.module]
        compiled = {item: value for item, value in items.items() if item != self._count}
        for item, (number, shown) in sorted(compiled.items(), key=lambda pair: pair[1]):
            module = item.partition(" ")[0]
            importlib.import_module(module)
            function = dict(_decorated_in(module))[item]
            _compile(function, number, library.argmap)
            if shown:
                linecache.getlines(_file(function), vars(library))
        library.argmap._argmap__count = items.get(self._count, library.argmap._argmap__count)
        self._known = (0, [])


def _compile(function: types.FunctionType, number: int, argmap: Any) -> None:
    """Compile it under this number: the last of some that are given meanwhile."""
    if _number(function) != number:
        before = argmap._argmap__count
        argmap._lazy_compile(function)
        if _number(function) != number:
            argmap._argmap__count = number - (argmap._argmap__count - before)
            argmap._lazy_compile(function)


def _number(function: types.FunctionType) -> int:
    """Return the number under which it was compiled, or 0."""
    return int(_file(function).partition(_MARK)[2] or 0)


def _file(function: types.FunctionType) -> str:
    return function.__code__.co_filename


def _decorated_in(module: str) -> Iterator[tuple[str, types.FunctionType]]:
    """Yield the functions of a module, and of its classes, that are compiled sooner or later, each by where it is."""
    for name, value in list(vars(sys.modules[module]).items()):
        if getattr(value, "__module__", None) == module:
            members = vars(value).items() if isinstance(value, type) else ()
            for path, each in [(name, value), *((f"{name}.{key}", inner) for key, inner in members)]:
                yield from _decorated(f"{module} {path}", getattr(each, "__func__", each))


def _decorated(item: str, value: Any) -> Iterator[tuple[str, types.FunctionType]]:
    """A decorator may be around another one; some copy all attributes of what they are around."""
    depth = 0
    while value is not None:
        if type(value) is types.FunctionType and hasattr(value, "__argmap__") and value.__self__ is value:  # type: ignore[attr-defined]
            yield f"{item} {depth}", value
        value, depth = getattr(value, "__wrapped__", None), depth + 1


NETWORKX = _Networkx()
