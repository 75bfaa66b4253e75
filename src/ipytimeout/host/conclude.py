"""What a run came to: its outcome, its error, and what it brings back. In the thread that waited for it.

Law of the file: the run is over, and nothing of the notebook has been touched yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipytimeout.exceptions import RunError
from ipytimeout.host import endings, where
from ipytimeout.host.baseline import Baseline
from ipytimeout.host.checkpoints import Rebuilt
from ipytimeout.host.commit import Commit
from ipytimeout.host.endings import Kept
from ipytimeout.host.room import total
from ipytimeout.host.shell import cell_numbers
from ipytimeout.host.showing import mark_shown, show_as
from ipytimeout.host.supervise import Supervision
from ipytimeout.options import RunOptions
from ipytimeout.outcomes import Outcome
from ipytimeout.wire.messages import ProcessState
from ipytimeout.wire.messages.warden import Cause
from ipytimeout.wire.pickling import EXCEPTION, Dump
from ipytimeout.wire.tracebacks import traceback_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(slots=True)
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
    #: What it brings back although it did not end by itself.
    kept: Kept = field(default_factory=Kept)
    #: Modules that it has imported, in its order.
    modules: list[str] = field(default_factory=list)
    #: Of a background run: what the kernel had when it began.
    baseline: Baseline | None = None


def safe_values(
    run: Supervision,
    commit: Commit | None,
    namespace: dict[str, Any],
    dump: Dump,
    options: RunOptions,
    *,
    is_cell: bool,
) -> Rebuilt:
    """Rebuild what the code has made safe: all of it, or, of a cell that brings back what it did, what stays behind."""
    if options.discard or (run.ended_by_itself and not is_cell):
        return Rebuilt()
    names = set(run.checkpoints.names)
    if options.keep is not None:
        names &= set(options.keep)
    if commit is not None:
        names &= {*commit.left_behind, *(run.changes.left_behind if run.changes is not None else ())}
    return run.checkpoints.rebuild(names, namespace, dump.table)


def conclude(
    run: Supervision,
    commit: Commit | None,
    unbuilt: dict[str, str],
    safe: Rebuilt,
    shell: InteractiveShell | None,
    memory: float,
    *,
    is_cell: bool,
    live: bool = True,
) -> Ended:
    """Say how the run ended, and with which exception. ``live``: it ends in the cell in which it has begun."""
    numbers = cell_numbers(shell)
    assert run.verdict is not None and run.gone is not None
    verdict, changes = run.verdict, run.changes
    if verdict.cause == Cause.OUT_OF_MEMORY.value:
        memory = total()
    outcome = endings.outcome_of(verdict, changes, run.timeout, run.gone, memory)
    frames = [(file, line, name) for file, line, name in changes.frames] if changes is not None else []
    if not frames:
        frames = where.frames_of_dump(verdict.stack)
    place = where.in_short(frames, numbers)
    error: BaseException | None = None
    left_behind: dict[str, str] = {}
    kept = Kept()
    if changes is not None and run.brings_back:
        left_behind = dict(changes.left_behind)
        if commit is not None:
            left_behind.update(commit.left_behind)
        elif "everything" in unbuilt:
            left_behind.update(unbuilt)
    for name in safe.values.keys() & left_behind.keys():
        left_behind[name] += "; its checkpoint was kept instead"
    left_behind.update(safe.left_behind)
    if run.ended_by_itself:
        assert changes is not None
        if not changes.success:
            error = commit.exception if commit is not None else None
            if error is None:
                why = unbuilt.get(EXCEPTION, "") or (commit.exception_reason if commit is not None else "")
                error = endings.foreign_error(changes, why or "it cannot be pickled")
            if is_cell and live and shell is not None and changes.error is not None:
                mark_shown(shell, error, changes.error.traceback)
    else:
        kept = Kept(commit is not None, tuple(safe.values), not is_cell, _why_not_partial(run, commit, unbuilt))
        if run.lost:
            error = endings.warden_lost(kept)
        else:
            error = endings.error_of(
                outcome,
                verdict,
                running=run.running,
                place=place,
                stderr=run.last_words,
                returning=run.returning,
                kept=kept,
            )
        if isinstance(error, RunError):
            error.where = where.as_text(frames, numbers)
        if not is_cell and safe.values:
            error.checkpoints = safe.values  # type: ignore[attr-defined]  # KeyboardInterrupt has none by itself
        if shell is not None and is_cell:
            show_as(error, where.rendered(error, frames, shell))
    if error is not None:
        error = error.with_traceback(traceback_of(frames))
    brings_back = commit is not None and changes is not None
    return Ended(
        outcome,
        commit,
        error,
        place,
        left_behind,
        changes.state if brings_back and changes is not None else None,
        changes.sources if brings_back and changes is not None else {},
        kept,
        changes.modules if brings_back and changes is not None else [],
    )


def _why_not_partial(run: Supervision, commit: Commit | None, unbuilt: Mapping[str, str]) -> str:
    """Say why ``--partial`` brings back nothing of what the code had done; "" where it does, or was not asked to."""
    if not (run.partial and run.running and run.brings_back) or commit is not None:
        return ""
    if run.changes is None and run.judged < 2:
        return "the interrupt took no effect in time"
    reason = unbuilt.get("everything", "")
    return "what it had done could not be brought back" + (f" ({reason})" if reason else "")
