"""The facts of a run, by a clock of the test's own."""

from __future__ import annotations

from math import inf

import pytest

from ipytimeout.host.view.run_state import Facts, Phase, RunState, Said
from ipytimeout.host.view.summary import progress_note
from ipytimeout.wire.messages.to_child import Clock as Clock_


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


def test_what_the_code_says_is_shown_with_how_long_the_rest_will_take() -> None:
    """As fast as of late; between two words the time goes on."""
    clock = Clock()
    state = RunState(50.0, clock)
    state.runs()
    assert state.facts.said is None and state.facts.bar == 0.0
    clock.now += 5.0
    state.has_progressed(0.0, "0 of 10")
    assert state.facts.said == Said(0.0, "0 of 10", None) and state.facts.bar == 0.0
    clock.now += 1.0
    state.has_progressed(0.1, "1 of 10")
    assert state.facts.said == Said(0.1, "1 of 10", pytest.approx(9.0)) and state.facts.bar == 0.1
    assert at(state, clock, 4.0).said == Said(0.1, "1 of 10", pytest.approx(5.0))
    assert at(state, clock, 9.0).said == Said(0.1, "1 of 10", 0.0)
    state.has_ended(19.0)
    assert state.facts.said == Said(0.1, "1 of 10", None)


def test_the_latest_steps_count_most() -> None:
    clock = Clock()
    state = RunState(inf, clock)
    state.runs()
    state.has_progressed(0.0, "")
    for step in range(1, 21):
        clock.now += 1.0 if step <= 10 else 4.0
        state.has_progressed(step / 40, "")
    left = state.facts.said.left  # type: ignore[union-attr]
    assert left is not None and 20 * 2.5 < left < 20 * 4


def test_a_first_word_in_the_middle_took_all_the_time_until_then() -> None:
    clock = Clock()
    state = RunState(inf, clock)
    state.runs()
    clock.now += 10.0
    state.has_progressed(0.5, "half")
    assert state.facts.said == Said(0.5, "half", pytest.approx(10.0))


@pytest.mark.parametrize("again", [0.0, 0.2, None])
def test_another_loop_is_measured_anew(again: float | None) -> None:
    clock = Clock()
    state = RunState(inf, clock)
    state.runs()
    for fraction in (0.0, 0.5, again):
        clock.now += 1.0
        state.has_progressed(fraction, "")
    assert state.facts.said == Said(again, "", None)


def test_the_time_that_the_user_is_asked_is_not_the_steps() -> None:
    clock = Clock()
    state = RunState(inf, clock)
    state.runs()
    state.has_progressed(0.0, "")
    clock.now += 1.0
    state.asks()
    clock.now += 60.0
    assert state.clock == Clock_(inf, 101.0)
    state.is_answered()
    clock.now += 1.0
    state.has_progressed(0.5, "")
    assert state.facts.said == Said(0.5, "", pytest.approx(2.0))


def test_the_code_is_told_when_it_ends() -> None:
    """As it was extended, without the time that the user was asked."""
    clock = Clock()
    state = RunState(5.0, clock)
    state.runs()
    assert state.clock == Clock_(105.0, None)
    state.may_run(10.0)
    clock.now += 1.0
    state.asks()
    assert state.clock == Clock_(110.0, 101.0)
    clock.now += 3.0
    state.is_answered()
    assert state.clock == Clock_(113.0, None)


@pytest.mark.parametrize(
    ("said", "note"),
    [
        (None, ""),
        (Said(None, ""), ""),
        (Said(0.37, ""), "37%"),
        (Said(0.37, "", 12.4), "37% · 12 s left"),
        (Said(0.4, "4 of 10", 0.2), "4 of 10 · 0 s left"),
        (Said(1.0, "10 of 10", 0.0), "10 of 10"),
        (Said(None, "two\nlines \x1b[31m"), "two lines [31m"),
        (Said(0.5, "x" * 100, 90.0), "x" * 59 + "… · 1 min 30 s left"),
    ],
)
def test_what_the_code_says_is_one_short_line(said: Said | None, note: str) -> None:
    assert progress_note(said) == note


def test_without_a_limit_there_is_no_fraction() -> None:
    assert Facts(Phase.RUNNING, 3.0, inf).fraction is None
