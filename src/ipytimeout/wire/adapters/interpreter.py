"""Settings of the interpreter and its standard library: warnings, limits, the collector, decimal, locale, time zone.

In host and child, main thread; see ``adapters``.
"""

from __future__ import annotations

import gc
import sys
import time
import types
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from ipytimeout.wire.libraries import Mark, newer_than, newest_module


class _Warnings:
    """The filters, and functions of the notebook that show a warning."""

    module = "warnings"

    def read(self) -> dict[str, Any]:
        items: dict[str, Any] = {"filters": list(warnings.filters)}
        for name in ("showwarning", "formatwarning"):
            function = getattr(warnings, name)
            if getattr(function, "__module__", "") == "__main__":
                items[name] = function
        return items

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for name, value in items.items():
            if name == "filters":
                warnings.resetwarnings()  # what was shown once may be shown again under other filters
                warnings.filters.extend(value)  # type: ignore[attr-defined]  # declared as a Sequence
            else:
                setattr(warnings, name, value)


class _Shown:
    """Which warnings of libraries were shown: most are shown once, at each place that gives one.

    A module's registry holds for as long as no filter is set; then Python forgets it, and so does this.
    """

    module = "warnings"
    _registry = "__warningregistry__"

    def __init__(self) -> None:
        #: Whether a warning may have been shown since the last look at all modules: a thousand of them, and cold.
        self.may_be_new = True
        #: Whether that is said, or must be taken for granted.
        self.is_said = False
        #: All modules that were there then: their names, namespaces, and how many names each had.
        self._seen: Mark = (0, "")
        self._names: list[str] = []
        self._namespaces: list[dict[str, Any]] = []
        self._sizes: list[int] = []
        #: Those that had a registry.
        self._known: list[tuple[str, dict[str, Any]]] = []

    def read(self) -> dict[str, Any]:
        if self.may_be_new:
            self._look_for_registries()
            self.may_be_new = not self.is_said
        items: dict[str, Any] = {}
        version = _version_of_filters() if self._known else None
        for name, namespace in self._known:
            registry = namespace.get(self._registry, {})
            if registry.get("version") == version and len(registry) > 1:
                items[name] = frozenset(key for key in registry if type(key) is tuple)
        return items

    def _look_for_registries(self) -> None:
        mark, new = newest_module(), newer_than(self._seen)
        if new is None:
            self._names, self._namespaces, new = [], [], list(sys.modules)
        for name in new:
            if name != "__main__" and type(module := sys.modules.get(name)) is types.ModuleType:
                self._names.append(name)
                self._namespaces.append(vars(module))
        self._seen = mark
        # The first warning of a module adds a name to it. To look for the name in each takes three times as long.
        sizes = [*map(len, self._namespaces)]
        if sizes != self._sizes:
            self._sizes = sizes
            every = zip(self._names, self._namespaces, strict=True)
            self._known = [(name, namespace) for name, namespace in every if self._registry in namespace]

    def be_told(self) -> None:
        """Say it from now on. For a process of our own: a function of Python's is replaced."""
        if sys.version_info >= (3, 14):
            return  # there the interpreter may show one in another way
        show: Any = vars(warnings)["_showwarnmsg"]

        def showing(message: Any) -> None:
            self.may_be_new = True
            show(message)

        vars(warnings)["_showwarnmsg"] = showing
        self.is_said = True

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        version = _version_of_filters()
        for name in {*items, *gone} & sys.modules.keys():
            registry = vars(sys.modules[name]).setdefault(self._registry, {})
            registry.clear()
            registry.update(dict.fromkeys(items.get(name, ()), True), version=version)
        self.may_be_new = True


def _version_of_filters() -> object:
    """Return the number that Python compares registries with: a warning that is ignored leaves it in one."""
    registry: dict[Any, Any] = {}
    ours = ("ignore", None, Warning, None, 0)
    filters: Any = warnings.filters
    filters.insert(0, ours)  # past ``simplefilter``, which would count as a change
    try:
        warnings.warn_explicit("", Warning, "", 0, registry=registry)
    finally:
        del filters[next(i for i, each in enumerate(filters) if each is ours)]  # the user may have made an equal one
    return registry.get("version")


class _Interpreter:
    """The recursion limit, how often threads take turns, when garbage is collected, how long numbers are as text."""

    module = "sys"

    def read(self) -> dict[str, Any]:
        return {
            "recursion limit": sys.getrecursionlimit(),
            "switch interval": sys.getswitchinterval(),
            "garbage collection": gc.isenabled(),
            "thresholds of garbage collection": gc.get_threshold(),
            "debugging of garbage collection": gc.get_debug(),
            "digits of integers": sys.get_int_max_str_digits(),
        }

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for name, value in items.items():
            match name:
                case "recursion limit":
                    sys.setrecursionlimit(value)
                case "switch interval":
                    sys.setswitchinterval(value)
                case "garbage collection":
                    gc.enable() if value else gc.disable()
                case "debugging of garbage collection":
                    gc.set_debug(value)
                case "digits of integers":
                    sys.set_int_max_str_digits(value)
                case _:
                    gc.set_threshold(*value)


class _Zone:
    """The time zone: the variable TZ comes along by itself, and counts from ``time.tzset()`` on."""

    module = "time"

    def read(self) -> dict[str, Any]:
        return {"zone": (time.tzname, time.timezone, time.altzone)}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        time.tzset()


class _Decimal:
    """The context of decimal arithmetic."""

    module = "decimal"
    _fields = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")

    def read(self) -> dict[str, Any]:
        context = sys.modules["decimal"].getcontext()
        items = {name: getattr(context, name) for name in self._fields}
        return {**items, "flags": dict(context.flags), "traps": dict(context.traps)}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        context = sys.modules["decimal"].getcontext()
        for name, value in items.items():
            if name in self._fields:
                setattr(context, name, value)
            else:
                getattr(context, name).update(value)


class _Locale:
    module = "locale"

    def read(self) -> dict[str, Any]:
        locale = sys.modules["locale"]
        return {"categories": locale.setlocale(locale.LC_ALL)}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        locale = sys.modules["locale"]
        for value in items.values():
            locale.setlocale(locale.LC_ALL, value)


WARNINGS, SHOWN, INTERPRETER, ZONE = _Warnings(), _Shown(), _Interpreter(), _Zone()
DECIMAL, LOCALE = _Decimal(), _Locale()
