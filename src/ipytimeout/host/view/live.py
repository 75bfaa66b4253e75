"""Which view a run has: a panel, a line on a terminal, or nothing. In the thread that waits for the run.

Law of the file: a view is a context manager around everything a run does, with a retry too. ``conclude`` leaves the
one static line; a view that is left without it leaves nothing.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ipytimeout.host.comms import Comms
from ipytimeout.host.supervise import Relay, Waiter
from ipytimeout.host.view.run_state import RunState
from ipytimeout.host.view.summary import as_bundle
from ipytimeout.wire.messages.codec import Message

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


#: What a click does, by the comm id of its button: of all panels, since the cell that runs lets all of them in.
CLICKS: dict[str, Callable[[], None]] = {}


class SilentView:
    """Shows nothing."""

    waiter: Waiter | None = None
    shows_memory = False
    #: Whether the page replaces what it shows of a run when it is told to.
    can_replace = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, state: RunState, tell_warden: Callable[[Message], None]) -> None:
        return

    def hears(self, comms: Comms | None, *, clicks: bool) -> None:
        """Learn of the run's widgets, and whether a click reaches this process while the cell blocks it."""

    def around(self, relay: Relay) -> Relay:
        """Return the relay to be used, which minds what this view has on the page."""
        return relay

    def due(self) -> float:
        return inf

    def draw(self) -> None:
        return

    def show_stack(self, text: str) -> None:
        return

    def conclude(self, line: str) -> None:
        """Leave this line for good."""

    def close(self) -> None:
        """Take away whatever is not for good."""


class LineView(SilentView):
    """Nothing while the run goes on; the line as an output of the cell, below the others."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def conclude(self, line: str) -> None:
        self._shell.display_pub.publish(as_bundle(line))


def view_of_cell(shell: InteractiveShell, numbers: Mapping[str, int], *, quiet: bool) -> SilentView:
    """Return the view of a cell. ``numbers``: of the notebook's cells, by their names in tracebacks."""
    if quiet:
        return SilentView()
    kernel: Any = getattr(shell, "kernel", None)
    if kernel is not None and has_panel(kernel):
        from ipytimeout.host.view.panel import PanelView

        return PanelView(shell, numbers, holds_place=True)
    if kernel is None and _is_terminal():
        from ipytimeout.host.view.terminal import TerminalView

        return TerminalView(LineView(shell).conclude)
    return LineView(shell)


def view_of_call(
    shell: InteractiveShell | None, numbers: Mapping[str, int], *, quiet: bool, has_stack: bool = True
) -> SilentView:
    """Return the view of a function's run: as of a cell, but it leaves nothing.

    ``has_stack``: whether it can be asked where the code is, as of many runs it cannot.
    """
    if quiet:
        return SilentView()
    kernel: Any = getattr(shell, "kernel", None)
    if shell is not None and kernel is not None and has_panel(kernel):
        from ipytimeout.host.view.panel import PanelView

        return PanelView(shell, numbers, holds_place=False, has_stack=has_stack)
    if kernel is None and _is_terminal():
        from ipytimeout.host.view.terminal import TerminalView

        return TerminalView(None)
    return SilentView()


def has_panel(kernel: Any) -> bool:
    """Tell whether somebody is there who draws widgets, and whether this thread may ask for it."""
    from ipytimeout.host.pump import is_shell_thread

    parent = kernel.get_parent() or {}
    header = parent.get("header") or {}
    if not is_shell_thread(kernel):
        return False
    if header.get("msg_type") == "comm_msg":  # a callback of a widget: of Voilà, for instance
        return True
    # JupyterLab, Notebook and VS Code name the cell; nbclient, papermill and consoles do not, and draw no widgets.
    return header.get("msg_type") == "execute_request" and "cellId" in (parent.get("metadata") or {})


def _is_terminal() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False  # several lines would overwrite each other
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except (AttributeError, ValueError):  # a replaced, or a closed one
        return False


@contextlib.contextmanager
def listening(view: SilentView, kernel: Any, comms: Comms | None = None) -> Iterator[None]:
    """Let the user's clicks in for a while, and what is said to widgets; entered where SIGINT raises nothing."""
    pump = None
    if kernel is not None:
        from ipytimeout.host.pump import is_shell_thread, pump_for

        pump = pump_for(kernel, CLICKS, comms) if is_shell_thread(kernel) else None
    view.hears(comms, clicks=pump is not None)
    if pump is None:
        yield
        return
    with pump:
        view.waiter = pump
        try:
            yield
        finally:
            view.waiter = None
