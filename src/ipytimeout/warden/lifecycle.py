"""When a run is interrupted, killed, judged, over. Pure: events in, actions out; no clock, no process.

Runs in the warden. The laws:

1. The first of *the code ended*, *deadline*, *Cancel*, *stall*, *too much memory*, *death* decides the cause, once.
   A kernel interrupt is no cause as long as the code may still obey it; it is one when it had to be enforced.
2. From the moment there is a cause, the tree is killed after the grace period at most, whatever happens. There is no
   grace period for a run that uses too much memory: code that is interrupted first may go on growing, in a
   ``finally``, or because it holds the interpreter's lock, and what grows may cost the kernel its life.
3. ``Judge`` tells the host that the code runs no more. It may come a second time when something goes wrong
   on the way back, and the last one counts.
4. Nothing is sent to a child that has exited, and nothing follows ``KILL_TREE`` but ``JUDGE`` and ``TELL_GONE``.

All moments are seconds of one monotonic clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from math import inf
from typing import TypeAlias, assert_never

from ipytimeout.wire.messages.warden import (
    Arm,
    Asking,
    Cancel,
    Cause,
    Control,
    Extend,
    Finish,
    Interrupt,
    Progress,
    Where,
)

#: The interrupt is raised again so often, for code that swallowed the first.
REPEAT = 0.25
#: What a child that is killed without grace gets at most to write down where it is.
STACK_TIME = 0.05
#: The interpreter is waited for so long at most, and no longer than until so long before the kill.
PATIENCE, HARD_TIME = 0.1, 0.03
#: The same of a child that runs on, when the user asks; then again so long, the hard way.
ANSWER_TIME = 0.05
#: What is written down comes in pieces: when none has come for so long, it is complete.
PIECE_TIME = 0.004


class Phase(enum.Enum):
    IDLE = enum.auto()  # a spare, or still starting
    SENDING = enum.auto()  # names are on their way to the child
    RUNNING = enum.auto()  # the code runs
    ENDING = enum.auto()  # there is a cause, the code still runs, the grace period is running
    RETURNING = enum.auto()  # the code has ended, its changes are on their way back
    KILLED = enum.auto()  # everything that is left is being killed
    OVER = enum.auto()


class Action(enum.Enum):
    DUMP_STACK = "have the child write down where it is"
    DUMP_HARD = "have it written down although the child gives its interpreter no chance to"
    RAISE = "raise DeadlineInterrupt in the code"
    INTERRUPT = "send the child SIGINT"
    TELL_STACK = "tell the host where the code is"
    TELL_EXTENDED = "tell the host how long the code may run now"
    TELL_BEGUN = "tell the host that the run is being ended, and why"
    JUDGE = "tell the host that the code runs no more, and why"
    KILL_TREE = "kill the child and all its descendants"
    TELL_GONE = "tell the host that nothing of the run is left"


@dataclass(frozen=True, slots=True)
class CodeStarted:
    pass


@dataclass(frozen=True, slots=True)
class CodeEnded:
    pass


@dataclass(frozen=True, slots=True)
class ChildExited:
    returncode: int


@dataclass(frozen=True, slots=True)
class TooMuchMemory:
    """The run uses more than it may (``Cause.OVER_MEMORY``), or than there is (``Cause.OUT_OF_MEMORY``)."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class StackWritten:
    """The child has written down where it is, or a piece of it."""


@dataclass(frozen=True, slots=True)
class HostGone:
    pass


