"""A call that runs in the background: a ``Job`` is a ``Future`` with a deadline. In the user's process, any thread.

Law of the file: nothing that waits for the run holds its ``Job``, so that one that nobody wants any more is collected,
and its child ended.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import threading
import weakref
from collections.abc import Generator
from concurrent.futures import Future
from math import inf
from typing import Any, NamedTuple, TypeVar

from ipytimeout.host import landing, where
from ipytimeout.host.handle import Handle
from ipytimeout.host.shell import cell_numbers, current_shell
from ipytimeout.host.view.job_panel import has_panel, show_panel
from ipytimeout.host.view.summary import as_bundle, time_used

T = TypeVar("T")

_numbers = itertools.count()


class Usage(NamedTuple):
    """What a run used."""

    #: The most memory that it and its descendants were seen to use, in bytes; 0 where that is not known.
    peak_memory: int
    #: Seconds of CPU time of its process, and of those that it has waited for.
    cpu: float


class Job(Future[T]):
    """A call that runs in a child, in the background. Made by ``submit``; never by hand.

    It is a ``concurrent.futures.Future`` (``wait``, ``as_completed``, ``asyncio.wrap_future`` work) and can be awaited.
    It differs from that in two things: ``cancel`` ends a running job too, and returns True; ``result`` then raises
    ``RunCancelled``. A job that nobody refers to any more is ended.
    """

    def __init__(self, name: str, handle: Handle) -> None:
        super().__init__()
        #: What is called, for people.
        self.name = name
        self._handle = handle
        self._number = next(_numbers)
        end = weakref.finalize(self, self._handle.cancel)
        end.atexit = False  # the warden ends everything then
        _live.add(self)

    def cancel(self) -> bool:
        """End the call: interrupt it, and kill it after the grace period. Return False when it has ended already."""
        if super().cancel():
            return True
        if self.done():
            return False
        self._handle.cancel()
        return True

    def result(self, timeout: float | None = None) -> T:
        """Return the value, waiting for it; raise what was raised, or what ended the call.

        What a background cell, or a call with ``commit``, has done is put in place by then: here, when this is the
        kernel's main thread or a program; else between two cells.

        Raises
        ------
        TimeoutError
            It has not ended after so many seconds; it goes on.
        RunCancelled
            It was cancelled.
        """
        try:
            return super().result(timeout)
        finally:
            self._land()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what was raised, or what ended the call, waiting for it; None when it ended well."""
        try:
            return super().exception(timeout)
        finally:
            self._land()

    def _land(self) -> None:
        if self._handle.landing is not None and self.done():
            shell = current_shell()
            if shell is None:
                self._handle.landing.land()
            elif threading.current_thread() is threading.main_thread():
                landing.field_of(shell).land()  # those that ended before it first

    def extend(self, seconds: float) -> None:
        """Move the deadline of the call by so many seconds; without effect once it is being ended."""
        self._handle.extend(float(seconds))

    def stack(self) -> str:
        """Return where the code is now, a line for each frame, innermost last; "" when it does not run or answer."""
        frames = where.frames_of_dump(self._handle.stack())
        return "\n".join(where.as_text(frames, cell_numbers(current_shell())))

    @property
    def state(self) -> str:
        """How it is: "pending", "preparing", "running", "ending", "returning" or, at the end, an ending's name."""
        if self._handle.outcome is not None:
            return self._handle.outcome.ending.value
        if self.done():
            return "cancelled" if self.cancelled() else "raised"
        return self._handle.state.facts.phase.name.lower() if self._handle.attached else "pending"

    @property
    def elapsed(self) -> float:
        """Seconds that the code has run."""
        if self._handle.outcome is not None:
            return self._handle.outcome.elapsed
        return self._handle.state.facts.elapsed

    @property
    def remaining(self) -> float:
        """Seconds left until the deadline; infinite without one, 0 at the end."""
        if self.done():
            return 0.0
        timeout = self._handle.state.facts.timeout
        return timeout if timeout == inf else max(0.0, timeout - self.elapsed)

    @property
    def usage(self) -> Usage | None:
        """Peak memory in bytes and CPU seconds of the ended child; None before."""
        outcome = self._handle.outcome
        return Usage(outcome.peak, outcome.cpu) if outcome is not None else None

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()

    def __reduce__(self) -> Any:
        raise pickle.PicklingError("a job belongs to the process that started it; send its result")

    def _ipython_display_(self) -> None:
        """Show the panel, with its buttons, as long as it runs."""
        shell = current_shell()
        if shell is None or self._handle.ended.is_set() or not has_panel(shell):
            raise NotImplementedError  # IPython shows the line then
        show_panel(shell, self._handle, self.name)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return what is saved of it."""
        facts = self._handle.state.facts
        line = self._handle.line or f"… {self.state}, {time_used(facts.elapsed, facts.timeout)}"
        mark, _, rest = line.partition(" ")
        return {**as_bundle(f"{mark} {self.name} · {rest}"), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Job {self.name}: {self.state}, {self.elapsed:.1f} s>"


#: All jobs that somebody refers to.
_live: weakref.WeakSet[Job[Any]] = weakref.WeakSet()


class Jobs(list[Job[Any]]):
    """Some jobs; shown in a notebook, each is a panel with its buttons."""

    def _ipython_display_(self) -> None:
        shell = current_shell()
        if not self or shell is None or not has_panel(shell):
            raise NotImplementedError  # IPython shows the text then
        for job in self:
            job._ipython_display_()


def live_jobs() -> Jobs:
    """Return the jobs that have not ended, the oldest first."""
    return Jobs(sorted((job for job in list(_live) if not job.done()), key=lambda job: job._number))
