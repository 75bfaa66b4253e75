"""A call that runs in the background: a ``Job`` is a ``Future`` with a deadline. In the user's process, any thread.

Law of the file: the thread that waits for a run never holds its ``Job``, so that one that nobody wants any more is
collected, and its child ended. What both hold is a ``Handle``.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from math import inf
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import ipytimeout
from ipytimeout.exceptions import RunError
from ipytimeout.host import landing, where
from ipytimeout.host.cell_relay import CellRelay
from ipytimeout.host.conclude import Ended
from ipytimeout.host.relay import ShellRelay
from ipytimeout.host.run import log_end, tell_left_behind
from ipytimeout.host.shell import cell_numbers, current_shell
from ipytimeout.host.supervise import Relay
from ipytimeout.host.view.job_panel import has_panel, show_panel
from ipytimeout.host.view.live import SilentView
from ipytimeout.host.view.run_state import RunState
from ipytimeout.host.view.summary import as_bundle, left_behind_line, summary_line, time_used
from ipytimeout.options import RunOptions
from ipytimeout.outcomes import Ending, Outcome
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.outputs import DisplayData, Error
from ipytimeout.wire.messages.warden import Cancel, Extend, Where

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

T = TypeVar("T")

#: What a child that does not answer is waited for, in seconds, when its stack is asked for.
_ANSWER = 1.0
_numbers = itertools.count()
_PACKAGE = str(Path(ipytimeout.__file__).parent) + os.sep


class Usage(NamedTuple):
    """What a run used."""

    #: The most memory that it and its descendants were seen to use, in bytes; 0 where that is not known.
    peak_memory: int
    #: Seconds of CPU time of its process, and of those that it has waited for.
    cpu: float


class Task(landing.Task, Protocol):
    """What runs in the background: a ``PreparedCell`` or a ``PreparedCall``."""

    @property
    def options(self) -> RunOptions: ...
    @property
    def shell(self) -> InteractiveShell | None: ...
    @property
    def lands(self) -> bool:
        """Whether it brings back more than a value."""

    def run(self, view: SilentView) -> Ended:
        """Run it, in any thread."""

    def value_of(self, ended: Ended) -> Any:
        """Return its value, or raise what ended it."""


class Handle(SilentView):
    """One run, for those who want to know of it or end it. A view that passes wishes on, and tells who looks on."""

    def __init__(self, timeout: float, relay: Relay | None = None, *, shows_memory: bool = False) -> None:
        #: Taken again by the same thread when the collector finds an unwanted Job while it is held.
        self._lock = threading.RLock()
        self._tell: Callable[[Message], None] | None = None
        self._cancelled = False
        self._more = 0.0
        self._stack = ""
        self._answered = threading.Event()
        self._relay = relay
        self.shows_memory = shows_memory
        self.state = RunState(timeout)
        self.attached = False
        self.outcome: Outcome | None = None
        #: What is to be put in place when it may be.
        self.landing: landing.Landing | None = None
        #: Set when the run is over; ``line`` then says how it was.
        self.ended = threading.Event()
        self.line = ""
        #: Who is to be told where the code is.
        self.watchers: list[Callable[[str], None]] = []

    def attach(self, state: RunState, tell_warden: Callable[[Message], None]) -> None:
        with self._lock:
            self.state, self.attached, self._tell = state, True, tell_warden
            if self._more:
                tell_warden(Extend(self._more))
            if self._cancelled:
                tell_warden(Cancel())

    def around(self, relay: Relay) -> Relay:
        return self._relay if self._relay is not None else relay

    def show_stack(self, text: str) -> None:
        self._stack = text
        self._answered.set()
        for watcher in list(self.watchers):
            watcher(text)

    def close(self) -> None:
        with self._lock:
            self._tell = None

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            self.tell(Cancel())

    def extend(self, seconds: float) -> None:
        with self._lock:
            self._more += seconds  # for another attempt too, should there be one
            self.tell(Extend(seconds))

    def wish(self, message: Message) -> None:
        """Do what the user has clicked on; it may come before the run has begun."""
        match message:
            case Cancel():
                self.cancel()
            case Extend(seconds):
                self.extend(seconds)
            case _:
                self.tell(message)

    def tell(self, message: Message) -> bool:
        """Hand a wish to the warden; tell whether there is a run that it can be about."""
        with self._lock:
            if self._tell is None:
                return False
            self._tell(message)
            return True

    def stack(self) -> str:
        self._answered.clear()
        return self._stack if self.tell(Where()) and self._answered.wait(_ANSWER) else ""

    def has_ended(self, line: str) -> None:
        self.line = line
        self.ended.set()


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
#: Those of cells: their panel and what they bring back are wanted, whatever becomes of the name.
_kept: set[Job[Any]] = set()


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


def start(task: Task, name: str, *, keep: bool = False, quiet: bool = False) -> Job[Any]:
    """Run a task in a thread of its own, whose output appears where the caller's does.

    ``keep``: go on although nobody refers to the job. ``quiet``: nobody is going to look at it.
    """
    kernel = getattr(task.shell, "kernel", None)
    relay = CellRelay(kernel) if kernel is not None else None
    handle = Handle(task.options.timeout, relay, shows_memory=kernel is not None and not quiet)
    job: Job[Any] = Job(name, handle)
    if task.lands and task.shell is not None:
        landing.field_of(task.shell)  # which listens from now on
    if keep:
        _kept.add(job)
        job.add_done_callback(_kept.discard)
    errors: Relay | None = None
    if keep:
        errors = relay if relay is not None or task.shell is None else ShellRelay(task.shell)
    context = contextvars.copy_context()
    arguments = (_work, name, task, handle, weakref.ref(job), errors)
    threading.Thread(target=context.run, args=arguments, name=f"ipytimeout {name}", daemon=True).start()
    return job


def _work(name: str, task: Task, handle: Handle, reference: weakref.ref[Job[Any]], errors: Relay | None) -> None:
    """Run to the end. ``errors``: where an error is shown that nobody may ask for."""
    job = reference()
    if job is None or not job.set_running_or_notify_cancel():
        handle.has_ended("■ cancelled before it began")
        return
    del job
    value, error = _run(task, handle, errors)
    log_end(task.shell, name, handle.line)
    job = reference()
    if job is None:
        return
    if error is None:
        job.set_result(value)
    else:
        job.set_exception(error)


def _run(task: Task, handle: Handle, errors: Relay | None) -> tuple[Any, BaseException | None]:
    """Return the value of a task, or what ended it."""
    line = ""
    try:
        with handle:
            ended = task.run(handle)
        handle.outcome = ended.outcome
        line = summary_line(ended.outcome, ended.place, kept=ended.kept)
        if task.lands:
            _land(task, ended, handle)
        value = task.value_of(ended)
    except BaseException as raised:
        error = raised.with_traceback(_below_ours(raised))
        if errors is not None and (handle.outcome is None or handle.outcome.ending is not Ending.RAISED):
            errors.show(_shown(error))  # the child has not
        handle.has_ended(line or f"✗ {type(error).__name__}: {error}")
        return None, error
    handle.has_ended(line)
    return value, None


def _below_ours(error: BaseException) -> TracebackType | None:
    """Return where the code was, without our frames above it, which hold the arguments of the call."""
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        entry = entry.tb_next
    return error.__traceback__ if entry is None and not isinstance(error, RunError) else entry


def _land(task: Task, ended: Ended, handle: Handle) -> None:
    """Let what the run has done be put in place; in a program, when its result is asked for."""
    relay, shell = handle._relay, task.shell

    def tell(left_behind: Mapping[str, str]) -> None:
        if relay is not None:
            relay.show(DisplayData(as_bundle(left_behind_line(left_behind)), {}, {}))
        else:
            tell_left_behind(shell, left_behind)

    handle.landing = landing.Landing(task, ended, tell)
    if shell is not None:
        landing.field_of(shell).add(handle.landing)


def _shown(error: BaseException) -> Error:
    name, text = type(error).__name__, str(error)
    render: Any = getattr(error, "_render_traceback_", None)
    return Error(name, text, render() if render is not None else [f"{name}: {text}"])
