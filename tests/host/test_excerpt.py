"""What is shown of a flood: head and tail, in order, and what is missing."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipytimeout.host.excerpt import LINE, Excerpt, LeftOut, Shown, without_overwritten
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, Error, ExecuteResult, Output, Stream

DISPLAY = DisplayData({"text/plain": "figure"}, {}, {})
UPDATE = DisplayData({"text/plain": "figure"}, {}, {"display_id": "d"}, update=True)
ERROR = Error("E", "", [])


def out(text: str) -> Stream:
    return Stream("stdout", text)


def shown(limit: float, outputs: list[Output]) -> list[Shown]:
    """Return everything that is shown of these, to the end."""
    excerpt = Excerpt(limit)
    return [each for output in outputs for each in excerpt.take(output)] + excerpt.end()


def text_of(outputs: list[Shown]) -> str:
    return "".join(each.text for each in outputs if isinstance(each, Stream))


def test_what_is_within_the_limit_is_shown_as_it_comes() -> None:
    excerpt = Excerpt(1000)
    for number in range(25):
        assert excerpt.take(out(f"line {number}\n")) == [out(f"line {number}\n")]
    assert excerpt.end() == []


def test_text_beyond_half_of_the_limit_waits_for_the_end_and_is_shown_there() -> None:
    lines = [out(f"{number:29}\n") for number in range(30)]
    excerpt = Excerpt(1000)
    at_once = [each for line in lines for each in excerpt.take(line)]
    assert at_once == lines[:16] and excerpt.holds
    assert at_once + excerpt.end() == lines


def test_of_a_flood_head_and_tail_are_shown_and_what_is_missing_is_said_between() -> None:
    lines = [out(f"{number:029}\n") for number in range(10_000)]
    result = shown(3000, [*lines])
    head, tail = result[: result.index(next(r for r in result if isinstance(r, LeftOut)))], result
    assert text_of(head) == "".join(line.text for line in lines[: len(head)]) and len(head) == 50
    assert text_of(tail).endswith(lines[-1].text)
    (missing,) = [each for each in result if isinstance(each, LeftOut)]
    assert missing.size + len(text_of(result)) == 30 * 10_000
    assert 2500 <= len(text_of(result)) <= 3000


def test_whole_lines_are_shown_at_both_sides_of_the_gap() -> None:
    text = "".join(f"{number:09}\n" for number in range(10_000))
    result = shown(2000, [out(text)])
    head, missing, tail = result
    assert isinstance(head, Stream) and isinstance(tail, Stream) and isinstance(missing, LeftOut)
    assert text.startswith(head.text) and head.text.endswith("\n")
    assert text.endswith("\n" + tail.text)


def test_one_endless_line_is_cut_where_it_must() -> None:
    head, missing, tail = shown(2000, [out("x" * 100_000)])
    assert (head, missing, tail) == (out("x" * 1000), LeftOut(98_000), out("x" * 1000))


def test_a_short_line_counts_as_more_than_its_text() -> None:
    result = shown(2000, [out("x\n")] * 10_000)
    assert text_of(result).count("\n") <= 2000 / LINE


def test_short_lines_use_up_the_room_there_is_in_pieces_however_large() -> None:
    for size in (1, 700, 10_000):
        result = shown(20_000, [out("\n" * size)] * (10_000 // size))
        assert 980 < text_of(result).count("\n") <= 20_000 / LINE


def test_what_a_carriage_return_overwrites_does_not_count() -> None:
    """A progress bar that runs for hours is live to its end."""
    excerpt = Excerpt(2000)
    for number in range(10_000):
        assert excerpt.take(out(f"\r{number} of 10000")) and not excerpt.holds
        assert excerpt.take(Stream("stderr", f"{number} of 10000\r")) and not excerpt.holds
    assert excerpt.take(out("\ndone\n")) and excerpt.end() == []


def test_lines_that_end_as_a_terminal_ends_them_overwrite_nothing() -> None:
    """They cost what other lines cost, wherever the pieces are cut in which they come."""
    lines = "first\r\n" + "y\r\n" * 3000
    for size in (1, 2, 3, 1000, len(lines)):
        result = shown(1000, [out(lines[at : at + size]) for at in range(0, len(lines), size)])
        assert text_of(result).startswith("first\r\n") and text_of(result).endswith("y\r\n")
        assert 35 <= text_of(result).count("\n") <= 1000 / LINE


@given(st.text("ab\n\r", max_size=60))
def test_of_what_is_overwritten_the_last_writing_stays(text: str) -> None:
    expected = []
    for line in text.split("\n"):
        written = [part for part in line.split("\r") if part]
        expected.append(written[-1] if written else "")
    kept = without_overwritten(text)
    assert [line.strip("\r") for line in kept.split("\n")] == expected
    assert without_overwritten(kept) == kept and text.endswith(kept[-1:])


def test_a_flood_of_overwritten_text_that_is_held_keeps_its_last_line() -> None:
    held = [out(f"\r{number}") for number in range(50_000)]
    result = shown(1000, [out("x" * 600), *held])
    assert text_of(result).endswith("\r49999") and len(text_of(result)) <= 1100


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text("ab€\n\r\x1b", max_size=300)), max_size=40))
def test_nothing_is_lost_unsaid_and_nothing_changes_places(pieces: list[tuple[str, str]]) -> None:
    """Whatever is written: head, gap, tail; together, with what the gap counts, it is all that was written."""
    outputs: list[Output] = [Stream(name, text) for name, text in pieces if text]
    text = text_of([*outputs])
    result = shown(1500, outputs)
    gaps = [index for index, each in enumerate(result) if isinstance(each, LeftOut)]
    assert len(gaps) <= 1
    if not gaps and "\r" not in text:
        assert text_of(result) == text
    if gaps and "\r" not in text:
        head, gap, tail = result[: gaps[0]], result[gaps[0]], result[gaps[0] + 1 :]
        assert isinstance(gap, LeftOut)
        assert text.startswith(text_of(head)) and text.endswith(text_of(tail))
        assert len((text_of(head) + text_of(tail)).encode()) + gap.size == len(text.encode())
        assert len(text_of(result).encode()) <= 1500


def test_a_display_does_not_wait_and_has_the_last_lines_before_it() -> None:
    lines = [out(f"{number:099}\n") for number in range(200)]
    excerpt = Excerpt(10_000)
    for line in lines:
        excerpt.take(line)
    released = excerpt.take(DISPLAY)
    assert released[-1] == DISPLAY and isinstance(released[0], LeftOut)
    assert len(text_of(released)) <= 20 and not excerpt.holds
    assert excerpt.take(UPDATE) == [UPDATE]


def test_little_text_between_displays_is_shown_whole() -> None:
    outputs: list[Output] = [out("x" * 60_000), *[out("a line\n"), DISPLAY] * 100]
    result = shown(100_000, outputs)
    assert [each for each in result if each == DISPLAY] == [DISPLAY] * 100
    assert text_of(result).count("a line\n") == 100 and result[-2:] == [out("a line\n"), DISPLAY]


@pytest.mark.parametrize("output", [ERROR, ExecuteResult({}, {})], ids=["an error", "a result"])
def test_an_error_and_a_result_stand_below_the_tail(output: Output) -> None:
    result = shown(2000, [*[out("x" * 99 + "\n")] * 100, output])
    assert result[-1] == output and len(text_of(result)) > 1500


def test_a_page_that_is_cleared_has_room_again() -> None:
    frame: list[Output] = [ClearOutput(wait=True), out("x" * 900 + "\n")]
    assert shown(2000, frame * 100) == frame * 100


def test_without_a_limit_everything_is_shown() -> None:
    lines: list[Output] = [out("x" * 10_000)] * 300
    assert shown(inf, [*lines, DISPLAY]) == [*lines, DISPLAY]


def test_the_last_lines_of_what_is_held_can_be_looked_at() -> None:
    excerpt = Excerpt(1000)
    for number in range(1000):
        excerpt.take(out(f"line {number}\n"))
    assert excerpt.latest(3, 100) == "line 997\nline 998\nline 999"
    assert excerpt.not_shown > 5000


def test_what_is_held_never_grows() -> None:
    """However long it goes on, and in pieces however small or large."""
    for pieces in (["x\n"] * 100_000, ["x" * 1_000_000] * 5, ["\rx"] * 100_000):
        excerpt = Excerpt(1000)
        for text in pieces:
            excerpt.take(out(text))
            assert excerpt._length <= 1_000_000 and len(excerpt._held) <= 2000
        assert excerpt._length <= 1001


def test_the_gap_is_counted_in_bytes() -> None:
    result = shown(1000, [out("€" * 10_000)])
    (missing,) = [each for each in result if isinstance(each, LeftOut)]
    assert missing.size == 30_000 - len(text_of(result).encode())


def test_left_out_adds_up() -> None:
    assert LeftOut(1, 2) + LeftOut(3, 4) == LeftOut(4, 6)
    assert all(a != b for a, b in pairwise([LeftOut(), LeftOut(1), LeftOut(0, 1)]))
