"""What the user's shell knows of its cells: their numbers, names and sources. In the user's process, any thread."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.cell_text import CellText

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Sources of the newest cells, for tracebacks; more would cost each run more than a line number is worth.
_MAX_SOURCES = 1 << 20


def cell_number(shell: InteractiveShell) -> int:
    """Return the number of the cell that runs now; IPython 9 counts on before the cell runs, IPython 8 after."""
    running: Any = getattr(shell.displayhook, "exec_result", None)
    number: int | None = getattr(running, "execution_count", None)
    return shell.execution_count if number is None else number


def cell_filename(shell: InteractiveShell, code: str) -> str:
    """Return what the shell would call this cell in a traceback."""
    compiler: Any = shell.compile
    name: str = compiler.get_code_name(code, code, cell_number(shell))
    return name


def cell_numbers(shell: InteractiveShell | None) -> dict[str, int]:
    """Return the numbers of the cells by the names they have in tracebacks: the shell's own record, not a copy."""
    numbers: dict[str, int] = getattr(shell.compile, "_filename_map", {}) if shell is not None else {}
    return numbers


def cell_sources(shell: InteractiveShell | None) -> dict[str, tuple[str, int]]:
    """Return the source and the number of earlier cells, newest first until it is enough."""
    sources: dict[str, tuple[str, int]] = {}
    size = 0
    for name, number in reversed(cell_numbers(shell).items()):
        entry = linecache.cache.get(name)
        if entry is not None and len(entry) == 4:
            text = "".join(entry[2])
            size += len(text)
            if size > _MAX_SOURCES:
                break
            sources[name] = text, number
    return sources


def inputs_so_far(shell: InteractiveShell, number: int | None = None) -> list[str]:
    """Return the cells before the one of this number, or all, as they were written."""
    history: Any = shell.history_manager
    return list(getattr(history, "input_hist_raw", ()))[:number]


def as_compiled(text: CellText) -> str:
    """Return the text that the shell would compile, and that tracebacks and ``inspect`` show natively."""
    try:
        return str(text.transform(text.code))
    except Exception:  # it is no Python; the child says so
        return text.code


def learn_sources(shell: InteractiveShell | None, sources: Mapping[str, tuple[str, int]]) -> None:
    """Know the source of cells that run in a child: for tracebacks and ``inspect`` here."""
    for name, (text, number) in sources.items():
        cell_numbers(shell)[name] = number
        if name not in linecache.cache:
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def current_shell() -> InteractiveShell | None:
    """Return the IPython shell of this process, without importing IPython for it."""
    module = sys.modules.get("IPython")
    shell: InteractiveShell | None = module.get_ipython() if module is not None else None
    return shell
