"""What code may say and ask while it runs: what the functions take, and what they do where there is no run."""

from __future__ import annotations

import decimal
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from ipytimeout import checkpoint, inside, progress, remaining


class Recorder:
    """A run that remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def remaining(self) -> float:
        return 3.5

    def save(self, values: Mapping[str, object]) -> None:
        self.told.append(dict(values))

    def follow(self, iterable: Iterable[Any], total: float | None) -> Iterator[Any]:
        self.told.append(total)
        return iter(iterable)

    def say(self, fraction: float, text: str) -> None:
        self.told.append((fraction, text))


@pytest.fixture
def run() -> Iterator[Recorder]:
    run = Recorder()
    inside.enter(run)
    yield run
    inside.enter(None)


def test_outside_a_run_everything_is_harmless() -> None:
    """The same notebook runs with and without a deadline."""
    assert remaining() == inf
    checkpoint(generator=(x for x in ()), x=1)
    assert list(progress([1, 2, 3])) == [1, 2, 3]
    assert list(progress(iter("ab"), total=2)) == ["a", "b"]
    assert progress(0.5, "half") is None  # type: ignore[func-returns-value]


def test_outside_a_run_an_iterable_is_passed_through_as_it_is() -> None:
    """Not a step is taken ahead."""
    steps = iter(range(10))
    assert next(progress(steps)) == 0 and next(steps) == 1


def test_inside_the_run_is_asked(run: Recorder) -> None:
    assert remaining() == 3.5
    checkpoint(x=1, y=[2])
    checkpoint()
    assert run.told == [{"x": 1, "y": [2]}]


@pytest.mark.parametrize(
    ("arguments", "named", "told"),
    [
        (([1, 2],), {}, 2),
        ((iter([1, 2]),), {}, None),
        ((iter([1, 2]), 5), {}, 5),
        (([1, 2],), {"total": 7.5}, 7.5),
        (([1, 2], np.int64(9)), {}, 9),
        ((itertools.count(), inf), {}, None),
        ((0.25,), {}, (0.25, "")),
        ((0.25, "words"), {}, (0.25, "words")),
        ((1,), {"text": "done"}, (1.0, "done")),
        ((np.float32(0.5), 7), {}, (0.5, "7")),
        ((np.array(0.5),), {}, (0.5, "")),
        ((Fraction(1, 4),), {}, (0.25, "")),
        ((decimal.Decimal("0.5"),), {}, (0.5, "")),
        ((1.0000000001,), {}, (1.0, "")),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", str(value)),  # the same in every process
)
def test_progress_takes_an_iterable_or_a_fraction(
    run: Recorder, arguments: tuple[Any, ...], named: dict[str, Any], told: Any
) -> None:
    progress(*arguments, **named)
    assert run.told == [told]


@pytest.mark.parametrize("inside_a_run", [False, True])
@pytest.mark.parametrize(
    ("arguments", "named", "error", "says"),
    [
        ((37,), {}, ValueError, "done / total"),
        ((-0.5,), {}, ValueError, "from 0 to 1"),
        ((nan,), {}, ValueError, "from 0 to 1"),
        (([], -1), {}, ValueError, "cannot be -1"),
        (([], nan), {}, ValueError, "cannot be nan"),
        (([], "ten"), {}, TypeError, "is a number, not str"),
        (([],), {"text": "words"}, TypeError, "takes a total"),
        ((0.5,), {"total": 3}, TypeError, "takes a text"),
        ((None,), {}, TypeError, "an iterable or a fraction, not NoneType"),
    ],
)
def test_a_mistake_is_one_inside_and_outside(
    inside_a_run: bool,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    error: type[Exception],
    says: str,
    request: pytest.FixtureRequest,
) -> None:
    """A cell that works without a deadline works with one."""
    if inside_a_run:
        request.getfixturevalue("run")
    with pytest.raises(error, match=says):
        progress(*arguments, **named)


def test_a_length_that_a_class_only_promises_is_none(run: Recorder) -> None:
    class Promises:
        def __len__(self) -> int:
            raise NotImplementedError

        def __iter__(self) -> Iterator[int]:
            return iter((1, 2))

    assert list(progress(Promises())) == [1, 2]
    assert run.told == [None]


@pytest.mark.parametrize("name", ["two words", "\0changes", "1a"])
def test_a_checkpoint_has_the_name_of_a_variable(name: str) -> None:
    with pytest.raises(TypeError, match="names of variables"):
        checkpoint(**{name: 1})
