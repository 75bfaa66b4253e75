"""Where the code of a run was, as the frames of a traceback. Runs in the user's process.

Frames come from the child in two ways: with the exception that ended the code, or, when it hung in C code or
swallowed every interrupt, from what faulthandler wrote. Either becomes a real traceback, so that Python and
IPython show it like any other, with the lines of the notebook's cells.
"""

from __future__ import annotations

import linecache
import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ipytimeout.wire.tracebacks import Frame, traceback_of

__all__ = [
    "Frame",
    "as_text",
    "frames_of_dump",
    "in_short",
    "is_shell_file",
    "own_frames",
    "rendered",
    "threads_of_dump",
    "traceback_of",
    "warm_up",
]

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Code that stands in a line of the function that is meant; since Python 3.12 most are part of it.
_NESTED = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
#: Of another thread; or else of the one that was asked, or has crashed.
_THREAD = re.compile(r"^(?:Thread 0x[0-9a-f]+ ?(?:\[(.*)\])?|Current thread 0x.*|Stack).*\(most recent call first\):$")
_FRAME = re.compile(r'^  File "(.*)", line (\d+|\?\?\?) in (.*)$')
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
#: The file of ours that calls the code, through the shell for a cell.
_LAST_ABOVE = os.path.join(_OURS, "child", "run.py")


def frames_of_dump(text: str) -> list[Frame]:
    """Return the code's own frames of the main thread in what faulthandler wrote last, outermost first."""
    blocks = _blocks(text)
    # The signal's handler runs in the main thread; in a fatal error it is the thread that has crashed.
    current = [frames for thread, frames in blocks if thread is None]
    return own_frames(current[-1] if current else blocks[-1][1] if blocks else [])


def threads_of_dump(text: str) -> dict[str, list[Frame]]:
    """Return the code's own frames of the other threads by their name, outermost first; none of ours."""
    threads: dict[str, list[Frame]] = {}
    for thread, frames in _blocks(text):
        own = own_frames(frames) if thread is not None else []
        while len(own) > 1 and own[0][0] == threading.__file__:
            own.pop(0)  # what leads to the function of the thread
        if thread is not None and own:
            threads[thread if thread not in threads else f"{thread} ({len(threads) + 1})"] = own
    return threads


def _blocks(text: str) -> list[tuple[str | None, list[Frame]]]:
    """Split a dump: the name of each other thread, or None, with its frames, outermost first."""
    blocks: list[tuple[str | None, list[Frame]]] = []
    for line in text.splitlines():
        if match := _THREAD.match(line):
            blocks.append((match[1] or "" if line.startswith("Thread") else None, []))
        elif blocks and (match := _FRAME.match(line)):
            blocks[-1][1].insert(0, (match[1], int(match[2]) if match[2] != "???" else 0, match[3]))
    return blocks


def own_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Leave out the frames of this package and of the shell that runs the cell: above the code, and where it calls us.

    What the code calls of ours (``checkpoint``, ``print``) calls the code again at times, to pickle an object of its.
    """
    ours = [i for i, (file, _, _) in enumerate(frames) if file.startswith(_OURS)]
    last = max((i for i in ours if frames[i][0] == _LAST_ABOVE), default=max(ours, default=-1))
    rest = [frame for i, frame in enumerate(frames) if i > last and i not in ours]
    while rest and is_shell_file(rest[0][0]):
        rest.pop(0)
    return rest


def is_shell_file(file: str) -> bool:
    """Tell whether this is a file of the machinery between a shell and its cell."""
    path = file.replace(os.sep, "/")
    return path.endswith(("/IPython/core/interactiveshell.py", "/IPython/core/async_helpers.py")) or (
        "/asyncio/" in path and path.endswith(("runners.py", "base_events.py", "events.py"))
    )


def as_text(frames: Sequence[Frame], numbers: Mapping[str, int]) -> tuple[str, ...]:
    """Return one line for each frame; ``numbers`` are those of the notebook's cells by file name."""
    lines = []
    for file, line, name in frames:
        source = linecache.getline(file, line).strip()
        lines.append(f"{_place(file, numbers)}, line {line}, in {name}" + (f": {source}" if source else ""))
    return tuple(lines)


def in_short(frames: Sequence[Frame], numbers: Mapping[str, int]) -> str:
    """Return the innermost place in the notebook's own code: "in slow(), line 3"; "" when nothing is known."""
    own = [frame for frame in frames if frame[0] in numbers and frame[2] not in _NESTED] or list(frames)
    if not own:
        return ""
    _, line, name = own[-1]
    return f"in line {line}" if name.startswith("<") and name != "<lambda>" else f"in {name}(), line {line}"


def rendered(error: BaseException, frames: Sequence[Frame], shell: InteractiveShell) -> list[str]:
    """Return what this shell shows for an error that ended a run: where the code was, then the error's text."""
    show: Any = shell.InteractiveTB.structured_traceback
    lines: list[str] = show(type(error), error, traceback_of(frames), tb_offset=0)
    return lines


def warm_up(shell: InteractiveShell) -> None:
    """Render an error, for the cost of the first time: some 80 ms, which a deadline has not. In any thread."""
    own: Any = type(shell.InteractiveTB)(mode="Context")
    error = ZeroDivisionError()
    own.structured_traceback(type(error), error, traceback_of([(__file__, 1, "<module>")]), tb_offset=0)


def _place(file: str, numbers: Mapping[str, int]) -> str:
    return f"Cell In[{numbers[file]}]" if file in numbers else file
