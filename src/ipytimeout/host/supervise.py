"""Wait for one run: its output, its verdict, its end. Runs in the user's thread that started the run.

Law of the file: one wait, on all descriptors of the run at once, and until the moment at which there is something
to draw. Whatever the child says is handed to the relay at once and in order; what the warden says about the end is
kept here. Decisions are the warden's.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from math import inf
from types import FrameType, TracebackType
from typing import Protocol, Self

from ipytimeout.host.launch.child import Child, WardenDied
from ipytimeout.host.view.run_state import RunState
from ipytimeout.wire.framing import ProtocolError
from ipytimeout.wire.marks import kill_marked
from ipytimeout.wire.messages import (
    Asking,
    Changes,
    ClearOutput,
    DisplayData,
    EndBegun,
    Error,
    ExecuteResult,
    Extended,
    Gone,
    InputReply,
    InputRequest,
    Interrupt,
    Message,
    Payload,
    Progress,
    Running,
    Stack,
    Started,
    Stream,
    Verdict,
)

#: The warden hears of progress at most so often, in seconds.
_PROGRESS = 0.5
#: So many characters of stderr are kept, to say with what a child died.
_LAST_WORDS = 500


class Relay(Protocol):
    """Where the output of a child appears. Called in the thread that waits for the run."""

    def show(self, message: Stream | DisplayData | ClearOutput | ExecuteResult | Error | Payload) -> None:
        """Show one message of the child as the same message of this process."""

    def ask(self, request: InputRequest) -> InputReply:
        """Ask the user; the clock stands still meanwhile."""


class Waiter(Protocol):
    """Waits for more than the run, when there is more to wait for: clicks."""

    def wait(self, watched: Mapping[int, int], until: float) -> list[int]:
        """Wait until a descriptor is ready or a moment of the monotonic clock has come; return what is ready."""


class View(Protocol):
    """What the user sees of a run while it goes on. Called in the thread that waits for the run."""

    @property
    def waiter(self) -> Waiter | None:
        """What is to be used to wait; None: a plain wait for the run."""

    def attach(self, state: RunState, tell_warden: Callable[[Message], None]) -> None:
        """Show this run from now on, and hand the user's wishes to its warden."""

    def due(self) -> float:
        """Return the moment at which there is something to draw; infinite when there is nothing to come."""

    def draw(self) -> None:
        """Show the facts as they are now."""

    def show_stack(self, text: str) -> None:
        """Show where the code is, as faulthandler wrote it."""


class WardenLost(Exception):
    """The warden died, and with it every child."""


class Supervision:
    """One run, from the moment its child is at hand. A context manager: on leaving, nothing of the run stays."""

    def __init__(self, child: Child, relay: Relay, view: View, timeout: float, on_running: Callable[[], None]) -> None:
        self.child = child
        self._relay = relay
        self._view = view
        self._on_running = on_running
        self.state = RunState(timeout)
        #: How long the code may run: more than at first when the user has extended it.
        self.timeout = timeout
        self.started = False
        self._mark: int | None = None
        self.running = False
        #: Whether the code has ended by itself, whatever came of that.
        self.returning = False
        self.begun: str | None = None
        self.verdict: Verdict | None = None
        self.changes: Changes | None = None
        self.gone: Gone | None = None
        self._stderr = ""
        self._told = time.monotonic()
        self._moved = 0

    def __enter__(self) -> Self:
        self._view.attach(self.state, self.child.tell_warden)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.child.close()

    @property
    def last_words(self) -> str:
        """The last lines of stderr."""
        return self._stderr.strip()

    @property
    def ended_by_itself(self) -> bool:
        return self.verdict is not None and not self.verdict.cause

    def until(self, condition: Callable[[], bool]) -> None:
        """Relay and take note until ``condition`` holds; raise ``WardenLost`` if it cannot any more."""
        while not condition():
            for message in self.child.receive(self._wait(self._view.due())):
                self._take(message)
            self._tell_progress()
            if time.monotonic() >= self._view.due():
                self._view.draw()

    def _wait(self, until: float) -> list[int]:
        if (waiter := self._view.waiter) is not None:
            return waiter.wait(self.child.watched, until)
        return self.child.wait(None if until == inf else max(0.0, until - time.monotonic()))

    def finish(self) -> None:
        """Show the last output once everything of the run has ended."""
        self.until(lambda: self.gone is not None)
        for message in self.child.rest():
            self._take(message)

    def _take(self, message: Message | WardenDied) -> None:
        match message:
            case WardenDied():
                if self.gone is None:
                    if self._mark is not None:
                        kill_marked(self._mark)
                    raise WardenLost
            case Stream("stderr", text):
                self._stderr = (self._stderr + text)[-_LAST_WORDS:]
                self._relay.show(message)
            case Stream() | DisplayData() | ClearOutput() | ExecuteResult() | Error() | Payload():
                self._relay.show(message)
            case InputRequest():
                self.child.tell_warden(Asking(True))
                self.state.asks()
                self._view.draw()  # nothing is drawn while the user thinks
                try:
                    reply = self._relay.ask(message)
                finally:
                    self.child.tell_warden(Asking(False))
                    self.state.is_answered()
                self.child.send(reply)
            case Running():
                self.running = True
                self.state.runs()
                self._on_running()
            case Changes():
                self.changes = message
            case EndBegun(cause):
                self.begun = cause
                self.state.ends()
            case Extended(timeout):
                self.timeout = timeout
                self.state.may_run(timeout)
            case Stack(text):
                self._view.show_stack(text)
            case Verdict(_, elapsed):
                self.verdict = message
                self.returning = self.returning or self.ended_by_itself
                self.state.has_ended(elapsed)
            case Gone():
                self.gone = message
            case Started():
                self.started, self._mark = True, message.mark
            case _:
                raise ProtocolError(f"a child does not send {type(message).__name__}")

    def _tell_progress(self) -> None:
        now = time.monotonic()
        if self.child.moved != self._moved and now - self._told > _PROGRESS:
            self._moved, self._told = self.child.moved, now
            self.child.tell_warden(Progress())


@contextlib.contextmanager
def interrupts_go_to(child: Child) -> Iterator[None]:
    """While the main thread waits, hand the kernel's interrupt to the warden: what it means is decided there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hand_over(signum: int, frame: FrameType | None) -> None:
        child.tell_warden(Interrupt())

    before = signal.signal(signal.SIGINT, hand_over)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)
