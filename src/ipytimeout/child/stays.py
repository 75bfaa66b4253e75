"""What a cell has set in its process that no adapter can read, and so cannot come back: told by the text of the cell.

Runs in the child, after the code. Law of the file: it only looks. What is named was spoken of in the cell, by whatever
name; that it was called is taken for granted.
"""

from __future__ import annotations

import ast
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ipytimeout.wire.cell_text import CellText, path_of

#: What these set nobody can ask for.
_FUNCTIONS = {
    "atexit": ("register", "unregister"),
    "codecs": ("register",),
    "faulthandler": ("register", "dump_traceback_later"),
    "logging": ("setLoggerClass", "setLogRecordFactory"),
    "mimetypes": ("add_type",),
    "os": ("setsid", "setpgid", "setuid", "setgid", "chroot"),
    "signal": ("alarm", "setitimer"),
    "sys": ("addaudithook", "setprofile", "settrace"),
    "threading": ("setprofile", "settrace"),
    "urllib.request": ("install_opener",),
    "asyncio": ("set_event_loop_policy",),
}
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
#: Of these it can be told whether anything is left.
_IS_LEFT: dict[str, Callable[[], bool]] = {
    "signal.alarm": lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    "signal.setitimer": lambda: any(signal.getitimer(which)[0] > 0 for which in _TIMERS),
    "sys.settrace": lambda: sys.gettrace() is not None,
    "sys.setprofile": lambda: sys.getprofile() is not None,
    "threading.settrace": lambda: threading.gettrace() is not None,
    "threading.setprofile": lambda: threading.getprofile() is not None,
}
_NAMES = frozenset(name for names in _FUNCTIONS.values() for name in names)
REASON = "what it has set ends with the process of the cell; call it in a cell without a deadline"


def set_in_process(text: CellText, namespace: Mapping[str, Any]) -> dict[str, str]:
    """Return the functions that this cell speaks of whose work stays in this process, each with the reason."""
    if not any(name in text.code for name in _NAMES):
        return {}
    known = {
        id(function): f"{module}.{name}"
        for module, names in _FUNCTIONS.items()
        for name in names
        if (function := getattr(sys.modules.get(module), name, None)) is not None
    }
    found = {known[id(each)] for each in _spoken_of(text.tree, namespace) if id(each) in known}
    return {name: REASON for name in sorted(found) if name not in _IS_LEFT or _IS_LEFT[name]()}


def _spoken_of(tree: ast.AST, namespace: Mapping[str, Any]) -> Iterator[object]:
    """Yield the functions that a text has, by name or as an attribute of a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                yield namespace.get(name)
            case ast.Attribute(value, name, ast.Load()) if path := path_of(value):
                owner = namespace.get(path[0])
                for step in path[1:]:
                    owner = vars(owner).get(step) if isinstance(owner, types.ModuleType) else None
                if isinstance(owner, types.ModuleType):
                    yield vars(owner).get(name)
