"""One child, with its descriptors on the warden's side. In the warden's only thread.

Law of the file: what concerns one child alone, and waits for nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, field
from math import inf

from ipytimeout.warden import limits, tree
from ipytimeout.warden.lifecycle import Phase, Run
from ipytimeout.warden.start import start
from ipytimeout.warden.sweep import Sweep
from ipytimeout.wire import marks
from ipytimeout.wire.framing import Decoder, encode
from ipytimeout.wire.messages.warden import FromWarden, Start
from ipytimeout.wire.sockets import socket_of

#: The phases in which the code runs, and those in which a run costs memory.
_CODE_RUNS = (Phase.RUNNING, Phase.ENDING)
_ARMED = (Phase.SENDING, *_CODE_RUNS, Phase.RETURNING)
#: So much of what faulthandler wrote is kept.
_MAX_STACK = 1 << 20
#: So much of it is told while the code runs: its end, where the main thread is. More could fill the socket.
_TOLD_STACK = 1 << 16


@dataclass(slots=True, eq=False)
class Child:
    """One child, with its descriptors on the warden's side."""

    pid: int
    mark: int
    control: socket.socket
    status: int
    stack: int
    sweep: Sweep
    of_host: bool = False
    run: Run = field(default_factory=Run)
    decoder: Decoder = field(default_factory=Decoder)
    stack_text: bytes = b""
    reaped: bool = False
    #: Its memory, from the moment it is armed.
    watch: limits.Watch | None = None
    #: How many processes had been killed for want of memory when it was armed.
    oom_kills: int = 0
    oom_killed: bool = False
    #: Seconds of CPU time, once it has been reaped.
    cpu: float | None = None

    @property
    def look_at(self) -> float:
        """When to look at its memory again: only while the code runs."""
        return self.watch.due if self.watch is not None and self.run.phase in _CODE_RUNS else inf

    @property
    def is_armed(self) -> bool:
        """Whether it is a run, and not over."""
        return self.run.phase in _ARMED

    def wrote(self, data: bytes) -> None:
        """Take note of what faulthandler has written about it."""
        self.stack_text = (self.stack_text + data)[-_MAX_STACK:]

    @property
    def told_stack(self) -> str:
        """What faulthandler wrote; of very much the end, where the main thread is."""
        return self.stack_text[-_TOLD_STACK:].decode("utf-8", "replace")

    def tell(self, message: FromWarden) -> None:
        """Tell the host something about it."""
        with contextlib.suppress(OSError):  # a host that does not listen any more
            self.control.send(b"".join(encode(message)))

    def signal(self, signum: int) -> None:
        if not self.reaped:
            tree.send_to_main_thread(self.pid, signum)

    def close(self) -> None:
        self.control.close()
        os.close(self.status)
        os.close(self.stack)


def start_child(message: Start, control: int, *descriptors: int) -> Child:
    """Start the program that was asked for."""
    status, status_child = os.pipe()
    stack, stack_child = os.pipe()
    mark = marks.new_mark()
    pid = start(message, mark, list(descriptors), status_child, stack_child)
    for descriptor in (*descriptors, status_child, stack_child):
        os.close(descriptor)
    return Child(pid, mark, socket_of(control), status, stack, Sweep(pid))


def adopt_child(pid: int, of_host: bool, control: int, status: int, stack: int) -> Child:
    """Take charge of a child that another process has forked.

    The template's has become ours as an orphan; the host's was ours before this process became a warden.
    """
    mark = marks.new_mark()
    marks.put_on(pid, mark)
    tree.go_first(pid)
    return Child(pid, mark, socket_of(control), status, stack, Sweep(pid), of_host=of_host)
