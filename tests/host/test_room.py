"""A copy that does not fit, and a limit that is a share of what there is."""

from __future__ import annotations

from math import inf

import pytest

from ipytimeout.host import room
from ipytimeout.mistakes import OptionError
from ipytimeout.sizes import Share
from ipytimeout.wire.room import Bounds

GB = 10**9


def test_a_copy_that_does_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bounds, "left", lambda self: 1.5 * GB)
    room.refuse_without_room(GB)
    with pytest.raises(MemoryError, match=r"needs 2 GB .* only 1\.5 GB of memory left"):
        room.refuse_without_room(2 * GB)


def test_a_share_is_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "total", lambda: 4.0 * GB)
    assert room.limit_in_bytes(Share(50)) == 2 * GB
    assert room.limit_in_bytes(GB) == GB
    assert room.limit_in_bytes(None) == inf


def test_where_nobody_knows_how_much_there_is_a_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "total", lambda: inf)
    with pytest.raises(OptionError, match=r"--memory 50%: .* write a size"):
        room.limit_in_bytes(Share(50))


def test_where_memory_cannot_be_measured_a_limit_is_refused_and_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room.sys, "platform", "darwin")
    with pytest.raises(OptionError, match="needs Linux"):
        room.limit_in_bytes(GB)
    assert room.limit_in_bytes(None) == inf
