"""One child, seen from the host: its channel, its control socket at the warden, its output pipes.

Runs in the thread that waits for the run. Nothing here blocks: ``wait`` is the only wait, on all descriptors
at once. ``tell_warden`` may be called from any thread and from a signal handler: a frame to the warden is one
``send`` of some hundred bytes, which the operating system does not split.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import os
import select
import socket
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, cast

from ipytimeout.host.launch import inherited
from ipytimeout.wire.framing import Decoder, encode
from ipytimeout.wire.memory import MOST, Filling, map_private, share
from ipytimeout.wire.messages import Buffer
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import Recording
from ipytimeout.wire.messages.outputs import Stream, Streams
from ipytimeout.wire.messages.to_child import Call, Execute
from ipytimeout.wire.recording import recorded

_READ = 1 << 20
_WRITE = 1 << 20
#: Shared memory, and a receipt.
_ANCILLARY = socket.CMSG_SPACE(4 * (MOST + 1))


class WardenDied:
    """What ``Child.receive`` yields when the warden's end of the control socket closed."""


Received: TypeAlias = Message | WardenDied


class Child:
    def __init__(self, channel: socket.socket, control: socket.socket, stdout: int, stderr: int) -> None:
        self._channel = channel
        self._control = control
        for own in (channel, control):
            inherited.add(own)
        self._decoder = Decoder(map_private)
        self._pipes = {stdout: "stdout", stderr: "stderr"}
        for descriptor in (channel.fileno(), control.fileno(), stdout, stderr):
            os.set_blocking(descriptor, False)
        self._control_decoder = Decoder()
        #: Where the child keeps text until it is sent, and the number of the last text that came.
        self._recording: Buffer = b""
        self._number = 0
        #: Bytes to send; before them, memory to fill; with the first of a message, its descriptors.
        self._outgoing: deque[memoryview | Filling | _WithDescriptors] = deque()
        self._utf8 = {name: _utf8_decoder() for name in self._pipes.values()}
        self._poll = select.poll()
        self._flags: dict[int, int] = {}
        for descriptor in (channel.fileno(), control.fileno(), stdout, stderr):
            self._watch(descriptor, select.POLLIN)
        #: What the user should know about how this child was had; "" mostly.
        self.note = ""
        #: What is to be done when the run is over.
        self.on_close: Callable[[], None] = _nothing
        #: Bytes moved in either direction: a rising number is progress.
        self.moved = 0

    # ------------------------------------------------------------ out

    def send(self, message: Message) -> None:
        """Queue a message; it goes out while ``wait`` waits. Large buffers go into shared memory on the way."""
        fillings: list[Filling] = []
        if isinstance(message, Execute | Call):
            buffers, fillings = share(message.buffers)
            message = dataclasses.replace(message, buffers=buffers)
        first, *rest = (memoryview(part).cast("B") for part in encode(message))
        self._outgoing.extend(fillings)
        descriptors = [f.attached.descriptor for f in fillings]
        self._outgoing.append(_WithDescriptors(first, descriptors) if fillings else first)
        self._outgoing.extend(rest)
        self._write()

    def tell_warden(self, message: Message) -> None:
        """Send the warden a message; a warden that is gone is noticed by ``receive``."""
        with contextlib.suppress(OSError):
            self._control.send(b"".join(encode(message)))

    @property
    def sending(self) -> bool:
        """Whether something queued is not yet out."""
        return bool(self._outgoing)

    # ------------------------------------------------------------ in

    @property
    def watched(self) -> Mapping[int, int]:
        """What ``wait`` waits for, as flags of ``poll`` by descriptor: for those who wait for more than a child."""
        return self._flags

    def watch(self, descriptor: int) -> None:
        """Wait for this one too, until this child is closed: whose it is reads from it."""
        self._watch(descriptor, select.POLLIN)

    def wait(self, timeout: float | None) -> list[int]:
        """Wait until something arrives, can be sent, or ``timeout`` seconds have passed; return what is ready."""
        return [fd for fd, _ in self._poll.poll(None if timeout is None else timeout * 1000)]

    def receive(self, ready: list[int]) -> Iterator[Received]:
        """Send and read what can be without waiting; yield what arrived, output before the end of a run."""
        if self._channel.fileno() in ready:
            self._write()
        for descriptor in ready:
            if descriptor in self._pipes:
                yield from self._read_pipe(descriptor)
        if self._channel.fileno() in ready:
            yield from self._read_channel()
        if self._control.fileno() in ready:
            yield from self._read_control()

    def rest(self) -> Iterator[Message]:
        """Yield what is still in the channel and the pipes of a child that is gone, with half lines too."""
        for descriptor in list(self._pipes):
            while descriptor in self._flags and (streams := list(self._read_pipe(descriptor))):
                yield from streams
        for descriptor, name in self._pipes.items():
            if text := self._utf8[name].decode(b"", final=True):
                yield Stream(name, text)
            self._unwatch(descriptor)
        moved = -1
        while self._channel.fileno() in self._flags and moved != self.moved:  # not every read completes a message
            moved = self.moved
            yield from self._read_channel()
        # Its pages are those that the child has written, as long as nobody writes here.
        yield from recorded(self._recording, self._number)
        self._recording = b""

    def close(self) -> None:
        """Let go of the run: the warden ends whatever is left of it."""
        self._drop_outgoing()
        self._control.close()
        self._channel.close()
        self._close_descriptors()
        on_close, self.on_close = self.on_close, _nothing
        on_close()

    def __del__(self) -> None:
        """An interrupt may come between any two lines of the host: what it leaves behind is closed all the same."""
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        pipes, self._pipes = self._pipes, {}
        for descriptor in [*pipes, *self._decoder.take_descriptors()]:
            os.close(descriptor)

    # ------------------------------------------------------------ I/O

    def _write(self) -> None:
        while self._outgoing:
            try:
                if not self._write_first(self._outgoing[0]):
                    break  # a chunk has been copied: look around before the next one
            except BlockingIOError:
                break
            except OSError:  # the child is gone; the warden says how
                self._drop_outgoing()
                break
        if self._channel.fileno() in self._flags:
            self._watch(self._channel.fileno(), select.POLLIN | (select.POLLOUT if self._outgoing else 0))

    def _write_first(self, item: memoryview | Filling | _WithDescriptors) -> bool:
        """Write some of the first item; tell whether to go on at once."""
        if isinstance(item, Filling):
            try:
                count = item.step()
            except OSError as error:
                raise MemoryError(f"there is no room for a copy of what the code needs: {error.strerror}") from None
            self.moved += count
            if not count:
                self._outgoing.popleft()
            return not count
        if isinstance(item, _WithDescriptors):
            count = socket.send_fds(self._channel, [item.data], item.descriptors)
            item.close()
            self._outgoing[0] = item.data[count:]
        else:
            count = self._channel.send(item[:_WRITE])
            self._outgoing[0] = item[count:]
        self.moved += count
        if not cast("memoryview", self._outgoing[0]).nbytes:
            self._outgoing.popleft()
        return True

    def _drop_outgoing(self) -> None:
        for item in self._outgoing:
            if isinstance(item, _WithDescriptors):
                item.close()
        self._outgoing.clear()

    def _read_channel(self) -> Iterator[Message]:
        descriptors: list[int] = []
        try:
            count, ancillary, _, _ = self._channel.recvmsg_into([self._decoder.target()], _ANCILLARY)
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors += array("i", data[: len(data) - len(data) % 4])
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count == 0:
            self._unwatch(self._channel.fileno())
            return
        self.moved += count
        for message in self._decoder.advance(count, descriptors):
            if isinstance(message, Recording):
                self._recording = message.buffers[0] if message.buffers else b""
                continue
            if isinstance(message, Stream | Streams):
                self._number = message.number
            yield message

    def _read_control(self) -> Iterator[Received]:
        try:
            data = self._control.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._unwatch(self._control.fileno())
            yield WardenDied()
            return
        yield from self._control_decoder.feed(data)

    def _read_pipe(self, descriptor: int) -> Iterator[Stream]:
        try:
            data = os.read(descriptor, _READ)
        except BlockingIOError:
            return
        if not data:
            self._unwatch(descriptor)
            return
        name = self._pipes[descriptor]
        if text := self._utf8[name].decode(data):
            yield Stream(name, text)

    def _watch(self, descriptor: int, flags: int) -> None:
        if self._flags.get(descriptor) != flags:
            self._flags[descriptor] = flags
            self._poll.register(descriptor, flags)

    def _unwatch(self, descriptor: int) -> None:
        if self._flags.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)


@dataclasses.dataclass(slots=True)
class _WithDescriptors:
    """The first bytes of a message, and the descriptors that go with them."""

    data: memoryview
    descriptors: list[int]

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


def _nothing() -> None:
    return None


def _utf8_decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")