@dataclass(frozen=True, slots=True)
class TreeGone:
    pass


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment that ``wake`` had named has come, or any other moment."""


Event: TypeAlias = (
    Control | CodeStarted | CodeEnded | ChildExited | TooMuchMemory | StackWritten | HostGone | TreeGone | Tick
)


@dataclass(frozen=True, slots=True)
class Run:
    """All that is known of one child."""

    phase: Phase = Phase.IDLE
    limits: Arm | None = None
    cause: Cause | None = None
    returncode: int | None = None
    #: When the code is to be ended, in RUNNING.
    deadline: float = inf
    #: When the tree is killed: the end of a grace period.
    kill_at: float = inf
    #: When the interrupt is raised again, in ENDING.
    raise_at: float = inf
    #: When SENDING or RETURNING are given up.
    stall_at: float = inf
    #: When to stop waiting for the interpreter to write down where it is, in RUNNING and ENDING.
    hard_at: float = inf
    #: When to answer the user who asked where the code is, in RUNNING.
    answer_at: float = inf
    #: Since when the user is being asked something.
    asked_at: float | None = None
    started_at: float = inf
    #: Seconds that were added before there was a limit.
    more: float = 0.0
    #: Seconds the code ran, once it has ended.
    elapsed: float = 0.0


Step: TypeAlias = tuple[Run, tuple[Action, ...]]
_LIVE = (Phase.IDLE, Phase.SENDING, Phase.RUNNING, Phase.ENDING, Phase.RETURNING)


def wake(run: Run) -> float:
    """Return the moment at which this run wants a ``Tick``; infinite when it wants none."""
    match run.phase:
        case Phase.SENDING:
            return run.stall_at
        case Phase.RUNNING:
            return min(run.kill_at, run.hard_at, run.answer_at, inf if run.asked_at is not None else run.deadline)
        case Phase.ENDING:
            return min(run.kill_at, run.hard_at, run.raise_at)
        case Phase.RETURNING:
            return min(run.stall_at, run.kill_at)
        case Phase.IDLE | Phase.KILLED | Phase.OVER:
            return inf
        case _:
            assert_never(run.phase)


def step(run: Run, event: Event, now: float) -> Step:
    """Return the run after ``event`` at the moment ``now``, and what is to be done, in order."""
    match event:
        case HostGone() | Finish():
            return _kill(run) if run.phase in _LIVE else (run, ())
        case TreeGone():
            if run.phase is Phase.KILLED:
                return replace(run, phase=Phase.OVER), (Action.TELL_GONE,)
            return run, ()
        case ChildExited(returncode):
            return _exited(run, returncode, now)
        case Arm():
            if run.phase is Phase.IDLE:
                run = replace(run, phase=Phase.SENDING, limits=event, stall_at=now + event.stall)
                return _extend(run, run.more) if run.more else (run, ())
            return run, ()
        case CodeStarted():
            if run.phase is Phase.SENDING and run.limits is not None:
                # The host may have heard of the code's first question sooner than the warden of its start.
                asked_at = None if run.asked_at is None else now
                deadline = now + run.limits.timeout
                return replace(run, phase=Phase.RUNNING, started_at=now, deadline=deadline, asked_at=asked_at), ()
            return run, ()
        case CodeEnded():
            return _ended(run, now)
        case Progress():
            if run.limits is not None and run.phase in (Phase.SENDING, Phase.RETURNING):
                return replace(run, stall_at=now + run.limits.stall), ()
            return run, ()
        case Extend(seconds):
            return _extend(run, seconds)
        case Where():
            return _where(run, now)
        case Asking(waiting):
            return _asking(run, waiting, now), ()
        case Interrupt():
            return _interrupt(run, now)
        case Cancel():
            return _cancel(run, now)
        case TooMuchMemory(cause):
            return _too_much_memory(run, cause, now)
        case StackWritten():
            return _stack_written(run, now), ()
        case Tick():
            return _tick(run, now)
        case _:
            assert_never(event)


def _kill(run: Run) -> Step:
    return replace(run, phase=Phase.KILLED), (Action.KILL_TREE,)


def _give_up(run: Run, cause: Cause, now: float) -> Step:
    """Kill without an interrupt: no code of the user's runs, or it has had its grace period."""
    run = replace(run, cause=run.cause or cause, elapsed=_elapsed(run, now))
    return replace(run, phase=Phase.KILLED), (Action.TELL_BEGUN, Action.KILL_TREE, Action.JUDGE)


