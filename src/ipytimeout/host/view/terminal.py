"""One line of progress on a terminal, taken away at the end. In the thread that waits for the run.

Law of the file: standard error only, and only where it is a terminal: nothing of this ever reaches a pipe or a file.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from math import inf

from ipytimeout.host.supervise import Question, Relay
from ipytimeout.host.view.live import SilentView
from ipytimeout.host.view.run_state import Facts, Phase, RunState
from ipytimeout.host.view.summary import memory_used, progress_note, time_used
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import InputRequest
from ipytimeout.wire.messages.outputs import Flush, Output, Stream

#: A run that is over sooner shows nothing.
DELAY = 0.3
_INTERVAL = 0.2
_WIDTH = 24
_BLOCKS = " ▏▎▍▌▋▊▉█"


class TerminalView(SilentView):
    """Shows the line while nothing else is being written; what the code writes stands above it."""

    shows_memory = True

    def __init__(self, conclude: Callable[[str], None] | None) -> None:
        self._conclude = conclude
        self._state: RunState | None = None
        self._next = time.monotonic() + DELAY
        self._drawn = False
        #: Whether the code has left the cursor in the middle of a line, which must not be overwritten.
        self.in_line = False

    def attach(self, state: RunState, tell_warden: Callable[[Message], None]) -> None:
        self._state = state

    def around(self, relay: Relay) -> Relay:
        return _Above(relay, self)

    def due(self) -> float:
        return inf if self._state is None or self.in_line else self._next

    def draw(self) -> None:
        if self._state is None or self.in_line:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        line = progress_line(self._state.facts)[: shutil.get_terminal_size().columns - 1]
        self._write(f"\r\x1b[K{line}")
        self._drawn = True

    def wipe(self) -> None:
        """Take the line away, for something else to be written."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def conclude(self, line: str) -> None:
        self.wipe()
        if self._conclude is not None:
            self._conclude(line)

    def close(self) -> None:
        self.wipe()

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):  # the terminal is gone, or knows only ASCII
            self._state = None


class _Above:
    """Relays as another one does, with the line out of the way."""

    def __init__(self, relay: Relay, view: TerminalView) -> None:
        self._relay = relay
        self._view = view

    def show(self, message: Output) -> None:
        if isinstance(message, Flush):
            self._relay.show(message)
            return
        self._view.wipe()
        self._relay.show(message)
        if isinstance(message, Stream):
            self._view.in_line = not message.text.endswith("\n")
            if sys.stdout is not None:
                sys.stdout.flush()  # or it would come after the line that is drawn next
        else:
            self._view.in_line = False

    def ask(self, request: InputRequest) -> Question:
        self._view.wipe()
        return self._relay.ask(request)


def progress_line(facts: Facts) -> str:
    """Return the line: a bar of the time used or of the code's own progress, both in words, and what the run does."""
    bar = ""
    if facts.bar is not None:
        eighths = round(facts.bar * _WIDTH * 8)
        full, rest = divmod(eighths, 8)
        bar = f"▕{('█' * full + (_BLOCKS[rest] if rest else '')).ljust(_WIDTH)}▏ "
    note = "Ctrl-C ends it" if facts.phase is Phase.RUNNING else facts.phase.value
    used = memory_used(facts.memory, facts.memory_limit) if facts.memory else ""
    parts = (time_used(facts.elapsed, facts.timeout), used, progress_note(facts.said), note)
    return f"{bar}{' · '.join(filter(None, parts))}"
