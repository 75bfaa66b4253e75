"""Outputs that wait: in order, and without what nobody could have seen."""

from __future__ import annotations

import itertools

import pytest

from ipytimeout.host.backlog import MOST, Backlog
from ipytimeout.host.excerpt import LeftOut, Shown
from ipytimeout.wire.messages import Json
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, Error, Flush, Payload, Stream

ERROR = Error("E", "", [])
PAGE = Payload({})


def out(text: str) -> Stream:
    return Stream("stdout", text)


def display(text: str, of: str = "", *, update: bool = False) -> DisplayData:
    return DisplayData({"text/plain": text}, {}, {"display_id": of} if of else {}, update)


def comm(comm_id: str, request: str = "", *, buffers: tuple[bytes, ...] = (), **state: Json) -> CommMsg:
    return CommMsg(comm_id, {"method": "update", "state": state, "buffer_paths": []}, {}, request, buffers)


def waiting(*outputs: Shown) -> list[Shown]:
    """Put these; return what waits then."""
    backlog = Backlog()
    for output in outputs:
        backlog.put(output)
    return [backlog.take() for _ in range(len(backlog))]


def test_the_order_stays_and_neighbouring_texts_become_one() -> None:
    assert waiting(out("a"), out("b"), Stream("stderr", "c"), out("d"), display("1"), out("e")) == [
        out("ab"),
        Stream("stderr", "c"),
        out("d"),
        display("1"),
        out("e"),
    ]


def test_what_is_flushed_keeps_its_place_until_too_much_waits() -> None:
    """Then the texts of each stream are gathered, and none is lost."""
    flushed = [out("a"), Flush("stdout"), Stream("stderr", "b"), Flush("stderr"), out("c")]
    assert waiting(*flushed, Flush("stdout"), Flush("stdout"), out("d")) == [*flushed, Flush("stdout"), out("d")]
    assert waiting(*flushed[:3], ClearOutput(False)) == [ClearOutput(False)]
    backlog = Backlog(joins_after=0)
    for number in range(1000):
        for output in (out(f"{number} "), Flush("stdout"), Stream("stderr", f"{-number} "), Flush("stderr")):
            backlog.put(output)
    assert len(backlog) < 60 and not backlog.is_too_long
    texts = {"stdout": "", "stderr": ""}
    for output in [backlog.take() for _ in range(len(backlog))]:
        if isinstance(output, Stream):
            texts[output.name] += output.text
    assert [int(word) for word in texts["stdout"].split()] == list(range(1000))
    assert [-int(word) for word in texts["stderr"].split()] == list(range(1000))


def test_where_many_wait_texts_of_each_stream_are_joined() -> None:
    """But never across anything else, and the stream that began comes first."""
    backlog = Backlog(joins_after=2)
    mixed = [Stream(("stdout", "stderr")[number % 2], str(number)) for number in range(8)]
    for output in (*mixed, display("1"), *mixed[:2]):
        backlog.put(output)
    assert [backlog.take() for _ in range(len(backlog))] == [
        out("0"),
        Stream("stderr", "1357"),
        out("246"),
        display("1"),
        *mixed[:2],
    ]


def test_text_that_is_overwritten_while_it_waits_is_not_shown() -> None:
    assert waiting(out("1 of 2\r"), out("2 of 2\r"), out("done\n")) == [out("\rdone\n")]


def test_an_update_replaces_one_of_the_same_display_and_no_other() -> None:
    first, other, last = (display(text, of, update=True) for text, of in (("1", "a"), ("2", "b"), ("3", "a")))
    assert waiting(first, other, last) == [other, last]
    assert waiting(display("0", "a"), first, out("x"), last) == [display("0", "a"), out("x"), last]


def test_an_update_stays_on_its_side_of_a_clear() -> None:
    first, last = display("1", "a", update=True), display("2", "a", update=True)
    assert waiting(first, ClearOutput(wait=False), last) == [first, ClearOutput(wait=False), last]


