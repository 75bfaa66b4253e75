"""Settings of the interpreter and its standard library: warnings, logging, decimal, locale. See ``adapters``."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Collection, Mapping
from typing import Any, Literal


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


#: Loggers of the kernel's machinery: each process has its own.
_MACHINERY = ("IPKernelApp", "ipykernel", "traitlets", "tornado", "asyncio", "comm", "zmq", "Comm")


class _Logging:
    """Levels and handlers of loggers. A handler is made anew where it writes to a standard stream or to a file."""

    module = "logging"

    def read(self) -> dict[str, Any]:
        manager = logging.root.manager
        items: dict[str, Any] = {"disabled up to": manager.disable, "root": _describe_logger(logging.root)}
        for name, logger in list(manager.loggerDict.items()):
            if not isinstance(logger, logging.Logger) or name.startswith(_MACHINERY):
                continue
            if logger.level or logger.handlers or not logger.propagate or logger.disabled:
                items[f"logger {name}"] = _describe_logger(logger)
        return items

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for name, value in items.items():
            if name == "disabled up to":
                logging.disable(value)
            else:
                _configure(_logger(name), *value)
        for name in gone:
            _configure(_logger(name), logging.NOTSET, True, False, ())


def _logger(item: str) -> logging.Logger:
    return logging.root if item == "root" else logging.getLogger(item.removeprefix("logger "))


_Handler = tuple[str, int, tuple[str | None, str | None] | None, str, str]


def _describe_logger(logger: logging.Logger) -> tuple[int, bool, bool, tuple[_Handler, ...]]:
    return logger.level, logger.propagate, logger.disabled, tuple(map(_describe_handler, logger.handlers))


def _describe_handler(handler: logging.Handler) -> _Handler:
    """Return class, level, format, and what it writes to; "" for what cannot be made anew."""
    formatter = handler.formatter
    text = (getattr(formatter, "_fmt", None), formatter.datefmt) if formatter is not None else None
    known = type(formatter) in (logging.Formatter, type(None)) and not handler.filters
    target, mode = "", ""
    if known and type(handler) is logging.StreamHandler:
        target = {id(sys.stdout): "stdout", id(sys.stderr): "stderr"}.get(id(handler.stream), "")
    elif known and type(handler) is logging.FileHandler:
        target, mode = handler.baseFilename, handler.encoding or ""
    return f"{type(handler).__module__}.{type(handler).__qualname__}", handler.level, text, target, mode


def _configure(
    logger: logging.Logger, level: int, propagate: bool, disabled: bool, handlers: tuple[_Handler, ...]
) -> None:
    logger.setLevel(level)
    logger.propagate, logger.disabled = propagate, disabled
    have = [(_describe_handler(handler), handler) for handler in logger.handlers]
    for description, handler in have:
        if description not in handlers and description[3]:
            logger.removeHandler(handler)
    for description in handlers:
        if description not in [each for each, _ in have] and description[3]:
            logger.addHandler(_make_handler(*description))


def _make_handler(
    kind: str, level: int, text: tuple[str | None, str | None] | None, target: str, encoding: str
) -> logging.Handler:
    handler: logging.Handler
    if kind == "logging.FileHandler":
        handler = logging.FileHandler(target, "a", encoding or None, delay=True)
    else:
        handler = logging.StreamHandler(getattr(sys, target))
    handler.setLevel(level)
    if text is not None:
        fmt, datefmt = text
        style: Literal["%", "{", "$"] = "%" if fmt is None or "%(" in fmt else "{" if "{" in fmt else "$"
        handler.setFormatter(logging.Formatter(fmt, datefmt, style))
    return handler


WARNINGS, RECURSION, DECIMAL, LOCALE, LOGGING = _Warnings(), _Recursion(), _Decimal(), _Locale(), _Logging()
