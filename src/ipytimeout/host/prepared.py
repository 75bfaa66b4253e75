"""A cell, or a call, that is ready to be sent; and what it left, put in place. In the user's process.

Law of the file: what is prepared in the main thread can be run in any other, and is put in place in the main one.
"""

from __future__ import annotations

import contextlib
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ipytimeout.exceptions import DeadlineExceeded
from ipytimeout.host import process_state
from ipytimeout.host.attempt import run_work
from ipytimeout.host.capture import needed_by_call, needed_names
from ipytimeout.host.commit import interrupts_held
from ipytimeout.host.comms import comms_of
from ipytimeout.host.conclude import Ended
from ipytimeout.host.settle import changed_on_disk, import_like
from ipytimeout.host.shell import (
    as_compiled,
    cell_filename,
    cell_number,
    cell_sources,
    current_shell,
    inputs_so_far,
    learn_sources,
)
from ipytimeout.host.view.live import SilentView
from ipytimeout.host.view.summary import dead_widgets
from ipytimeout.host.work import Sent, Work, dumped
from ipytimeout.mistakes import OptionError
from ipytimeout.options import RunOptions, StartMethod
from ipytimeout.outcomes import Ending
from ipytimeout.wire.cell_text import CellText
from ipytimeout.wire.messages.to_child import Call, Execute
from ipytimeout.wire.pickling import CALL, Dump
from ipytimeout.wire.state import apply_state, read_state

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: IPython's own bookkeeping: a child's shell has its own.
_SHELL_NAMES = frozenset({"get_ipython", "exit", "quit", "open", "__builtins__"})
#: Names that these magics use, beside those that the code mentions.
_OF_MAGICS = {
    "_dh": re.compile(r"\b(cd|dhist|pushd|popd|dirs)\b"),
    "In": re.compile(r"%\w*(hist|recall|rerun|macro|save)"),
}

#: What a call gives at its deadline: a value, or it raises something else.
AtDeadline: TypeAlias = Callable[[DeadlineExceeded], Any]


@dataclass(frozen=True, slots=True)
class PreparedCell:
    """A cell that is ready to be sent: what later cells change changes nothing in it."""

    work: Work
    options: RunOptions
    shell: InteractiveShell
    sent: Sent
    text: CellText
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

        text = CellText(code, shell.transform_cell)
        process_state.learn(text, namespace)
        if statement:  # of a cell that has begun
            process_state.code_ran()
        beside = process_state.to_send()
        of_magics = tuple(name for name, words in _OF_MAGICS.items() if name in namespace and words.search(code))
        needed = needed_names(
            code,
            namespace,
            transform=text.transform,
            with_names=options.with_names if options.with_names == ("*",) else (*options.with_names, *of_magics),
            hidden=_SHELL_NAMES,
            beside=beside.values(),
        )
        outdated = changed_on_disk(needed.modules)
        learn_sources(shell, {filename: (as_compiled(text), number)})
        work = Work(
            namespace, needed, state, message, beside, meanwhile, options.start is StartMethod.FORK, shell, comms
        )
        return cls(work, options, shell, dumped(work, {}), text, outdated)

    def run(self, view: SilentView) -> Ended:
        """Run it, in any thread."""
        return run_work(self.work, self.sent, self.options, self.shell, view)

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
        process_state.learn(self.text, self.work.namespace)

    def value_of(self, ended: Ended) -> Any:
        """Return the value of the cell's last expression, None without one; raise what ended it."""
        if ended.error is not None:
            raise ended.error
        return value_in(ended)


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
        if meanwhile and options.commit and options.start is StartMethod.FORK:
            raise OptionError(
                "start='fork' with commit=True is only for run(): a copy does not see what changes meanwhile"
            )
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

        process_state.code_ran()
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
        own = meanwhile and options.commit, options.start is StartMethod.FORK, shell, comms
        work = Work(namespace, needed, state, message, extra, *own)
        return cls(work, options, shell, dumped(work, {}), at_deadline)

    def run(self, view: SilentView) -> Ended:
        """Run it, in any thread."""
        with self.work.comms or contextlib.nullcontext():
            return run_work(self.work, self.sent, self.options, self.shell, view)

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


def value_in(ended: Ended) -> Any:
    return ended.commit.result if ended.commit is not None and ended.commit.has_result else None


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
    if import_like(ended.modules):
        process_state.set_warnings_again(ended.commit.settings)
