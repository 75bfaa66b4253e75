"""How the deadline and Ctrl-C reach the code. Runs in the child, in its main thread: signal handlers.

Law of the file: an interrupt is raised only while the user's code runs, where it runs. Where it waits in an
event loop, nothing is raised into the loop's own lines (a task would stay pending and its ``finally`` unrun);
the cell's task is cancelled instead, as ``asyncio.Runner`` does. The warden repeats its signal, so a lost
race costs a quarter of a second.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ipytimeout.exceptions import DeadlineInterrupt
from ipytimeout.wire.signals import DEADLINE_SIGNAL, HARD_STACK_SIGNAL, STACK_SIGNAL

#: A loop's own lines, and ours that run it.
_LOOP = re.compile(r"asyncio(\..*)?|selectors|ipytimeout\.child\.run")


class Interrupts:
    """The child's handlers of ``DEADLINE_SIGNAL`` and SIGINT."""

    def __init__(self) -> None:
        #: Whether the deadline's signal has come while the code ran.
        self.deadline_came = False
        #: What the cell's task was cancelled for: stands for the ``CancelledError`` that comes out.
        self.cancelled_for: type[KeyboardInterrupt] | None = None
        self._running = False
        self._held = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awaited: asyncio.Future[Any] | None = None
        self._hit: asyncio.Task[Any] | None = None  # the task in which the last interrupt was raised

    def install(self) -> None:
        """Ignore both for now; done first of all, because the default of either is to kill."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(DEADLINE_SIGNAL, self._on_deadline)
        for signum in (STACK_SIGNAL, HARD_STACK_SIGNAL):
            signal.signal(signum, signal.SIG_IGN)

    def start(self) -> None:
        """From now on the code runs."""
        # The interpreter's own handler, so that the code sees what it sees in a kernel, and may change it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._running = True

    def stop(self) -> None:
        """From now on no code of the user runs that should be interrupted."""
        self._running = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def waits_for(self, loop: asyncio.AbstractEventLoop, awaited: asyncio.Future[Any]) -> None:
        """Note what to cancel while ``loop`` waits."""
        self._loop = loop
        self._awaited = awaited

    def take_from_task(self) -> None:
        """Read the interrupt from the task in which it was raised, or asyncio logs it as never retrieved."""
        task, self._hit = self._hit, None
        if task is not None and task.done() and not task.cancelled():
            task.exception()

    def watch_awaiting(self) -> None:
        """From now on the code may ``await``: let SIGINT cancel it where it waits."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)

    @contextmanager
    def deadline_held(self) -> Iterator[None]:
        """Let no deadline cut short what is shown of an error; the next signal comes soon enough."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def caused(self, error: BaseException | None, kind: type[KeyboardInterrupt]) -> bool:
        """Tell whether this is such an interrupt, also where it came out as a cancellation."""
        if isinstance(error, asyncio.CancelledError):
            return self.cancelled_for is not None and issubclass(self.cancelled_for, kind)
        return isinstance(error, kind)

    def _on_deadline(self, signum: int, frame: FrameType | None) -> None:
        if self._running:
            self.deadline_came = True
            if not self._held:
                self._interrupt(DeadlineInterrupt, frame)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._running:
            self._interrupt(KeyboardInterrupt, frame)

    def _interrupt(self, kind: type[KeyboardInterrupt], frame: FrameType | None) -> None:
        if self._is_waiting(frame):
            assert self._loop is not None and self._awaited is not None
            self.cancelled_for = kind
            self._awaited.cancel()
            self._loop.call_soon_threadsafe(lambda: None)  # end the select that this signal did not end
            return
        if self._loop is not None and asyncio._get_running_loop() is self._loop:
            self._hit = asyncio.current_task(self._loop)
        if kind is DeadlineInterrupt:
            raise DeadlineInterrupt("this run is being ended")
        raise kind

    def waiting_loop(self, frame: FrameType | None) -> asyncio.AbstractEventLoop | None:
        """Return the event loop when the main thread is in its own code, between the steps of tasks."""
        return self._loop if self._is_waiting(frame) else None

    def _is_waiting(self, frame: FrameType | None) -> bool:
        """Tell whether the main thread is in its event loop's own code, between the steps of tasks."""
        loop = self._loop
        if loop is None or self._awaited is None or self._awaited.done():
            return False
        if asyncio._get_running_loop() is not loop or asyncio.current_task(loop) is not None:
            return False
        module = str(frame.f_globals.get("__name__", "")) if frame is not None else ""
        return _LOOP.fullmatch(module) is not None
