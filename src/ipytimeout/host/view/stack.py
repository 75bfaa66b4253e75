"""Where the code is, as HTML for the panel. In the user's process, any thread."""

from __future__ import annotations

import html
import linecache
import os
from collections.abc import Mapping, Sequence

from ipytimeout.wire.tracebacks import Frame

#: So many frames of a stack are shown: the innermost.
_MOST_FRAMES = 12
_NO_ANSWER = "The process did not answer."


def stack_as_html(frames: Sequence[Frame], numbers: Mapping[str, int]) -> str:
    """Return a stack for people: where, in bold, then the line of source; outermost first."""
    if not frames:
        return f"<pre>{_NO_ANSWER}</pre>"
    lines = []
    if (left_out := len(frames) - _MOST_FRAMES) > 0:
        lines.append(f"<i>… {left_out} more above</i>")
    for file, line, name in frames[-_MOST_FRAMES:]:
        place = f"In [{numbers[file]}]" if file in numbers else _short(file)
        function = "" if name.startswith("<module") else f" in {name}"
        at = html.escape(f"{place}, line {line}")
        lines.append(
            f"<b>{at}</b>{html.escape(function)}" if file in numbers else f"<i>{at}{html.escape(function)}</i>"
        )
        if source := linecache.getline(file, line).strip():
            lines.append(f"    {html.escape(source)}")
    return f"<pre>{chr(10).join(lines)}</pre>"


def threads_as_html(threads: Mapping[str, Sequence[Frame]], numbers: Mapping[str, int]) -> str:
    """Return the stacks of the other threads, folded: one click away."""
    if not threads:
        return ""
    stacks = [f"<b>{html.escape(name)}</b>{stack_as_html(frames, numbers)}" for name, frames in threads.items()]
    title = "1 other thread" if len(stacks) == 1 else f"{len(stacks)} other threads"
    return f"<details><summary>{title}</summary>{''.join(stacks)}</details>"


def _short(file: str) -> str:
    """Return a library's file without what is before the library."""
    _, found, inner = file.replace(os.sep, "/").rpartition("/site-packages/")
    return inner if found else file
