"""From what warden and child said to the outcome of a run and the exception it raises. Pure, in the host.

Law of the file: the texts say what happened, to what, and what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ipytimeout.durations import format_duration
from ipytimeout.exceptions import (
    ChildDied,
    DeadlineExceeded,
    ForeignError,
    MemoryLimitExceeded,
    RunCancelled,
    RunError,
)
from ipytimeout.outcomes import EXIT_CHANNEL_LOST, Ending, Outcome, describe_returncode
from ipytimeout.sizes import format_size
from ipytimeout.wire.messages.from_child import Changes
from ipytimeout.wire.messages.warden import Cause, Gone, Verdict

#: So many names are listed.
_MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """What comes back of a run that did not end by itself."""

    #: Whether what the code had done does (``--partial``).
    done: bool = False
    #: The names whose checkpoints do.
    names: tuple[str, ...] = ()
    #: Whether these are the error's, and not the notebook's.
    by_error: bool = False
    #: Why what the code had done does not, although it was wanted.
    why_not: str = ""

    def __str__(self) -> str:
        more = f" and {len(self.names) - _MOST_NAMES} more" if len(self.names) > _MOST_NAMES else ""
        names = ", ".join(self.names[:_MOST_NAMES]) + more
        if self.done:
            return "what it had done was kept" + (f", and of its checkpoints {names}" if names else "")
        if self.by_error:
            text = f"its checkpoints are in error.checkpoints: {names}"
        else:
            text = f"only its checkpoints were kept: {names}"
        text = text if names else "nothing was changed in the notebook"
        return f"{self.why_not}, so {text}" if self.why_not else text

    @property
    def in_full(self) -> str:
        """The same, with what is not undone."""
        return str(self) if self.done else f"{self} (files it wrote and requests it sent are not undone)"


def outcome_of(verdict: Verdict, changes: Changes | None, timeout: float, gone: Gone, memory: float = inf) -> Outcome:
    """Decide how a run ended. ``changes`` count only when the code ended by itself.

    ``memory``: how many bytes the run was allowed; one that was ended for want of memory, how many there are.
    """
    match verdict.cause:
        case "":
            assert changes is not None
            if changes.interrupted:
                ending = Ending.INTERRUPTED
            else:
                ending = Ending.FINISHED if changes.success else Ending.RAISED
        case Cause.TIMED_OUT.value | Cause.STALLED.value:
            ending = Ending.TIMED_OUT
        case Cause.CANCELLED.value:
            ending = Ending.CANCELLED
        case Cause.INTERRUPTED.value:
            ending = Ending.INTERRUPTED
        case Cause.OVER_MEMORY.value | Cause.OUT_OF_MEMORY.value:
            ending = Ending.OVER_MEMORY
        case _:
            ending = Ending.DIED
    ended = tuple(gone.ended_processes)
    return Outcome(ending, verdict.elapsed, timeout, verdict.returncode, ended, gone.peak, memory, gone.cpu)


def error_of(
    outcome: Outcome,
    verdict: Verdict,
    *,
    running: bool,
    place: str,
    stderr: str,
    returning: bool = False,
    kept: Kept | None = None,
) -> BaseException:
    """Return the exception for a run that did not end by itself.

    ``running``, ``returning``: how far the run had come. ``place``: where the code was, in short.
    """
    came_back = (kept or Kept()).in_full
    after = f"after {outcome.elapsed:.1f} s"
    at = f" {place}" if place else ""
    match outcome.ending:
        case Ending.TIMED_OUT if verdict.cause == Cause.STALLED.value:
            phase = "bringing the results back" if running else "starting and sending the names"
            return DeadlineExceeded(f"{phase} made no progress for {_stall(outcome)}; {came_back}")
        case Ending.TIMED_OUT:
            return DeadlineExceeded(f"timed out after {format_duration(outcome.timeout)}{at}; {came_back}")
        case Ending.CANCELLED:
            return RunCancelled(f"cancelled {after}{at}; {came_back}")
        case Ending.INTERRUPTED if returning:
            return KeyboardInterrupt(f"interrupted while the results were on their way back; {came_back}")
        case Ending.INTERRUPTED:
            why = f"the interrupt took no effect{at} and the run was killed {after}" if running else "interrupted"
            return KeyboardInterrupt(f"{why}; {came_back}")
        case Ending.OVER_MEMORY:
            return _over_memory(outcome, verdict, f"{after}{at}", came_back)
        case _:
            code = outcome.returncode
            how = "died" if code is None else "was ended by " if code < 0 else "exited with "
            text = f"the child process {how}{describe_returncode(code) if code is not None else ''} {after}{at}"
            if code == EXIT_CHANNEL_LOST:
                text += ", as it had closed the connection to the notebook (os.closerange does)"
            if verdict.oom_killed:
                text += ": the system killed it because there was no memory left"
            last = f"; its last words: {stderr}" if stderr else ""
            error = ChildDied(f"{text}; {came_back}{last}")
            error.returncode = code
            return error


def _over_memory(outcome: Outcome, verdict: Verdict, when: str, came_back: str) -> MemoryLimitExceeded:
    peak, limit = format_size(outcome.peak), format_size(outcome.memory_limit)
    if verdict.cause == Cause.OVER_MEMORY.value:
        text = f"used {peak} of memory, and {limit} were allowed, {when}"
        advice = "give it more (--memory, memory=), or less to do at once"
    else:
        text = f"almost nothing was left of the {limit} of memory that there are, and this run used {peak}, {when}"
        advice = "free what the notebook does not need (del), or give the code less to do at once"
    error = MemoryLimitExceeded(f"{text}; {came_back}; {advice}")
    error.peak, error.limit = outcome.peak, None if outcome.memory_limit == inf else int(outcome.memory_limit)
    return error


def foreign_error(changes: Changes, reason: str) -> ForeignError:
    """Stand in for an exception of the code that cannot be brought back."""
    shown = changes.error
    name, text = (shown.ename, shown.evalue) if shown is not None else ("an exception", "")
    error = ForeignError(f"{name}: {text} (the exception itself could not be brought back: {reason})")
    error.class_name, error.text = name, text
    error.where = tuple(shown.traceback) if shown is not None else ()
    return error


def warden_lost(kept: Kept | None = None) -> RunError:
    return RunError(
        f"the warden process of ipytimeout was killed, and the run with it; {kept or Kept()}. "
        "Run the cell again: a new warden starts by itself"
    )


def not_understood(error: Exception) -> RunError:
    return RunError(
        f"{error}, and the run was ended; {Kept().in_full}. "
        "Did the code write to a descriptor that it had not opened itself?"
    )


def _stall(outcome: Outcome) -> str:
    return format_duration(stall_limit(outcome.timeout))


def stall_limit(timeout: float) -> float:
    """Return after how many seconds without progress sending and bringing back are given up."""
    return max(10.0, timeout)