def _begin_end(run: Run, cause: Cause, now: float) -> Step:
    """Interrupt the running code, and start the grace period."""
    grace = run.limits.grace if run.limits is not None else 0.0
    run = replace(run, phase=Phase.ENDING, cause=cause, answer_at=inf)
    if grace <= 0:
        return _to_kill(run, now + STACK_TIME, now), (Action.TELL_BEGUN, Action.DUMP_STACK)
    run = replace(_to_kill(run, min(run.kill_at, now + grace), now), raise_at=now + REPEAT)
    return run, (Action.TELL_BEGUN, Action.DUMP_STACK, Action.RAISE)


def _to_kill(run: Run, moment: float, now: float) -> Run:
    """Kill the tree at this moment, and know then where it was."""
    return replace(run, kill_at=moment, hard_at=min(moment - HARD_TIME, now + PATIENCE))


def _ended(run: Run, now: float) -> Step:
    if run.phase not in (Phase.RUNNING, Phase.ENDING):
        return run, ()
    stall = run.limits.stall if run.limits is not None else 0.0
    wanted = run.cause is None or (
        run.limits is not None and run.limits.partial and run.cause in (Cause.TIMED_OUT, Cause.CANCELLED)
    )
    run = replace(
        run,
        phase=Phase.RETURNING,
        elapsed=_elapsed(run, now),
        stall_at=now + stall,
        # What an ended run still has to say is its traceback: the rest of the grace period is enough.
        kill_at=inf if wanted else run.kill_at,
    )
    return run, (Action.JUDGE,)


def _exited(run: Run, returncode: int, now: float) -> Step:
    run = replace(run, returncode=returncode)
    match run.phase:
        case Phase.IDLE | Phase.SENDING | Phase.RUNNING | Phase.ENDING | Phase.RETURNING:
            if run.phase is Phase.RETURNING and returncode == 0:
                return run, ()  # it has said all it had to say
            # Whatever had been said before: the changes did not get through.
            run = replace(run, phase=Phase.KILLED, cause=run.cause or Cause.DIED, elapsed=_elapsed(run, now))
            return run, (Action.KILL_TREE, Action.JUDGE)
        case Phase.KILLED | Phase.OVER:
            return run, ()
        case _:
            assert_never(run.phase)


def _extend(run: Run, seconds: float) -> Step:
    if run.phase is Phase.IDLE:
        return replace(run, more=run.more + seconds), ()
    if run.phase not in (Phase.SENDING, Phase.RUNNING) or run.limits is None:
        return run, ()
    limits = replace(run.limits, timeout=run.limits.timeout + seconds)
    return replace(run, limits=limits, deadline=run.deadline + seconds), (Action.TELL_EXTENDED,)


def _where(run: Run, now: float) -> Step:
    # Not once an end is on its way: the stack that is written then is the one to be shown at the end.
    if run.phase is not Phase.RUNNING or run.kill_at != inf or run.answer_at != inf:
        return run, ()
    return replace(run, hard_at=now + ANSWER_TIME, answer_at=now + 2 * ANSWER_TIME), (Action.DUMP_STACK,)


def _asking(run: Run, waiting: bool, now: float) -> Run:
    if run.phase not in (Phase.SENDING, Phase.RUNNING) or waiting == (run.asked_at is not None):
        return run
    if waiting or run.phase is Phase.SENDING:
        return replace(run, asked_at=now if waiting else None)
    assert run.asked_at is not None
    asked = now - run.asked_at
    return replace(run, asked_at=None, deadline=run.deadline + asked, started_at=run.started_at + asked)


