"""How the user's shell shows the errors of runs. In the user's process, main thread.

Law of the file: it is imported by ``%load_ext``, and so imports nothing that takes long.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

from ipytimeout.exceptions import RunError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: What ``%debug`` says after a run that has failed.
_GONE = (
    "The process of this cell is gone, and its variables with it: %debug cannot look into it. In the cell itself "
    "breakpoint() works, and after %pdb on the debugger opens at an error, while the process is there."
)


#: What each shell shows errors with, also where something else was put around it since.
_SHOWING: weakref.WeakKeyDictionary[InteractiveShell, Any] = weakref.WeakKeyDictionary()


def show_once(shell: InteractiveShell) -> None:
    """Have the shell show no second time an error whose traceback the child has already shown.

    Relayed at once, an error keeps its place among the displays (a half-drawn figure comes after it, as
    natively); raised at the end as well, it makes the cell an error for nbclient and for *Run all*.

    And have ``%debug`` say, after an error of a run, what works instead: here are only the frames that waited for it.
    """
    show = shell.showtraceback
    debug: Any = shell.debugger
    if getattr(show, "shows_once", False):
        return

    def showtraceback(*args: Any, **kwargs: Any) -> None:
        error = sys.exc_info()[1]
        shown, own.shown = own.shown, None
        own.of_run = isinstance(error, RunError) or (shown is not None and shown[0] is error)
        if shown is None or shown[0] is not error:
            show(*args, **kwargs)
        else:
            vars(shell)["_last_traceback"] = shown[1]  # what ipykernel puts into the reply

    def debugger(*args: Any, **kwargs: Any) -> None:
        if own.of_run:
            print(_GONE)
        else:
            debug(*args, **kwargs)

    own: Any = showtraceback
    own.shows_once, own.shown, own.of_run = True, None, False
    _SHOWING[shell] = own
    shell.showtraceback, shell.debugger = showtraceback, debugger  # type: ignore[method-assign]


def mark_shown(shell: InteractiveShell, error: BaseException, traceback: list[str]) -> None:
    """Note that an error was already shown, with this traceback. Nothing is set on the error: it is the user's."""
    if (show := _SHOWING.get(shell)) is not None:
        show.shown = (error, traceback)


def show_as(error: BaseException, traceback: list[str]) -> None:
    """Have the shell show this traceback for an error, not where this package waited for it."""
    error._render_traceback_ = lambda: traceback  # type: ignore[attr-defined]  # IPython's protocol
