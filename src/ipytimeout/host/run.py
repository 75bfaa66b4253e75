"""What happens when a cell or a function is run: the page to read first. Runs in the user's process.

A run is: capture the names the code needs (``prepared``) → take a child and send them → wait, relaying its output,
until the warden says that the code runs no more → rebuild what came back → have the warden end everything
(``attempt``) → put it in place (``prepared`` again).
Nothing of the notebook is touched before the last step, and the last step cannot fail half-way.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ipytimeout.host.prepared import AtDeadline, PreparedCall, PreparedCell, value_in
from ipytimeout.host.settle import changed_on_disk
from ipytimeout.host.shell import cell_numbers
from ipytimeout.host.view.live import view_of_call, view_of_cell
from ipytimeout.host.view.summary import as_bundle, left_behind_line, outdated_line, summary_line
from ipytimeout.options import RunOptions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_log = logging.getLogger("ipytimeout")


def run_cell(shell: InteractiveShell, code: str, options: RunOptions, *, statement: bool = False) -> Any:
    """Run a cell, or (``statement``) one statement whose value is returned, in a child; raise as the code did."""
    __tracebackhide__ = True
    with view_of_cell(shell, cell_numbers(shell), quiet=options.quiet) as view:
        cell = PreparedCell.of(shell, code, options, statement=statement)
        with cell.work.comms or contextlib.nullcontext():
            ended = cell.run(view)
            cell.take_back(ended)
        outdated = changed_on_disk(cell.outdated)  # those that were, and that the cell has not loaded again
        value = value_in(ended)
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
