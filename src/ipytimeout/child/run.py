"""Run the user's code: a cell, a statement or a function. Runs in the child, in its main thread.

Law of the file: the code is never edited, and meets what it meets in a kernel: a running event loop around a
cell, a context of its own, the shell's traps and events.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipytimeout.child.errors import (
    begin_where_the_code_begins,
    end_where_the_code_was,
    explain_refused,
    rendered,
    text_of,
)
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.exceptions import DeadlineInterrupt
from ipytimeout.wire.contexts import the_loop
from ipytimeout.wire.messages.outputs import Error
from ipytimeout.wire.messages.to_child import Execute

if TYPE_CHECKING:
    from ipytimeout.child.shell import ChildShell

#: So often the tasks that a cell leaves may take a step, before they count as running.
_MOST_TURNS = 10


@dataclass(slots=True)
class Ended:
    """How the code ended."""

    #: The context in which it ran: what it set there can be read by ``context.run``.
    context: contextvars.Context
    exception: BaseException | None = None
    error: Error | None = None
    #: Where it was raised: the code's own frames, outermost first.
    frames: list[tuple[str, int, str]] = field(default_factory=list)
    has_value: bool = False
    value: object = None
    #: Whether the exception is the interrupt of the deadline or of Cancel, or else a KeyboardInterrupt.
    deadline_interrupt: bool = False
    interrupted: bool = False
    #: What still runs, and cannot stay: each with its reason.
    still_running: dict[str, str] = field(default_factory=dict)


def run_cell(shell: ChildShell, interrupts: Interrupts, job: Execute) -> Ended:
    """Run a cell, or one statement whose value is wanted."""
    from ipytimeout.child.display import NO_VALUE

    shell.execution_count = job.execution_count
    shell.refused = job.refused
    shell.compile.expect(job.code, job.filename)
    shell.displayhook.value = NO_VALUE
    shell.displayhook.capture = job.statement
    if job.statement:
        shell.ast_node_interactivity = "last_expr"
    ended = Ended(contextvars.copy_context())
    threads = set(threading.enumerate())
    loop = the_loop()
    asyncio.set_event_loop(loop)
    run = _run_in_shell(shell, interrupts, job.code, store_history=not job.statement)
    outcome = _Outcome.of(loop, run, interrupts, ended.context)
    error = outcome.exception
    if error is None:
        result = outcome.value
        error = result.error_before_exec if result.error_before_exec is not None else result.error_in_exec
    if interrupts.deadline_came or interrupts.caused(error, KeyboardInterrupt):
        _end_tasks(loop, interrupts)
    else:
        _let_tasks_end(loop, interrupts)
    _take_error(ended, interrupts, error, shell)
    ended.value = shell.displayhook.value
    ended.has_value = ended.value is not NO_VALUE
    ended.still_running = {**_tasks_of(loop), **_threads_since(threads)}
    return ended


def rehearse(shell: ChildShell, interrupts: Interrupts) -> None:
    """Run a cell that does nothing, for the cost of its first time."""
    shell.compile.expect("None", "<rehearsal>")
    try:
        the_loop().run_until_complete(_run_in_shell(shell, interrupts, "None", store_history=False))
    finally:
        shell.compile.expect("", "")


async def _run_in_shell(shell: ChildShell, interrupts: Interrupts, code: str, store_history: bool) -> Any:
    """Run the code as ipykernel's ``do_execute`` does."""
    failure = None
    try:
        transformed = shell.transform_cell(code)
    except Exception:
        transformed = code
        failure = sys.exc_info()
    if not shell.should_run_async(code, transformed_cell=transformed, preprocessing_exc_tuple=failure):
        return shell.run_cell(code, store_history=store_history)
    interrupts.watch_awaiting()
    result = None
    try:
        result = await shell.run_cell_async(
            code, store_history=store_history, transformed_cell=transformed, preprocessing_exc_tuple=failure
        )
    finally:
        shell.events.trigger("post_execute")
        shell.events.trigger("post_run_cell", result)
    return result


