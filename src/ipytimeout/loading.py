"""What ``%load_ext ipytimeout`` does and ``%unload_ext ipytimeout`` takes back. In the user's process, main thread.

Law of the file: loading waits for nothing. What a run needs is imported and started in a thread, and made anew when a
cell has imported more.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import sys
import threading
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from ipytimeout.host.showing import show_once
from ipytimeout.magics import TimeoutMagics
from ipytimeout.platforms import unsupported
from ipytimeout.wire.cell_text import CellText


def load(shell: InteractiveShell) -> None:
    """Register ``%%timeout`` and ``%timeout``. Loading twice is harmless.

    Raises
    ------
    UsageError
        Where processes cannot be had as this package needs them: on Windows and in the browser.
    """
    if why := unsupported():
        raise UsageError(why)
    unload(shell)
    show_once(shell)
    shell.register_magics(TimeoutMagics)
    shell.input_transformers_cleanup.append(_keep_empty_body)
    shell.events.register("post_run_cell", _Follower(shell).after_cell)


def unload(shell: InteractiveShell) -> None:
    """Take back what ``load`` did; harmless when it did nothing."""
    magics = shell.magics_manager
    for kind, name in itertools.product(("line", "cell"), ("timeout", "autotimeout")):
        found = magics.magics[kind].get(name)
        # By name: %autoreload may have made the class anew.
        if type(getattr(found, "__self__", None)).__name__ == TimeoutMagics.__name__:
            del magics.magics[kind][name]
    loaded = magics.registry.pop(TimeoutMagics.__name__, None)
    if hasattr(loaded, "auto"):
        loaded.auto.take_off()
    if getattr(shell.showtraceback, "shows_once", False):
        for name in ("showtraceback", "debugger"):
            vars(shell).pop(name, None)
    callbacks = shell.events.callbacks["post_run_cell"]
    for callback in list(callbacks):
        follower: Any = getattr(callback, "__self__", None)
        if type(follower).__name__ == _Follower.__name__:
            callbacks.remove(callback)
            follower.stop()
    transformers = shell.input_transformers_cleanup
    transformers[:] = [t for t in transformers if getattr(t, "__qualname__", "") != _keep_empty_body.__qualname__]


class _Follower:
    """Lets the next run's child be made ready in the background: at once, and when a cell has imported something."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        #: How many modules there were when a child was made ready last.
        self._modules = 0
        self._beginning = threading.Thread(target=self._begin, name="ipytimeout: begin")
        self._beginning.start()

    def _begin(self) -> None:
        """Import what a run and its error need, beside what the user does, and have a template started."""
        with contextlib.suppress(Exception):  # the next run says what is wrong
            from ipytimeout.host.launch.warden import get_warden

            get_warden()  # starts while there is more to import here
            from ipytimeout.host.settle import get_ready

            get_ready(self._shell, rehearse=False)
            importlib.import_module("ipytimeout.host.run")
            from ipytimeout.host.where import warm_up

            warm_up(self._shell)

    def after_cell(self, result: object) -> None:
        """Called by IPython after each cell, timed or not."""
        if self._beginning.is_alive():
            return  # of what the cell has done, the first run reads
        from ipytimeout.host import process_state

        if not self._modules:
            process_state.cells_are_told(True)
        code = getattr(getattr(result, "info", None), "raw_cell", None)
        if not (isinstance(code, str) and code.startswith("%%timeout")):  # which has taken note of itself
            process_state.code_ran()
            if isinstance(code, str):
                process_state.learn(CellText(code, self._shell.transform_cell), self._shell.user_ns)
        if len(sys.modules) != self._modules:
            with contextlib.suppress(Exception):  # the next run says what is wrong
                from ipytimeout.host.settle import get_ready

                get_ready(self._shell)
            self._modules = len(sys.modules)

    def stop(self) -> None:
        """Have nobody rely on it any more."""
        from ipytimeout.host import process_state

        self._beginning.join()
        process_state.cells_are_told(False)


def _keep_empty_body(lines: list[str]) -> list[str]:
    """Give a lone ``%%timeout`` line an empty line for a body: IPython refuses a cell magic without one."""
    if len(lines) == 1 and lines[0].startswith("%%timeout") and not lines[0].rstrip().endswith("?"):
        return [lines[0].rstrip("\r\n") + "\n", "\n"]
    return lines


#: Keeps it out of IPython's test whether a cell is complete: a terminal goes on asking for the body.
_keep_empty_body.has_side_effects = True  # type: ignore[attr-defined]
