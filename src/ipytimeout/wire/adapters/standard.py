"""Settings of the standard library that are read and set by functions: time-outs of sockets, dialects of csv …

In host and child, main thread; see ``adapters``.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any


class Setting:
    """One value that a module is asked for, and told, by functions."""

    def __init__(self, module: str, name: str, read: Callable[[Any], Any], write: Callable[[Any, Any], object]) -> None:
        self.module = module
        self._name, self._read, self._write = name, read, write

    def read(self) -> dict[str, Any]:
        return {self._name: self._read(sys.modules[self.module])}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for value in items.values():
            self._write(sys.modules[self.module], value)


def _by_name(module: str, name: str, read: str, write: str) -> Setting:
    return Setting(module, name, lambda of: getattr(of, read)(), lambda of, value: getattr(of, write)(value))


def _tracing(tracemalloc: Any) -> int:
    return tracemalloc.get_traceback_limit() if tracemalloc.is_tracing() else 0


def _trace(tracemalloc: Any, frames: int) -> None:
    tracemalloc.stop()
    if frames:
        tracemalloc.start(frames)


def _stack_size(threading: Any) -> int:
    size: int = threading.stack_size()  # which makes it the default again
    if size:
        threading.stack_size(size)
    return size


SETTINGS = {
    "socket": _by_name("socket", "default timeout", "getdefaulttimeout", "setdefaulttimeout"),
    "threading": Setting("threading", "stack size", _stack_size, lambda threading, size: threading.stack_size(size)),
    "calendar": _by_name("calendar", "first weekday", "firstweekday", "setfirstweekday"),
    "multiprocessing": Setting(
        "multiprocessing",
        "start method",
        lambda multiprocessing: multiprocessing.get_start_method(True),
        lambda multiprocessing, method: multiprocessing.set_start_method(method, True),
    ),
    "tracemalloc": Setting("tracemalloc", "tracing", _tracing, _trace),
}


class _Csv:
    """Dialects, and how long a field may be."""

    module = "csv"
    _parts = (
        *("delimiter", "doublequote", "escapechar", "lineterminator"),
        *("quotechar", "quoting", "skipinitialspace", "strict"),
    )
    _longest = "field size limit"

    def read(self) -> dict[str, Any]:
        csv = sys.modules["csv"]
        if not hasattr(csv, "list_dialects"):
            return {}  # it is only just being imported
        items: dict[str, Any] = {self._longest: csv.field_size_limit()}
        for name in csv.list_dialects():
            dialect = csv.get_dialect(name)
            items[f"dialect {name}"] = tuple(getattr(dialect, part) for part in self._parts)
        return items

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        csv = sys.modules["csv"]
        for item, value in items.items():
            if item == self._longest:
                csv.field_size_limit(value)
            else:
                csv.register_dialect(item.removeprefix("dialect "), **dict(zip(self._parts, value, strict=True)))
        for item in gone:
            csv.unregister_dialect(item.removeprefix("dialect "))


class Registry:
    """What the notebook has put into a dictionary of a module; its own, as far as one can tell by the values."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self._name = name

    def read(self) -> dict[str, Any]:
        entries = getattr(sys.modules[self.module], self._name, {})
        return {_title(key): (key, value) for key, value in list(entries.items()) if _is_of_notebook(value)}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        entries = getattr(sys.modules[self.module], self._name)
        for key, value in items.values():
            entries[key] = value
        for key in [key for key in entries if _title(key) in gone]:
            del entries[key]


def _title(key: Any) -> str:
    first = key[0] if isinstance(key, tuple) else key
    return getattr(first, "__qualname__", None) or str(first)


def _is_of_notebook(value: Any) -> bool:
    while isinstance(value, functools.partial | types.MethodType):
        value = value.func if isinstance(value, functools.partial) else value.__func__
    value = value[0] if isinstance(value, tuple) and value else value
    return getattr(value, "__module__", "") == "__main__"


CSV = _Csv()
#: How objects are pickled, and stored in databases, by functions of the notebook.
REGISTRIES = {
    "copyreg": Registry("copyreg", "dispatch_table"),
    "the adapters of sqlite3": Registry("sqlite3", "adapters"),
    "the converters of sqlite3": Registry("sqlite3", "converters"),
}
