"""The life cycle of a run, by brute force over all short sequences of events."""

from __future__ import annotations

import itertools
from math import inf

import pytest

from ipytimeout.warden.lifecycle import (
    ANSWER_TIME,
    HARD_TIME,
    PATIENCE,
    PIECE_TIME,
    REPEAT,
    STACK_TIME,
    Action,
    ChildExited,
    CodeEnded,
    CodeStarted,
    Event,
    HostGone,
    Phase,
    Run,
    StackWritten,
    Tick,
    TooMuchMemory,
    TreeGone,
    step,
    wake,
)
from ipytimeout.wire.messages.warden import Arm, Asking, Cancel, Cause, Extend, Finish, Interrupt, Progress, Where

ARM = Arm(timeout=5.0, grace=1.0, stall=10.0, partial=False)


def play(*events: Event | float, arm: Arm = ARM) -> tuple[Run, list[tuple[float, Action]]]:
    """Play events; a number is seconds that pass, with a tick at every moment the run wants one."""
    run, now, log = Run(), 0.0, []
    for event in (arm, CodeStarted(), *events):
        if isinstance(event, float):
            end = now + event
            while (moment := wake(run)) <= end:
                now = max(now, moment)
                run, actions = step(run, Tick(), now)
                log += [(now, a) for a in actions]
            now = end
        else:
            run, actions = step(run, event, now)
            log += [(now, a) for a in actions]
    return run, log


def actions(log: list[tuple[float, Action]]) -> list[Action]:
    return [action for _, action in log]


def test_code_that_ends_by_itself_is_judged_without_a_cause() -> None:
    run, log = play(2.0, CodeEnded())
    assert (run.phase, run.cause, run.elapsed) == (Phase.RETURNING, None, 2.0)
    assert actions(log) == [Action.JUDGE]


def test_the_deadline_interrupts_again_and_again_and_then_kills() -> None:
    run, log = play(20.0)
    assert run.cause is Cause.TIMED_OUT
    assert [t for t, a in log if a is Action.RAISE] == [5.0, 5.0 + REPEAT, 5.0 + 2 * REPEAT, 5.0 + 3 * REPEAT]
    assert [t for t, a in log if a is Action.KILL_TREE] == [6.0]


