"""Loggers: their levels, handlers and filters, which are objects of the notebook like any other. See ``adapters``."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

#: Loggers of the kernel's machinery: each process has its own.
_MACHINERY = ("IPKernelApp", "ipykernel", "traitlets", "tornado", "asyncio", "comm", "zmq", "Comm")
#: Handlers of the standard library that are made of what can travel.
_HANDLERS = (logging.StreamHandler, logging.FileHandler, logging.NullHandler)
_MAIN = "__main__"


def _loggers() -> Iterator[tuple[str, logging.Logger]]:
    yield "root", logging.root
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and not name.startswith(_MACHINERY):
            yield f"logger {name}", logger


def _logger(item: str) -> logging.Logger:
    return logging.root if item == "root" else logging.getLogger(item.removeprefix("logger "))


class _Levels:
    """Levels and their names, and whether a logger passes on what it is told, and tells warnings."""

    module = "logging"
    _names = "names of levels"
    _captures = "captures warnings"

    def read(self) -> dict[str, Any]:
        items: dict[str, Any] = {"disabled up to": logging.root.manager.disable}
        items[self._names] = dict(vars(logging)["_levelToName"])
        items[self._captures] = vars(logging)["_warnings_showwarning"] is not None
        for item, logger in _loggers():
            if logger.level or not logger.propagate or logger.disabled:
                items[item] = (logger.level, logger.propagate, logger.disabled)
        return items

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for item, value in {**dict.fromkeys(gone, (logging.NOTSET, True, False)), **items}.items():
            if item == "disabled up to":
                logging.disable(value)
            elif item == self._names:
                for level, name in value.items():
                    logging.addLevelName(level, name)
            elif item == self._captures:
                logging.captureWarnings(value)
            else:
                logger = _logger(item)
                logger.setLevel(value[0])
                logger.propagate, logger.disabled = value[1:]


class _Handlers:
    """Which handlers a logger has: the very objects, so that a name of the notebook may refer to one."""

    module = "logging"

    def read(self) -> dict[str, Any]:
        return {item: own for item, logger in _loggers() if (own := tuple(filter(_can_travel, logger.handlers)))}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for item, handlers in {**dict.fromkeys(gone, ()), **items}.items():
            logger = _logger(item)
            for handler in list(logger.handlers):
                if _can_travel(handler) and handler not in handlers:
                    logger.removeHandler(handler)
            for handler in handlers:
                if handler not in logger.handlers:
                    logger.addHandler(handler)


class _Filters:
    """Which filters a logger has: those of the notebook, and the standard library's."""

    module = "logging"

    def read(self) -> dict[str, Any]:
        return {item: own for item, logger in _loggers() if (own := tuple(filter(_is_own_filter, logger.filters)))}

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        for item, filters in {**dict.fromkeys(gone, ()), **items}.items():
            logger = _logger(item)
            logger.filters[:] = [*(each for each in logger.filters if not _is_own_filter(each)), *filters]


def _is_own_filter(each: Any) -> bool:
    return _MAIN in (type(each).__module__, getattr(each, "__module__", "")) or type(each) is logging.Filter


def _can_travel(handler: logging.Handler) -> bool:
    kind = type(handler)
    if kind.__module__ == _MAIN:
        return True
    if kind not in _HANDLERS and not (kind.__module__ == "logging.handlers" and issubclass(kind, logging.FileHandler)):
        return False
    stream = getattr(handler, "stream", None)
    known = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    of_file = isinstance(handler, logging.FileHandler)
    return (
        stream is None
        or of_file
        or any(stream is each for each in known)
        or isinstance(stream, io.StringIO)
        or type(stream).__module__ == _MAIN
    )


LEVELS, HANDLERS, FILTERS = _Levels(), _Handlers(), _Filters()
