"""The pump on real sockets, without a kernel: what it lets in, what it hands on, and where it gives up."""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from ipytimeout.host.pump import pump_for


class Iopub:
    """Where the statuses go."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.statuses: list[tuple[str, str]] = []

    def send_multipart(self, frames: list[Any], copy: bool = True, track: bool = False) -> None:
        _, rest = self.session.feed_identities([bytes(f) for f in frames])
        message = self.session.deserialize(rest)
        self.statuses.append((message["parent_header"]["msg_id"], message["content"]["execution_state"]))


class Kernel:
    """The parts of an ipykernel 6 that a pump uses, with the front end's end of its shell channel."""

    ident = "ident"

    def __init__(self, context: zmq.Context[Any]) -> None:
        self.session = Session(key=b"secret", check_pid=False)
        ours, self.front = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        ours.bind("inproc://shell")
        self.front.connect("inproc://shell")
        self.shell_stream = ZMQStream(ours)
        self.queued: list[str] = []
        self.shell_stream.on_recv(self.queue, copy=False)
        self.iopub_socket = Iopub(Session(key=b"secret", check_pid=False))
        self.cell = self.session.msg("execute_request", {})
        self._front_session = Session(key=b"secret", check_pid=False)

    def queue(self, frames: list[zmq.Frame]) -> None:
        _, rest = self.session.feed_identities(frames, copy=False)
        message = self.session.deserialize(rest, copy=False)  # raises for a signature that was used before
        self.queued.append(message["header"]["msg_id"])

    def get_parent(self) -> dict[str, Any]:
        return self.cell

    def send(self, kind: str, content: dict[str, Any]) -> str:
        message = self._front_session.send(self.front, kind, content)
        return str(message["header"]["msg_id"])

    def click(self, comm: str) -> str:
        return self.send("comm_msg", {"comm_id": comm, "data": {"method": "custom", "content": {"event": "click"}}})


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    # A stream needs a loop, which never runs here: just as in a kernel whose cell blocks.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    IOLoop.current()
    context: zmq.Context[Any] = zmq.Context()
    kernel = Kernel(context)
    yield kernel
    kernel.shell_stream.close()
    kernel.front.close()
    context.term()
    loop.close()
    asyncio.set_event_loop(None)


def pumped(kernel: Kernel, clicks: dict[str, Any], seconds: float = 0.2) -> None:
    """Wait with a pump for a while, or until nothing comes any more."""
    pump = pump_for(kernel, clicks)
    assert pump is not None
    with pump:
        for _ in range(3):
            pump.wait({}, time.monotonic() + seconds / 3)


def test_a_click_on_our_button_is_acted_on_and_every_other_message_is_queued_in_order(kernel: Kernel) -> None:
    heard: list[str] = []
    sent = []
    for number in range(20):
        sent.append(kernel.send("execute_request", {"code": str(number)}))
        kernel.click("ours")
        sent.append(kernel.click("theirs"))
        sent.append(kernel.send("comm_msg", {"comm_id": "ours", "data": {"method": "update", "state": {}}}))
    pumped(kernel, {"ours": lambda: heard.append("click")})
    assert heard == ["click"] * 20
    assert kernel.queued == sent


def test_a_click_is_answered_as_a_message_that_was_handled(kernel: Kernel) -> None:
    """Busy, idle, and busy with the cell again: or the front end would think that the cell has ended."""
    click = kernel.click("ours")
    pumped(kernel, {"ours": lambda: None})
    cell = kernel.cell["header"]["msg_id"]
    assert kernel.iopub_socket.statuses == [(click, "busy"), (click, "idle"), (cell, "busy")]


@pytest.mark.parametrize(
    "content",
    [{}, {"comm_id": "ours"}, {"comm_id": "ours", "data": 5}, {"comm_id": ["ours"], "data": {}}],
    ids=["nothing", "no data", "data of another kind", "an id of another kind"],
)
def test_what_is_not_understood_is_handed_on(kernel: Kernel, content: dict[str, Any]) -> None:
    sent = kernel.send("comm_msg", content)
    pumped(kernel, {"ours": lambda: None})
    assert kernel.queued == [sent]


def test_a_message_with_a_wrong_signature_is_no_click(kernel: Kernel) -> None:
    heard: list[str] = []
    kernel._front_session = Session(key=b"another", check_pid=False)
    kernel.click("ours")
    with pytest.raises(ValueError, match="Invalid Signature"):  # from the kernel's own callback, which it was handed to
        pumped(kernel, {"ours": lambda: heard.append("click")})
    assert heard == []


def test_the_stream_is_given_back_whatever_happens(kernel: Kernel) -> None:
    before = kernel.shell_stream._recv_callback, kernel.shell_stream._recv_copy
    pump = pump_for(kernel, {})
    assert pump is not None
    with pytest.raises(ZeroDivisionError), pump:
        raise ZeroDivisionError
    assert (kernel.shell_stream._recv_callback, kernel.shell_stream._recv_copy) == before


def test_a_ready_descriptor_ends_the_wait(kernel: Kernel) -> None:
    read, write = os.pipe()
    pump = pump_for(kernel, {})
    assert pump is not None
    with pump:
        begin = time.monotonic()
        assert pump.wait({read: select.POLLIN}, begin + 0.05) == []
        assert 0.05 <= time.monotonic() - begin < 0.5
        assert pump.wait({write: select.POLLOUT | select.POLLIN}, inf) == [write]
        os.write(write, b"x")
        assert pump.wait({read: select.POLLIN}, inf) == [read]
        os.read(read, 1)
        os.close(write)
        assert pump.wait({read: select.POLLIN}, inf) == [read], "the end of a pipe is told too"
    os.close(read)


def test_without_a_private_name_of_pyzmq_there_is_no_pump(kernel: Kernel) -> None:
    stream = kernel.shell_stream
    callback = stream.__dict__.pop("_recv_callback")
    assert pump_for(kernel, {}) is None
    stream._recv_callback = callback


@pytest.mark.parametrize("shape", ["no stream", "a channel thread without a manager"])
def test_without_a_private_name_of_ipykernel_there_is_no_pump(kernel: Kernel, shape: str) -> None:
    stream = kernel.shell_stream
    if shape == "no stream":
        del kernel.shell_stream
    else:
        kernel.shell_channel_thread = object()  # type: ignore[attr-defined]
    assert pump_for(kernel, {}) is None
    kernel.shell_stream = stream


def test_another_thread_has_no_pump(kernel: Kernel) -> None:
    """Sockets of zmq are not safe in threads."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(pump_for(kernel, {})))
    thread.start()
    thread.join()
    assert found == [None]
