"""What happens when a cell or a function is run: the page to read first. Runs in the user's process.

A run is: capture the names the code needs → take a child and send them → wait, relaying its output, until the
warden says that the code runs no more → rebuild what came back → have the warden end everything → commit.
Nothing of the notebook is touched before the last step, and the last step cannot fail half-way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ipytimeout.exceptions import DeadlineExceeded, RunError
from ipytimeout.host import endings, process_state
from ipytimeout.host.baseline import Baseline
from ipytimeout.host.capture import Needed, needed_by_call, needed_names
from ipytimeout.host.commit import CannotRebuild, Commit, interrupts_held, prepare
from ipytimeout.host.comms import Comms, comms_of
from ipytimeout.host.conclude import Ended, conclude, safe_values
from ipytimeout.host.launch.launcher import get_launcher
from ipytimeout.host.launch.warm import TemplateUnusable
from ipytimeout.host.relay import PlainRelay, ShellRelay
from ipytimeout.host.room import limit_in_bytes, refuse_without_room
from ipytimeout.host.settle import (
    as_compiled,
    cell_filename,
    cell_number,
    cell_numbers,
    cell_sources,
    changed_on_disk,
    import_like,
    inputs_so_far,
    learn_sources,
    settle_like_here,
)
from ipytimeout.host.supervise import Supervision, WardenLost, interrupts_go_to
from ipytimeout.host.throttle import throttled
from ipytimeout.host.view.live import SilentView, listening, view_of_call, view_of_cell
from ipytimeout.host.view.summary import as_bundle, dead_widgets, left_behind_line, outdated_line, summary_line
from ipytimeout.options import RunOptions, StartMethod
from ipytimeout.outcomes import Ending
from ipytimeout.sizes import format_size
from ipytimeout.wire.adapters.packing import titles
from ipytimeout.wire.framing import ProtocolError
from ipytimeout.wire.messages import Arm, Call, DisplayData, Execute, Finish, ProcessState, Resend
from ipytimeout.wire.modules import MODULES
from ipytimeout.wire.pickling import CALL, Dump, dump_namespace
from ipytimeout.wire.state import apply_state, read_state

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: A copy of so many bytes is made without asking whether there is room for it.
_ALWAYS_FITS = 1 << 24
#: IPython's own bookkeeping: a child's shell has its own.
_SHELL_NAMES = frozenset({"get_ipython", "exit", "quit", "open", "__builtins__"})
#: Names that these magics use, beside those that the code mentions.
_OF_MAGICS = {
    "_dh": re.compile(r"\b(cd|dhist|pushd|popd|dirs)\b"),
    "In": re.compile(r"%\w*(hist|recall|rerun|macro|save)"),
}


_log = logging.getLogger("ipytimeout")

#: What a call gives at its deadline: a value, or it raises something else.
AtDeadline: TypeAlias = Callable[[DeadlineExceeded], Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes to the child."""

    dump: Dump
    message: Execute | Call
    #: Of a background run: what it is to be compared with when it comes back.
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be run, and on which names."""

    namespace: dict[str, Any]
    needed: Needed
    state: ProcessState
    #: Make the message from the names that were dumped; called again when a name proves impossible to send.
    message: Callable[[Dump, dict[str, str]], Execute | Call]
    #: What travels beside the names.
    extra: Mapping[str, object] = field(default_factory=dict)
    #: Whether the notebook goes on meanwhile, and what it changes is to be left alone.
    meanwhile: bool = False
    #: Widgets, where there can be any.
    comms: Comms | None = None


def get_ready(shell: InteractiveShell) -> None:
    """Have a child ready for the next run, in the background: after ``%load_ext``, and after each cell."""
    get_launcher(StartMethod.AUTO).prepare(settle_like_here(shell), process_state.rehearsal)


def run_cell(shell: InteractiveShell, code: str, options: RunOptions, *, statement: bool = False) -> Any:
    """Run a cell, or (``statement``) one statement whose value is returned, in a child; raise as the code did."""
    __tracebackhide__ = True
    with view_of_cell(shell, cell_numbers(shell), quiet=options.quiet) as view:
        cell = PreparedCell.of(shell, code, options, statement=statement)
        with cell.work.comms or contextlib.nullcontext():
            ended = cell.run(view)
            cell.take_back(ended)
        outdated = changed_on_disk(cell.outdated)  # those that were, and that the cell has not loaded again
        value = _value_in(ended)
        if value is not None and not statement:
            hook: Any = shell.displayhook
            hook.update_user_ns(value)
            hook.fill_exec_result(value)
        view.conclude(summary_line(ended.outcome, ended.place, kept=ended.kept))
    if ended.left_behind:
        tell_left_behind(shell, ended.left_behind)
    if outdated:
        shell.display_pub.publish(as_bundle(outdated_line(outdated)))
    if ended.error is not None:
        raise ended.error
    return value if statement else None


def run_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    options: RunOptions,
    at_deadline: AtDeadline | None = None,
) -> Any:
    """Call a function in a child; return its value or raise what it raised.

    Nothing of the caller is changed, unless the options say so.
    """
    __tracebackhide__ = True
    call = PreparedCall.of(function, args, kwargs, options, at_deadline)
    with view_of_call(call.shell, cell_numbers(call.shell), quiet=options.quiet) as view:
        ended = call.run(view)
        call.take_back(ended)
        line = summary_line(ended.outcome, ended.place, kept=ended.kept)
        if ended.error is not None:
            view.conclude(line)
    log_end(call.shell, getattr(function, "__name__", "a call"), line)
    if options.commit and ended.left_behind:
        tell_left_behind(call.shell, ended.left_behind)
    return call.value_of(ended)


@dataclass(frozen=True, slots=True)
class PreparedCell:
    """A cell that is ready to be sent: what later cells change changes nothing in it."""

    work: Work
    options: RunOptions
    shell: InteractiveShell
    sent: Sent
    code: str
    #: Modules of the user's own that have another text by now than when they were imported.
    outdated: list[str]

    @classmethod
    def of(
        cls,
        shell: InteractiveShell,
        code: str,
        options: RunOptions,
        *,
        statement: bool = False,
        meanwhile: bool = False,
    ) -> PreparedCell:
        """Prepare a cell, in the main thread; ``meanwhile`` as for ``Work``."""
        namespace: dict[str, Any] = shell.user_ns
        state = read_state()
        filename, number = cell_filename(shell, code), cell_number(shell)
        comms = comms_of(shell)

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
                partial=options.partial,
                buffers=dump.buffers,
                timeout=options.timeout,
                request=comms.request if comms is not None else "",
                inputs=inputs_so_far(shell, number) if not needed.names.isdisjoint(("In", "_ih")) else [],
            )

        process_state.learn(code, shell.transform_cell, namespace)
        beside = process_state.to_send()
        of_magics = tuple(name for name, words in _OF_MAGICS.items() if name in namespace and words.search(code))
        needed = needed_names(
            code,
            namespace,
            transform=shell.transform_cell,
            with_names=options.with_names if options.with_names == ("*",) else (*options.with_names, *of_magics),
            hidden=_SHELL_NAMES,
            beside=beside.values(),
        )
        outdated = changed_on_disk(needed.modules)
        learn_sources(shell, {filename: (as_compiled(shell, code), number)})
        work = Work(namespace, needed, state, message, beside, meanwhile, comms)
        return cls(work, options, shell, _dumped(work, {}), code, outdated)

    def run(self, view: SilentView) -> Ended:
        """Run it, in any thread."""
        return _run(self.work, self.sent, self.options, self.shell, view)

    @property
    def lands(self) -> bool:
        """Whether it brings back more than a value."""
        return True

    def take_back(self, ended: Ended) -> None:
        """Put in place what the run left, in the main thread."""
        _take_back(self.shell, ended)
        if self.work.comms is not None:
            ended.left_behind.update(dead_widgets(self.work.comms.conclude()))
        # What it has imported is known now.
        process_state.learn(self.code, self.shell.transform_cell, self.work.namespace)

    def value_of(self, ended: Ended) -> Any:
        """Return the value of the cell's last expression, None without one; raise what ended it."""
        if ended.error is not None:
            raise ended.error
        return _value_in(ended)


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call of a function that is ready to be sent: what the caller changes from now on changes nothing in it."""

    work: Work
    options: RunOptions
    shell: InteractiveShell | None
    sent: Sent
    at_deadline: AtDeadline | None = None

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: RunOptions,
        at_deadline: AtDeadline | None = None,
        *,
        meanwhile: bool = False,
    ) -> PreparedCall:
        """Prepare a call, in the caller's thread; ``meanwhile`` as for ``Work``."""
        shell = current_shell()
        namespace: dict[str, Any] = shell.user_ns if shell is not None else vars(sys.modules["__main__"])
        state = read_state()
        comms = comms_of(shell)

        def message(dump: Dump, refused: dict[str, str]) -> Call:
            return Call(
                state=state,
                sources=cell_sources(shell),
                refused=refused,
                discard=options.discard,
                buffers=dump.buffers,
                timeout=options.timeout,
                commit=options.commit,
                keep=None if options.keep is None else list(options.keep),
                partial=options.partial,
                request=comms.request if comms is not None else "",
            )

        beside = process_state.to_send()
        needed = needed_by_call(
            function,
            args,
            kwargs,
            namespace,
            with_names=options.with_names,
            hidden=_SHELL_NAMES,
            beside=beside.values(),
        )
        extra = {**beside, CALL: (function, args, dict(kwargs))}
        work = Work(namespace, needed, state, message, extra, meanwhile and options.commit, comms)
        return cls(work, options, shell, _dumped(work, {}), at_deadline)

    def run(self, view: SilentView) -> Ended:
        """Run it, in any thread."""
        with self.work.comms or contextlib.nullcontext():
            return _run(self.work, self.sent, self.options, self.shell, view)

    @property
    def lands(self) -> bool:
        """Whether it brings back more than a value."""
        return self.options.commit

    def take_back(self, ended: Ended) -> None:
        """Put in place what the call left, where that is wanted."""
        if self.lands:
            _take_back(self.shell, ended)

    def value_of(self, ended: Ended) -> Any:
        """Return what the call returned, or raise what ended it; None where nothing was to come back."""
        __tracebackhide__ = True
        if ended.error is not None:
            # Not by its class: that may be the error of a run inside this one.
            if ended.outcome.ending is Ending.TIMED_OUT and self.at_deadline is not None:
                assert isinstance(ended.error, DeadlineExceeded)
                return self.at_deadline(ended.error)
            raise ended.error
        if self.options.discard:
            return None
        if ended.commit is None or not ended.commit.has_result:
            reasons = ended.left_behind
            reason = reasons.get("the result", next(iter(reasons.values()), "the child sent no result"))
            raise pickle.PicklingError(f"the function ended, but its result cannot be brought back: {reason}")
        return ended.commit.result


