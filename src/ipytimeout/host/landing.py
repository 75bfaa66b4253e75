"""When what a background run has done is put in place: between cells, or in the cell that asks for the result.

In the user's process: a run says in its own thread that it has ended; it lands in the kernel's main thread, never
while a cell runs that has not asked for it. In a program without IPython it lands where its result is asked for.

Law of the file: a run lands once, and what it does not land is named in the cell that started it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ipytimeout.host.conclude import Ended

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class Task(Protocol):
    """What runs in the background: ``run.PreparedCell`` and ``run.PreparedCall``."""

    def take_back(self, ended: Ended) -> None:
        """Put in place what it left."""


class Landing:
    """One run that has ended, and that brings something back."""

    def __init__(self, task: Task, ended: Ended, tell: Callable[[Mapping[str, str]], None]) -> None:
        """``tell``: name what stays behind, where the user sees to which run it belongs."""
        self._task = task
        self._ended = ended
        self._tell = tell
        self._lock = threading.Lock()
        self._landed = False

    def land(self) -> None:
        """Put everything in place that the notebook has not changed meanwhile; once."""
        with self._lock:
            if self._landed:
                return
            self._landed = True
        ended = self._ended
        if ended.commit is not None and ended.baseline is not None:
            ended.left_behind.update(ended.baseline.spare(ended.commit))
            if ended.state is not None:
                ended.state, kept = ended.baseline.merged(ended.state)
                ended.left_behind.update(kept)
        try:
            self._task.take_back(ended)
        finally:
            if ended.left_behind:
                self._tell(ended.left_behind)


class Field:
    """Where runs land in one process with a shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._lock = threading.Lock()
        self._waiting: list[Landing] = []
        shell.events.register("pre_run_cell", self._before_cell)
        shell.events.register("post_run_cell", self._after_cell)

    def add(self, landing: Landing) -> None:
        """Let it land as soon as no cell runs. Called in the thread of the run."""
        with self._lock:
            self._waiting.append(landing)
        self._land_when_idle()

    def land(self) -> None:
        """Land everything that waits, in the order in which it ended."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                landing = self._waiting.pop(0)
            landing.land()

    def _land_when_idle(self) -> None:
        """Have the kernel do so between two messages; a terminal does it at the next cell."""
        loop = getattr(getattr(self._shell, "kernel", None), "io_loop", None)
        if loop is not None:
            loop.add_callback(self._between_cells)

    def _between_cells(self) -> None:
        if not _runs_a_cell(self._shell):  # one that awaits something
            self.land()

    def _before_cell(self, info: object) -> None:
        """Called by IPython."""
        self._at_a_cell()

    def _after_cell(self, result: object) -> None:
        """Called by IPython."""
        self._at_a_cell()

    def _at_a_cell(self) -> None:
        if not self._waiting:
            return
        if threading.current_thread() is threading.main_thread():
            self._between_cells()
        else:
            self._land_when_idle()  # a cell of a subshell: the main thread may be in one, too


def _runs_a_cell(shell: InteractiveShell) -> bool:
    hook: Any = shell.displayhook
    return getattr(hook, "exec_result", None) is not None


_lock = threading.Lock()
_fields: dict[int, Field] = {}


def field_of(shell: InteractiveShell) -> Field:
    """Return where the runs of this shell land; from now on it listens to the shell."""
    with _lock:
        found = _fields.get(id(shell))
        if found is None or found._shell is not shell:
            found = _fields[id(shell)] = Field(shell)
        return found
