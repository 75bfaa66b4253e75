"""What ``rich.pretty.install()`` and ``rich.traceback.install()`` (or ``%load_ext rich``) put into a shell of IPython.

In host and child, main thread; see ``adapters``. Both put functions there that are made of their options, and can be
told by them; each process installs its own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Mapping
from typing import Any

from ipytimeout.wire.adapters.shell import get_shell

#: What ``rich.traceback`` replaces in a shell.
_REPLACED = ("showtraceback", "_showtraceback", "showsyntaxerror")


class _Rich:
    module = "rich"

    def read(self) -> dict[str, Any]:
        shell = get_shell()
        if shell is None:
            return {}
        found: dict[str, Any] = {}
        formatter = type(shell.display_formatter.formatters["text/plain"])
        if formatter.__module__ == "rich.pretty":
            found["pretty"] = _options(formatter.__call__, "console")
        if _is_of_rich(show := vars(shell).get("_showtraceback")):
            found["traceback"] = _options(_made_of(show)["excepthook"], "traceback_console")
        return found

    def write(self, items: Mapping[str, Any], gone: Collection[str]) -> None:
        shell = get_shell()
        if shell is None:
            return
        if "traceback" in gone or "traceback" in items:
            _uninstall_traceback(shell)
        if "pretty" in gone:
            formatters = importlib.import_module("IPython.core.formatters")
            shell.display_formatter.formatters["text/plain"] = formatters.PlainTextFormatter(
                parent=shell.display_formatter
            )
        with shell.builtin_trap:  # where they look for ``get_ipython``
            for name, options in items.items():
                importlib.import_module(f"rich.{name}").install(**options)


def _made_of(function: Any) -> dict[str, Any]:
    """Return the variables of the function that has made this one."""
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, cells, strict=True)}


def _options(function: Any, console: str) -> dict[str, Any]:
    """Return what ``install`` was called with; of its console no more than whether it is the usual one."""
    options = _made_of(function)
    own = options.pop(console)
    usual = own is getattr(sys.modules["rich"], "_console", None) or (console != "console" and own.stderr)
    return options if usual else {**options, "console": own}


def _is_of_rich(function: Any) -> bool:
    return getattr(function, "__module__", "") == "rich.traceback"


def _uninstall_traceback(shell: Any) -> None:
    """Put back what was there before, this package's own too."""
    while _is_of_rich(show := vars(shell).get("showtraceback")):
        for name in _REPLACED:
            vars(shell).pop(name, None)
        before = _made_of(show)["default_showtraceback"]
        if getattr(before, "__self__", None) is not shell:
            shell.showtraceback = before


RICH = _Rich()