def _dumped(work: Work, impossible: Mapping[str, str]) -> Sent:
    """Pickle what is to be sent, but for what has proved impossible."""
    refused = {
        name: f"it is large ({format_size(size)}) and the code does not name it; add --with {name}"
        for name, size in work.needed.too_large.items()
    }
    extra = {name: value for name, value in work.extra.items() if name not in impossible}
    modules = work.needed.modules if MODULES not in impossible else ()
    dump = dump_namespace(work.namespace, work.needed.names - impossible.keys(), extra, modules)
    size = sum(memoryview(b).nbytes for b in dump.buffers)
    if size > _ALWAYS_FITS:
        refuse_without_room(size)
    names = work.needed.names - dump.refused.keys()
    baseline = Baseline(work.namespace, names, dump.table, work.state) if work.meanwhile else None
    return Sent(dump, work.message(dump, {**refused, **dump.refused, **impossible}), baseline)


def _run(work: Work, sent: Sent, options: RunOptions, shell: InteractiveShell | None, view: SilentView) -> Ended:
    """Run a piece of work in a child, to its end; once more without what the child could not rebuild."""
    impossible: dict[str, str] = {}
    while True:
        try:
            ended = _run_once(sent.message, sent.dump, work, options, shell, view)
            return ended if sent.baseline is None else dataclasses.replace(ended, baseline=sent.baseline)
        except _ChildCannotRebuild as error:
            known = work.needed.names | work.extra.keys() - {CALL} | {MODULES}
            if error.name is None or error.name in impossible or error.name not in known:
                raise pickle.PicklingError(f"the child cannot rebuild what was sent: {error.reason}") from None
            impossible[error.name] = error.reason
            if work.comms is not None:
                work.comms.conclude()
            sent = _dumped(work, impossible)
        except ProtocolError as error:
            raise endings.not_understood(error) from None


