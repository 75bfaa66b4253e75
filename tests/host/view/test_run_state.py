"""The facts of a run, by a clock of the test's own."""

from __future__ import annotations

from math import inf

from ipytimeout.host.view.run_state import Facts, Phase, RunState


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def at(state: RunState, clock: Clock, seconds: float) -> Facts:
    clock.now += seconds
    return state.facts


def test_the_clock_runs_from_the_first_to_the_last_line_of_the_code() -> None:
    """Not while the child starts, and not while the results come back."""
    clock = Clock()
    state = RunState(5.0, clock)
    assert at(state, clock, 3.0) == Facts(Phase.PREPARING, 0.0, 5.0)
    state.runs()
    assert at(state, clock, 2.0) == Facts(Phase.RUNNING, 2.0, 5.0)
    state.has_ended(1.9)
    assert at(state, clock, 2.0) == Facts(Phase.RETURNING, 1.9, 5.0)


def test_the_clock_stands_still_while_the_user_is_asked() -> None:
    clock = Clock()
    state = RunState(5.0, clock)
    state.runs()
    clock.now += 1.0
    state.asks()
    assert at(state, clock, 60.0) == Facts(Phase.ASKING, 1.0, 5.0)
    state.is_answered()
    assert at(state, clock, 0.5) == Facts(Phase.RUNNING, 1.5, 5.0)


def test_a_run_that_is_ended_while_the_user_is_asked_does_not_count_the_question() -> None:
    clock = Clock()
    state = RunState(5.0, clock)
    state.runs()
    state.asks()
    clock.now += 60.0
    state.ends()
    assert at(state, clock, 0.5) == Facts(Phase.ENDING, 0.5, 5.0)
    state.is_answered()
    assert state.facts.phase is Phase.ENDING


def test_an_end_that_comes_after_the_code_has_ended_does_not_start_the_clock_again() -> None:
    """The end of bringing back, when that is cancelled."""
    clock = Clock()
    state = RunState(5.0, clock)
    state.runs()
    state.has_ended(1.0)
    state.ends()
    assert at(state, clock, 3.0) == Facts(Phase.RETURNING, 1.0, 5.0)


def test_the_fraction_is_of_the_time_as_it_was_extended_and_never_more_than_all() -> None:
    clock = Clock()
    state = RunState(5.0, clock)
    state.runs()
    assert at(state, clock, 4.0).fraction == 0.8
    state.may_run(10.0)
    assert state.facts.fraction == 0.4
    assert at(state, clock, 10.0).fraction == 1.0


def test_memory_in_use_and_its_limit_are_facts_too() -> None:
    clock = Clock()
    state = RunState(5.0, clock)
    state.may_use(2e9)
    assert (state.facts.memory, state.facts.memory_limit) == (0, 2e9)
    state.uses(10**9)
    assert state.facts.memory == 10**9


def test_without_a_limit_there_is_no_fraction() -> None:
    assert Facts(Phase.RUNNING, 3.0, inf).fraction is None
