"""Tracebacks that are built: where code was in another process, as Python's and IPython's renderers read it. Pure.

A traceback cannot leave its process, for its frames cannot. What is shown of it can: file, line and function.
"""

from __future__ import annotations

import ast
import linecache
import re
import traceback as standard
from collections.abc import Sequence
from types import TracebackType
from typing import TypeAlias

#: File, line, name of the function.
Frame: TypeAlias = tuple[str, int, str]


def frames_of(traceback: TracebackType | None) -> list[Frame]:
    """Return the frames of a traceback, outermost first."""
    return [(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in standard.walk_tb(traceback)]


def last_lines(traceback: TracebackType | None) -> list[int]:
    """Return the line that each frame was at last: code that has caught an exception goes on."""
    return [frame.f_lineno or 0 for frame, _ in standard.walk_tb(traceback)]


def traceback_of(frames: Sequence[Frame], last: Sequence[int] = ()) -> TracebackType | None:
    """Build a traceback with these frames, outermost first.

    As Python's and IPython's renderers read it: by line, first line of the function, a range of columns, which is the
    whole line, and at times by the line that the frame was at ``last``.
    """
    traceback: TracebackType | None = None
    for (file, line, name), end in reversed(list(zip(frames, last or [0] * len(frames), strict=True))):
        line = max(1, line)  # faulthandler does not know each
        first = _first_line(file, line, name)
        source = linecache.getline(file, line).rstrip()
        indent = len(source) - len(source.lstrip())
        at = {"lineno": line - first + 1, "col_offset": indent, "end_col_offset": len(source.encode())}
        statement: ast.stmt = ast.Raise(ast.Name(_Here.__name__, ast.Load(), **at), None, **at)
        if end > line:
            at = {"lineno": end - first + 1, "col_offset": 0, "end_lineno": end - first + 1, "end_col_offset": 0}
            after: list[ast.stmt] = [ast.Raise(None, None, **at)]
            statement = ast.Try([statement], [ast.ExceptHandler(None, None, after, **at)], [], [], **at)
        code = compile(ast.Module([statement], []), file, "exec")
        code = code.replace(co_firstlineno=first, co_name=name, co_qualname=name)
        try:
            exec(code, {_Here.__name__: _Here, "__name__": "?"})
        except _Here as here:
            entry = here.__traceback__.tb_next if here.__traceback__ is not None else None
            assert entry is not None
            entry.tb_next = traceback
            traceback = entry
    return traceback


class _Here(Exception):
    """Raised by the line that stands for a frame."""


def _first_line(file: str, line: int, name: str) -> int:
    """Return the line at which the function of a frame begins: renderers look for its text from there on."""
    if name.startswith("<"):
        return 1
    begins = re.compile(rf"\s*(async\s+)?(def|class)\s+{re.escape(name)}\b")
    return next((number for number in range(line, 0, -1) if begins.match(linecache.getline(file, number))), line)
