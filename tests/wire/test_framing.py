"""Frames: what goes in comes out, however the bytes are cut, and rubbish is refused."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipytimeout.wire.framing import Decoder, ProtocolError, encode
from ipytimeout.wire.messages import Attached, ProcessState
from ipytimeout.wire.messages.codec import Message, from_json, to_json
from ipytimeout.wire.messages.from_child import Changes, Running
from ipytimeout.wire.messages.outputs import Error, Stream, Streams
from ipytimeout.wire.messages.to_child import Resend
from ipytimeout.wire.messages.warden import Gone, Verdict

CHANGES = Changes(
    success=False,
    error=Error("ValueError", "é", ["a", "b"]),
    deadline_interrupt=False,
    interrupted=False,
    left_behind={"x": "why"},
    state=ProcessState("/", {"A": "\udc80"}, [""]),
    sources={},
    frames=[],
    buffers=(b"abc", b"", b"x" * 200_000),
)
MESSAGES: list[Message] = [
    Running(),
    Stream("stdout", "half a \ud800 surrogate\n"),
    Stream("stderr", "ä long \ud800 text\n" * 10_000),
    CHANGES,
    Gone(["sleep 60"]),
]


#: Texts in turn, by stream; as they come out in their order; and gathered. "o" is stdout, "e" stderr.
TURNS = [
    (("o:a", "e:\ud800", "o:é"), ("o:a", "e:\ud800", "o:é"), ("o:aé", "e:\ud800")),
    (("e:a", "o:b", "o:c"), ("e:a", "o:bc"), ("e:a", "o:bc")),
    (("e:a", "e:b"), ("e:ab",), ("e:ab",)),
    (("o:", "o:b"), ("o:b",), ("o:b",)),
]


@pytest.mark.parametrize(("texts", "each", "gathered"), TURNS)
def test_texts_of_both_streams_in_one_message_arrive_in_their_order_or_gathered(
    texts: list[str], each: list[str], gathered: list[str]
) -> None:
    names = {"o": "stdout", "e": "stderr"}
    sent = Streams.of([(names[text[0]], text[2:], 3 + number) for number, text in enumerate(texts)])
    (got,) = Decoder().feed(b"".join(bytes(part) for part in encode(sent)))
    expected = [[Stream(names[text[0]], text[2:]) for text in one] for one in (each, gathered)]
    assert expected == ([got.each(), got.gathered()] if isinstance(got, Streams) else [[got]] * 2)
    assert isinstance(got, Stream | Streams) and got.number == 2 + len(texts)


@pytest.mark.parametrize(
    "changed", [{"stdout": 5}, {"stderr": None}, {"lengths": 5}, {"lengths": ["1"]}, {"number": "5"}]
)
def test_what_is_no_text_is_refused(changed: dict[str, Any]) -> None:
    data, _ = to_json(Streams("a", "b", [1, 1], 5))
    data["content"].update(changed)
    with pytest.raises(ValueError, match="not a message"):
        from_json(data, ())


def test_a_long_text_travels_beside_the_json_with_its_number_and_rubbish_there_is_refused() -> None:
    data, buffers = to_json(Stream("stdout", "x" * 100_000, 7))
    assert len(str(data)) < 100 and len(buffers) == 1
    got = from_json(data, buffers)
    assert isinstance(got, Stream) and got.text == "x" * 100_000 and got.number == 7
    with pytest.raises(ValueError, match="not a message"):
        from_json(data, (b"\xff",))
    with pytest.raises(ValueError, match="not a message"):
        from_json(data, ())


def same(got: Message, sent: Message) -> bool:
    if isinstance(sent, Changes):
        assert isinstance(got, Changes)
        assert [bytes(b) for b in got.buffers] == [bytes(b) for b in sent.buffers]
        got, sent = dataclasses.replace(got, buffers=()), dataclasses.replace(sent, buffers=())
    return got == sent


@given(st.lists(st.integers(1, 70_000), max_size=50))
def test_messages_arrive_whole_however_the_bytes_are_cut(cuts: list[int]) -> None:
    data = b"".join(bytes(part) for message in MESSAGES for part in encode(message))
    decoder, got = Decoder(), []
    for cut in cuts:
        got += decoder.feed(data[:cut])
        data = data[cut:]
    got += decoder.feed(data)
    assert len(got) == len(MESSAGES) and all(map(same, got, MESSAGES))
    assert not decoder.pending


def test_a_large_buffer_is_read_straight_to_its_place() -> None:
    """The decoder asks for exactly the rest of the buffer, in memory that it hands over without a copy."""
    decoder = Decoder()
    parts = encode(dataclasses.replace(CHANGES, buffers=(b"x" * 1_000_000,)))
    assert decoder.feed(parts[0]) == []
    assert decoder.target().nbytes == 1_000_000 and decoder.pending


def test_the_parts_of_a_frame_are_the_buffers_themselves() -> None:
    buffer = bytearray(100)
    parts = encode(dataclasses.replace(CHANGES, buffers=(buffer,)))
    assert parts[-1].obj is buffer  # type: ignore[union-attr]


@pytest.mark.parametrize("data", [b"rubbish that is long enough", b"\x74\x69" + b"\xff" * 30], ids=["text", "lengths"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="no message"):
        Decoder().feed(data)


@pytest.mark.parametrize(
    "data", [{"type": "Nonsense", "content": {}}, {"type": "Stream", "content": {"name": "x"}}, {"content": {}}]
)
def test_what_is_no_message_is_refused(data: dict[str, object]) -> None:
    frame = bytearray(b"".join(bytes(p) for p in encode(Running())))
    text = json.dumps(data).encode()
    frame[8:16] = len(text).to_bytes(8, "little")
    with pytest.raises(ValueError, match="not a message"):
        Decoder().feed(bytes(frame[:16]) + text)


def test_every_field_of_every_message_is_json_or_bytes() -> None:
    """Nothing but ``buffers`` may need a pickle."""
    plain = {str, int, float, bool, type(None), dict, list, tuple, ProcessState, Error, typing.Any}

    def check(hint: object) -> None:
        arguments = typing.get_args(hint)
        assert (typing.get_origin(hint) or hint) in plain or arguments, hint
        for argument in arguments:
            check(argument)

    for cls in Message.__args__:  # type: ignore[attr-defined]
        for name, hint in typing.get_type_hints(cls).items():
            if name != "buffers":
                check(hint)


def test_an_infinite_time_travels() -> None:
    (got,) = Decoder().feed(b"".join(bytes(p) for p in encode(Verdict("", float("inf"), None, ""))))
    assert got == Verdict("", float("inf"), None, "")
    assert Decoder().feed(b"".join(bytes(p) for p in encode(Resend(None, {})))) == [Resend(None, {})]


def test_descriptors_of_a_frame_that_is_not_whole_are_handed_out_once() -> None:
    """Who gives up in the middle has to close them."""
    sent = dataclasses.replace(CHANGES, buffers=[Attached(7, 100), b"rest"])
    frame = b"".join(bytes(part) for part in encode(sent))
    decoder = Decoder(lambda attached: b"")
    target = decoder.target()
    target[:20] = frame[:20]
    assert decoder.advance(20, [7]) == []
    assert decoder.take_descriptors() == [7]
    assert decoder.take_descriptors() == []
