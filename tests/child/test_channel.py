"""The child's one queue to its host, without a child."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from ipytimeout.child import channel as module
from ipytimeout.child.channel import Channel
from ipytimeout.child.streams import OutStream
from ipytimeout.wire import framing
from ipytimeout.wire.framing import Decoder
from ipytimeout.wire.memory import Filling, map_private
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import Checkpoint
from ipytimeout.wire.messages.outputs import ClearOutput, Flush, Stream, Streams


def _each(messages: list[Message]) -> Iterator[Message]:
    for message in messages:
        yield from message.each() if isinstance(message, Streams) else [message]


class Far:
    """The other end."""

    def __init__(self) -> None:
        self.socket, near = socket.socketpair()
        self.channel = Channel()
        self.channel.attach(near.detach())

    def received(self) -> list[Message]:
        """What has arrived by now."""
        decoder, messages = Decoder(), []
        self.socket.setblocking(False)
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return messages
            messages += _each(decoder.feed(data))


@pytest.fixture
def far() -> Iterator[Far]:
    end = Far()
    yield end
    end.socket.close()


def test_a_line_has_left_when_write_returns(far: Far) -> None:
    """So a process that dies loses none."""
    far.channel.write("stdout", "a\n")
    assert far.received() == [Stream("stdout", "a\n")]


def test_a_flush_is_said_once_after_what_was_written(far: Far) -> None:
    stdout, stderr = OutStream(far.channel, "stdout"), OutStream(far.channel, "stderr")
    stdout.flush()
    print("a", end="", file=stdout, flush=True)
    stdout.flush()
    print("b", file=stderr)
    stdout.flush()
    stderr.flush()
    assert far.received() == [Stream("stdout", "a"), Flush("stdout"), Stream("stderr", "b\n"), Flush("stderr")]


def test_texts_and_messages_keep_their_order(far: Far) -> None:
    """Neighbouring texts of one stream are one message."""
    for name, text in [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]:
        far.channel.write(name, text)
    far.channel.send(ClearOutput(False))
    assert far.received() == [Stream("stdout", "ab"), Stream("stderr", "c"), Stream("stdout", "d"), ClearOutput(False)]


def test_a_flood_is_batched_and_loses_nothing(far: Far) -> None:
    """The rest leaves by itself, without a flush."""
    lines = 2000
    for i in range(lines):
        far.channel.write("stdout", f"{i}\n")
    text = ""
    messages = 0
    give_up = time.monotonic() + 30
    while not text.endswith(f"{lines - 1}\n") and time.monotonic() < give_up:
        received = far.received()
        messages += len(received)
        text += "".join(m.text for m in received if isinstance(m, Stream))
    assert text == "".join(f"{i}\n" for i in range(lines))
    assert messages < lines / 2


def test_an_unfinished_line_leaves_by_itself(far: Far) -> None:
    """A progress dot is seen although nobody flushes."""
    far.channel.write("stdout", ".")
    far.socket.settimeout(30)
    assert Decoder().feed(far.socket.recv(1 << 16)) == [Stream("stdout", ".")]


def test_many_threads_write_whole_messages(far: Far) -> None:
    """Each thread's lines keep their order."""
    stream = OutStream(far.channel, "stdout")

    def write(name: int) -> None:
        for i in range(200):
            print(f"{name} {i}", file=stream)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.flush()
    lines = "".join(m.text for m in far.received() if isinstance(m, Stream)).splitlines()
    for name in range(4):
        own = [line.split()[1] for line in lines if line.startswith(f"{name} ") and len(line.split()) == 2]
        assert own == sorted(own, key=int)


class Tick(Exception):
    pass


def _raise(*args: object) -> None:
    raise Tick


@pytest.mark.parametrize("line", range(1, 60))
def test_an_exception_between_any_two_lines_of_a_write_cuts_no_message(far: Far, line: int) -> None:
    """A trace function raises where a signal handler could; nothing is lost, doubled or cut."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        code = frame.f_code
        # A line event comes before a ``with`` is left; no signal handler ever runs there.
        if code.co_filename not in (module.__file__, framing.__file__) or code is Channel.flush.__code__:
            return None
        if event == "line":
            count += 1
            if count == line:
                raise Tick
        return trace

    raised = False
    sys.settrace(trace)
    try:
        far.channel.send(ClearOutput(True))
    except Tick:
        raised = True
    finally:
        sys.settrace(None)
    far.channel.send(ClearOutput(False))
    received = far.received()
    assert received in ([ClearOutput(True), ClearOutput(False)], [ClearOutput(False)] if raised else [])
    assert received[0] == ClearOutput(True) or line <= 4  # before it is in the queue


@pytest.mark.parametrize("line", range(1, 60))
def test_an_exception_between_any_two_lines_of_a_write_loses_no_descriptor(far: Far, line: int) -> None:
    """They go with the first byte of their message, once."""
    filling = Filling(b"content")
    filling.step()
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != module.__file__ or frame.f_code is Channel.flush.__code__:
            return None
        if event == "line":
            count += 1
            if count == line:
                raise Tick
        return trace

    sys.settrace(trace)
    try:
        far.channel.send(Checkpoint(["x"], 3, [], [b"inline", filling.attached]))
    except Tick:
        pass
    finally:
        sys.settrace(None)
    far.channel.flush()
    os.close(filling.attached.descriptor)
    far.socket.setblocking(False)
    decoder, received, messages = Decoder(map_private), 0, []
    with suppress(BlockingIOError):
        while True:
            data, descriptors, _, _ = socket.recv_fds(far.socket, 1 << 16, 10)
            decoder.target()[: len(data)] = data
            messages += decoder.advance(len(data), descriptors)
            received += len(descriptors)
    if line <= 4 and not messages:
        return  # it was not in the queue yet
    (message,) = messages
    assert received == 1
    assert isinstance(message, Checkpoint) and [bytes(b) for b in message.buffers] == [b"inline", b"content"]


def test_a_handler_that_prints_within_a_print_is_heard(far: Far) -> None:
    """Its text waits until the write that it interrupted is done."""
    before = signal.signal(signal.SIGALRM, lambda *args: far.channel.write("stderr", "tick\n"))
    reader = threading.Thread(target=_drain, args=(far.socket, found := []))
    reader.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for i in range(3000):
            far.channel.write("stdout", f"{i} {'x' * 300}\n")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    far.channel.send(ClearOutput(False))
    reader.join()
    text = "".join(m.text for m in found if isinstance(m, Stream) and m.name == "stdout")
    assert [line.split()[0] for line in text.splitlines()] == [str(i) for i in range(3000)]
    assert any(isinstance(m, Stream) and m.name == "stderr" for m in found)


def _drain(connection: socket.socket, found: list[Message]) -> None:
    decoder = Decoder()
    while not (found and found[-1] == ClearOutput(False)):
        found += _each(decoder.feed(connection.recv(1 << 16)))


def test_a_message_that_cannot_be_made_does_not_block_the_others(far: Far) -> None:
    """It raises, and the queue goes on."""
    with pytest.raises(TypeError):
        far.channel.send(Stream("stdout", object()))  # type: ignore[arg-type]
    far.channel.send(ClearOutput(False))
    assert far.received() == [ClearOutput(False)]


def test_a_forked_copy_sends_nothing(far: Far) -> None:
    """The channel is the process's that attached it."""
    pid = os.fork()
    if pid == 0:
        far.channel.send(ClearOutput(True))
        os._exit(0)
    os.waitpid(pid, 0)
    assert far.received() == []