def run_call(
    shell: ChildShell | None,
    interrupts: Interrupts,
    refused: Mapping[str, str],
    function: Callable[..., object],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Ended:
    """Call a function; run it to its end where it is a coroutine function."""
    ended = Ended(contextvars.copy_context())
    threads = set(threading.enumerate())
    error: BaseException | None = None
    try:
        with ExitStack() as traps:
            if shell is not None:
                traps.callback(ended.context.run, shell.events.trigger, "post_execute")
                traps.enter_context(shell.builtin_trap)
                traps.enter_context(shell.display_trap)
                ended.context.run(shell.events.trigger, "pre_execute")
            ended.value = ended.context.run(function, *args, **kwargs)
            if inspect.iscoroutine(ended.value):
                loop = the_loop()
                asyncio.set_event_loop(loop)
                interrupts.watch_awaiting()
                outcome = _Outcome.of(loop, ended.value, interrupts, ended.context)
                error = outcome.exception
                ended.value = outcome.value
                _end_tasks(loop, interrupts)
    except BaseException as raised:  # SystemExit too: the caller is to get it
        error = raised
    ended.has_value = error is None
    if isinstance(error, asyncio.CancelledError) and interrupts.cancelled_for is not None:
        cancelled, error = error, interrupts.cancelled_for("this run is being ended")
        error.__traceback__ = cancelled.__traceback__
    _take_error(ended, interrupts, error, shell, refused)
    if ended.exception is None and error is not None:  # ``exit`` ended the run
        ended.value, ended.has_value = None, True
    ended.still_running = _threads_since(threads)
    return ended


def ended_before_the_code(error: KeyboardInterrupt) -> Ended:
    """Tell of an interrupt that came between the start of the clock and the code, or just after it."""
    shown = Error(type(error).__name__, text_of(error), [f"{type(error).__name__}: {text_of(error)}"])
    return Ended(
        contextvars.copy_context(),
        exception=error.with_traceback(None),
        error=shown,
        deadline_interrupt=isinstance(error, DeadlineInterrupt),
        interrupted=not isinstance(error, DeadlineInterrupt),
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came out of a coroutine."""

    value: Any
    exception: BaseException | None

    @classmethod
    def of(
        cls,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        interrupts: Interrupts,
        context: contextvars.Context,
    ) -> _Outcome:
        """Run a coroutine to its end, whatever interrupts it."""
        task = loop.create_task(coroutine, context=context)
        interrupts.waits_for(loop, task)
        _drive(loop, task, interrupts)
        error: BaseException | None
        if task.cancelled():
            try:
                task.result()
            except asyncio.CancelledError as cancelled:
                error = cancelled
        else:
            error = task.exception()
        return cls(None if error is not None else task.result(), error)


def _drive(loop: asyncio.AbstractEventLoop, awaited: asyncio.Future[Any], interrupts: Interrupts) -> None:
    """Run the loop until the future is done; what breaks out of the loop elsewhere cancels it."""
    while not awaited.done() and not loop.is_closed():
        try:
            loop.run_until_complete(awaited)
        except (KeyboardInterrupt, SystemExit) as error:
            if not awaited.done():  # raised in another task, or in a callback
                if isinstance(error, KeyboardInterrupt):
                    interrupts.cancelled_for = type(error)
                    interrupts.take_from_task()
                awaited.cancel()
        except BaseException:
            pass  # its own, to be read from it; or the code has stopped the loop, which goes on natively
    if not awaited.done():
        awaited.cancel()


def _let_tasks_end(loop: asyncio.AbstractEventLoop, interrupts: Interrupts) -> None:
    """Let tasks take the steps that they are ready for, as the kernel's loop does after a cell: to end, for one."""
    for _ in range(_MOST_TURNS):
        if loop.is_closed() or not asyncio.all_tasks(loop):
            return
        _drive(loop, loop.create_task(asyncio.sleep(0)), interrupts)


def _end_tasks(loop: asyncio.AbstractEventLoop, interrupts: Interrupts) -> None:
    """Cancel the tasks that are left and let them run their ``finally``."""
    if loop.is_closed():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        rest = asyncio.gather(*tasks, return_exceptions=True)
        interrupts.waits_for(loop, rest)
        _drive(loop, rest, interrupts)
    generators = loop.create_task(loop.shutdown_asyncgens())
    interrupts.waits_for(loop, generators)
    _drive(loop, generators, interrupts)


def _take_error(
    ended: Ended,
    interrupts: Interrupts,
    error: BaseException | None,
    shell: ChildShell | None,
    refused: Mapping[str, str] | None = None,
) -> None:
    """Note the exception that ended the code, without our own frames."""
    if error is None or type(error).__name__ == "EndOfRun":
        return
    ended.deadline_interrupt = interrupts.caused(error, DeadlineInterrupt)
    ended.interrupted = interrupts.caused(error, KeyboardInterrupt) and not ended.deadline_interrupt
    if refused:
        explain_refused(error, refused)
    begin_where_the_code_begins(error)
    end_where_the_code_was(error)
    ended.exception = error
    ended.frames = [
        (frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    if shell is not None and shell.shown is not None and shell.shown[0] is error:
        ended.error = shell.shown[1]
    else:
        # What a deadline shows is for the host to say, which knows the reason.
        shown = [] if ended.deadline_interrupt else rendered(error, shell)
        ended.error = Error(type(error).__name__, text_of(error), shown)


def _tasks_of(loop: asyncio.AbstractEventLoop) -> dict[str, str]:
    """Name the asyncio tasks that the cell leaves running."""
    if loop.is_closed():
        return {}
    reason = "it was still running, and ends with the process of the cell"
    return {f"asyncio task {task.get_name()}": reason for task in asyncio.all_tasks(loop)}


def _threads_since(before: set[threading.Thread]) -> dict[str, str]:
    """Name the threads that the code leaves running, but for the servants of libraries."""
    reason = "it was still running, and ends with the process of the cell"
    left = {}
    for thread in set(threading.enumerate()) - before:
        of_user = getattr(getattr(thread, "_target", None), "__module__", None) == "__main__"
        if thread.is_alive() and (of_user or not (thread.daemon or _is_pool_worker(thread))):
            left[f"thread {thread.name}"] = reason
    return left


def _is_pool_worker(thread: threading.Thread) -> bool:
    """Tell whether this is a worker of an executor, or its manager: they wait for work most of their life."""
    if type(thread).__module__ in ("concurrent.futures.process", "joblib.externals.loky.process_executor"):
        return True
    return getattr(getattr(thread, "_target", None), "__module__", None) == "concurrent.futures.thread"