@pytest.mark.parametrize("grace", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("end", [(20.0,), (1.0, Cancel(), 2.0), (1.0, Interrupt(), 2.0)])
def test_where_killed_code_was_is_known_before_the_kill(grace: float, end: tuple[float | Event, ...]) -> None:
    """Asked for at once, and soon the hard way."""
    _, log = play(*end, arm=Arm(5.0, grace, 10.0, False))
    (asked,) = [t for t, a in log if a is Action.DUMP_STACK]
    (hard,) = [t for t, a in log if a is Action.DUMP_HARD]
    (killed,) = [t for t, a in log if a is Action.KILL_TREE]
    assert asked < hard < killed and hard <= asked + PATIENCE


def test_no_grace_kills_although_no_stack_is_written() -> None:
    _, log = play(20.0, arm=Arm(5.0, 0.0, 10.0, False))
    assert [t for t, a in log if a is Action.KILL_TREE] == [5.0 + STACK_TIME]
    assert Action.RAISE not in actions(log)


@pytest.mark.parametrize("grace", [0.0, 1.0])
@pytest.mark.parametrize("end", [Cancel(), TooMuchMemory(Cause.OVER_MEMORY)])
def test_where_there_is_no_grace_period_the_kill_follows_the_stacks_last_piece(end: Event, grace: float) -> None:
    _, log = play(1.0, end, 0.001, StackWritten(), 0.002, StackWritten(), 4.0, arm=Arm(5.0, grace, 10.0, False))
    (killed,) = [t for t, a in log if a is Action.KILL_TREE]
    waits = isinstance(end, Cancel) and grace > 0
    assert killed == pytest.approx(1.0 + grace if waits else 1.001 + PIECE_TIME)


def test_the_user_is_told_where_the_code_is_as_soon_as_that_is_written() -> None:
    _, log = play(1.0, Where(), 0.001, StackWritten(), 0.2)
    (told,) = [t for t, a in log if a is Action.TELL_STACK]
    assert told == pytest.approx(1.001 + PIECE_TIME)


def test_code_that_swallows_the_deadline_and_ends_within_the_grace_period_is_timed_out() -> None:
    run, _ = play(5.5, CodeEnded())
    assert (run.phase, run.cause) == (Phase.RETURNING, Cause.TIMED_OUT)


def test_code_that_obeys_an_interrupt_has_no_cause() -> None:
    run, log = play(1.0, Interrupt(), 0.05, CodeEnded())
    assert run.cause is None
    assert actions(log) == [Action.DUMP_STACK, Action.INTERRUPT, Action.JUDGE]


def test_an_interrupt_without_effect_kills_after_the_grace_period() -> None:
    run, log = play(1.0, Interrupt(), 3.0)
    assert run.cause is Cause.INTERRUPTED
    assert [t for t, a in log if a is Action.KILL_TREE] == [2.0]


def test_a_second_interrupt_is_sent_and_does_not_prolong_the_grace_period() -> None:
    _, log = play(1.0, Interrupt(), 0.9, Interrupt(), 3.0)
    assert actions(log).count(Action.INTERRUPT) == 2
    assert [t for t, a in log if a is Action.KILL_TREE] == [2.0]


def test_a_second_cancel_kills_at_once() -> None:
    run, log = play(1.0, Cancel(), 0.1, Cancel())
    assert run.cause is Cause.CANCELLED
    assert log[-2][1] is Action.KILL_TREE and log[-2][0] == pytest.approx(1.1)


def test_the_clock_stands_still_while_the_user_is_asked() -> None:
    run, _ = play(2.0, Asking(True), 100.0, Asking(False), 2.0, CodeEnded())
    assert (run.cause, run.elapsed) == (None, pytest.approx(4.0))
    run, _ = play(2.0, Asking(True), 100.0, Asking(False), 20.0)
    assert run.cause is Cause.TIMED_OUT


def test_a_question_that_is_heard_of_before_the_start_stops_the_clock_too() -> None:
    """Two processes tell the warden of these, and either may be the faster."""
    run, _ = step(Run(), ARM, 0.0)
    for now, event in ((1.0, Asking(True)), (1.1, CodeStarted()), (101.0, Asking(False)), (102.0, CodeEnded())):
        run, _ = step(run, event, now)
    assert (run.phase, run.cause, run.elapsed) == (Phase.RETURNING, None, pytest.approx(1.0))


def test_cancel_and_interrupt_work_while_the_user_is_asked() -> None:
    assert play(Asking(True), 9.0, Cancel(), 9.0)[0].cause is Cause.CANCELLED
    assert play(Asking(True), 9.0, Interrupt(), 9.0)[0].cause is Cause.INTERRUPTED


def test_extend_moves_the_deadline() -> None:
    assert play(4.0, Extend(10.0), 5.0)[0].phase is Phase.RUNNING
    assert play(4.0, Extend(10.0), 12.0)[0].cause is Cause.TIMED_OUT


@pytest.mark.parametrize("extended_first", [True, False])
def test_a_run_that_is_extended_before_its_code_starts_has_more_time(extended_first: bool) -> None:
    limits, more = Arm(5.0, 1.0, 10.0, False), Extend(10.0)
    run, told = Run(), []
    for event in (more, limits) if extended_first else (limits, more):
        run, acts = step(run, event, 0.0)
        told += acts
    run, _ = step(run, CodeStarted(), 1.0)
    assert run.deadline == 16.0 and told == [Action.TELL_EXTENDED]


def test_extend_tells_how_long_the_code_may_run_in_all() -> None:
    run, log = play(4.0, Extend(10.0), Extend(5.0))
    assert run.limits is not None and run.limits.timeout == 20.0
    assert actions(log) == [Action.TELL_EXTENDED] * 2
    assert play(20.0, Extend(10.0))[1][-1][1] is not Action.TELL_EXTENDED, "a run that has ended is not prolonged"


def test_the_stack_is_told_a_moment_after_it_was_asked_for() -> None:
    run, log = play(1.0, Where(), 0.01, Where(), 2.0)
    assert log == [
        (1.0, Action.DUMP_STACK),
        (1.0 + ANSWER_TIME, Action.DUMP_HARD),
        (1.0 + 2 * ANSWER_TIME, Action.TELL_STACK),
    ]
    assert run.phase is Phase.RUNNING


def test_asking_where_the_code_is_does_not_spoil_the_stack_of_its_end() -> None:
    _, log = play(1.0, Cancel(), 0.01, Where(), 0.1)
    assert actions(log).count(Action.DUMP_STACK) == 1
    _, log = play(1.0, Interrupt(), 0.01, Where(), 0.1)
    assert actions(log).count(Action.DUMP_STACK) == 1


def test_sending_without_progress_is_given_up_and_progress_prolongs_it() -> None:
    run, _ = step(Run(), ARM, 0.0)
    assert wake(run) == 10.0
    run, _ = step(run, Progress(), 9.0)
    assert step(run, Tick(), 18.9)[1] == ()
    run, done = step(run, Tick(), 19.0)
    assert run.cause is Cause.STALLED and Action.KILL_TREE in done


def test_bringing_back_without_progress_is_given_up() -> None:
    assert play(1.0, CodeEnded(), 10.0)[0].cause is Cause.STALLED


def test_after_a_timeout_bringing_back_gets_no_more_than_the_grace_period() -> None:
    _, log = play(5.2, CodeEnded(), 10.0)
    assert [t for t, a in log if a is Action.KILL_TREE] == [pytest.approx(6.0)]


@pytest.mark.parametrize("end", [5.2, Cancel()], ids=["deadline", "Cancel"])
def test_what_was_done_is_waited_for_as_long_as_bytes_move_where_it_is_wanted(end: Event | float) -> None:
    """``--partial``: the limit of all ways back, and no grace period any more."""
    arm = Arm(5.0, 1.0, 10.0, partial=True)
    run, log = play(end, CodeEnded(), 9.0, Progress(), 9.0, arm=arm)
    assert run.phase is Phase.RETURNING and actions(log)[-1] is Action.JUDGE
    run, log = play(end, CodeEnded(), 11.0, arm=arm)
    assert run.cause in (Cause.TIMED_OUT, Cause.CANCELLED)
    assert actions(log)[-3:] == [Action.TELL_BEGUN, Action.KILL_TREE, Action.JUDGE]
    assert actions(log).count(Action.JUDGE) == 2


def test_what_was_done_does_not_prolong_the_grace_period_of_code_that_goes_on() -> None:
    _, log = play(20.0, arm=Arm(5.0, 1.0, 10.0, partial=True))
    assert [t for t, a in log if a is Action.KILL_TREE] == [6.0]


def test_a_run_that_is_being_ended_is_not_extended() -> None:
    """The click has no effect: neither the end nor what the user is told moves."""
    for events in ([5.2], [1.0, Cancel(), 0.1]):
        run, log = play(*events, Extend(10.0), 0.5)
        assert run.phase is Phase.ENDING and Action.TELL_EXTENDED not in actions(log)
        assert play(*events, Extend(10.0), 2.0)[0].phase is Phase.KILLED


def test_a_death_is_told_at_once_with_its_code() -> None:
    run, log = play(1.0, ChildExited(-11))
    assert (run.cause, run.returncode, run.elapsed) == (Cause.DIED, -11, 1.0)
    assert actions(log) == [Action.KILL_TREE, Action.JUDGE]


def test_a_clean_exit_after_the_code_has_ended_is_no_death() -> None:
    assert play(1.0, CodeEnded(), ChildExited(0))[0].cause is None
    assert play(1.0, CodeEnded(), ChildExited(-9))[0].cause is Cause.DIED


def test_no_timeout_means_no_deadline() -> None:
    run, log = play(1e9, arm=Arm(inf, 1.0, inf, False))
    assert run.phase is Phase.RUNNING and log == []


OVER = TooMuchMemory(Cause.OVER_MEMORY)


def test_a_run_that_uses_too_much_memory_is_killed_without_an_interrupt_once_its_stack_is_written() -> None:
    run, log = play(1.0, OVER, OVER, 5.0)
    assert run.cause is Cause.OVER_MEMORY
    assert log == [
        (1.0, Action.TELL_BEGUN),
        (1.0, Action.DUMP_STACK),
        (1.0 + STACK_TIME - HARD_TIME, Action.DUMP_HARD),
        *[(1.0 + STACK_TIME, a) for a in (Action.TELL_BEGUN, Action.KILL_TREE, Action.JUDGE)],
    ]


def test_code_that_ends_at_the_very_moment_it_is_over_memory_brings_nothing_back() -> None:
    """Nor does it with --partial, which is for the deadline and for Cancel."""
    for partial in (False, True):
        run, log = play(1.0, OVER, CodeEnded(), 1.0, arm=Arm(5.0, 1.0, 10.0, partial))
        assert run.cause is Cause.OVER_MEMORY
        assert Action.KILL_TREE in actions(log)


def test_a_run_that_grows_too_large_in_its_grace_period_loses_the_rest_of_that_but_keeps_its_cause() -> None:
    run, log = play(5.1, OVER, 5.0)
    assert run.cause is Cause.TIMED_OUT
    assert [t for t, a in log if a is Action.KILL_TREE] == [pytest.approx(5.1 + STACK_TIME)]


@pytest.mark.parametrize("begun", [(), (CodeStarted(), CodeEnded())], ids=["sending", "returning"])
def test_when_memory_runs_out_while_names_are_on_their_way_the_run_is_given_up(begun: tuple[Event, ...]) -> None:
    run, _ = step(Run(), ARM, 0.0)
    for event in begun:
        run, _ = step(run, event, 1.0)
    run, done = step(run, TooMuchMemory(Cause.OUT_OF_MEMORY), 2.0)
    assert run.cause is Cause.OUT_OF_MEMORY and Action.KILL_TREE in done


EVENTS: list[Event | float] = [
    OVER,
    Interrupt(),
    Cancel(),
    Extend(1.0),
    Where(),
    Asking(True),
    Asking(False),
    Progress(),
    Finish(),
    HostGone(),
    StackWritten(),
    CodeStarted(),
    CodeEnded(),
    ChildExited(0),
    ChildExited(-9),
    TreeGone(),
    0.3,
    6.0,
]


@pytest.mark.parametrize("grace", [0.0, 1.0])
@pytest.mark.parametrize("partial", [False, True])
def test_the_laws_hold_for_every_sequence_of_four_events(grace: float, partial: bool) -> None:
    """The laws at the top of the file: one cause, never changed; killed in time; nothing after the kill."""
    arm = Arm(5.0, grace, 10.0, partial)
    for events in itertools.product(EVENTS, repeat=4):
        run, now, log = Run(), 0.0, []
        causes: list[Cause] = []
        exited = False
        for event in (arm, CodeStarted(), *events, 100.0, TreeGone()):
            pending: list[tuple[Event, float]] = []
            if isinstance(event, float):
                end = now + event
                while (moment := wake(run)) <= end:
                    now = max(now, moment)
                    run, done = step(run, Tick(), now)
                    log += [(now, a) for a in done]
                    assert wake(run) > now or done, (events, "a tick must do something, or move the next moment on")
                now = end
            else:
                pending.append((event, now))
            for e, t in pending:
                before = len(log)
                run, done = step(run, e, t)
                log += [(t, a) for a in done]
                if exited:
                    sent = {Action.RAISE, Action.INTERRUPT, Action.DUMP_STACK, Action.DUMP_HARD} & {
                        a for _, a in log[before:]
                    }
                    assert not sent, (events, "nothing is sent to a child that has exited")
                exited = exited or isinstance(e, ChildExited)
            if run.cause is not None and run.cause not in causes:
                causes.append(run.cause)
        assert len(causes) <= 1, (events, causes)
        names = actions(log)
        if Action.KILL_TREE in names:
            rest = names[names.index(Action.KILL_TREE) + 1 :]
            assert set(rest) <= {Action.JUDGE, Action.TELL_GONE}, (events, names)
            assert run.phase is Phase.OVER, events
        if causes:
            assert Action.KILL_TREE in names or run.phase is Phase.RETURNING, events
        begun = next((t for t, a in log if a is Action.TELL_BEGUN), None)
        if begun is not None and not partial:
            killed = next((t for t, a in log if a is Action.KILL_TREE), inf)
            patience = ANSWER_TIME if run.cause is Cause.OVER_MEMORY else STACK_TIME
            assert killed <= begun + max(grace, patience) + 1e-9, (events, log)
        if begun is not None and run.cause is Cause.OVER_MEMORY:
            killed = next((t for t, a in log if a is Action.KILL_TREE), inf)
            assert killed <= begun + ANSWER_TIME + 1e-9 and Action.RAISE not in names, (events, log)
