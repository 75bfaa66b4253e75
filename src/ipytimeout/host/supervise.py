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
from typing import Protocol, Self, TypeAlias

from ipytimeout.host.checkpoints import Checkpoints
from ipytimeout.host.comm_messages import Said
from ipytimeout.host.comms import Comms
from ipytimeout.host.launch.child import Child, WardenDied
from ipytimeout.host.view.run_state import RunState
from ipytimeout.wire.framing import ProtocolError
from ipytimeout.wire.marks import kill_marked
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen, CommTaken
from ipytimeout.wire.messages.from_child import Changes, Checkpoint, InputEnded, InputRequest, Progressed, Running
from ipytimeout.wire.messages.outputs import (
    ClearOutput,
    DisplayData,
    Error,
    ExecuteResult,
    Flush,
    Output,
    Payload,
    Stream,
    Streams,
)
from ipytimeout.wire.messages.to_child import InputReply
from ipytimeout.wire.messages.warden import (
    Asking,
    Cause,
    EndBegun,
    Extended,
    Gone,
    Interrupt,
    Progress,
    Stack,
    Started,
    Usage,
    Verdict,
)

#: The warden hears of progress at most so often, in seconds.
_PROGRESS = 0.5
_KEPT_BY_PARTIAL = (Cause.TIMED_OUT.value, Cause.CANCELLED.value)
#: So many characters of stderr are kept, to say with what a child died.
_LAST_WORDS = 500


#: So often it is looked whether the user has answered, in seconds.
_LOOK = 0.02

#: A question that the user has been asked: returns the answer, or None as long as there is none. It may also wait.
Question: TypeAlias = Callable[[], InputReply | None]


class Relay(Protocol):
    """Where the output of a child appears. Called in the thread that waits for the run."""

    def show(self, message: Output) -> None:
        """Show one message of the child as the same message of this process."""

    def ask(self, request: InputRequest) -> Question:
        """Ask the user; the clock stands still until there is an answer."""


class Outlet(Protocol):
    """Where all that a child shows or says appears. It may hold it back for a while, in its order."""

    @property
    def gathers(self) -> bool:
        """Whether neighbouring texts of the two streams may arrive as one of each."""

    def show(self, message: Output | Said) -> None:
        """Show one message of the child, or pass on what it says on a comm."""

    def ask(self, request: InputRequest) -> Question:
        """Ask the user, below all that was shown before."""

    def due(self) -> float:
        """Return the moment at which ``go_on`` is to be called; infinite when nothing waits."""

    def go_on(self) -> None:
        """Show what may be shown now."""

    def finish(self, *, wait: bool) -> None:
        """Show what is left; with ``wait`` also if that takes a while."""


class Waiter(Protocol):
    """Waits for more than the run, when there is more to wait for: clicks."""

    def wait(self, watched: Mapping[int, int], until: float) -> list[int]:
        """Wait until a descriptor is ready or a moment of the monotonic clock has come; return what is ready."""