def _interrupt(run: Run, now: float) -> Step:
    match run.phase:
        case Phase.SENDING | Phase.RETURNING:
            return _give_up(run, Cause.INTERRUPTED, now)
        case Phase.RUNNING:
            # Not repeated: code that catches KeyboardInterrupt and ends by itself is "finished".
            grace = run.limits.grace if run.limits is not None else 0.0
            first = run.kill_at == inf
            run = _to_kill(run, min(run.kill_at, now + max(grace, STACK_TIME)), now)
            return run, (Action.DUMP_STACK, Action.INTERRUPT) if first else (Action.INTERRUPT,)
        case Phase.IDLE | Phase.ENDING | Phase.KILLED | Phase.OVER:
            return run, ()
        case _:
            assert_never(run.phase)


def _cancel(run: Run, now: float) -> Step:
    match run.phase:
        case Phase.IDLE | Phase.SENDING | Phase.RETURNING:
            return _give_up(run, Cause.CANCELLED, now)
        case Phase.RUNNING:
            return _begin_end(run, Cause.CANCELLED, now)
        case Phase.ENDING:  # the user does not want to wait for the rest of the grace period
            return _give_up(run, Cause.CANCELLED, now)
        case Phase.KILLED | Phase.OVER:
            return run, ()
        case _:
            assert_never(run.phase)


def _too_much_memory(run: Run, cause: Cause, now: float) -> Step:
    match run.phase:
        case Phase.SENDING | Phase.RETURNING:
            return _give_up(run, cause, now)
        case Phase.RUNNING:
            # A child that asks for memory is in the system's hands for long, and writes nothing down meanwhile.
            run = replace(run, phase=Phase.ENDING, cause=cause, answer_at=inf)
            run = _to_kill(run, min(run.kill_at, now + STACK_TIME), now)
            return run, (Action.TELL_BEGUN, Action.DUMP_STACK)
        case Phase.ENDING if run.cause is cause:
            return run, ()
        case Phase.ENDING:  # it grows in its grace period, whose cause stays: the rest of that period is cut
            return replace(run, kill_at=min(run.kill_at, now + STACK_TIME)), ()
        case Phase.IDLE | Phase.KILLED | Phase.OVER:
            return run, ()
        case _:
            assert_never(run.phase)


def _stack_written(run: Run, now: float) -> Run:
    """Wait no longer than for the rest of it, where nothing else is waited for."""
    complete = now + PIECE_TIME
    if run.phase is Phase.RUNNING:
        return replace(run, answer_at=min(run.answer_at, complete)) if run.answer_at != inf else run
    if run.phase is Phase.ENDING and run.raise_at == inf:  # there is no grace period
        return replace(run, kill_at=min(run.kill_at, complete))
    return run


def _tick(run: Run, now: float) -> Step:
    if now < wake(run):
        return run, ()
    match run.phase:
        case Phase.SENDING:
            return _give_up(run, Cause.STALLED, now)
        case Phase.RUNNING:
            if run.asked_at is None and now >= run.deadline:
                return _begin_end(run, Cause.TIMED_OUT, now)
            if now >= run.hard_at:
                return replace(run, hard_at=inf), (Action.DUMP_HARD,)
            if now >= run.answer_at:
                return replace(run, answer_at=inf), (Action.TELL_STACK,)
            return _give_up(run, Cause.INTERRUPTED, now)
        case Phase.ENDING:
            if now >= run.kill_at:
                return _give_up(run, Cause.TIMED_OUT, now)
            if now >= run.hard_at:
                return replace(run, hard_at=inf), (Action.DUMP_HARD,)
            return replace(run, raise_at=now + REPEAT), (Action.RAISE,)
        case Phase.RETURNING:
            return _give_up(run, Cause.STALLED, now)
        case Phase.IDLE | Phase.KILLED | Phase.OVER:
            return run, ()
        case _:
            assert_never(run.phase)


def _elapsed(run: Run, now: float) -> float:
    if run.phase in (Phase.RUNNING, Phase.ENDING):
        return max(0.0, (now if run.asked_at is None else run.asked_at) - run.started_at)
    return run.elapsed
