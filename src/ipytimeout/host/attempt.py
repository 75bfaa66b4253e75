"""One piece of work in a child, from taking the child to knowing how it ended. In the thread that waits for the run.

A run is: take a child and send it the work → wait, relaying its output, until the warden says that the code runs no
more → rebuild what came back → have the warden end everything.

Law of the file: nothing of the notebook is touched here; what is to be put in place comes back as a ``Commit``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pickle
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ipytimeout.exceptions import RunError
from ipytimeout.host import endings, process_state
from ipytimeout.host.commit import CannotRebuild, Commit, prepare
from ipytimeout.host.conclude import Ended, conclude, safe_values
from ipytimeout.host.launch.fork import CannotFork
from ipytimeout.host.launch.fork_risks import fork_risks
from ipytimeout.host.launch.launcher import get_launcher
from ipytimeout.host.launch.warm import TemplateUnusable
from ipytimeout.host.relay import PlainRelay, ShellRelay
from ipytimeout.host.room import limit_in_bytes
from ipytimeout.host.settle import (
    settle_like_here,
)
from ipytimeout.host.supervise import Supervision, WardenLost, interrupts_go_to
from ipytimeout.host.throttle import throttled
from ipytimeout.host.view.live import SilentView, listening
from ipytimeout.host.view.summary import as_bundle
from ipytimeout.host.work import Sent, Work, dumped
from ipytimeout.options import RunOptions
from ipytimeout.wire.adapters.packing import titles
from ipytimeout.wire.framing import ProtocolError
from ipytimeout.wire.messages import ProcessState
from ipytimeout.wire.messages.outputs import DisplayData
from ipytimeout.wire.messages.to_child import Execute, Resend
from ipytimeout.wire.messages.warden import Arm, Finish
from ipytimeout.wire.modules import MODULES
from ipytimeout.wire.pickling import CALL, Dump

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: A pickle of so many bytes has objects by the hundred thousand: to list them takes as long as to load them.
_LARGE = 1 << 22


def run_work(work: Work, sent: Sent, options: RunOptions, shell: InteractiveShell | None, view: SilentView) -> Ended:
    """Run a piece of work in a child, to its end; once more without what the child could not rebuild."""
    impossible: dict[str, str] = {}
    while True:
        try:
            ended = _run_once(sent, work, options, shell, view)
            return ended if sent.baseline is None else dataclasses.replace(ended, baseline=sent.baseline)
        except _ChildCannotRebuild as error:
            known = work.needed.names | work.extra.keys() - {CALL} | {MODULES}
            if error.name is None or error.name in impossible or error.name not in known:
                raise pickle.PicklingError(f"the child cannot rebuild what was sent: {error.reason}") from None
            impossible[error.name] = error.reason
            if work.comms is not None:
                work.comms.conclude()
            sent = dumped(work, impossible)
        except ProtocolError as error:
            raise endings.not_understood(error) from None


def _run_once(
    sent: Sent,
    work: Work,
    options: RunOptions,
    shell: InteractiveShell | None,
    view: SilentView,
) -> Ended:
    message, dump = sent.message, sent.dump
    memory = limit_in_bytes(options.memory)
    settle = settle_like_here(shell)
    launcher = get_launcher(options.start)
    relay = throttled(
        view.around(ShellRelay(shell) if shell is not None else PlainRelay()),
        options.max_output,
        can_replace=view.can_replace,
        comms=work.comms,
    )
    try:
        if sent.inherited is not None and (risks := fork_risks()):
            relay.show(DisplayData(as_bundle(f"… {risks}"), {}, {}))
        child = launcher.take(settle, sent.inherited)
    except ConnectionError:
        raise endings.warden_lost() from None
    except CannotFork as error:
        raise RunError(f"--start fork does not work here: {error}; use --start spawn") from None
    except TemplateUnusable as error:
        raise RunError(f"--start warm does not work here: {error.args[0]}; use --start spawn") from None
    prepare_the_next = functools.partial(launcher.prepare, settle, process_state.rehearsal_as_sent)
    run = Supervision(
        child,
        relay,
        view,
        options.timeout,
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
        prepare_the_next()  # while the child loads what it was sent
        if dump.buffers and len(dump.buffers[0]) > _LARGE:
            run.until(lambda: run.verdict is not None or not child.sending)
            dump.table.make_ahead()
        run.until(lambda: run.verdict is not None or (run.changes is not None and not run.running))
        if run.changes is not None and not run.running:
            raise _ChildCannotRebuild.of(run.changes.left_behind)
        # Interrupted code says where it was; killed code cannot, and then the run is gone at once.
        run.until(lambda: run.changes is not None or run.gone is not None)
        # With --discard nothing that the child made is unpickled, whatever it sends.
        commit, unbuilt = (None, {}) if options.discard else _bring_back(run, dump, work.namespace)
        child.tell_warden(Finish())
        prepare_the_next()  # while the warden is at it; interrupts go there, and do not break this off
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


class _ChildCannotRebuild(Exception):
    def __init__(self, name: str | None, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    @classmethod
    def of(cls, left_behind: Mapping[str, str]) -> _ChildCannotRebuild:
        name = next(iter(left_behind), None)
        return cls(name, left_behind[name] if name is not None else "the reason is not known")
