"""The child's end of the channel to the host: one queue out, one inbox in. Runs in the child, in any thread.

Law of the file: everything that leaves the child leaves by **one** queue, in the order in which the program
made it, and a frame that has begun is always completed.

The second half is the hard one. A signal handler may raise between any two bytecodes of the main thread
(the deadline's, Ctrl-C's, or the user's own), and ``__del__`` or a handler may print while we write. So:

- the state of a write changes only by single assignments and by calls that never leave C (``list.extend`` of a
  ``map`` of C functions), and every step can be repeated: whoever comes next goes on where the last one stopped;
- what is raised meanwhile is kept, and raised again when the queue is empty;
- a call from inside a write leaves its item in the queue; the outer call takes it along.
"""

from __future__ import annotations

import _thread
import dataclasses
import itertools
import operator
import os
import signal
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from ipytimeout.child.inbox import Inbox
from ipytimeout.outcomes import EXIT_CHANNEL_LOST
from ipytimeout.wire.framing import encode
from ipytimeout.wire.memory import available, new_shared_memory, share
from ipytimeout.wire.messages import Attached
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.comms import CommMsg
from ipytimeout.wire.messages.from_child import Changes, Recording
from ipytimeout.wire.messages.outputs import Streams
from ipytimeout.wire.messages.to_child import Clock
from ipytimeout.wire.recording import SIZE, Recorder
from ipytimeout.wire.sockets import socket_of

#: Text of a flood waits so long at most, in seconds, before it leaves.
INTERVAL = 0.02
#: So many lines leave at once, each by itself, in one interval; only a flood is batched, until it ebbs.
LINES_AT_ONCE = 10
#: So many pieces of text wait at most.
MOST_WAITING = 4000
#: What is raised more often than this, while one frame is made, is not an interrupt.
MOST_ATTEMPTS = 20

#: So many pieces of a line are kept to be recorded when it is finished.
MOST_UNFINISHED = 100

#: A piece of text for the stream of this name, with its number; or any other message.
_Item = tuple[str, str, int] | Message
#: The parts of the frame being written, which one is next, how much of it went, what items it is made of, and the
#: descriptors that go with its first byte, as ``sendmsg`` takes them.
_Frame = tuple[list[memoryview], int, list[int], int, list[tuple[int, int, "array[int]"]]]