class View(Protocol):
    """What the user sees of a run while it goes on. Called in the thread that waits for the run."""

    @property
    def waiter(self) -> Waiter | None:
        """What is to be used to wait; None: a plain wait for the run."""

    @property
    def shows_memory(self) -> bool:
        """Whether to be told how much memory the run uses."""

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

    def __init__(
        self,
        child: Child,
        relay: Outlet,
        view: View,
        timeout: float,
        *,
        partial: bool = False,
        comms: Comms | None = None,
    ) -> None:
        self.child = child
        self._comms = comms
        if comms is not None:
            comms.wait_with(child)
        self._relay = relay
        self._view = view
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
        self._question: Question | None = None
        #: What the code has made safe.
        self.checkpoints = Checkpoints()
        #: Whether what the code had done is wanted also when the deadline or Cancel ended it.
        self.partial = partial
        #: Whether the warden has died, and the run with it.
        self.lost = False
        #: How often the warden has judged: a second time when something went wrong on the way back.
        self.judged = 0
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
        self._relay.finish(wait=False)

    @property
    def last_words(self) -> str:
        """The last lines of stderr."""
        return self._stderr.strip()

    @property
    def ended_by_itself(self) -> bool:
        return self.verdict is not None and not self.verdict.cause

    @property
    def brings_back(self) -> bool:
        """Whether what the code has done is to come back, if it comes."""
        return self.ended_by_itself or (
            self.partial and self.verdict is not None and self.verdict.cause in _KEPT_BY_PARTIAL
        )

    def until(self, condition: Callable[[], bool]) -> None:
        """Relay and take note until ``condition`` holds; raise ``WardenLost`` if it cannot any more."""
        while not condition():
            for message in self.child.receive(self._wait(min(self._view.due(), self._relay.due()))):
                self._take(message)
            self._relay.go_on()
            self._look_for_answer()
            if self._comms is not None:
                for said in self._comms.to_child():
                    self.child.send(said)
            self._tell_progress()
            if time.monotonic() >= self._view.due():
                self._view.draw()

    def _wait(self, until: float) -> list[int]:
        if self._question is not None:
            until = min(until, time.monotonic() + _LOOK)
        if (waiter := self._view.waiter) is not None:
            return waiter.wait(self.child.watched, until)
        return self.child.wait(None if until == inf else max(0.0, until - time.monotonic()))

    def finish(self) -> None:
        """Show the last output once everything of the run has ended."""
        self.until(lambda: self.gone is not None)
        for message in self.child.rest():
            self._take(message)
        self._relay.finish(wait=self.ended_by_itself)

    def _take(self, message: Message | WardenDied) -> None:
        match message:
            case WardenDied():
                if self.gone is None:
                    if self._mark is not None:
                        kill_marked(self._mark)
                    for last in self.child.rest():
                        if not isinstance(last, InputRequest):
                            self._take(last)
                    self.lost, self.gone = True, Gone([])
                    self.verdict = Verdict(Cause.DIED.value, self.state.facts.elapsed, None, "")
                    raise WardenLost
            case Streams():
                for each in message.gathered() if self._relay.gathers else message.each():
                    self._take(each)
            case Stream("stderr", text):
                self._stderr = (self._stderr + text)[-_LAST_WORDS:]
                self._relay.show(message)
            case Stream() | Flush() | DisplayData() | ClearOutput() | ExecuteResult() | Error() | Payload():
                self._relay.show(message)
            case CommTaken() if self.running:
                pass  # the notebook's widgets come before the code does: whoever asks later has no right to one
            case CommTaken() if self._comms is not None:
                self._comms.take(message)
            case CommOpen() | CommMsg() | CommClose() | CommHandled() if self._comms is not None:
                self._relay.show(message)
            case InputRequest():
                self.child.tell_warden(Asking(True))
                self.state.asks()
                self.child.send(self.state.clock)
                self._view.draw()  # nothing may be drawn while the user thinks
                self._question = self._relay.ask(message)
            case InputEnded():
                self._is_answered()
            case Running():
                self.running = True
                self.state.runs()
            case Changes():
                self.changes = message
            case EndBegun(cause):
                self.begun = cause
                self._is_answered()
                self.state.ends()
            case Extended(timeout):
                self.timeout = timeout
                self.state.may_run(timeout)
                self.child.send(self.state.clock)
            case Usage(used):
                self.state.uses(used)
            case Progressed(fraction, text):
                self.state.has_progressed(fraction, text)
            case Checkpoint():
                self.checkpoints.take(message)
            case Stack(text):
                self._view.show_stack(text)
            case Verdict(_, elapsed):
                self.verdict, self.judged = message, self.judged + 1
                self.returning = self.returning or self.ended_by_itself
                self.state.has_ended(elapsed)
            case Gone():
                self.gone = message
            case Started():
                self.started, self._mark = True, message.mark
            case _:
                raise ProtocolError(f"a child does not send {type(message).__name__}")

    def _look_for_answer(self) -> None:
        if self._question is not None and (reply := self._question()) is not None:
            self._is_answered()
            self.child.send(reply)

    def _is_answered(self) -> None:
        """The user is asked no more, with or without an answer."""
        if self._question is not None:
            self._question = None
            self.child.tell_warden(Asking(False))
            self.state.is_answered()
            self.child.send(self.state.clock)

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
