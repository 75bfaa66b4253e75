"""``checkpoint()``: values on their way to safety while the code runs. Runs in the child, in any thread of the code.

The host keeps what has come, and unpickles it only if the run does not end by itself. What has left this process is
safe: it lies in the socket, or in shared memory, also when the process is gone.

Law of the file: data goes by value, as it is at the call, so that what comes back is the world of one moment, beside
a notebook that has not changed. Only the notebook's own classes and functions are referred to, by their numbers in
the object table; one that the code has changed in place is named.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import select
import threading
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ipytimeout.child.changes import Watch
from ipytimeout.child.channel import Channel
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.wire.classes import make_class
from ipytimeout.wire.enums import make_enum
from ipytimeout.wire.memory import Filling, share
from ipytimeout.wire.messages import Attached, Buffer
from ipytimeout.wire.messages.from_child import Checkpoint
from ipytimeout.wire.pickling import needed_first
from ipytimeout.wire.streams import Number, NumberedPickler, dump_parts, plain_reason
from ipytimeout.wire.table import ObjectTable

_BY_NUMBER = (type, types.FunctionType, types.ModuleType)
_MAKERS = (make_class, make_enum)


class Checkpoints:
    """Sends what the code makes safe."""

    def __init__(
        self,
        channel: Channel,
        interrupts: Interrupts,
        table: ObjectTable,
        watch: Watch | None,
        keep: Collection[str] | None,
    ) -> None:
        """``watch`` sees what the code changes in place; ``keep``: names that are wanted at all, None for all."""
        self._channel = channel
        self._interrupts = interrupts
        self._table = table
        self._watch = watch
        self._keep = keep
        # One at a time, and again from a signal handler that comes in between.
        self._lock = threading.RLock()
        #: Classes that the run has made and that have been sent: the host makes each of them once.
        self._classes: dict[int, type] = {}
        #: What was sent last by shared memory: the receipt, and the descriptors, until it has arrived.
        self._underway: tuple[int, list[int]] | None = None

    def save(self, values: Mapping[str, object]) -> None:
        """Send values; they are safe on return. Raise ``PicklingError`` where one cannot leave this process."""
        if os.getpid() != self._channel.pid:
            raise RuntimeError("checkpoint() was called in a forked process; only the run itself can make values safe")
        wanted = {name: value for name, value in values.items() if self._keep is None or name in self._keep}
        if not wanted:
            return
        in_main = threading.current_thread() is threading.main_thread()
        with self._lock:
            self._settle()
            # A deadline that comes meanwhile waits for its next signal: what is nearly safe is to be safe.
            with self._interrupts.deadline_held() if in_main else nullcontext():
                self._send(self._pickled(wanted))

    # ------------------------------------------------------------ pickling

    @functools.cached_property
    def _numbers(self) -> dict[int, int]:
        """The number of each thing that is referred to and not sent, by its ``id``."""
        table = self._table
        numbers = {
            id(obj): number
            for number, obj in enumerate(table.objects)
            if number < table.seeds or (isinstance(obj, _BY_NUMBER) and number not in table.private)
        }
        # The host has one of its own, behind the table: it makes each class once, in however many messages it comes.
        return {**numbers, **dict.fromkeys(map(id, _MAKERS), len(table.objects))}

    def _pickled(self, values: Mapping[str, object]) -> Checkpoint:
        parts = sorted(values.items(), key=needed_first)
        table = self._table
        namespace: Any = table.objects[0]
        used: set[int] = set()
        stream = dump_parts(
            parts, lambda file, take: _Pickler(file, namespace, take, self._numbers, used, self._classes)
        )
        if stream.failed:
            reasons = "; ".join(f"{name} ({plain_reason(error)})" for name, error in stream.failed.items())
            raise pickle.PicklingError(f"checkpoint() cannot keep {reasons}")
        changed = self._watch.changed_code(used) if self._watch is not None else []
        return Checkpoint([name for name, _ in parts], len(table.objects), changed, [stream.pickle, *stream.buffers])

    # ------------------------------------------------------------ sending

    def _send(self, message: Checkpoint) -> None:
        """Send it, the large buffers in shared memory where that can be had."""
        shared = _shared(message.buffers)
        # What is not in shared memory is copied now: from inside another write it leaves only later.
        parts: list[Any] = [part if isinstance(part, Attached) else bytes(part) for part in shared]
        descriptors = [part.descriptor for part in parts if isinstance(part, Attached)]
        if descriptors:
            receipt, its_end = os.pipe()
            parts.append(Attached(its_end, 0))
            self._underway = (receipt, [*descriptors, its_end])
        self._channel.send(Checkpoint(message.names, message.size, message.changed, parts))
        if descriptors and not self._channel.is_writing_here:
            self._close_descriptors()

    def _settle(self) -> None:
        """Wait until the last shared memory has arrived: a host that is busy would let it fill up the machine."""
        if self._underway is None or self._channel.is_writing_here:
            return
        self._close_descriptors()
        receipt, _ = self._underway
        arrived = select.poll()
        arrived.register(receipt, select.POLLIN)
        while not arrived.poll():
            pass
        self._underway = None
        os.close(receipt)

    def _close_descriptors(self) -> None:
        """Let go of what has been sent: the host has its own. An interrupt in between may leak one, no more."""
        assert self._underway is not None
        descriptors = self._underway[1]
        while descriptors:
            os.close(descriptors.pop())


def _shared(buffers: Sequence[Buffer]) -> Sequence[Buffer]:
    """Copy the large buffers into shared memory, where that can be had."""
    fillings: list[Filling] = []
    try:
        shared, fillings = share(buffers)
        for filling in fillings:
            while filling.step():
                pass
    except BaseException as error:
        for filling in fillings:
            os.close(filling.attached.descriptor)
        if isinstance(error, OSError):  # no memory for it, or no descriptors: then through the channel
            return buffers
        raise
    return shared


class _Pickler(NumberedPickler):
    """Pickles by value what is no code of the notebook; notes what it refers to, and which classes it makes."""

    def __init__(
        self,
        file: io.BytesIO,
        namespace: dict[str, object],
        buffer_callback: Callable[[pickle.PickleBuffer], bool],
        numbers: Mapping[int, int],
        used: set[int],
        made: dict[int, type],
    ) -> None:
        super().__init__(file, namespace, buffer_callback, numbers)
        self._used = used
        self._made = made

    def persistent_id(self, obj: object) -> Number | None:
        number = self._number_of(id(obj))
        if isinstance(number, int):
            self._used.add(number)
        return number

    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and reduced[0] in _MAKERS:
            self._made[id(obj)] = obj  # alive, so that no other class ever has this number
            function, args, *rest = reduced
            return (function, (*args, id(obj)), *rest)
        return reduced
