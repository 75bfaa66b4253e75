"""Length-framed messages: bytes in, messages out. Pure: no I/O, in any process.

A frame is a head (how long the JSON is, and each buffer), the JSON, then the buffers. A buffer in shared memory
is only announced in the head; its descriptor comes beside the bytes. End-of-file means nothing here: a grandchild
may hold a channel open, so only a whole frame is a message.

The decoder offers the memory that the next bytes belong into, so that a large buffer is read from its
socket straight to its place (the idea of asyncio's ``BufferedProtocol``).
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Callable, Iterable

from ipytimeout.wire.messages import Attached, Buffer
from ipytimeout.wire.messages.codec import Message, from_json, to_json

_MAGIC = 0x6974  # "it"
_HEAD = struct.Struct("<HHIQ")  # magic, unused, number of buffers, length of the JSON
_LENGTH = struct.Struct("<Q")
_JSON = json.JSONEncoder(separators=(",", ":"))
#: In a length: the buffer is not in the frame, its descriptor travels beside it.
_ATTACHED = 1 << 63
#: No JSON of ours is longer: a larger number is a broken or a hostile stream.
MAX_JSON = 1 << 32
MAX_BUFFERS = 1 << 24


class ProtocolError(ValueError):
    """The other side sent what is not a frame."""


def encode(message: Message) -> list[Buffer]:
    """Return a frame as parts to be written one after another; the message's buffers are not copied."""
    data, buffers = to_json(message)
    text = _JSON.encode(data).encode("ascii")
    views: list[memoryview | Attached] = [b if isinstance(b, Attached) else memoryview(b).cast("B") for b in buffers]
    head = _HEAD.pack(_MAGIC, 0, len(views), len(text))
    lengths = b"".join(_LENGTH.pack(v.size | _ATTACHED if isinstance(v, Attached) else v.nbytes) for v in views)
    return [head + lengths + text, *(v for v in views if not isinstance(v, Attached) and v.nbytes)]


class Decoder:
    """Turn bytes into messages.

    Call ``target()`` for the memory to read into, then ``advance(n)`` with how many bytes came, and
    ``descriptors`` that came with them. ``attach`` makes a buffer of a descriptor; without it there may be none.
    """

    def __init__(self, attach: Callable[[Attached], Buffer] | None = None) -> None:
        self._attach = attach
        self._descriptors: deque[int] = deque()
        self._small = bytearray(1 << 16)
        self._start = self._end = 0  # what is filled of _small and not yet used
        self._text: bytearray | None = None
        self._lengths: list[int] = []
        self._buffers: list[Buffer] = []
        self._part: memoryview | None = None  # the part being filled
        self._filled = 0

    @property
    def pending(self) -> bool:
        """Whether a frame has begun and is not whole."""
        return self._part is not None or self._text is not None or self._end > self._start

    def take_descriptors(self) -> list[int]:
        """Hand out the descriptors that came for a frame that is not whole; for who does not want the rest of it."""
        left, self._descriptors = list(self._descriptors), deque()
        return left

    def target(self) -> memoryview:
        """Return where the next bytes belong; never empty."""
        if self._part is not None:
            return self._part[self._filled :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._small):
            if self._start == 0:
                self._small.extend(bytes(len(self._small)))
            else:
                rest = self._small[self._start : self._end]
                self._small[: len(rest)] = rest
                self._start, self._end = 0, len(rest)
        return memoryview(self._small)[self._end :]

    def advance(self, count: int, descriptors: Iterable[int] = ()) -> list[Message]:
        """Take note of ``count`` new bytes, and return the messages that are now whole."""
        self._descriptors.extend(descriptors)
        if self._part is not None:
            self._filled += count
        else:
            self._end += count
        messages: list[Message] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def feed(self, data: Buffer) -> list[Message]:
        """Decode bytes that were read elsewhere."""
        view, messages = memoryview(data).cast("B"), []
        while view.nbytes:
            target = self.target()
            count = min(view.nbytes, target.nbytes)
            target[:count] = view[:count]
            del target
            messages += self.advance(count)
            view = view[count:]
        return messages

    def _next(self) -> Message | None:
        if self._text is None and not self._begin():
            return None
        while True:
            if self._part is not None:
                if not self._fill():
                    return None
                self._part = None
            if len(self._buffers) == len(self._lengths):
                return self._finish()
            length = self._lengths[len(self._buffers)]
            if length & _ATTACHED:
                self._buffers.append(self._attached(length ^ _ATTACHED))
                continue
            buffer = bytearray(length)
            self._buffers.append(buffer)
            self._part, self._filled = memoryview(buffer), 0

    def _attached(self, size: int) -> Buffer:
        if self._attach is None or not self._descriptors:
            raise ProtocolError("the other process announced shared memory that did not come")
        return self._attach(Attached(self._descriptors.popleft(), size))

    def _begin(self) -> bool:
        """Read the head of a frame, when it is all there."""
        have = self._end - self._start
        if have < _HEAD.size:
            return False
        magic, _, count, length = _HEAD.unpack_from(self._small, self._start)
        if magic != _MAGIC or length > MAX_JSON or count > MAX_BUFFERS:
            raise ProtocolError("what the other process sent is no message")
        size = _HEAD.size + count * _LENGTH.size
        if have < size:
            return False
        self._lengths = [n for (n,) in _LENGTH.iter_unpack(self._small[self._start + _HEAD.size : self._start + size])]
        self._start += size
        if not count and have - size >= length:  # all of it is there, as of almost every message
            self._text, self._buffers = self._small[self._start : self._start + length], []
            self._start += length
            return True
        self._text, self._buffers = bytearray(length), []
        self._part, self._filled = memoryview(self._text), 0
        return True

    def _fill(self) -> bool:
        """Move what has been read ahead into the current part; tell whether it is full."""
        assert self._part is not None
        count = min(self._end - self._start, self._part.nbytes - self._filled)
        if count:
            self._part[self._filled : self._filled + count] = self._small[self._start : self._start + count]
            self._start += count
            self._filled += count
        return self._filled == self._part.nbytes

    def _finish(self) -> Message:
        assert self._text is not None
        text, buffers = self._text, self._buffers
        self._text, self._lengths, self._buffers = None, [], []
        try:
            data = json.loads(str(text, "ascii"))
        except ValueError as error:
            raise ProtocolError("what the other process sent is no message") from error
        try:
            return from_json(data, buffers)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
