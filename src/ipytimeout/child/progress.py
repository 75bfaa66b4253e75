"""How far the code says it is, on its way to the host. Runs in the child: in the code's threads, and in one of its own.

Law of the file: the code only counts. A thread that sleeps while nothing changes sends what is new, ten times a second
at most; so a step costs next to nothing, and the last state always arrives.
"""

from __future__ import annotations

import _thread
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from ipytimeout.child.channel import Channel
from ipytimeout.wire.messages.from_child import Progressed

T = TypeVar("T")

#: Between two messages, in seconds.
INTERVAL = 0.1


class _Loop:
    """One iterable that is being gone through."""

    __slots__ = ("done", "said", "said_at", "total")

    def __init__(self, total: float | None) -> None:
        self.done = 0
        self.total = total
        #: How far the present item is, and which one that is: what is said of one does not count for the next.
        self.said: tuple[float, str] = (0.0, "")
        self.said_at = -1

    def fraction(self, inner: float | None) -> float | None:
        if not self.total or self.done > self.total:
            return None
        return min(1.0, (self.done + (inner or 0.0)) / self.total)

    @property
    def text(self) -> str:
        if self.total is None or self.done > self.total:
            return f"{self.done}"
        return f"{self.done} of {self.total if isinstance(self.total, int) else format(self.total, 'g')}"


class Reporter:
    """Tells the host how far the code is."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        #: What is gone through now, the outermost first: one inside another moves the bar within a step of that.
        self._loops: list[_Loop] = []
        #: What was said outside of all loops, and what the last of them has left.
        self._said: tuple[float | None, str] = (None, "")
        self._sent = Progressed(None, "")
        #: Whether the thread sleeps, and has to be woken for what is new.
        self._idle = True
        self._alarm = _thread.allocate_lock()
        self._alarm.acquire()
        self._started = _thread.allocate_lock()
        self._stopped = False

    def follow(self, iterable: Iterable[T], total: float | None) -> Iterator[T]:
        """Yield what the iterable yields, and count it."""
        loop = _Loop(total)
        self._loops.append(loop)
        self._wake()
        try:
            for item in iterable:
                yield item
                loop.done += 1
                if self._idle:
                    self._wake()
        finally:
            self._end(loop)

    def say(self, fraction: float, text: str) -> None:
        """Take note of what the code says of itself, within the present item of a loop where there is one."""
        if self._loops:
            loop = self._loops[-1]
            loop.said, loop.said_at = (fraction, text), loop.done
        else:
            self._said = (fraction, text)
        if self._idle:
            self._wake()

    def stop(self) -> None:
        """The code has ended: send what is new, and no more."""
        self._stopped = True
        if (facts := self._facts()) != self._sent:
            self._channel.send(facts)

    def _end(self, loop: _Loop) -> None:
        last = self._facts()
        with suppress(ValueError):
            self._loops.remove(loop)
        if self._loops:  # until the outer loop goes on, the bar stays where the inner one has brought it
            outer = self._loops[-1]
            outer.said, outer.said_at = (loop.fraction(None) or 0.0, ""), outer.done
        else:
            self._said = (last.fraction, last.text)
        self._wake()

    def _facts(self) -> Progressed:
        loops = list(self._loops)
        if not loops:
            return Progressed(*self._said)
        inner = loops[-1]
        fraction, text = inner.said if inner.said_at == inner.done else (0.0, "")
        part: float | None = fraction
        for loop in reversed(loops):
            part = loop.fraction(part)
        return Progressed(part, " · ".join(filter(None, (*(loop.text for loop in loops), text))))

    def _wake(self) -> None:
        """See to it that what is new is sent."""
        self._idle = False
        if self._started.acquire(blocking=False):
            # A bare thread: the user's threading.enumerate() is none of our business.
            _thread.start_new_thread(self._send_always, ())
        if self._alarm.locked():
            with suppress(RuntimeError):  # another thread was faster
                self._alarm.release()

    def _send_always(self) -> None:
        # Signals are for the main thread: one delivered here would not end its sleep.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pause = _thread.allocate_lock()
        pause.acquire()
        while True:
            self._alarm.acquire()
            while self._send_new():
                pause.acquire(timeout=INTERVAL)

    def _send_new(self) -> bool:
        """Send what is new; tell whether anything was."""
        self._idle = True  # first: what changes from here on wakes again
        facts = self._facts()
        if facts == self._sent or self._stopped:
            return False
        self._idle = False
        self._sent = facts
        self._channel.send(facts)
        return True