def _run_once(
    message: Execute | Call,
    dump: Dump,
    work: Work,
    options: RunOptions,
    shell: InteractiveShell | None,
    view: SilentView,
) -> Ended:
    memory = limit_in_bytes(options.memory)
    settle = settle_like_here(shell)
    launcher = get_launcher(options.start)
    relay = throttled(
        view.around(ShellRelay(shell) if shell is not None else PlainRelay()),
        options.max_output,
        can_replace=view.can_replace,
    )
    try:
        child = launcher.take(settle)
    except ConnectionError:
        raise endings.warden_lost() from None
    except TemplateUnusable as error:
        raise RunError(f"--start warm does not work here: {error.args[0]}; use --start spawn") from None
    run = Supervision(
        child,
        relay,
        view,
        options.timeout,
        lambda: launcher.prepare_during_run(settle, process_state.rehearsal),
        partial=options.partial,
        comms=work.comms,
    )
    commit: Commit | None = None
    unbuilt: dict[str, str] = {}
    kernel = getattr(shell, "kernel", None)
    # When the warden is lost, what is safe comes back all the same.
    with contextlib.suppress(WardenLost), run, interrupts_go_to(child), listening(view, kernel, work.comms):
        run.state.may_use(memory)
        run.until(lambda: run.started)  # from here on whatever the child leaves behind is known to be its own
        stall = endings.stall_limit(options.timeout)
        child.tell_warden(Arm(options.timeout, options.kill_after, stall, options.partial, memory, view.shows_memory))
        child.send(message)
        run.until(lambda: run.verdict is not None or (run.changes is not None and not run.running))
        if run.changes is not None and not run.running:
            raise _ChildCannotRebuild.of(run.changes.left_behind)
        # Interrupted code says where it was; killed code cannot, and then the run is gone at once.
        run.until(lambda: run.changes is not None or run.gone is not None)
        # With --discard nothing that the child made is unpickled, whatever it sends.
        commit, unbuilt = (None, {}) if options.discard else _bring_back(run, dump, work.namespace)
        child.tell_warden(Finish())
        launcher.prepare(
            settle, process_state.rehearsal
        )  # while the warden is at it; interrupts go there, and do not break this off
        run.finish()
    is_cell = isinstance(message, Execute)
    if not run.brings_back:
        commit = None
    safe = safe_values(run, commit, work.namespace, dump, options, is_cell=is_cell)
    ended = conclude(run, commit, unbuilt, safe, shell, memory, is_cell=is_cell, live=not work.meanwhile)
    ended.left_behind.update(titles({**dump.refused, **message.refused}))
    if is_cell and safe.values:
        commit = commit or Commit(work.namespace)
        commit.bind(safe.values)
        ended = dataclasses.replace(ended, commit=commit)
    if work.comms is not None:
        work.comms.comes_back = commit is not None
    if child.note:
        relay.show(DisplayData(as_bundle(f"… {child.note}"), {}, {}))
    return ended


