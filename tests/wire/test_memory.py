"""Large buffers in shared memory: between two ends of a real socket."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
from collections.abc import Iterator

import pytest

from ipytimeout.wire import memory
from ipytimeout.wire.framing import Decoder, ProtocolError, encode
from ipytimeout.wire.messages import Attached
from ipytimeout.wire.messages.from_child import Changes

SIZE = 3 * memory.THRESHOLD + 17


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) == before


def filled(data: bytes) -> Attached:
    (filling,) = memory.share([data])[1]
    while filling.step():
        pass
    return filling.attached


def address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


def report(*buffers: bytes) -> tuple[Changes, list[int]]:
    stand_in, fillings = memory.share(buffers)
    for filling in fillings:
        while filling.step():
            pass
    changes = Changes(True, None, False, False, {}, None, {}, [], buffers=stand_in)
    return changes, [f.attached.descriptor for f in fillings]


def test_a_large_buffer_arrives_in_its_place_and_a_small_one_beside_it() -> None:
    message, descriptors = report(b"small", b"x" * SIZE, b"", b"y" * SIZE)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(ours, [b"".join(bytes(p) for p in encode(message))], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        data, received, _, _ = socket.recv_fds(theirs, 1 << 16, 10)
        decoder = Decoder(memory.map_private)
        target = decoder.target()
        target[: len(data)] = data
        del target
        (got,) = decoder.advance(len(data), received)
    assert isinstance(got, Changes)
    assert [bytes(b[:3]) for b in got.buffers] == [b"sma", b"xxx", b"", b"yyy"]
    assert [memoryview(b).nbytes for b in got.buffers] == [5, SIZE, 0, SIZE]


def test_what_is_written_stays_private_and_is_found_by_page() -> None:
    attached = filled(b"x" * SIZE)
    again = os.dup(attached.descriptor)
    view = memory.map_private(attached)
    assert memory.written(address(view), SIZE) == []
    bytes(view)  # reading is no writing
    assert memory.written(address(view), SIZE) == []
    view[5] = 0
    view[5000] = 0
    view[SIZE - 1] = 0
    last = (SIZE - 1) // 4096 * 4096
    assert memory.written(address(view), SIZE) == [(0, 8192), (last, SIZE - last)]
    assert memory.written(address(view) + 4097, 100) == [(0, 100)]
    assert memory.written(address(view) + 8192, 100) == []
    assert os.pread(again, 1, 5) == b"x"
    os.close(again)


def test_memory_of_somebody_else_is_not_known() -> None:
    other = memoryview(bytearray(SIZE))
    assert memory.written(address(other), SIZE) is None


def test_the_memory_is_free_when_the_last_view_dies() -> None:
    def shared() -> int:
        with open("/proc/meminfo") as file:
            return int(dict(line.split(":") for line in file)["Shmem"].split()[0])

    size = 256 << 20
    before = shared()
    view = memory.map_private(filled(b"x" * size))
    part = view[100:200]
    del view
    gc.collect()
    assert shared() - before > size // 1024 // 2
    del part
    gc.collect()
    assert shared() - before < size // 1024 // 2


def test_a_sender_cannot_shorten_what_was_mapped() -> None:
    """It would kill this process by SIGBUS at the next look."""
    attached = filled(b"x" * SIZE)
    again = os.dup(attached.descriptor)
    view = memory.map_private(attached)
    with pytest.raises(PermissionError):
        os.ftruncate(again, 0)
    os.close(again)
    assert view[SIZE - 1] == ord("x")


def test_less_than_was_announced_is_refused() -> None:
    attached = filled(b"x" * SIZE)
    with pytest.raises(ValueError, match="shorter"):
        memory.map_private(Attached(attached.descriptor, 2 * SIZE))


def test_an_announced_descriptor_that_does_not_come_is_refused() -> None:
    message, descriptors = report(b"x" * SIZE)
    for descriptor in descriptors:
        os.close(descriptor)
    with pytest.raises(ProtocolError, match="did not come"):
        Decoder(memory.map_private).feed(b"".join(bytes(p) for p in encode(message)))


def test_no_message_carries_more_descriptors_than_the_kernel_allows() -> None:
    buffers = [b"x" * memory.THRESHOLD] * (memory.MOST + 2)
    stand_in, fillings = memory.share(buffers)
    assert len(fillings) == memory.MOST
    assert sum(isinstance(b, bytes) for b in stand_in) == 2
    for filling in fillings:
        os.close(filling.attached.descriptor)
