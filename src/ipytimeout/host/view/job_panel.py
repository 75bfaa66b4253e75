"""The panel of a background run: in the cell that started it, and wherever its job is shown. A thread for each panel.

Law of the file: the panel only looks on. It is made, drawn and closed in its own thread, and holds the run's handle,
not its job. A click comes by the kernel's main thread when it is idle, or by the pump of the cell that runs.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Any, Protocol

from ipytimeout.host.shell import cell_numbers
from ipytimeout.host.view import live
from ipytimeout.host.view.run_state import RunState
from ipytimeout.host.view.summary import as_bundle
from ipytimeout.wire.messages.codec import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell


class Looked(Protocol):
    """What a panel looks at: ``handle.Handle``."""

    state: RunState
    ended: threading.Event
    line: str
    watchers: list[Callable[[str], None]]

    def wish(self, message: Message) -> None:
        """Do what the user has clicked on."""


def has_panel(shell: InteractiveShell) -> bool:
    """Tell whether the cell that runs now is in a front end that draws widgets."""
    kernel = getattr(shell, "kernel", None)
    return kernel is not None and live.has_panel(kernel)


def show_panel(shell: InteractiveShell, run: Looked, title: str) -> None:
    """Show a panel in the cell that runs now, and at the end of the run a line in its place."""
    panel = _Panel(shell, run, title)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(panel.live,), name=f"ipytimeout panel of {title}", daemon=True).start()


class _Panel:
    """One panel; made in the thread of its cell."""

    def __init__(self, shell: InteractiveShell, run: Looked, title: str) -> None:
        from ipytimeout.host.view.slot import BLANK, Slot, is_caught

        kernel: Any = getattr(shell, "kernel", None)
        self._numbers = cell_numbers(shell)
        self._run = run
        self._title = title
        self._slot = Slot(kernel)
        #: Front ends do not replace what an Output widget has caught: the panel itself must become the line.
        self._caught = is_caught(kernel)
        if not self._caught:
            self._slot.put(BLANK)

    def live(self) -> None:
        """Look on until the run is over."""
        from ipytimeout.host.view.live import CLICKS
        from ipytimeout.host.view.panel import DELAY, INTERVAL, LATER, LATER_INTERVAL
        from ipytimeout.host.view.panel_widgets import Widgets

        if self._run.ended.wait(0 if self._caught else DELAY):
            self._slot.put(as_bundle(self._run.line))
            return
        try:
            widgets = Widgets(self._run.state.facts, True, self._run.wish, self._title)
        except Exception as error:  # of ipywidgets: a broken installation must not cost the run
            self._slot.put(as_bundle(f"… {self._title} runs; its panel cannot be shown ({error!r})"))
            self._run.ended.wait()
            self._slot.put(as_bundle(self._run.line))
            return
        CLICKS.update(widgets.clicks)
        self._slot.put(widgets.bundle)
        stacks: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._run.watchers.append(stacks.put)
        interval = INTERVAL
        while not self._run.ended.wait(interval):
            facts = self._run.state.facts
            widgets.draw(facts)
            while not stacks.empty():
                widgets.show_dump(stacks.get(), self._numbers)
            interval = INTERVAL if facts.elapsed < LATER else LATER_INTERVAL
        self._run.watchers.remove(stacks.put)
        for button in widgets.clicks:
            CLICKS.pop(button, None)
        line = as_bundle(self._run.line)
        if self._caught:
            widgets.become(line["text/html"])
        else:
            self._slot.put(line)
            widgets.close()


def show_line(shell: InteractiveShell, run: Looked, title: str) -> None:
    """Where there are no widgets: say in the cell that runs now how the run goes, and at its end how it went."""
    line = f"… {title} runs in the background"
    kernel: Any = getattr(shell, "kernel", None)
    if kernel is None:

        def put(line: str) -> None:
            shell.display_pub.publish(as_bundle(line))

    else:
        from ipytimeout.host.view.slot import Slot

        slot = Slot(kernel)

        def put(line: str) -> None:
            slot.put(as_bundle(line))

    put(line)

    def conclude() -> None:
        run.ended.wait()
        put(run.line)

    threading.Thread(target=conclude, name=f"ipytimeout line of {title}", daemon=True).start()
