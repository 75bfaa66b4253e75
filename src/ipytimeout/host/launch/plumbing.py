"""The pipes and sockets between a host and a new child. In any thread of the user's process.

Law of the file: whatever goes wrong between the first pipe and the finished child, no descriptor stays open.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from ipytimeout.host.launch import inherited
from ipytimeout.host.launch.child import Child
from ipytimeout.wire.sockets import socket_pair

_PIPE_SIZE = 1 << 20


class Plumbing:
    """Ours is the first of each pair, the child's (for status and stack: its warden's) the second.

    Leaving the ``with`` closes the child's ends, and ours too unless ``child`` has taken them.
    """

    def __init__(self) -> None:
        self._ours = ExitStack()
        self._theirs = ExitStack()

        self._open()

    def __enter__(self) -> Self:
        return self

    def _open(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(self._ours)
            stack.enter_context(self._theirs)
            self.channel = socket_pair()
            self._ours.callback(self.channel[0].close)
            self._theirs.callback(self.channel[1].close)
            for end in self.channel:
                inherited.add(end)
            self.stdout, self.stderr = self._output(), self._output()
            stack.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._theirs.close()
        self._ours.close()

    def __del__(self) -> None:
        """An interrupt may come before anybody has this in hand."""
        self.close()

    def child(self, control: socket.socket) -> Child:
        """Make the handle of the child, which owns our ends from now on."""
        self._ours.pop_all()
        return Child(self.channel[0], control, self.stdout[0], self.stderr[0])

    def null(self) -> int:
        """Return an empty standard input for the child."""
        null = os.open(os.devnull, os.O_RDONLY)
        self._theirs.callback(os.close, null)
        return null

    def pipe(self) -> tuple[int, int]:
        """Return a pipe that is closed here on leaving, both ends: it is between the child and the warden."""
        read, write = os.pipe()
        self._theirs.callback(os.close, read)
        self._theirs.callback(os.close, write)
        return read, write

    def _output(self) -> tuple[int, int]:
        read, write = os.pipe()
        self._ours.callback(os.close, read)
        self._theirs.callback(os.close, write)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # the user's pipes use up their share: a small one works too
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        return read, write
