"""A call that runs in the background: a ``Job`` is a ``Future`` with a deadline. In the user's process, any thread.

Law of the file: the thread that waits for a run never holds its ``Job``, so that one that nobody wants any more is
collected, and its child ended. What both hold is a ``_Handle``.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import Future
from math import inf
from typing import Any, NamedTuple, TypeVar

from ipytimeout.host import where
from ipytimeout.host.run import PreparedCall, current_shell
from ipytimeout.host.settle import cell_numbers
from ipytimeout.host.view.live import SilentView
from ipytimeout.host.view.run_state import RunState
from ipytimeout.outcomes import Outcome
from ipytimeout.wire.messages import Cancel, Extend, Message, Where

T = TypeVar("T")

#: What a child that does not answer is waited for, in seconds, when its stack is asked for.
_ANSWER = 1.0


class Usage(NamedTuple):
    """What a run used."""

    #: The most memory that it and its descendants were seen to use, in bytes; 0 where that is not known.
    peak_memory: int
    #: Seconds of CPU time of its process, and of those that it has waited for.
    cpu: float


class _Handle(SilentView):
    """One run, for those who want to know of it or end it. A view that shows nothing and passes wishes on."""

    def __init__(self, timeout: float) -> None:
        #: Taken again by the same thread when the collector finds an unwanted Job while it is held.
        self._lock = threading.RLock()
        self._tell: Callable[[Message], None] | None = None
        self._cancelled = False
        self._more = 0.0
        self._stack = ""
        self._answered = threading.Event()
        self.facts: RunState | None = None
        self.timeout = timeout
        self.outcome: Outcome | None = None

    def attach(self, state: RunState, tell_warden: Callable[[Message], None]) -> None:
        with self._lock:
            self.facts, self._tell = state, tell_warden
            if self._more:
                tell_warden(Extend(self._more))
            if self._cancelled:
                tell_warden(Cancel())

    def show_stack(self, text: str) -> None:
        self._stack = text
        self._answered.set()

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


class Job(Future[T]):
    """A call that runs in a child, in the background. Made by ``submit``; never by hand.

    It is a ``concurrent.futures.Future`` (``wait``, ``as_completed``, ``asyncio.wrap_future`` work) and can be awaited.
    It differs from that in two things: ``cancel`` ends a running job too, and returns True; ``result`` then raises
    ``RunCancelled``. A job that nobody refers to any more is ended.
    """

    def __init__(self, name: str, timeout: float) -> None:
        super().__init__()
        #: What is called, for people.
        self.name = name
        self._handle = _Handle(timeout)
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
        facts = self._handle.facts
        return facts.facts.phase.name.lower() if facts is not None else "pending"

    @property
    def elapsed(self) -> float:
        """Seconds that the code has run."""
        if self._handle.outcome is not None:
            return self._handle.outcome.elapsed
        return self._handle.facts.facts.elapsed if self._handle.facts is not None else 0.0

    @property
    def remaining(self) -> float:
        """Seconds left until the deadline; infinite without one, 0 at the end."""
        if self.done():
            return 0.0
        facts = self._handle.facts.facts if self._handle.facts is not None else None
        timeout = facts.timeout if facts is not None else self._handle.timeout
        return timeout if timeout == inf else max(0.0, timeout - self.elapsed)

    @property
    def usage(self) -> Usage | None:
        """Peak memory in bytes and CPU seconds of the ended child; None before."""
        outcome = self._handle.outcome
        return Usage(outcome.peak, outcome.cpu) if outcome is not None else None

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()

    def __repr__(self) -> str:
        return f"<Job {self.name}: {self.state}, {self.elapsed:.1f} s>"


#: All jobs that somebody refers to.
_live: weakref.WeakSet[Job[Any]] = weakref.WeakSet()


def live_jobs() -> list[Job[Any]]:
    """Return the jobs that have not ended."""
    return [job for job in _live if not job.done()]


def start(call: PreparedCall, name: str) -> Job[Any]:
    """Run a prepared call in a thread of its own, whose output appears where the caller's does."""
    job: Job[Any] = Job(name, call.options.timeout)
    context = contextvars.copy_context()
    arguments = (_work, call, job._handle, weakref.ref(job))
    threading.Thread(target=context.run, args=arguments, name=f"ipytimeout {name}", daemon=True).start()
    return job


def _work(call: PreparedCall, handle: _Handle, reference: weakref.ref[Job[Any]]) -> None:
    job = reference()
    if job is None or not job.set_running_or_notify_cancel():
        return
    del job
    value: Any = None
    error: BaseException | None = None
    try:
        with handle:
            ended = call.run(handle)
        handle.outcome = ended.outcome
        value = call.value_of(ended)
    except BaseException as raised:
        error = raised
    job = reference()
    if job is None:
        return
    if error is None:
        job.set_result(value)
    else:
        job.set_exception(error)
