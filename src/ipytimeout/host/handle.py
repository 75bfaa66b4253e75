"""One run in the background, for those who want to know of it or end it. In the user's process, any thread.

Law of the file: it is what a ``Job``, the thread that waits for its run, and its panels all hold; none of them holds
another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ipytimeout.host import landing
from ipytimeout.host.supervise import Relay
from ipytimeout.host.view.live import SilentView
from ipytimeout.host.view.run_state import RunState
from ipytimeout.outcomes import Outcome
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.warden import Cancel, Extend, Where

#: What a child that does not answer is waited for, in seconds, when its stack is asked for.
_ANSWER = 1.0


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
