"""Between a child's output and the page: what is too much is left out, what is too fast waits. In the waiting thread.

Law of the file: the order of the outputs stays, and what is left out is said where it is missing. A child is always
read at full speed: what waits, waits here, and never more than so much. An update, or a frame of an animation, that
was overtaken before it could be shown is not missed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from math import inf
from typing import Any, Protocol

from ipytimeout.host.backlog import Backlog
from ipytimeout.host.cell_relay import CellRelay
from ipytimeout.host.comm_messages import Said
from ipytimeout.host.excerpt import DEFAULT_LIMIT, Excerpt, LeftOut, Shown, first_part
from ipytimeout.host.pace import Pace, Together, sent_size
from ipytimeout.host.relay import native_interrupts
from ipytimeout.host.supervise import Question, Relay
from ipytimeout.host.view.note import Note
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen
from ipytimeout.wire.messages.from_child import InputRequest
from ipytimeout.wire.messages.outputs import ClearOutput, Flush, Output, Stream

#: A flood is over when so many seconds nothing had to be left out; until then only the latest outputs wait, so many.
_CALM, _LATEST = 3.0, 200
#: How often the last lines of what is held back are shown, in seconds, and how much of them.
_NOTE, _NOTE_LINES, _NOTE_LENGTH = 1.0, 8, 2000
#: So many texts, of the one stream and the other in turn, are messages of their own.
_SEPARATE = 50
#: A text that comes so soon after another is shown with the next ones, in seconds.
_AT_ONCE = 0.002
#: So long it waits for room for the next piece, at least, in seconds.
_TICK = 0.05


class Comms(Protocol):
    """Where it goes what a child says on comms: at once, but in its place among the outputs."""

    @property
    def captured(self) -> bool:
        """Whether a widget takes what is shown now."""

    def take(self, message: Said) -> None:
        """Pass it on."""


#: All runs of this process: a kernel has one way to its pages.
_TOGETHER = Together()


def throttled(relay: Relay, max_output: float | None, *, can_replace: bool, comms: Comms | None) -> Throttle:
    """Put a throttle before a relay. ``can_replace``: what is on the page can be replaced while the code runs.

    Where nothing is said, text is limited only where it goes to a page.
    """
    in_background = isinstance(relay, CellRelay)  # whatever the cell does that runs now, and captures
    elsewhere = {name for name in ("stdout", "stderr") if not in_background and not _goes_to_a_page(name)}
    on_page = len(elsewhere) < 2
    limit = max_output if max_output is not None else DEFAULT_LIMIT if on_page else inf
    pace = Pace(_TOGETHER) if on_page else None
    return Throttle(
        relay,
        Excerpt(limit),
        pace,
        comms,
        shows_latest=on_page and can_replace,
        texts_join=not in_background,
        unlimited=elsewhere if max_output is None else (),
    )


def _goes_to_a_page(stream: str) -> bool:
    """Tell whether the text of a stream is published by a kernel, and not captured."""
    module: Any = sys.modules.get("ipykernel.iostream")
    return module is not None and isinstance(getattr(sys, stream), module.OutStream)


class Throttle:
    """Relays as another one does, but no more than a page can take. Without a ``pace``, nothing waits.

    ``texts_join``: texts that are shown one after the other go out in one message. ``unlimited``: streams that go
    somewhere else.
    """

    def __init__(
        self,
        relay: Relay,
        excerpt: Excerpt,
        pace: Pace | None,
        comms: Comms | None = None,
        *,
        shows_latest: bool = False,
        texts_join: bool = True,
        unlimited: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay = relay
        self._excerpt = excerpt
        self._pace = pace
        self._comms = comms
        self._shows_latest = shows_latest
        self._texts_join = texts_join
        self._unlimited = unlimited
        self._clock = clock
        self._backlog = Backlog(inf if pace is None else 0 if texts_join else _SEPARATE)
        #: When something was shown last; texts that come right after it go out together.
        self._forwarded = -inf
        #: Until then nothing goes out: there is more than can be shown.
        self._calm = 0.0
        self._note = Note(relay)
        self._note_due = inf
        self._in_line = False
        self._wrote = False

    def show(self, message: Output | Said) -> None:
        if isinstance(message, Stream) and message.name in self._unlimited:
            self._relay.show(message)
            return
        if isinstance(message, ClearOutput):
            self._note.forget()
        # What overwrites a text is not joined with it, unless both have to wait.
        is_joined = isinstance(message, Stream) and self._pace is not None and "\r" not in message.text
        if not is_joined:
            self._forward(live=True)
        for output in self._excerpt.take(message):
            self._backlog.put(output)
        if self._pace is not None and self._backlog.is_too_long:
            self._calm = self._clock() + _CALM
            self._show_all(self._backlog.leave_out(_LATEST))
        if not is_joined or self._clock() - self._forwarded > _AT_ONCE:
            self._forward(live=True)
        if self._shows_latest and self._note_due == inf and self._is_holding:
            self._note_due = self._clock() + _NOTE

    @property
    def gathers(self) -> bool:
        """Whether the streams are a kernel's own: each gathers its texts for 0.2 s, whatever the other gets."""
        return self._pace is not None and self._texts_join

    @property
    def _is_holding(self) -> bool:
        """Whether there is something that is not going to be shown soon."""
        return self._excerpt.holds or self._clock() < self._calm

    def ask(self, request: InputRequest) -> Question:
        """Ask below all that was written before."""
        self.finish(wait=False)
        return self._relay.ask(request)

    def due(self) -> float:
        """Return the moment at which to call ``go_on``; infinite when nothing waits."""
        if self._pace is None or not self._backlog:
            return self._note_due
        return min(self._note_due, max(self._pace.opens(live=True), self._calm, self._clock() + _TICK))

    def go_on(self) -> None:
        """Show what may be shown now."""
        self._forward(live=True)
        if self._clock() >= self._note_due:
            self._show_latest()

    def finish(self, *, wait: bool) -> None:
        """Show what is left, with what is missing. ``wait``: as long as that takes, or until an interrupt."""
        for output in self._excerpt.end():
            self._backlog.put(output)
        self._note_due = inf
        if not wait or self._clock() < self._calm:
            self._show_all(self._backlog.leave_out(_LATEST))
        self._forward(live=False)
        if wait and self._backlog:
            with suppress(KeyboardInterrupt), native_interrupts():
                self._wait_until_shown()
        self._show_all(self._backlog.leave_out())
        self._show_all([self._backlog.take()] if self._backlog else [])

    def _wait_until_shown(self) -> None:
        while self._backlog and self._pace is not None:
            time.sleep(max(_TICK, self._pace.opens(live=False) - self._clock()))
            self._forward(live=False)

    def _forward(self, *, live: bool) -> None:
        """Show what there is room for."""
        self._forwarded = self._clock()
        while self._backlog:
            now = self._clock()
            if self._pace is None:
                self._show(self._backlog.take())
                continue
            # What comes on comms costs a page less than an output: a drawing may take many messages.
            is_output = not isinstance(self._backlog.first, CommOpen | CommMsg | CommClose | CommHandled)
            size, messages = self._pace.room(now, live=live and is_output)
            if messages <= 0 or (live and now < self._calm):
                return
            output = self._backlog.take()
            spent = 0
            if isinstance(output, Stream):
                part, spent = _part(output.text, size)
                if len(part) < len(output.text):
                    self._backlog.put_back(Stream(output.name, output.text[len(part) :]))
                    output = Stream(output.name, part)
                if not part:
                    return
            self._pace.spend(now, spent, self._messages(output))
            self._show(output)

    def _messages(self, output: Shown) -> int:
        """Return how many messages an output takes."""
        if isinstance(output, CommOpen | CommMsg | CommClose | CommHandled):
            return 1  # texts before and after it are sent together all the same
        before, self._wrote = self._wrote, isinstance(output, Stream)
        if isinstance(output, Flush):
            return 0
        if isinstance(output, Stream):
            return 0 if before and self._texts_join else 1
        return 3 if isinstance(output, ClearOutput) else 1  # the slot of the panel is cleared too, and put back

    def _show_all(self, outputs: Iterable[Shown]) -> None:
        for output in outputs:
            self._show(output)

    def _show(self, output: Shown) -> None:
        match output:
            case LeftOut():
                if self._in_line and self._pace is None:
                    self._relay.show(Stream("stdout", "\n"))
                self._note.say_finally(output)
                return
            case Stream():
                if self._note.shown and not self._excerpt.holds:
                    self._note.take_away()  # nothing was missing after all
                self._in_line = not output.text.endswith("\n")
            case CommOpen() | CommMsg() | CommClose() | CommHandled():
                if self._comms is not None:
                    self._comms.take(output)
                return
        self._relay.show(output)

    def _show_latest(self) -> None:
        self._note_due = inf
        if not self._is_holding:
            return
        if self._comms is not None and self._comms.captured:  # what a widget has taken cannot be replaced
            self._note_due = self._clock() + _NOTE
            return
        if self._backlog and self._clock() >= self._calm:  # the page is not yet where the note stands
            self._note_due = self._clock() + _NOTE
            return
        so_far = self._backlog.missing + LeftOut(self._excerpt.not_shown)
        if so_far != LeftOut():
            self._note.say(so_far, self._excerpt.latest(_NOTE_LINES, _NOTE_LENGTH))
            if self._pace is not None:
                self._pace.spend(self._clock(), 0, 1)
        self._note_due = self._clock() + _NOTE


def _part(text: str, room: int) -> tuple[str, int]:
    """Return as much of a text as there is room for in messages, in whole lines if possible, and what it takes."""
    part = text if len(text) <= room else first_part(text, room)
    while part and (size := sent_size(part)) > room:
        part = first_part(part, len(part) // 2)
    return part, size if part else 0
