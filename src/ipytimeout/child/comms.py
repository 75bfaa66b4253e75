"""Comms of the code: widgets, from the child to the front end and back. Runs in the child.

``comm.create_comm`` and ``comm.get_comm_manager`` are ours here, as they are ipykernel's in a kernel: what ipywidgets
and its like open, say and close goes to the host as messages of the same names, and what the front end says comes back.
A run without comms pays nothing: the thread that listens for the front end begins with the first comm.

The law of callbacks. In a kernel none runs while a cell blocks; here they do, in the code's main thread, but only:

1. between two steps of the user's own code (cells, functions of the notebook, modules outside of the installed
   libraries), where below that there is nothing else of the user's call: never in the middle of a library. That
   includes the user's calls that wait, ``time.sleep`` above all, and loops that never wait;
2. in the event loop, between the steps of tasks: while the code awaits;
3. one after the other, in the order in which the front end sent them; never while another callback runs;
4. never in a thread, and never once the code has ended. What has not been handled by then is handled by the kernel,
   as natively.

They run in a signal handler, as the user's own ``signal.signal`` handlers would: the deadline and an interrupt are
raised in a callback as in any other line. The reader thread signals the main thread once for a message, and again
after a while where that was in a library. In a flood of output the code is nearly always where it waits for room,
so from there the next line of its own is awaited. What a callback prints appears in the cell.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import sysconfig
import threading
import time
from collections import deque
from contextlib import suppress
from types import FrameType, SimpleNamespace
from typing import Any

from ipytimeout.child.channel import Channel
from ipytimeout.child.display import to_json
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.child.streams import let_texts_leave
from ipytimeout.wire import widgets
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen, CommTaken
from ipytimeout.wire.signals import COMM_SIGNAL

#: How long after a signal that found a library at work the next one comes: at first, and at most, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
#: Whose frames may be the last below the user's own: they run it.
_RUNNERS = frozenset({"IPython", "asyncio", "ipytimeout"})


class Comms:
    """All comms of this process."""

    def __init__(self, channel: Channel, interrupts: Interrupts) -> None:
        self._channel = channel
        self._interrupts = interrupts
        self._manager: Any = None
        self._class: Any = None
        #: What stands for the kernel, to widgets that ask their comm: where outputs go.
        self._kernel: Any = None
        self._namespace: dict[str, Any] = {}
        self._runs = False
        self._listens = False
        self._waiting: deque[CommMsg] = deque()
        self._handling = False
        #: The message of the front end that is being handled; "" between them.
        self._request = ""
        self._main = 0
        self._next_signal = 0.0
        self._pause = _FIRST_PAUSE
        self._libraries: dict[str, bool] = {}

    def install(self) -> None:
        """Be what ``comm`` gives, where that is installed; before anything that uses it is imported."""
        try:
            comm: Any = importlib.import_module("comm")  # which ipykernel and ipywidgets bring
        except ImportError:
            return
        base: Any = comm.base_comm
        comms = self

        class Comm(base.BaseComm):  # type: ignore[misc]
            """A comm whose other end is in the front end of the cell."""

            @property
            def kernel(self) -> Any:
                return comms._kernel

            def publish_msg(
                self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
            ) -> None:
                comms._publish(self.comm_id, msg_type, data, metadata, buffers, keys)

            def handle_msg(self, msg: dict[str, Any]) -> None:
                # Without the shell's events, which would show a figure that is only half drawn.
                if self._msg_callback is not None:
                    self._msg_callback(msg)

        self._class, self._manager = Comm, base.CommManager()
        comm.create_comm = Comm
        comm.get_comm_manager = lambda: self._manager
        widgets.WIDGETS.on_rebuilt = self._take_over

    # ------------------------------------------------------------ the run

    def start(self, namespace: dict[str, Any], request: str) -> None:
        """From now on the code runs. In the main thread."""
        if self._manager is None:
            return
        self._namespace, self._main = namespace, threading.get_ident()
        header = {"msg_id": request, "msg_type": "execute_request"}
        self._kernel = SimpleNamespace(get_parent=lambda: {"header": header})
        signal.signal(COMM_SIGNAL, self._on_signal)
        with suppress(OSError, ValueError):
            signal.siginterrupt(COMM_SIGNAL, False)  # reads and writes of C code go on as if nothing had been
        if self._manager.comms:
            self._listen()
        self._runs = True

    def stop(self) -> None:
        """From now on no callback runs."""
        self._runs = False
        if sys.gettrace() is _ignore:
            sys.settrace(None)

    # ------------------------------------------------------------ out

    def _publish(self, comm_id: str, kind: str, data: Any, metadata: Any, buffers: Any, keys: dict[str, Any]) -> None:
        let_texts_leave()
        request = self._request if threading.get_ident() == self._main else ""
        content, about = to_json(data or {}), to_json(metadata or {})
        parts = [memoryview(each).cast("B") for each in buffers or ()]
        match kind:
            case "comm_open":
                self._listen()
                target, module = keys.get("target_name", ""), keys.get("target_module")
                self._channel.send(CommOpen(comm_id, target, module, content, about, parts))
            case "comm_close":
                self._channel.send(CommClose(comm_id, content, about, request, parts))
            case _:
                self._channel.send(CommMsg(comm_id, content, about, request, parts))

    def take_over(self, widget: Any) -> None:
        """Let a widget that a copy of the kernel has from it speak here as it does there.

        What the copy is to do has not come yet: a thread that listens by now would take it.
        """
        if (own := widget.comm) is not None:
            self._adopt(widget, own.comm_id)

    def _take_over(self, widget: Any, comm_id: str) -> None:
        """Let a widget of the notebook that was sent here speak as it does there."""
        self._adopt(widget, comm_id)
        self._listen()

    def _adopt(self, widget: Any, comm_id: str) -> None:
        if self._class is None or comm_id in self._manager.comms:
            return
        own = self._class(comm_id=comm_id, target_name="jupyter.widget", primary=False)
        self._manager.register_comm(own)
        self._channel.send(CommTaken(comm_id))
        widget.comm = own

    # ------------------------------------------------------------ in

    def _listen(self) -> None:
        if not self._listens and os.getpid() == self._channel.pid:
            self._listens = self._channel.listen(self._arrived, self._remind)

    def _arrived(self, message: CommMsg) -> None:
        """Take a message, in the reader's thread."""
        self._waiting.append(message)
        self._pause = _FIRST_PAUSE
        self._next_signal = 0.0
        self._remind()

    def _remind(self) -> float | None:
        """Signal the main thread where there is something to handle; return when to come again, in seconds."""
        if not self._waiting or not self._runs:
            return None
        now = time.monotonic()
        if now >= self._next_signal:
            with suppress(OSError):
                signal.pthread_kill(self._main, COMM_SIGNAL)
            self._next_signal = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return self._next_signal - now

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if not self._runs or self._handling:
            return
        if (loop := self._interrupts.waiting_loop(frame)) is not None:
            loop.call_soon_threadsafe(self._handle_all)
        elif self._is_between_steps(frame):
            self._handle_all()
        elif frame is not None and _package_of(frame) == "ipytimeout":
            self._handle_at_next_line(frame)

    def _handle_at_next_line(self, frame: FrameType) -> None:
        """Handle what waits as soon as the code is back from a call of ours in lines of its own."""
        own: FrameType | None = frame
        while own is not None and not self._is_own(own):
            own = own.f_back
        if own is None or sys.gettrace() is not None or not self._is_between_steps(own):
            return  # it is a library that shows something, or the code is being traced

        def at_line(frame: FrameType, event: str, argument: Any) -> None:
            frame.f_trace = None
            if sys.gettrace() is _ignore:
                sys.settrace(None)
                self._handle_all()

        own.f_trace = at_line
        sys.settrace(_ignore)

    def _handle_all(self) -> None:
        if self._handling or not self._runs:
            return
        self._handling = True
        try:
            while self._waiting and self._runs:
                self._handle(self._waiting.popleft())
        finally:
            self._handling = False

    def _handle(self, message: CommMsg) -> None:
        self._request = message.request
        try:
            content = {"comm_id": message.comm_id, "data": message.data}
            buffers = [memoryview(each) for each in message.buffers]
            native = {"header": {"msg_id": message.request}, "content": content, "metadata": {}, "buffers": buffers}
            self._manager.comm_msg(None, None, native)
        finally:
            self._request = ""
            let_texts_leave()
            self._channel.send(CommHandled(message.request))

    # ------------------------------------------------------------ where

    def _is_between_steps(self, frame: FrameType | None) -> bool:
        """Tell whether the user's own code is at work, and nothing but that, down to what runs it."""
        if frame is None or not self._is_own(frame):
            return False
        below: FrameType | None = frame
        while below is not None and self._is_own(below):
            below = below.f_back
        return below is None or _package_of(below) in _RUNNERS

    def _is_own(self, frame: FrameType) -> bool:
        if frame.f_globals is self._namespace:
            return True
        file = frame.f_code.co_filename
        known = self._libraries.get(file)
        if known is None:
            known = self._libraries[file] = _is_of_library(file) or _package_of(frame) in _RUNNERS
        return not known


def _ignore(frame: FrameType, event: str, argument: Any) -> None:
    """Trace no frame that is new: what makes Python look at the one that has a trace function."""


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_of_library(file: str) -> bool:
    """Tell whether a file is installed, or made up: code of the user's own is neither."""
    if file.startswith("<"):
        return True
    paths = sysconfig.get_paths()
    folders = {os.path.realpath(paths[kind]) + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    real = os.path.realpath(file)
    return real.startswith(tuple(folders)) or "site-packages" in real or "dist-packages" in real