class Channel:
    """A connected stream socket to the host, once it is attached to one."""

    def __init__(self) -> None:
        #: The process whose channel this is: a forked copy of it has none.
        self.pid = 0
        #: While true, text is dropped: the output of imports that the notebook did long ago.
        self.muted = False
        self._socket: socket.socket
        self._inbox: Inbox
        self._queue: deque[_Item] = deque()
        self._frame: _Frame | None = None
        self._removed: list[_Item] = []  # items of a complete frame that have left the queue
        # One that knows its thread: a signal handler may come just after it is taken, or just before it is let go.
        self._lock: Any = _thread.RLock()
        self._numbers = itertools.count(1)
        #: Where text is kept that waits in the queue.
        self._recorder: Recorder | None = None
        self._unfinished: list[tuple[str, str, int]] = []  # of a line, and not there yet
        self._again = False  # whether there was a call from inside a write
        # Bound here, because freezegun and its like replace these functions in every module.
        self._now = time.monotonic
        self._window = 0.0
        self._lines = 0
        self._flood = False
        self._alarm: _thread.LockType | None = None  # wakes the flusher thread

    def attach(self, fd: int) -> None:
        """Take a connected socket, in the process that is to use it."""
        self.pid = os.getpid()
        self._socket = socket_of(fd)
        self._inbox = Inbox(self._socket)

    @property
    def is_writing_here(self) -> bool:
        """Whether this thread is inside a write: then what it sends now leaves after that."""
        return bool(self._lock._is_owned())

    # ------------------------------------------------------------ out

    def send(self, message: Message) -> None:
        """Send a message, after all that was written before it; it has left the process on return."""
        if os.getpid() != self.pid:
            return  # a forked worker has no place in this cell, natively neither
        self._queue.append(message)
        self.flush()

    def send_report(self, report: Changes) -> None:
        """Send the last message, its large buffers in shared memory. Only while no signal handler can raise."""
        self.flush()
        buffers, fillings = share(report.buffers)
        try:
            for filling in fillings:
                while filling.step():
                    pass
        except OSError:  # no memory for a copy: then through the channel, from where it is
            self.send(report)
            return
        parts = encode(dataclasses.replace(report, buffers=buffers))
        descriptors = [filling.attached.descriptor for filling in fillings]
        with self._lock:
            try:
                first = memoryview(parts[0])
                sent = socket.send_fds(self._socket, [first], descriptors) if descriptors else 0
                self._socket.sendall(first[sent:])
                for part in parts[1:]:
                    self._socket.sendall(part)
            except OSError:
                self._lost()
        for descriptor in descriptors:
            os.close(descriptor)

    def write(self, name: str, text: str) -> None:
        """Put text into the queue; a whole line leaves at once, unless there is a flood of them."""
        if self.muted:
            return
        item = (name, text, next(self._numbers))
        self._queue.append(item)
        # A line of a flood comes by here, and what it costs the code is what printing costs.
        if self._recorder is None:
            may_wait = "\n" not in text or self._is_flood()
        elif "\n" in text:
            may_wait = self._is_flood() and self._record_line(item)
        else:
            self._unfinished.append(item)
            may_wait = len(self._unfinished) < MOST_UNFINISHED
        if not may_wait or len(self._queue) >= MOST_WAITING:
            self.flush()
        elif (alarm := self._alarm) is None or alarm.locked():
            self._flush_soon()

    def _is_flood(self) -> bool:
        """Count a line; tell whether so many came lately that this one waits for others."""
        now = self._now()
        if now - self._window > INTERVAL:
            # In the midst of a flood, the first lines of each interval do not leave by themselves again.
            self._flood = self._lines > LINES_AT_ONCE and now - self._window < 2 * INTERVAL
            self._window = now
            self._lines = 0
        self._lines += 1
        return self._flood or self._lines > LINES_AT_ONCE

    def _record_line(self, end: tuple[str, str, int]) -> bool:
        """Keep a line that waits, of which this is the end; tell whether it may wait."""
        assert self._recorder is not None
        line, self._unfinished = self._unfinished, []
        line.append(end)
        return len(end[1]) < SIZE and self._recorder.note(line)

    def start_recording(self) -> None:
        """Keep texts that wait where they outlive this process; harmless when that is so already."""
        if not available or self._recorder is not None:
            return
        try:
            descriptor, memory = new_shared_memory(SIZE)
        except OSError:  # this process may open no more: texts wait as they are
            return
        shared: Any = Attached(descriptor, SIZE)
        self.send(Recording([shared]))
        os.close(descriptor)
        self._recorder = Recorder(memory)

    def flush(self) -> None:
        """Write all that is in the queue."""
        if self.is_writing_here:
            self._again = True
            return  # the write goes on until the queue is empty
        # One call and nothing else: CPython 3.13 leaves the backward jump of a loop outside of the exception
        # table of the ``with`` around it, so a handler that raises just there would leave the lock taken.
        with self._lock:
            kept = self._write_all()
        if kept is not None:
            raise kept
        if self._again:  # by a handler that may have come after the last look at the queue
            self._again = False
            self.flush()

    def _write_all(self) -> BaseException | None:
        """Write until the queue is empty; return what was raised meanwhile by others than us."""
        kept: BaseException | None = None
        attempts = 0
        while True:
            try:
                self._write_some()
            except BaseException as error:
                if isinstance(error, OSError) and error.errno is not None:
                    self._lost()
                kept = error
                attempts += 1
                if attempts > MOST_ATTEMPTS and self._frame is None:
                    self._queue.popleft()  # it is no interrupt: this item cannot be encoded
                    attempts = 0
            else:
                return kept

    def _write_some(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Do one step of writing, which may be repeated; tell whether there is more to do."""
        frame = self._frame
        if frame is None:
            self._removed = []
            self._frame = frame = self._next_frame()
            if frame is None:
                return False
        parts, index, sent, count, descriptors = frame
        if index < len(parts):
            rest = parts[index][sum(sent) :]
            if rest.nbytes:
                # One call into C: either nothing was sent, or what was sent is on record.
                if descriptors and not index and not sent:
                    sent.extend(map(self._socket.sendmsg, ([rest],), (descriptors,)))
                else:
                    sent.extend(map(self._socket.send, (rest,)))
            else:
                self._frame = (parts, index + 1, [], count, descriptors)
            return True
        calls = itertools.repeat(self._queue.popleft, count - len(self._removed))
        self._removed.extend(map(operator.call, calls))
        self._frame = None
        if self._recorder is not None:
            self._recorder.forget(self._queue)
            if not self._queue:
                self._unfinished = []
        return True

    def _next_frame(self) -> _Frame | None:
        """Make a frame of what is first in the queue: neighbouring texts of a stream are one message."""
        try:
            items = list(itertools.islice(self._queue, MOST_WAITING))
        except RuntimeError:  # another thread has added something meanwhile
            items = [self._queue[0]]
        if not items:
            return None
        first = items[0]
        if isinstance(first, tuple):
            texts: list[Any] = items if set(map(type, items)) == {tuple} else list(itertools.takewhile(_is_text, items))
            count = len(texts)
            message: Message = Streams.of(texts)
        else:
            count, message = 1, first
        parts = [memoryview(part).cast("B") for part in encode(message)]
        attached = [b.descriptor for b in getattr(first, "buffers", ()) if isinstance(b, Attached)]
        descriptors = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", attached))] if attached else []
        return parts, 0, [], count, descriptors

    def _flush_soon(self) -> None:
        """See to it that the queue is written within an interval."""
        alarm = self._alarm
        if alarm is None:
            # A bare thread: the user's threading.enumerate() is none of our business.
            alarm = _thread.allocate_lock()
            alarm.acquire()
            self._alarm = alarm
            _thread.start_new_thread(self._flush_always, (alarm,))
        if alarm.locked():
            with suppress(RuntimeError):  # another thread was faster
                alarm.release()

    def _flush_always(self, alarm: _thread.LockType) -> None:
        """Write the queue, an interval after each alarm."""
        # Signals are for the main thread: one delivered here would not end its sleep.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pause = _thread.allocate_lock()
        pause.acquire()
        while True:
            alarm.acquire()
            pause.acquire(timeout=INTERVAL)
            self.flush()

    def _lost(self) -> NoReturn:
        """End: the host is gone, or the code has closed the channel. There is nobody to report to."""
        os._exit(EXIT_CHANNEL_LOST)

    # ------------------------------------------------------------ in

    def receive(self) -> Message | None:
        """Wait for a message. Return ``None`` when the host is gone. An interrupt loses nothing."""
        return self._inbox.take()

    def has_received(self, within: float = 0.0) -> bool:
        """Tell whether there is something that nobody has read, or comes within so many seconds."""
        return self._inbox.has_more(within)

    def forget_received(self) -> None:
        """Drop what has come unasked: the answer to a question that an interrupt ended."""
        self._inbox.drop()

    def receive_quietly(self) -> Message | None:
        """The same while no signal handler can raise: without a thread, straight to its place."""
        return self._inbox.take() if self._inbox.busy else self._inbox.read_answer()

    def listen(self, arrived: Callable[[CommMsg], None], meanwhile: Callable[[], float | None]) -> bool:
        """From now on hand what comes for a comm to ``arrived``, in a thread; False when that cannot be now.

        ``meanwhile`` is called there between messages, and returns after how many seconds it wants to be called again.
        """
        return self._inbox.listen(arrived, meanwhile)

    def clock(self) -> Clock | None:
        """Return the last that the host has said of the clock; None when nothing has changed since the start."""
        if os.getpid() == self.pid:
            self._inbox.look()
        return self._inbox.clock


def _is_text(item: _Item) -> bool:
    return type(item) is tuple
