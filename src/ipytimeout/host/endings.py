"""From what warden and child said to the outcome of a run and the exception it raises. Pure, in the host.

Law of the file: the texts say what happened, to what, and what to do next.
"""

from __future__ import annotations

from ipytimeout.exceptions import ChildDied, DeadlineExceeded, ForeignError, RunCancelled, RunError
from ipytimeout.options import format_duration
from ipytimeout.outcomes import EXIT_CHANNEL_LOST, Ending, Outcome, describe_returncode
from ipytimeout.wire.messages import Cause, Changes, Verdict

_UNTOUCHED = "nothing was changed in the notebook (files it wrote and requests it sent are not undone)"


def outcome_of(verdict: Verdict, changes: Changes | None, timeout: float, ended_processes: list[str]) -> Outcome:
    """Decide how a run ended. ``changes`` count only when the code ended by itself."""
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
        case _:
            ending = Ending.DIED
    return Outcome(ending, verdict.elapsed, timeout, verdict.returncode, tuple(ended_processes))


def error_of(
    outcome: Outcome, verdict: Verdict, *, running: bool, place: str, stderr: str, returning: bool = False
) -> BaseException:
    """Return the exception for an ending that brings nothing back.

    ``running``, ``returning``: how far the run had come. ``place``: where the code was, in short.
    """
    after = f"after {outcome.elapsed:.1f} s"
    at = f" {place}" if place else ""
    match outcome.ending:
        case Ending.TIMED_OUT if verdict.cause == Cause.STALLED.value:
            phase = "bringing the results back" if running else "starting and sending the names"
            return DeadlineExceeded(f"{phase} made no progress for {_stall(outcome)}; {_UNTOUCHED}")
        case Ending.TIMED_OUT:
            return DeadlineExceeded(f"timed out after {format_duration(outcome.timeout)}{at}; {_UNTOUCHED}")
        case Ending.CANCELLED:
            return RunCancelled(f"cancelled {after}{at}; {_UNTOUCHED}")
        case Ending.INTERRUPTED if returning:
            return KeyboardInterrupt(f"interrupted while the results were on their way back; {_UNTOUCHED}")
        case Ending.INTERRUPTED:
            why = f"the interrupt took no effect{at} and the run was killed {after}" if running else "interrupted"
            return KeyboardInterrupt(f"{why}; {_UNTOUCHED}")
        case _:
            code = outcome.returncode
            how = "died" if code is None else "was ended by " if code < 0 else "exited with "
            text = f"the child process {how}{describe_returncode(code) if code is not None else ''} {after}{at}"
            if code == EXIT_CHANNEL_LOST:
                text += ", as it had closed the connection to the notebook (os.closerange does)"
            last = f"; its last words: {stderr}" if stderr else ""
            error = ChildDied(f"{text}; {_UNTOUCHED}{last}")
            error.returncode = code
            return error


def foreign_error(changes: Changes, reason: str) -> ForeignError:
    """Stand in for an exception of the code that cannot be brought back."""
    shown = changes.error
    name, text = (shown.ename, shown.evalue) if shown is not None else ("an exception", "")
    error = ForeignError(f"{name}: {text} (the exception itself could not be brought back: {reason})")
    error.class_name, error.text = name, text
    error.where = tuple(shown.traceback) if shown is not None else ()
    return error


def warden_lost() -> RunError:
    return RunError(
        "the warden process of ipytimeout was killed, and the run with it; "
        "nothing was changed in the notebook. Run the cell again: a new warden starts by itself"
    )


def not_understood(error: Exception) -> RunError:
    return RunError(
        f"{error}, and the run was ended; {_UNTOUCHED}. "
        "Did the code write to a descriptor that it had not opened itself?"
    )


def _stall(outcome: Outcome) -> str:
    return format_duration(stall_limit(outcome.timeout))


def stall_limit(timeout: float) -> float:
    """Return after how many seconds without progress sending and bringing back are given up."""
    return max(10.0, timeout)