def _bring_back(run: Supervision, dump: Dump, namespace: dict[str, Any]) -> tuple[Commit | None, dict[str, str]]:
    """Rebuild what came back, on new objects. What cannot be rebuilt is left out: those parts, with the reason."""
    without: dict[str, str] = {}
    while run.brings_back and run.changes is not None and run.changes.buffers:
        try:
            with _path_of(run.changes.state):
                return prepare(run.changes.buffers, namespace, dump.table), without
        except CannotRebuild as error:
            if error.name is None or error.name in without:
                return None, {"everything": error.reason}
            without[error.name] = error.reason
        run.changes = None
        run.child.send(Resend(None, without))
        run.until(lambda: run.changes is not None or run.gone is not None or not run.brings_back)
    return None, without


@contextlib.contextmanager
def _path_of(state: ProcessState | None) -> Iterator[None]:
    """Find the modules that the code has found: it may have changed the path to them."""
    before = list(sys.path)
    if state is not None:
        sys.path[:] = state.sys_path
    try:
        yield
    finally:
        sys.path[:] = before


def _value_in(ended: Ended) -> Any:
    return ended.commit.result if ended.commit is not None and ended.commit.has_result else None


def tell_left_behind(shell: InteractiveShell | None, left_behind: Mapping[str, str]) -> None:
    """Name what could not come back: in the notebook, or in the log of a program."""
    line = left_behind_line(left_behind)
    if shell is not None:
        shell.display_pub.publish(as_bundle(line))
    else:
        _log.warning("%s", line)


def log_end(shell: InteractiveShell | None, name: str, line: str) -> None:
    """Say in the log of a program how a run ended: it has no panel."""
    if shell is None:
        _log.info("%s: %s", name, line)


def _take_back(shell: InteractiveShell | None, ended: Ended) -> None:
    """Put in place what the run left."""
    if ended.commit is None:
        return
    with interrupts_held():  # the names and the state of the process: both or neither
        ended.commit.apply()
        learn_sources(shell, ended.sources)
        if ended.state is not None:
            apply_state(ended.state)
        ended.left_behind.update(process_state.take_back(ended.commit.settings))
    import_like(ended.modules)


def current_shell() -> InteractiveShell | None:
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
