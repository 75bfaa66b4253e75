"""Text that outlives its process."""

from __future__ import annotations

import mmap

import pytest

from ipytimeout.wire.messages.outputs import Stream
from ipytimeout.wire.recording import SIZE, Recorder, recorded


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, SIZE)


def numbered(memory: mmap.mmap, after: int = 0) -> list[tuple[str, str, int]]:
    return [(each.name, each.text, each.number) for each in recorded(memory, after)]


def test_what_was_noted_is_there_but_for_what_has_come_already(memory: mmap.mmap) -> None:
    recorder = Recorder(memory)
    entries = [("stdout", "a\n", 1), ("stderr", "ä€\ud800", 2), ("stdout", "", 3), ("stdout", "d", 4)]
    assert recorder.note(entries[:2]) and recorder.note(entries[2:])
    assert numbered(memory) == entries and numbered(memory, 2) == entries[2:] and numbered(memory, 4) == []


def test_a_printed_line_is_kept_whole_and_its_end_is_known_apart(memory: mmap.mmap) -> None:
    """The text may have left its process while the end of the line was being written."""
    recorder = Recorder(memory)
    assert recorder.note([("stdout", "ä", 1), ("stdout", "\n", 2)])
    assert recorder.note([("stderr", "x", 3), ("stdout", "\n", 4)])
    assert recorder.note([("stderr", "y", 5), ("stderr", "\n", 7)])
    apart = [("stderr", "x", 3), ("stdout", "\n", 4), ("stderr", "y", 5), ("stderr", "\n", 7)]
    assert numbered(memory) == [("stdout", "ä\n", 2), *apart]
    assert numbered(memory, 1) == [("stdout", "\n", 2), *apart]
    assert numbered(memory, 2) == apart


def test_it_forgets_only_when_nothing_waits(memory: mmap.mmap) -> None:
    recorder = Recorder(memory)
    recorder.note([("stdout", "long text", 1)])
    recorder.forget([Stream("stdout", "long text")])
    assert numbered(memory) == [("stdout", "long text", 1)]
    recorder.forget([])
    assert numbered(memory) == []
    recorder.note([("stdout", "x", 2)])
    assert numbered(memory) == [("stdout", "x", 2)]


def test_what_does_not_fit_is_refused_and_spoils_nothing(memory: mmap.mmap) -> None:
    recorder = Recorder(memory)
    count = 0
    while recorder.note([("stdout", "x" * 1000, count + 1)]):
        count += 1
    assert count == (SIZE - 13) // 1013
    assert not recorder.note([("stdout", "x" * SIZE, count + 1)])
    assert [number for _, _, number in numbered(memory)] == list(range(1, count + 1))


@pytest.mark.parametrize(
    "wrong", [b"", b"\xff" * 100, b"\x01" * 100, b"\x01" + bytes(7) + b"\x01\xff\xff\xff\xff"], ids=repr
)
def test_memory_that_makes_no_sense_is_no_text(wrong: bytes) -> None:
    """It is the child's: its code may have written anything there."""
    assert list(recorded(wrong, 0)) == []
