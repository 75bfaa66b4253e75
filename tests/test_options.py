"""What a run is told."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ipytimeout.mistakes import OptionError
from ipytimeout.options import RunOptions, StartMethod


def test_only_the_grace_period_may_be_zero() -> None:
    """``-k 0`` kills at once."""
    assert RunOptions(5, kill_after=0).kill_after == 0
    with pytest.raises(OptionError):
        RunOptions(0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"keep": ("a",), "discard": True}, "contradict"),
        ({"keep": ("1a",)}, "'1a'"),
        ({"keep": ("a", "")}, "empty name"),
        ({"keep": 3}, "takes names"),
        ({"keep": ("*",)}, r"'\*'"),
        ({"with_names": ("a b",)}, "'a b'"),
        ({"kill_after": -1}, "--kill-after"),
        ({"kill_after": math.inf}, "--kill-after"),
        ({"start": "quick"}, "auto, warm, spawn, fork"),
        ({"start": ["a"]}, "auto, warm, spawn"),
        ({"discard": "yes"}, "True or False"),
        ({"partial": 1}, "True or False"),
        ({"partial": True, "discard": True}, "contradict"),
        ({"partial": True, "kill_after": 0}, "grace period"),
        ({"quiet": 1}, "True or False"),
        ({"max_output": "much"}, "--max-output: not a size"),
        ({"memory": 0}, "--memory: 0 is 0 bytes"),
        ({"memory": True}, "--memory: not a size: a bool"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_contradictory_and_wrong_options_are_refused(wrong: dict[str, Any], says: str) -> None:
    """In one line that names the value."""
    with pytest.raises(OptionError, match=says) as caught:
        RunOptions(5, **wrong)
    assert "\n" not in str(caught.value)


def test_options_are_kept_in_one_form_however_they_are_given() -> None:
    """Durations as seconds, names as a tuple, the start method as itself."""
    options = RunOptions("2m", kill_after="500ms", keep="a, b,a", with_names=["x", "*"], start="spawn")  # type: ignore[arg-type]
    assert options == RunOptions(120.0, 0.5, ("a", "b"), False, ("*",), StartMethod.SPAWN)
