"""Where the code of a run was, as the frames of a traceback. Runs in the user's process.

Frames come from the child in two ways: with the exception that ended the code, or, when it hung in C code or
swallowed every interrupt, from what faulthandler wrote. Either becomes a real traceback, so that Python and
IPython show it like any other, with the lines of the notebook's cells.
"""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TypeAlias

from tblib import Traceback

Frame: TypeAlias = tuple[str, int, str]

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_SHOWS_FRAME = re.compile(r"\s*(Cell In|File |Input In|<|\[\.\.\. )")
_RED, _GREEN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[39m"
#: Lines of source above and below the one that a frame is at.
_AROUND = 2
_THREAD = re.compile(r"^(Current thread|Thread) 0x[0-9a-f]+.*\(most recent call first\):$")
_FRAME = re.compile(r'^  File "(.*)", line (\d+|\?\?\?) in (.*)$')
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def frames_of_dump(text: str) -> list[Frame]:
    """Return the code's own frames of the main thread in what faulthandler wrote last, outermost first."""
    blocks: list[tuple[bool, list[Frame]]] = []
    for line in text.splitlines():
        if match := _THREAD.match(line):
            blocks.append((match[1] == "Current thread", []))
        elif blocks and (match := _FRAME.match(line)):
            blocks[-1][1].append((match[1], int(match[2]) if match[2] != "???" else 0, match[3]))
    if not blocks:
        return []
    # The signal's handler runs in the main thread, which faulthandler then calls the current one; in a fatal
    # error the current thread is the one that crashed.
    current = [frames for is_current, frames in blocks if is_current]
    return own_frames((current[-1] if current else blocks[-1][1])[::-1])


def own_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Leave out the frames of this package and of the shell that runs the cell: what is above the code."""
    last = max((i for i, (file, _, _) in enumerate(frames) if file.startswith(_OURS)), default=-1)
    rest = list(frames[last + 1 :])
    while rest and is_shell_file(rest[0][0]):
        rest.pop(0)
    return rest


def is_shell_file(file: str) -> bool:
    """Tell whether this is a file of the machinery between a shell and its cell."""
    path = file.replace(os.sep, "/")
    return path.endswith(("/IPython/core/interactiveshell.py", "/IPython/core/async_helpers.py")) or (
        "/asyncio/" in path and path.endswith(("runners.py", "base_events.py", "events.py"))
    )


def traceback_of(frames: Sequence[Frame]) -> TracebackType | None:
    """Build a traceback with these frames, outermost first."""
    data: dict[str, object] | None = None
    for file, line, name in reversed(frames):
        code = {"co_filename": file, "co_name": name}
        frame = {"f_code": code, "f_globals": {"__file__": file, "__name__": "?"}, "f_lineno": line}
        data = {"tb_frame": frame, "tb_lineno": line, "tb_next": data}
    if data is None:
        return None
    traceback: TracebackType = Traceback.from_dict(data).as_traceback()
    return traceback


def as_text(frames: Sequence[Frame], numbers: Mapping[str, int]) -> tuple[str, ...]:
    """Return one line for each frame; ``numbers`` are those of the notebook's cells by file name."""
    lines = []
    for file, line, name in frames:
        source = linecache.getline(file, line).strip()
        lines.append(f"{_place(file, numbers)}, line {line}, in {name}" + (f": {source}" if source else ""))
    return tuple(lines)


def in_short(frames: Sequence[Frame], numbers: Mapping[str, int]) -> str:
    """Return the innermost place in the notebook's own code: "in slow(), line 3"; "" when nothing is known."""
    own = [frame for frame in frames if frame[0] in numbers] or list(frames)
    if not own:
        return ""
    _, line, name = own[-1]
    return f"in line {line}" if name.startswith("<") and name != "<lambda>" else f"in {name}(), line {line}"


def rendered(
    error: BaseException, traceback: Sequence[str], frames: Sequence[Frame], numbers: Mapping[str, int]
) -> list[str]:
    """Return what a notebook shows for an error that ended a run: where the code was, then the error's text.

    ``traceback`` is what the child's shell made of the interrupt, when the code was there to obey it; else the
    frames that faulthandler wrote are shown in the same manner.
    """
    name = type(error).__name__
    places = [part for part in traceback if _SHOWS_FRAME.match(_ANSI.sub("", part))]
    if not places:
        places = [_show_frame(frame, numbers) for frame in frames]
    rest = "Traceback (most recent call last)"
    head = ["-" * 75, f"{_RED}{name}{_PLAIN}{rest:>{75 - len(name)}}"] if places else []
    return [*head, *places, f"{_RED}{name}{_PLAIN}: {error}"]


def _place(file: str, numbers: Mapping[str, int]) -> str:
    return f"Cell In[{numbers[file]}]" if file in numbers else file


def _show_frame(frame: Frame, numbers: Mapping[str, int]) -> str:
    """Show one frame with two lines around its own, as IPython does."""
    file, line, name = frame
    place = _place(file, numbers) if file in numbers else f"File {file}:{line}"
    function = "" if name.startswith("<module") else f", in {name}"
    shown = [f"{_GREEN}{place}{', line ' + str(line) if file in numbers else ''}{function}{_PLAIN}"]
    for number in range(max(1, line - _AROUND), line + _AROUND + 1):
        source = linecache.getline(file, number).rstrip()
        if number == line:
            shown.append(f"{_GREEN}{'-' * (5 - len(str(number)))}> {number}{_PLAIN} {source}")
        elif source:
            shown.append(f"{number:>7} {source}")
    return "\n".join(shown) + "\n"
