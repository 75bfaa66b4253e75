"""The kernel's own shell becomes a child's, in a copy of the kernel. Runs in the child.

Whoever has got hold of the shell, of its magics or of its formatters has those of the child from now on: it is the
very object that changes its class. Law of the file: of what leads to the kernel's sockets, threads and database
nothing is used, and nothing is let go of.
"""

from __future__ import annotations

import threading
import types
from contextlib import suppress
from typing import Any, cast

from ipytimeout.child import kernel_magics
from ipytimeout.child.channel import Channel
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.child.shell import CellCompiler, ChildShell, leave_the_exit_warning_to_the_host

#: Names that IPython puts into each namespace.
_OWN = ("get_ipython", "exit", "quit", "open")
_CLASSES = ("display_pub_class", "displayhook_class", "compiler_class", "exiter")
#: Whose callbacks are for the kernel.
_OF_KERNEL = ("ipytimeout", "ipykernel")
#: What is the kernel's and must not end here.
_kept: list[object] = []


def take_over(
    native: Any, channel: Channel, interrupts: Interrupts, *, looks_like_kernel: bool, cell_directory: str
) -> ChildShell:
    """Make a shell of the kernel, or in a run inside a run that of a child, the one shell of this process."""
    ours = isinstance(native, ChildShell)
    kept = ("display_pub", "displayhook", "display_trap", "compile", "payload_manager", "exiter", "kernel", "events")
    _kept.extend(getattr(native, name, None) for name in kept)
    if not ours:
        of_native = type(native)
        # Both: whoever asks whether this is an ipykernel's shell is told so, as before.
        body = {"__module__": of_native.__module__, "__qualname__": of_native.__qualname__}
        both = (ChildShell, of_native)
        native.__class__ = types.new_class(of_native.__name__, both, {}, lambda names: names.update(body))
    shell = cast("ChildShell", native)
    shell.like_kernel, shell.channel, shell.interrupts = looks_like_kernel, channel, interrupts
    shell.refused, shell.shown, shell.reserve, shell.kernel = {}, None, None, None
    for name in vars(ChildShell).keys() & vars(shell).keys():  # ipykernel has put some methods into the instance
        if isinstance(vars(ChildShell)[name], types.FunctionType):
            del cast("Any", shell).__dict__[name]
    for name in _CLASSES:  # what the kernel's class says, it has looked up once and kept
        cast("Any", shell)._trait_values.pop(name, None)
    shell.compile = _compiler_like(shell.compile, cell_directory)
    for make in (shell.init_display_pub, shell.init_displayhook, shell.init_payload, shell.show_pages):
        make()
    for callbacks in shell.events.callbacks.values():
        callbacks[:] = [
            each for each in callbacks if not (getattr(each, "__module__", "") or "").startswith(_OF_KERNEL)
        ]
    if not ours:
        shell.leave_callbacks_to_the_kernel()
        leave_the_exit_warning_to_the_host()
        if looks_like_kernel:
            kernel_magics.register(shell)
    _let_go_of_history(shell.history_manager)
    shell.exiter = shell._default_exiter()
    shell.user_ns.update(exit=shell.exiter, quit=shell.exiter)
    shell.first_names = {name: shell.user_ns[name] for name in _OWN if name in shell.user_ns}
    return shell


def _compiler_like(native: Any, cell_directory: str) -> CellCompiler:
    compiler = CellCompiler()
    compiler.flags = native.flags
    compiler.cell_directory = cell_directory
    compiler.number(getattr(native, "_filename_map", {}))
    return compiler


def _let_go_of_history(history: Any) -> None:
    """Remember cells in memory only: the thread that wrote them down is not here, and what it locked stays locked."""
    history.enabled = False
    history.db_input_cache_lock, history.db_output_cache_lock = threading.Lock(), threading.Lock()
    thread = getattr(history, "save_thread", None)
    if thread is not None:
        thread.enabled = False
    # IPython 8 has it in the one, IPython 9 in the other.
    each: Any
    for each in (history, thread):
        with suppress(AttributeError):
            each.save_flag = threading.Event()
    # Lists of its own: those of the kernel may be names of the notebook.
    history.input_hist_parsed = list(history.input_hist_parsed)
    history.input_hist_raw = list(history.input_hist_raw)
