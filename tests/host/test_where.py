"""Where the code was: from faulthandler's text or the child's frames to what a user reads."""

from __future__ import annotations

import faulthandler
import linecache
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import Any

import IPython
import pytest
from IPython.core.interactiveshell import InteractiveShell

from ipytimeout.exceptions import DeadlineExceeded
from ipytimeout.host import where

CELL = "/tmp/ipykernel_1/42.py"
SOURCE = "import time\ndef slow(n):\n    time.sleep(n)\nslow(5)\n"
FRAMES = [(CELL, 4, "<module>"), (CELL, 3, "slow")]


@pytest.fixture(autouse=True)
def cell() -> None:
    linecache.cache[CELL] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), CELL)


def dumped(write: Callable[[int], None]) -> str:
    with tempfile.TemporaryFile() as file:
        write(file.fileno())
        file.seek(0)
        return file.read().decode()


def test_the_frames_of_a_dump_are_the_main_threads_own_outermost_first() -> None:
    """Other threads come first in what faulthandler writes, and are not where the code was."""
    wait = threading.Event()
    thread = threading.Thread(target=wait.wait)
    thread.start()
    text = dumped(lambda fd: faulthandler.dump_traceback(fd, all_threads=True))
    wait.set()
    thread.join()
    frames = where.frames_of_dump(text)
    assert frames[-1][2] == "<lambda>" and frames[-1][0] == __file__
    assert "wait" not in [name for _, _, name in frames[-2:]]


def test_the_last_dump_counts() -> None:
    text = 'Current thread 0x01 (most recent call first):\n  File "/a.py", line 1 in f\n'
    assert where.frames_of_dump(
        text + "\nFatal Python error: Segmentation fault\n\n" + text.replace("/a.py", "/b.py")
    ) == [("/b.py", 1, "f")]


@pytest.mark.parametrize(
    "text", ["", "rubbish\n", "Current thread 0x01 (most recent call first):\n  <no Python frame>\n"]
)
def test_what_says_nothing_gives_no_frames(text: str) -> None:
    assert where.frames_of_dump(text) == []


def test_the_machinery_around_a_cell_is_left_out() -> None:
    import IPython.core.interactiveshell as shell

    ours = os.path.join(os.path.dirname(where.__file__), "run.py")
    outer = [(ours, 1, "run"), (shell.__file__, 2, "run_cell"), (shell.__file__, 3, "run_code")]
    assert where.own_frames([*outer, *FRAMES]) == FRAMES


def test_what_the_code_calls_of_ours_is_left_out_and_the_code_is_not() -> None:
    """``print`` and ``checkpoint`` are ours; what they call may be the code's again."""
    child = os.path.join(os.path.dirname(os.path.dirname(where.__file__)), "child")
    above = [(os.path.join(child, name), 1, "f") for name in ("main.py", "run.py")]
    called = [(os.path.join(child, name), 2, "g") for name in ("checkpoints.py", "channel.py")]
    reduce = (CELL, 9, "__reduce__")
    assert where.own_frames([*above, *FRAMES, *called]) == FRAMES
    assert where.own_frames([*above, *FRAMES, *called, reduce]) == [*FRAMES, reduce]


def test_python_shows_the_frames_like_any_others() -> None:
    error = DeadlineExceeded("timed out").with_traceback(where.traceback_of(FRAMES))
    text = "".join(traceback.format_exception(error))
    assert "line 3, in slow\n    time.sleep(n)" in text


def test_no_frames_make_no_traceback() -> None:
    assert where.traceback_of([]) is None


@pytest.mark.parametrize(
    ("frames", "numbers", "text"),
    [
        (FRAMES, {CELL: 7}, "in slow(), line 3"),
        (FRAMES[:1], {CELL: 7}, "in line 4"),
        ([*FRAMES, ("/usr/lib/python3/re.py", 9, "match")], {CELL: 7}, "in slow(), line 3"),
        ([("/home/me/script.py", 9, "f")], {}, "in f(), line 9"),
        ([], {}, ""),
    ],
)
def test_the_short_form_names_the_innermost_line_of_the_notebook(
    frames: list[where.Frame], numbers: dict[str, int], text: str
) -> None:
    assert where.in_short(frames, numbers) == text


def test_a_killed_run_is_shown_as_this_shell_shows_a_traceback() -> None:
    shell: Any = InteractiveShell(colors="nocolor" if IPython.version_info >= (9,) else "NoColor")  # type: ignore[no-untyped-call]
    name = shell.compile.cache(SOURCE, 7, raw_code=SOURCE)
    frames = [(name, line, function) for _, line, function in FRAMES]
    text = "\n".join(where.rendered(DeadlineExceeded("timed out"), frames, shell))
    assert text.splitlines()[1].startswith("DeadlineExceeded") and text.endswith("DeadlineExceeded: timed out")
    assert f"{name}:4" in text and f"{name}:3, in slow()" in text
    assert "----> 3     time.sleep(n)" in text and "      2 def slow(n):" in text
    assert "\x1b" not in text, "its colours are the user's"


def test_the_first_error_of_a_run_is_shown_without_an_import_when_the_shell_was_warmed_up() -> None:
    """Its machinery takes some 80 ms to import, which would come on top of the deadline."""
    program = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from ipytimeout.host import where
shell = InteractiveShell()
name = shell.compile.cache("1 / 0", 1, raw_code="1 / 0")
imported = len(sys.modules)
where.warm_up(shell)
warmed = len(sys.modules)
where.rendered(ZeroDivisionError("x"), [(name, 1, "<module>")], shell)
print(warmed - imported, len(sys.modules) - warmed)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split()[-2:])
    assert before > 0 and after == 0
