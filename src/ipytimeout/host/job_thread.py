"""The thread of a job: runs a task to its end, in the background. In the user's process.

Law of the file: while it waits, the thread holds the ``Handle`` of the run, and not its ``Job``.
"""

from __future__ import annotations

import contextvars
import os
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import ipytimeout
from ipytimeout.exceptions import RunError
from ipytimeout.host import landing
from ipytimeout.host.cell_relay import CellRelay
from ipytimeout.host.conclude import Ended
from ipytimeout.host.handle import Handle
from ipytimeout.host.job import Job
from ipytimeout.host.relay import ShellRelay
from ipytimeout.host.run import log_end, tell_left_behind
from ipytimeout.host.supervise import Relay
from ipytimeout.host.view.live import SilentView
from ipytimeout.host.view.summary import as_bundle, left_behind_line, summary_line
from ipytimeout.options import RunOptions
from ipytimeout.outcomes import Ending
from ipytimeout.wire.messages.outputs import DisplayData, Error

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PACKAGE = str(Path(ipytimeout.__file__).parent) + os.sep
#: Those of cells: their panel and what they bring back are wanted, whatever becomes of the name.
_kept: set[Job[Any]] = set()


class Task(landing.Task, Protocol):
    """What runs in the background: a ``PreparedCell`` or a ``PreparedCall``."""

    @property
    def options(self) -> RunOptions: ...
    @property
    def shell(self) -> InteractiveShell | None: ...
    @property
    def lands(self) -> bool:
        """Whether it brings back more than a value."""

    def run(self, view: SilentView) -> Ended:
        """Run it, in any thread."""

    def value_of(self, ended: Ended) -> Any:
        """Return its value, or raise what ended it."""


def start(task: Task, name: str, *, keep: bool = False, quiet: bool = False) -> Job[Any]:
    """Run a task in a thread of its own, whose output appears where the caller's does.

    ``keep``: go on although nobody refers to the job. ``quiet``: nobody is going to look at it.
    """
    kernel = getattr(task.shell, "kernel", None)
    relay = CellRelay(kernel) if kernel is not None else None
    handle = Handle(task.options.timeout, relay, shows_memory=kernel is not None and not quiet)
    job: Job[Any] = Job(name, handle)
    if task.lands and task.shell is not None:
        landing.field_of(task.shell)  # which listens from now on
    if keep:
        _kept.add(job)
        job.add_done_callback(_kept.discard)
    errors: Relay | None = None
    if keep:
        errors = relay if relay is not None or task.shell is None else ShellRelay(task.shell)
    context = contextvars.copy_context()
    arguments = (_work, name, task, handle, weakref.ref(job), errors)
    threading.Thread(target=context.run, args=arguments, name=f"ipytimeout {name}", daemon=True).start()
    return job


def _work(name: str, task: Task, handle: Handle, reference: weakref.ref[Job[Any]], errors: Relay | None) -> None:
    """Run to the end. ``errors``: where an error is shown that nobody may ask for."""
    job = reference()
    if job is None or not job.set_running_or_notify_cancel():
        handle.has_ended("■ cancelled before it began")
        return
    del job
    value, error = _run(task, handle, errors)
    log_end(task.shell, name, handle.line)
    job = reference()
    if job is None:
        return
    if error is None:
        job.set_result(value)
    else:
        job.set_exception(error)


def _run(task: Task, handle: Handle, errors: Relay | None) -> tuple[Any, BaseException | None]:
    """Return the value of a task, or what ended it."""
    line = ""
    try:
        with handle:
            ended = task.run(handle)
        handle.outcome = ended.outcome
        line = summary_line(ended.outcome, ended.place, kept=ended.kept)
        if task.lands:
            _land(task, ended, handle)
        value = task.value_of(ended)
    except BaseException as raised:
        error = raised.with_traceback(_below_ours(raised))
        if errors is not None and (handle.outcome is None or handle.outcome.ending is not Ending.RAISED):
            errors.show(_shown(error))  # the child has not
        handle.has_ended(line or f"✗ {type(error).__name__}: {error}")
        return None, error
    handle.has_ended(line)
    return value, None


def _below_ours(error: BaseException) -> TracebackType | None:
    """Return where the code was, without our frames above it, which hold the arguments of the call."""
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        entry = entry.tb_next
    return error.__traceback__ if entry is None and not isinstance(error, RunError) else entry


def _land(task: Task, ended: Ended, handle: Handle) -> None:
    """Let what the run has done be put in place; in a program, when its result is asked for."""
    relay, shell = handle._relay, task.shell

    def tell(left_behind: Mapping[str, str]) -> None:
        if relay is not None:
            relay.show(DisplayData(as_bundle(left_behind_line(left_behind)), {}, {}))
        else:
            tell_left_behind(shell, left_behind)

    handle.landing = landing.Landing(task, ended, tell)
    if shell is not None:
        landing.field_of(shell).add(handle.landing)


def _shown(error: BaseException) -> Error:
    name, text = type(error).__name__, str(error)
    render: Any = getattr(error, "_render_traceback_", None)
    return Error(name, text, render() if render is not None else [f"{name}: {text}"])