def test_what_would_be_cleared_at_once_is_not_shown() -> None:
    update = display("1", "elsewhere", update=True)
    clear = ClearOutput(wait=True)
    assert waiting(out("x"), display("1"), ERROR, update, clear, out("y"), clear, out("z")) == [update, clear, out("z")]


def test_what_is_no_output_is_never_dropped_nor_what_is_before_it() -> None:
    assert waiting(out("x"), PAGE, out("y"), ClearOutput(wait=False)) == [out("x"), PAGE, ClearOutput(wait=False)]


def test_what_waits_longest_is_left_out_and_said_in_its_place() -> None:
    backlog = Backlog()
    for number in range(100):
        backlog.put(display(str(number)))
        backlog.put(out("text"))
    backlog.put(PAGE)
    assert backlog.leave_out(1) == []
    assert backlog.missing == LeftOut(396, 100)
    assert backlog.leave_out() == [PAGE] and [backlog.take()] == [LeftOut(400, 100)]


def test_text_alone_is_never_too_long() -> None:
    """It is limited elsewhere, and a page gets neighbours in one message."""
    backlog = Backlog()
    for _ in range(MOST):
        backlog.put(out("x"))
        backlog.put(Stream("stderr", "x"))
    assert not backlog.is_too_long
    backlog.leave_out(0)
    assert backlog.missing == LeftOut()


def test_it_is_too_long_by_number_or_by_size() -> None:
    many, large = Backlog(), Backlog()
    for _ in range(MOST):
        many.put(display("1"))
    assert not many.is_too_long
    many.put(display("1"))
    assert many.is_too_long
    for _ in range(10):
        large.put(display("x" * 10_000_000))
    assert large.is_too_long
    large.leave_out(200)
    assert not large.is_too_long and large.missing == LeftOut(displays=4)


OPEN = CommOpen("b", "jupyter.widget", None, {}, {})


def test_values_of_a_widget_that_were_overtaken_go_out_with_the_newer_ones() -> None:
    assert waiting(comm("a", value=1), out("x"), comm("b", value=5), comm("a", max=9), comm("a", value=2)) == [
        out("x"),
        comm("b", value=5),
        comm("a", value=2, max=9),
    ]


@pytest.mark.parametrize(
    "between",
    [
        pytest.param([OPEN], id="another widget is opened, which may refer to this one"),
        pytest.param([CommClose("b", {}, {})], id="one is closed"),
        pytest.param([comm("a", "moved by the user", value=3)], id="an answer to the user"),
        pytest.param([comm("a", outputs=[])], id="what an Output has in it"),
        pytest.param([comm("a", msg_id="cell")], id="an Output begins to take what is shown"),
        pytest.param([comm("a", buffers=(b"x",), value=3)], id="binary values"),
        pytest.param([CommMsg("a", {"method": "custom", "content": 1}, {}, "")], id="a message of its own kind"),
    ],
)
def test_values_stay_on_their_side_of(between: list[Shown]) -> None:
    messages = [comm("a", value=1), *between, comm("a", value=2)]
    assert waiting(*messages) == messages


def test_an_output_that_stops_and_begins_again_takes_an_animation_of_which_the_last_frame_is_left() -> None:
    begins, stops, clear = comm("a", msg_id="cell"), comm("a", msg_id=""), ClearOutput(wait=True)
    frames = [[begins, clear, out(str(number)), stops] for number in range(3)]
    assert waiting(*itertools.chain(*frames)) == [begins, clear, out("2"), stops]


def test_a_message_of_a_comm_is_never_left_out() -> None:
    backlog = Backlog()
    messages = [OPEN, comm("b", msg_id="cell"), CommMsg("b", {}, {}, ""), CommHandled("r"), CommClose("b", {}, {})]
    for message in messages:
        backlog.put(display("x"))
        backlog.put(message)
    assert backlog.leave_out() == messages
    assert [backlog.take()] == [LeftOut(displays=5)]


def test_what_is_binary_counts_by_its_size() -> None:
    backlog = Backlog()
    for _ in range(7):
        backlog.put(comm("a", buffers=(bytes(10_000_000),), value=None))
    assert backlog.is_too_long
