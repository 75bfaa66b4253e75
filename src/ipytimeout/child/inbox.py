"""Messages from the host, on their way to whoever waits for one. Runs in the child, in any thread."""

from __future__ import annotations

import _thread
import select
import signal
import socket
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ipytimeout.wire.framing import Decoder
from ipytimeout.wire.memory import MOST, map_private
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.comms import CommMsg
from ipytimeout.wire.messages.to_child import Clock

_ANCILLARY = socket.CMSG_SPACE(4 * MOST)


class Inbox:
    """Messages from the host, one at a time.

    While the code runs, a thread of its own reads: signal handlers never run there, so that none can raise
    between a read and its record and cut the stream of messages. What is said of the clock comes unasked, and is
    kept aside by whoever reads it, and so is what the front end says on a comm, once somebody listens; all else is an
    answer.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.clock: Clock | None = None
        self._arrived: Callable[[CommMsg], None] = lambda message: None
        self._socket = connection
        self._decoder = Decoder(map_private)
        self._read_ahead: deque[Message] = deque()
        self._answers: deque[Message | None] = deque()
        self._reader = _thread.allocate_lock()  # taken by the thread that reads
        self._ready = _thread.allocate_lock()  # released when there is something new
        self._ready.acquire()

    @property
    def busy(self) -> bool:
        """Whether a thread reads, or has read something that nobody has taken."""
        return self._reader.locked() or bool(self._answers)

    def read(self) -> Message | None:
        while not self._read_ahead:
            count, ancillary, _, _ = self._socket.recvmsg_into([self._decoder.target()], _ANCILLARY)
            if not count:
                return None
            descriptors: list[int] = []
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors += array("i", data[: len(data) - len(data) % 4])
            self._read_ahead.extend(self._decoder.advance(count, descriptors))
        return self._read_ahead.popleft()

    def read_answer(self) -> Message | None:
        while isinstance(message := self.read(), Clock | CommMsg):
            if isinstance(message, Clock):
                self.clock = message
        return message

    def take(self) -> Message | None:
        while not self._answers:
            if not self._reader.locked():
                _thread.start_new_thread(self._read_one, ())
            self._ready.acquire()
        return self._answers.popleft()

    def drop(self) -> None:
        """Drop all that has come by now."""
        self.look()
        while self._reader.locked() and self.has_more():  # by the thread of a question that was interrupted
            self._ready.acquire()
        self._answers.clear()

    def look(self) -> None:
        """Read what has come by now, without waiting for more. Whoever waits for an answer does so already."""
        if not self._reader.locked() and self.has_more():
            done = _thread.allocate_lock()
            done.acquire()
            _thread.start_new_thread(self._read_all, (done,))
            done.acquire()

    def has_more(self, within: float = 0.0) -> bool:
        """Tell whether there is something to read, or comes within so many seconds."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(self._read_ahead or waiting.poll(within * 1000))

    def _read_all(self, done: _thread.LockType) -> None:
        """Read in a thread what is there, and release ``done``."""
        try:
            with self._reading() as reads:
                while reads and self.has_more() and self._file(self.read()):
                    pass
        finally:
            done.release()

    def listen(self, arrived: Callable[[CommMsg], None], meanwhile: Callable[[], float | None]) -> bool:
        if self._reader.locked():
            return False
        self._arrived = arrived
        _thread.start_new_thread(self._read_always, (meanwhile,))
        return True

    def _read_always(self, meanwhile: Callable[[], float | None]) -> None:
        """Read until the end, in a thread."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        with self._reading() as reads:
            while reads:
                pause = meanwhile()
                if not self._read_ahead and not waiting.poll(None if pause is None else pause * 1000):
                    continue
                if not self._file(self.read()):
                    break

    def _read_one(self) -> None:
        """Read an answer, in a thread."""
        with self._reading() as reads:
            while reads and not self._answers:
                self._file(self.read())

    @contextmanager
    def _reading(self) -> Iterator[bool]:
        """Be the one thread that reads; False in a second one: an earlier question was interrupted, say."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if not self._reader.acquire(blocking=False):
            yield False
            return
        try:
            yield True
        except OSError:
            self._answers.append(None)
        finally:
            self._reader.release()
            self._wake()

    def _file(self, message: Message | None) -> bool:
        """Put a message where it belongs; tell whether there can be more."""
        if isinstance(message, Clock):
            self.clock = message
        elif isinstance(message, CommMsg):
            self._arrived(message)
            return True
        else:
            self._answers.append(message)
        self._wake()
        return message is not None

    def _wake(self) -> None:
        with suppress(RuntimeError):  # nobody has waited since the last time
            self._ready.release()
