"""The panel: how a run is going, with buttons, in the output of its cell. In the thread that waits for the run.

Law of the file: when the panel appears, how often it is drawn, and what stands in its place at the end. Its widgets
are in ``panel_widgets``.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from ipytimeout.host.comms import Comms
from ipytimeout.host.supervise import Relay
from ipytimeout.host.view.live import CLICKS, SilentView
from ipytimeout.host.view.panel_widgets import NO_PUMP, Widgets
from ipytimeout.host.view.run_state import Facts, Phase, RunState
from ipytimeout.host.view.slot import BLANK, NOTHING, Bundle, Slot, SlotRelay, is_caught
from ipytimeout.host.view.summary import as_bundle
from ipytimeout.wire.messages.codec import Message

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: A run that is over sooner shows no panel.
DELAY = 0.3
#: The panel is drawn at most so often; later, when nothing but seconds can be seen to change, once a second.
INTERVAL = 0.2
LATER_INTERVAL = 1.0
LATER = 60.0
#: A panel that was on the page for so long, in seconds, may be in a file; and so many lines are kept for those.
_SAVED, _MOST_LINES = 10.0, 50

#: What panels have become that may be in a file: a page that opens it finds them as long as this process lives.
_LINES: deque[Widgets] = deque()


class PanelView(SilentView):
    """A panel in a slot of the cell's output, and at the end a line in its place."""

    shows_memory = True

    def __init__(
        self, shell: InteractiveShell, numbers: Mapping[str, int], *, holds_place: bool, has_stack: bool = True
    ) -> None:
        self._shell = shell
        self._kernel: Any = getattr(shell, "kernel", None)
        self._numbers = numbers
        self._slot = Slot(self._kernel)
        #: Front ends do not replace what an Output widget has caught: the panel itself must become the line.
        self._caught = is_caught(self._kernel)
        self.can_replace = not self._caught
        self._state: RunState | None = None
        self._tell: Callable[[Message], None] = lambda message: None
        self._widgets: Widgets | None = None
        self._hears = False
        self._next = time.monotonic() + DELAY
        self._shown = inf
        self._drawn: Phase | None = None
        self._holds_place = holds_place
        self._has_stack = has_stack
        if holds_place and not self._caught:
            self._slot.put(BLANK)

    def attach(self, state: RunState, tell_warden: Callable[[Message], None]) -> None:
        self._state, self._tell = state, tell_warden

    def hears(self, comms: Comms | None, *, clicks: bool) -> None:
        self._slot.comms, self._hears = comms, clicks

    def around(self, relay: Relay) -> Relay:
        return SlotRelay(relay, self._slot, self._shell)

    def due(self) -> float:
        if self._state is None:
            return inf
        facts = self._state.facts
        if self._drawn in (None, Phase.RUNNING) or facts.phase is not self._drawn:
            return self._next
        return inf

    def draw(self) -> None:
        now = time.monotonic()
        if self._state is None or now < self._next:
            return
        facts = self._state.facts
        try:
            self._draw(facts)
        except Exception as error:  # of ipywidgets: a broken installation must not cost the run
            self._state = None
            warnings.warn(f"ipytimeout cannot show its panel ({error!r}); {NO_PUMP}", stacklevel=2)
            return
        self._drawn = facts.phase
        self._next = now + (INTERVAL if facts.elapsed < LATER else LATER_INTERVAL)

    def _draw(self, facts: Facts) -> None:
        if self._widgets is None:
            self._widgets = Widgets(facts, self._hears, self._wish, has_stack=self._has_stack)
            CLICKS.update(self._widgets.clicks)
            if self._slot.comms is not None:
                self._slot.comms.records.show()  # ipywidgets is imported by now
            self._slot.put(self._widgets.bundle)
            self._shown = time.monotonic()
        self._widgets.draw(facts)

    def _wish(self, message: Message) -> None:
        """Called by a click, maybe in another thread: for the warden of the present attempt."""
        self._tell(message)

    def show_stack(self, text: str) -> None:
        if self._widgets is not None:
            self._widgets.show_dump(text, self._numbers)

    def conclude(self, line: str) -> None:
        if self._holds_place or self._slot.shown:
            self._end(as_bundle(line))

    def close(self) -> None:
        if self._widgets is not None:
            self._end(NOTHING)

    def _end(self, content: Bundle) -> None:
        """Replace the panel for good. In this order: closed first, the page would jump."""
        for button in self._widgets.clicks if self._widgets is not None else ():
            CLICKS.pop(button, None)
        if self._widgets is None:
            self._slot.put(content)
        elif self._caught:
            self._widgets.become(content["text/html"])
        elif self._widgets.was_restored:  # the slot is not known to a page that was opened meanwhile
            self._slot.put(content)
            self._widgets.become(content["text/html"])
        else:
            self._slot.put(content)
            if time.monotonic() - self._shown > _SAVED:
                self._widgets.become(content["text/html"])
                _LINES.append(self._widgets)
            else:
                self._widgets.close()
            if len(_LINES) > _MOST_LINES:
                _LINES.popleft().close()
        self._widgets = self._state = None
