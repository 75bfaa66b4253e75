"""Settings of the interpreter and its standard library: warnings, decimal, locale.

In host and child, main thread; see ``adapters``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Mapping
from typing import Any


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


class _Recursion:
    module = "sys"

    def read(self) -> dict[str, Any]:
        return {"limit": sys.getrecursionlimit()}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for limit in items.values():
            sys.setrecursionlimit(limit)


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


WARNINGS, RECURSION, DECIMAL, LOCALE = _Warnings(), _Recursion(), _Decimal(), _Locale()
