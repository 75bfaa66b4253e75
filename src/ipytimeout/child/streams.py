"""``sys.stdout`` and ``sys.stderr`` of the code. Runs in the child, in any thread, and in its forked workers.

Law of the file: text goes to the host as messages, in program order with everything else; but a *forked* process
is another program, so it writes whole lines to descriptor 1 or 2, which the host reads too.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ipytimeout.child.channel import Channel
from ipytimeout.child.process import descriptors_silenced
from ipytimeout.wire.messages.outputs import Flush


class OutStream(io.TextIOBase):
    """A text stream whose text appears in the cell."""

    encoding = "UTF-8"

    def __init__(self, channel: Channel, name: str) -> None:
        super().__init__()
        self._channel = channel
        self._name = name
        self._fd = {"stdout": 1, "stderr": 2}[name]
        self._unfinished = ""  # of a line, in a forked process
        self._wrote = False  # since it was flushed
        self.name = f"<{name}>"

    def be_named_as_in_a_kernel(self) -> None:
        self.name = self._name

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text)}")
        if os.getpid() != self._channel.pid:
            self._write_forked(text)
        elif text:
            self._channel.write(self._name, text)
            self._wrote = True
        return len(text)

    def flush(self) -> None:
        if os.getpid() != self._channel.pid:
            unfinished, self._unfinished = self._unfinished, ""
            self._write_descriptor(unfinished)
        elif self._wrote and not self._channel.muted:
            self._wrote = False
            self._channel.send(Flush(self._name))
        else:
            self._channel.flush()

    def _write_forked(self, text: str) -> None:
        """Write whole lines, so that those of several workers do not mix."""
        lines, newline, self._unfinished = (self._unfinished + text).rpartition("\n")
        if newline:
            self._write_descriptor(lines + newline)

    def _write_descriptor(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._fd, data) :]


def let_texts_leave() -> None:
    """Have what the code has written leave before the next message, wherever its ``sys.stdout`` goes now."""
    for stream in (sys.stdout, sys.stderr):
        if type(stream) is not OutStream:  # whose texts are in the queue already
            stream.flush()


@contextmanager
def silenced(channel: Channel) -> Iterator[None]:
    """Drop what is written meanwhile, by Python and by C."""
    before, channel.muted = channel.muted, True
    try:
        with descriptors_silenced():
            yield
    finally:
        channel.muted = before
