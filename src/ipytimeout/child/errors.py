"""The exceptions of the user's code: which of their frames are the code's own, and how they read. Runs in the child.

Law of the file: a reader sees where *his* code was. Our frames, and those of IPython and asyncio that lead to the
code, are cut from the ends of a traceback, never from between the code's own.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipytimeout.child.shell import ChildShell

_MACHINERY = ("ipytimeout", "IPython", "asyncio", "codeop")


def begin_where_the_code_begins(error: BaseException) -> None:
    """Cut what leads to the code off the beginning of a traceback."""
    entry = error.__traceback__
    while entry is not None and _module(entry) in _MACHINERY:
        entry = entry.tb_next
    BaseException.with_traceback(error, entry)  # past the ``__setattr__`` of a frozen dataclass


def end_where_the_code_was(error: BaseException) -> None:
    """Cut our own frames off the end of a traceback: an interrupt is raised by our handler, in our ``write``."""
    last = None
    for entry in _entries(error.__traceback__):
        if _module(entry) != "ipytimeout":
            last = entry
    if last is not None:
        last.tb_next = None


def _entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _module(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def rendered(error: BaseException, shell: ChildShell | None) -> list[str]:
    """Render a traceback as the shell would, or else as Python does."""
    where = error.__traceback__
    if shell is not None and not isinstance(error, BaseExceptionGroup):
        try:
            own = getattr(error, "_render_traceback_", None)
            lines = (
                own()
                if own is not None
                else shell.InteractiveTB.structured_traceback(type(error), error, where, tb_offset=0)
            )
            return [str(line) for line in lines]
        except Exception:
            pass  # a broken exception: Python's own renderer is more patient
    try:
        return [line.rstrip("\n") for line in traceback.format_exception(type(error), error, where)]
    except Exception:
        return [f"{type(error).__name__}: {text_of(error)}"]


def text_of(error: BaseException) -> str:
    """Return an exception's text, also when making it fails."""
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__} whose text cannot be made>"


def explain_refused(error: BaseException | None, refused: Mapping[str, str]) -> None:
    """Say in each NameError of a chain why that name is not there."""
    seen: set[int] = set()
    while error is not None and refused and id(error) not in seen:
        seen.add(id(error))
        name = error.name if isinstance(error, NameError) else None
        if name is not None and name in refused:
            reason = refused[name].rstrip(".")
            advice = "Create it in this cell, or run the cell in a copy of the kernel, by --start fork."
            error.args = (f"name {name!r} could not be sent to the process of this run: {reason}. {advice}",)
        error = error.__cause__ or error.__context__
