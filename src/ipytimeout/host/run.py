"""What happens when a cell or a function is run: the page to read first. Runs in the user's process.

A run is: capture the names the code needs → take a child and send them → wait, relaying its output, until the
warden says that the code runs no more → rebuild what came back → have the warden end everything → commit.
Nothing of the notebook is touched before the last step, and the last step cannot fail half-way.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipytimeout.exceptions import RunError
from ipytimeout.host import endings, where
from ipytimeout.host.capture import Needed, needed_by_call, needed_names
from ipytimeout.host.commit import CannotRebuild, Commit, interrupts_held, prepare
from ipytimeout.host.launch.launcher import get_launcher
from ipytimeout.host.launch.warm import TemplateUnusable
from ipytimeout.host.relay import PlainRelay, ShellRelay, mark_shown, show_as
from ipytimeout.host.room import refuse_without_room
from ipytimeout.host.settle import (
    cell_filename,
    cell_number,
    cell_numbers,
    cell_sources,
    learn_sources,
    settle_like_here,
)
from ipytimeout.host.supervise import Supervision, WardenLost, interrupts_go_to
from ipytimeout.host.view.live import SilentView, view_of_call, view_of_cell
from ipytimeout.host.view.summary import as_bundle, left_behind_line, summary_line
from ipytimeout.options import RunOptions, StartMethod, format_size
from ipytimeout.outcomes import Outcome
from ipytimeout.wire.framing import ProtocolError
from ipytimeout.wire.messages import Arm, Call, DisplayData, Execute, Finish, ProcessState, Resend
from ipytimeout.wire.pickling import CALL, EXCEPTION, Dump, dump_namespace
from ipytimeout.wire.state import apply_state, read_state

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: A copy of so many bytes is made without asking whether there is room for it.
_ALWAYS_FITS = 1 << 24
#: IPython's own bookkeeping: a child's shell has its own.
_SHELL_NAMES = frozenset({"In", "Out", "_ih", "_oh", "_dh", "get_ipython", "exit", "quit", "open", "__builtins__"})


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run, and on which names."""

    namespace: dict[str, Any]
    needed: Needed
    state: ProcessState
    #: Make the message from the names that were dumped; called again when a name proves impossible to send.
    message: Callable[[Dump, dict[str, str]], Execute | Call]
    #: What travels beside the names.
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over: its outcome, and what it brings back, not yet committed."""

    outcome: Outcome
    commit: Commit | None
    #: What ended the code, or the run; None when it finished.
    error: BaseException | None
    #: Where the code was, in short.
    place: str
    left_behind: dict[str, str]
    state: ProcessState | None
    sources: dict[str, tuple[str, int]]


def get_ready(shell: InteractiveShell) -> None:
    """Have a child ready for the next run, in the background: after ``%load_ext``, and after each cell."""
    get_launcher(StartMethod.AUTO).prepare(settle_like_here(shell))


def run_cell(shell: InteractiveShell, code: str, options: RunOptions, *, statement: bool = False) -> Any:
    """Run a cell, or (``statement``) one statement whose value is returned, in a child; raise as the code did."""
    __tracebackhide__ = True
    namespace: dict[str, Any] = shell.user_ns
    state = read_state()
    filename, number = cell_filename(shell, code), cell_number(shell)

    def message(dump: Dump, refused: dict[str, str]) -> Execute:
        return Execute(
            code=code,
            statement=statement,
            execution_count=number,
            filename=filename,
            state=state,
            sources=cell_sources(shell),
            refused=refused,
            discard=options.discard,
            keep=None if options.keep is None else list(options.keep),
            partial=False,
            buffers=dump.buffers,
        )

    needed = needed_names(
        code, namespace, transform=shell.transform_cell, with_names=options.with_names, hidden=_SHELL_NAMES
    )
    learn_sources(shell, {filename: (code, number)})
    with view_of_cell(shell, cell_numbers(shell), quiet=options.quiet) as view:
        ended = _run(Job(namespace, needed, state, message), options, shell, view)
        value = _take_back(shell, ended)
        if value is not None and not statement:
            hook: Any = shell.displayhook
            hook.update_user_ns(value)
            hook.fill_exec_result(value)
        view.conclude(summary_line(ended.outcome, ended.place))
    if ended.left_behind:
        shell.display_pub.publish(as_bundle(left_behind_line(ended.left_behind)))
    if ended.error is not None:
        raise ended.error
    return value if statement else None


def run_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: RunOptions
) -> Any:
    """Call a function in a child; return its value or raise what it raised. Nothing of the caller is changed."""
    __tracebackhide__ = True
    shell = _current_shell()
    namespace: dict[str, Any] = shell.user_ns if shell is not None else vars(sys.modules["__main__"])
    state = read_state()

    def message(dump: Dump, refused: dict[str, str]) -> Call:
        return Call(state, cell_sources(shell), refused, options.discard, dump.buffers)

    needed = needed_by_call(function, args, kwargs, namespace, with_names=options.with_names, hidden=_SHELL_NAMES)
    job = Job(namespace, needed, state, message, {CALL: (function, args, dict(kwargs))})
    with view_of_call(shell, cell_numbers(shell), quiet=options.quiet) as view:
        ended = _run(job, options, shell, view)
        if ended.error is not None:
            view.conclude(summary_line(ended.outcome, ended.place))
    if ended.error is not None:
        raise ended.error
    if ended.commit is None or not ended.commit.has_result:
        reason = next(iter(ended.left_behind.values()), "the child sent no result")
        raise pickle.PicklingError(f"the function ended, but its result cannot be brought back: {reason}")
    return ended.commit.result


def _run(job: Job, options: RunOptions, shell: InteractiveShell | None, view: SilentView) -> Ended:
    """Run a job in a child, to its end; once more without what the child could not rebuild."""
    refused = {
        name: f"it is large ({format_size(size)}) and the code does not name it; add --with {name}"
        for name, size in job.needed.too_large.items()
    }
    impossible: dict[str, str] = {}
    while True:
        dump = dump_namespace(job.namespace, job.needed.names - impossible.keys(), job.extra)
        size = sum(memoryview(b).nbytes for b in dump.buffers)
        if size > _ALWAYS_FITS:
            refuse_without_room(size)
        message = job.message(dump, {**refused, **dump.refused, **impossible})
        try:
            return _run_once(message, dump, job, options, shell, view)
        except _ChildCannotRebuild as error:
            if error.name is None or error.name in impossible or error.name not in job.needed.names:
                raise pickle.PicklingError(f"the child cannot rebuild what was sent: {error.reason}") from None
            impossible[error.name] = error.reason
        except WardenLost:
            raise endings.warden_lost() from None
        except ProtocolError as error:
            raise endings.not_understood(error) from None


def _run_once(
    message: Execute | Call,
    dump: Dump,
    job: Job,
    options: RunOptions,
    shell: InteractiveShell | None,
    view: SilentView,
) -> Ended:
    settle = settle_like_here(shell)
    launcher = get_launcher(options.start)
    relay = view.around(ShellRelay(shell) if shell is not None else PlainRelay())
    try:
        child = launcher.take(settle)
    except ConnectionError:
        raise WardenLost from None
    except TemplateUnusable as error:
        raise RunError(f"--start warm does not work here: {error.args[0]}; use --start spawn") from None
    with (
        Supervision(child, relay, view, options.timeout, lambda: launcher.prepare_during_run(settle)) as run,
        interrupts_go_to(child),
        view.listening(),
    ):
        run.until(lambda: run.started)  # from here on whatever the child leaves behind is known to be its own
        child.tell_warden(Arm(options.timeout, options.kill_after, endings.stall_limit(options.timeout), partial=False))
        child.send(message)
        run.until(lambda: run.verdict is not None or (run.changes is not None and not run.running))
        if run.changes is not None and not run.running:
            raise _ChildCannotRebuild.of(run.changes.left_behind)
        # Interrupted code says where it was; killed code cannot, and then the run is gone at once.
        run.until(lambda: run.changes is not None or run.gone is not None)
        # With --discard nothing that the child made is unpickled, whatever it sends.
        commit, unbuilt = (None, {}) if options.discard else _bring_back(run, dump, job.namespace)
        child.tell_warden(Finish())
        run.finish()
    with interrupts_held():  # else the template would have to be made anew
        launcher.prepare(settle)
    ended = _conclude(run, commit, unbuilt, shell, is_cell=isinstance(message, Execute))
    if child.note:
        relay.show(DisplayData(as_bundle(f"… {child.note}"), {}, {}))
    return ended


def _bring_back(run: Supervision, dump: Dump, namespace: dict[str, Any]) -> tuple[Commit | None, dict[str, str]]:
    """Rebuild what came back, on new objects. What cannot be rebuilt is left out: those parts, with the reason."""
    without: dict[str, str] = {}
    while run.ended_by_itself and run.changes is not None and run.changes.buffers:
        try:
            return prepare(run.changes.buffers, namespace, dump.table), without
        except CannotRebuild as error:
            if error.name is None or error.name in without:
                return None, {"everything": error.reason}
            without[error.name] = error.reason
        run.changes = None
        run.child.send(Resend(None, without))
        run.until(lambda: run.changes is not None or not run.ended_by_itself)
    return None, without


def _conclude(
    run: Supervision,
    commit: Commit | None,
    unbuilt: dict[str, str],
    shell: InteractiveShell | None,
    *,
    is_cell: bool,
) -> Ended:
    """Say how the run ended, and with which exception."""
    numbers = cell_numbers(shell)
    assert run.verdict is not None and run.gone is not None
    verdict, changes = run.verdict, run.changes
    outcome = endings.outcome_of(verdict, changes, run.timeout, run.gone.ended_processes)
    frames = [(file, line, name) for file, line, name in changes.frames] if changes is not None else []
    if not frames:
        frames = where.frames_of_dump(verdict.stack)
    place = where.in_short(frames, numbers)
    error: BaseException | None = None
    left_behind: dict[str, str] = {}
    if run.ended_by_itself:
        assert changes is not None
        left_behind = dict(changes.left_behind)
        if commit is not None:
            left_behind.update(commit.left_behind)
        elif "everything" in unbuilt:
            left_behind.update(unbuilt)
        if not changes.success:
            error = commit.exception if commit is not None else None
            if error is None:
                why = unbuilt.get(EXCEPTION, "") or (commit.exception_reason if commit is not None else "")
                error = endings.foreign_error(changes, why or "it cannot be pickled")
            if is_cell and changes.error is not None:
                mark_shown(error, changes.error.traceback)
    else:
        commit = None
        error = endings.error_of(
            outcome, verdict, running=run.running, place=place, stderr=run.last_words, returning=run.returning
        )
        if isinstance(error, RunError):
            error.where = where.as_text(frames, numbers)
        if shell is not None and is_cell:
            show_as(error, where.rendered(error, frames, shell))
    if error is not None:
        error = error.with_traceback(where.traceback_of(frames))
    brings_back = commit is not None and changes is not None
    return Ended(
        outcome,
        commit,
        error,
        place,
        left_behind,
        changes.state if brings_back and changes is not None else None,
        changes.sources if brings_back and changes is not None else {},
    )


def _take_back(shell: InteractiveShell, ended: Ended) -> Any:
    """Put in place what the run left, and return its value."""
    if ended.commit is None:
        return None
    with interrupts_held():  # the names and the state of the process: both or neither
        ended.commit.apply()
        learn_sources(shell, ended.sources)
        if ended.state is not None:
            apply_state(ended.state)
    return ended.commit.result if ended.commit.has_result else None


def _current_shell() -> InteractiveShell | None:
    """Return the IPython shell of this process, without importing IPython for it."""
    module = sys.modules.get("IPython")
    shell: InteractiveShell | None = module.get_ipython() if module is not None else None
    return shell


class _ChildCannotRebuild(Exception):
    def __init__(self, name: str | None, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    @classmethod
    def of(cls, left_behind: Mapping[str, str]) -> _ChildCannotRebuild:
        name = next(iter(left_behind), None)
        return cls(name, left_behind[name] if name is not None else "the reason is not known")
