"""Lets a click, or an answer, in while the cell blocks the kernel. Runs in the thread of the running cell.

A click is a message on the shell channel, where it would wait until the cell has ended. For as long as the cell waits
for its child, the receive callback of this thread's shell stream is swapped: a click on one of our own buttons is
acted on at once, every other message goes to the stream's original callback, which queues it, in order, for after
the cell. Nothing is put back by hand.

Laws of the file:

1. Private and undocumented names of ipykernel and pyzmq are used here and nowhere else; each is listed below with the
   versions it was tested on. Where one is missing, there is no pump, and the view says that an interrupt cancels.
2. A pump is entered where SIGINT raises nothing (``supervise.interrupts_go_to``): an exception between receiving a
   message and handing it on would lose the message.
3. Only clicks on our own buttons are let in, what is said to widgets that the child has, and what a page asks that is
   opened meanwhile: the state of all widgets. No message to a comm goes through the comm manager, which would run the
   notebook's own ``pre_execute`` hooks, and flush its figures, in the middle of the cell.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import functools
import getpass
import inspect
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from math import ceil, inf
from types import TracebackType
from typing import Any, Self

import zmq
from zmq.eventloop.zmqstream import ZMQStream

from ipytimeout.host.comms import Comms
from ipytimeout.wire.messages.from_child import InputRequest
from ipytimeout.wire.messages.to_child import InputReply

Frames = list[zmq.Frame]

#: What is not in a documented interface, and where it was seen to work.
PRIVATE_NAMES = {
    "zmq.eventloop.zmqstream.ZMQStream._recv_callback": "pyzmq 27.3",
    "zmq.eventloop.zmqstream.ZMQStream._recv_copy": "pyzmq 27.3",
    "ipykernel.kernelbase.Kernel.shell_stream": "ipykernel 6.31",
    "ipykernel.kernelbase.Kernel.shell_channel_thread": "ipykernel 7.3, 7.4",
    "ipykernel.subshell_manager.SubshellManager.get_shell_channel_to_subshell_pair": "ipykernel 7.3, 7.4",
    "ipykernel.socket_pair.SocketPair.to_stream": "ipykernel 7.3, 7.4",
    "ipykernel.kernelbase.Kernel._input_request": "ipykernel 6.31, 7.3, 7.4",
    "ipykernel.kernelbase.Kernel.stdin_socket": "ipykernel 6.31, 7.3, 7.4",
    "comm.base_comm.BaseComm._msg_callback": "comm 0.2",
    "the name of a subshell's thread: subshell-<id>": "ipykernel 7.3, 7.4",
}
#: On comms of this name a page asks for the state of all widgets (ipywidgets 8).
_CONTROL = "jupyter.widget.control"


class Pump:
    """Waits for descriptors and clicks at once. A context manager: it takes the stream and gives it back."""

    def __init__(
        self, kernel: Any, stream: ZMQStream, clicks: Mapping[str, Callable[[], None]], comms: Comms | None = None
    ) -> None:
        self._kernel = kernel
        self._stream = stream
        #: What a click does, by the comm id of its button; filled when there are buttons.
        self._clicks = clicks
        self._comms = comms
        self._handled: set[asyncio.Future[Any]] = set()
        #: The comms on which pages ask for the state of all widgets.
        self._controls: set[str] = set()
        self._cell = kernel.get_parent()
        #: What is waited for beside the stream, and the poller of that.
        self._watched: dict[int, int] | None = None
        self._poller = zmq.Poller()
        self._callback: Any = stream._recv_callback
        self._copy = stream._recv_copy

    def __enter__(self) -> Self:
        # Frames are not copied, whoever receives them: a message may be as large as an uploaded file.
        self._stream.on_recv(self._received, copy=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.on_recv(self._callback, copy=self._copy)

    def wait(self, watched: Mapping[int, int], until: float) -> list[int]:
        """Wait until a descriptor is ready or a moment has come, and act on clicks; return what is ready.

        ``watched``: flags of ``select.poll`` by descriptor. ``until``: of the monotonic clock; may be infinite.
        """
        # Not the socket's own descriptor, and no receiving past the stream: its readiness is told once only.
        if watched != self._watched:
            self._watched, self._poller = dict(watched), zmq.Poller()
            self._poller.register(self._stream.socket, zmq.POLLIN)
            for descriptor, flags in watched.items():
                self._poller.register(descriptor, _zmq_flags(flags))
        ready = dict(self._poller.poll(None if until == inf else max(0, ceil((until - time.monotonic()) * 1000))))
        if self._stream.socket in ready:
            self._stream.flush(zmq.POLLIN)
        return [descriptor for descriptor in watched if descriptor in ready]

    def _received(self, frames: Frames) -> Any:
        message = self._said_in(frames)
        if message is None:
            return self._natively(frames)
        comm_id = message["content"]["comm_id"]
        # As for a message that the kernel handles natively: the front end waits for its idle.
        self._tell_status("busy", message)
        if self._comms is not None and comm_id not in self._clicks and comm_id not in self._controls:
            self._comms.pass_on(
                message, functools.partial(self._hand_on, frames), functools.partial(self._has_handled, message)
            )
            return None
        try:
            if comm_id in self._clicks:
                self._clicks[comm_id]()
            else:
                self._answer_page(message)
        finally:
            self._has_handled(message)
        return None

    def _answer_page(self, message: dict[str, Any]) -> None:
        """Tell a page that is opened meanwhile of all widgets, as the kernel does when it is idle."""
        manager, comm_id = self._kernel.comm_manager, message["content"]["comm_id"]
        match message["header"]["msg_type"]:
            case "comm_open":
                manager.comm_open(None, None, message)
            case "comm_close":
                self._controls.discard(comm_id)
                manager.comm_close(None, None, message)
            case _:
                with contextlib.suppress(Exception):  # of a widget of the notebook that cannot say how it is
                    manager.get_comm(comm_id)._msg_callback(message)

    def _natively(self, frames: Frames) -> Any:
        return self._callback([frame.bytes for frame in frames] if self._copy else frames)

    def _hand_on(self, frames: Frames) -> None:
        """Have the kernel handle a message after all, once the cell has ended."""
        handled = self._natively(frames)
        if inspect.isawaitable(handled):
            future = asyncio.ensure_future(handled)
            self._handled.add(future)  # or it might be collected before it is done
            future.add_done_callback(self._handled.discard)

    def _has_handled(self, message: dict[str, Any]) -> None:
        self._tell_status("idle", message)
        self._tell_status("busy", self._cell)

    def _said_in(self, frames: Frames) -> dict[str, Any] | None:
        """Return a message that is let in: for one of our buttons, for a widget of the child, from a page's control.

        Return None for all else; what is not readable is none either.
        """
        session = self._kernel.session
        try:
            _, rest = session.feed_identities(frames, copy=False)
            # Without its content: that does not use up the signature, which the kernel checks for repetition.
            message: dict[str, Any] = session.deserialize(rest, content=False, copy=False)
            kind = message["header"]["msg_type"]
            if kind not in ("comm_open", "comm_msg", "comm_close"):
                return None
            message["content"] = content = session.unpack(message["content"])
            data, comm_id = content["data"], content["comm_id"]
            if kind == "comm_open":
                if content["target_name"] != _CONTROL or _CONTROL not in self._kernel.comm_manager.targets:
                    return None
                self._controls.add(comm_id)
            if comm_id in self._controls:
                return session.deserialize(rest, content=True, copy=False)  # type: ignore[no-any-return]
            if kind != "comm_msg":
                return None
            if comm_id not in self._clicks:
                return message if self._comms is not None and comm_id in self._comms else None
            if data.get("method") != "custom":
                return None
            if data.get("content", {}).get("event") != "click":
                return None
            # It is ours alone: a repetition of it is none.
            message = session.deserialize(rest, content=True, copy=False)
        except Exception:
            return None
        return message

    def _tell_status(self, state: str, parent: dict[str, Any]) -> None:
        kernel = self._kernel
        ident = f"kernel.{kernel.ident}.status".encode()
        kernel.session.send(kernel.iopub_socket, "status", {"execution_state": state}, parent=parent, ident=ident)


def pump_for(kernel: Any, clicks: Mapping[str, Callable[[], None]], comms: Comms | None = None) -> Pump | None:
    """Return a pump for the cell that runs in this thread; None where this kernel has not what it needs."""
    try:
        stream = _shell_stream(kernel)
        if not callable(stream._recv_callback):
            return None
        return Pump(kernel, stream, clicks, comms)
    except (AttributeError, KeyError, TypeError):
        return None


def question_in(kernel: Any, request: InputRequest) -> Callable[[], InputReply | None] | None:
    """Ask as the kernel does, but do not wait; None where ``input`` is not the kernel's own.

    The kernel waits for the answer in a way that lets no click in: so its question is sent, and what would wait is
    left out.
    """
    try:
        native = kernel.getpass if request.password else kernel.raw_input
        if (getpass.getpass if request.password else builtins.input) != native or not is_shell_thread(kernel):
            return None
        if "_input_request" in vars(kernel) or not callable(kernel._input_request):
            return None
        socket, session = kernel.stdin_socket, kernel.session
    except AttributeError:
        return None

    def send(prompt: str, ident: Any, parent: Any, password: bool = False) -> str:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        while socket.poll(0):
            socket.recv_multipart()  # an answer that comes too late for its question
        session.send(socket, "input_request", {"prompt": prompt, "password": password}, parent, ident=ident)
        return ""

    def look() -> InputReply | None:
        if refused is not None:
            return refused
        if not socket.poll(0):
            return None
        try:
            value = session.recv(socket)[1]["content"]["value"]
        except Exception:  # not a message of a front end
            return None
        return InputReply("", "EOFError") if value == "\x04" else InputReply(str(value))

    refused = None
    kernel._input_request = send
    try:
        native(request.prompt)
    except TypeError:  # it is called in another way than in the versions above
        return None
    except Exception as error:  # a front end without a place to type
        refused = InputReply(str(error), type(error).__name__)
    finally:
        del kernel._input_request
    return look


def _shell_stream(kernel: Any) -> Any:
    """Return the stream on which this thread gets its shell messages."""
    if not is_shell_thread(kernel):
        raise KeyError("another thread's stream must not be touched")
    if getattr(kernel, "shell_channel_thread", None) is None:  # ipykernel 6, and 7 when embedded
        return kernel.shell_stream
    manager = kernel.shell_channel_thread.manager
    return manager.get_shell_channel_to_subshell_pair(_subshell(kernel)).to_stream


def is_shell_thread(kernel: Any) -> bool:
    """Tell whether this thread runs the kernel's cells: its main thread, or the one of the cell's subshell."""
    subshell = _subshell(kernel)
    thread = threading.current_thread()
    if subshell is None:
        return thread is threading.main_thread()
    return thread.name == f"subshell-{subshell}"


def _subshell(kernel: Any) -> str | None:
    subshell: str | None = kernel.get_parent().get("header", {}).get("subshell_id")
    return subshell


@functools.cache
def _zmq_flags(flags: int) -> int:
    return (zmq.POLLIN if flags & select.POLLIN else 0) | (zmq.POLLOUT if flags & select.POLLOUT else 0)
