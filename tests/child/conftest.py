"""A real child, and a test that plays its host and its warden."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import ipytimeout
from ipytimeout.host.commit import Commit, prepare
from ipytimeout.wire.framing import Decoder, encode
from ipytimeout.wire.memory import map_private
from ipytimeout.wire.messages import ProcessState
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import Changes, InputRequest, Recording
from ipytimeout.wire.messages.outputs import DisplayData, Error, ExecuteResult, Stream, Streams
from ipytimeout.wire.messages.to_child import Call, Execute, InputReply, Settle
from ipytimeout.wire.pickling import CALL, dump_namespace
from ipytimeout.wire.signals import DEADLINE_SIGNAL

PACKAGE_PARENT = str(Path(ipytimeout.__file__).resolve().parent.parent)
#: A kernel sets this for its cells.
ENVIRON = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
#: Longer than anything here takes, on a busy machine.
PATIENCE = 60.0


@dataclass
class Seen:
    """All that came out of a child, up to its Changes."""

    messages: list[Message] = field(default_factory=list)
    #: What C code and other processes wrote to descriptors 1 and 2.
    raw: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})
    status: bytes = b""

    @property
    def changes(self) -> Changes:
        last = self.messages[-1]
        assert isinstance(last, Changes), self.messages
        return last

    def text(self, name: str = "stdout") -> str:
        return "".join(m.text for m in self.messages if isinstance(m, Stream) and m.name == name)

    def of(self, kind: type[Any]) -> list[Any]:
        return [m for m in self.messages if isinstance(m, kind)]

    @property
    def result(self) -> str:
        """The text of the cell's one result."""
        (message,) = self.of(ExecuteResult)
        text: str = message.data["text/plain"]
        return text

    @property
    def error(self) -> Error:
        (message,) = self.of(Error)
        assert isinstance(message, Error)
        return message

    @property
    def outline(self) -> list[str]:
        """What the front end would show, in order, neighbouring texts joined."""
        lines: list[str] = []
        previous = None
        for m in self.messages:
            if isinstance(m, Stream):
                if previous == m.name:
                    lines[-1] += m.text
                else:
                    lines.append(f"{m.name}: {m.text}")
                previous = m.name
                continue
            previous = None
            if isinstance(m, DisplayData):
                lines.append(("update: " if m.update else "display: ") + str(m.data.get("text/plain")))
            elif isinstance(m, ExecuteResult):
                lines.append(f"result: {m.data.get('text/plain')}")
            elif isinstance(m, Error):
                lines.append(f"error: {m.ename}: {m.evalue}")
            elif isinstance(m, InputRequest):
                lines.append(f"input: {m.prompt}")
            elif type(m).__name__ in ("ClearOutput", "Payload"):
                lines.append(str(m))
        return lines


class LiveChild:
    """One child, from its start to its end."""

    def __init__(self, **settings: Any) -> None:
        ours, its = socket.socketpair()
        self.channel = ours
        status, status_end = os.pipe()
        stack, stack_end = os.pipe()
        self.status_fd, self.stack_fd = status, stack
        fds = (its.fileno(), status_end, stack_end)
        program = f"import sys; sys.path.append({PACKAGE_PARENT!r}); from ipytimeout.child.main import main; main{fds}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,
            env=ENVIRON,
        )
        its.close()
        os.close(status_end)
        os.close(stack_end)
        self._decoder = Decoder(map_private)
        self._waiting: list[Message] = []
        self._signal, self._period = 0, 2.0
        self.seen = Seen()
        #: The notebook's namespace: all of it is sent.
        self.namespace: dict[str, Any] = {}
        defaults: dict[str, Any] = {
            "sys_path": [p for p in sys.path if p] + [PACKAGE_PARENT],
            "argv": ["notebook"],
            "preload": [],
            "shell": True,
            "kernel": True,
            "cell_directory": "/tmp/ipykernel_4711",
        }
        self.send(Settle(**{**defaults, **settings}))

    def send(self, message: Message) -> None:
        for part in encode(message):
            self.channel.sendall(part)

    def execute(self, code: str, **fields: Any) -> None:
        """Send a cell."""
        defaults: dict[str, Any] = {
            "statement": False,
            "execution_count": 5,
            "filename": "/tmp/ipykernel_4711/1.py",
            "state": ProcessState(os.getcwd(), ENVIRON, [p for p in sys.path if p]),
            "sources": {},
            "refused": {},
            "discard": False,
            "keep": None,
            "partial": False,
        }
        dumped = dump_namespace(self.namespace, list(self.namespace))
        assert not dumped.refused
        self._table = dumped.table
        self.send(Execute(code=code, **{**defaults, **fields}, buffers=dumped.buffers))

    def call(self, function: Callable[..., Any], *args: Any, **fields: Any) -> None:
        """Send a function."""
        defaults: dict[str, Any] = {
            "state": ProcessState(os.getcwd(), ENVIRON, [p for p in sys.path if p]),
            "sources": {},
            "refused": {},
            "discard": False,
        }
        dumped = dump_namespace(self.namespace, list(self.namespace), {CALL: (function, args, {})})
        assert not dumped.refused
        self._table = dumped.table
        self.send(Call(**{**defaults, **fields}, buffers=dumped.buffers))

    def until(self, done: Callable[[Seen], object]) -> Seen:
        """Read all that the child says until a condition holds."""
        assert self.process.stdout is not None and self.process.stderr is not None
        pipes = {
            self.process.stdout.fileno(): "stdout",
            self.process.stderr.fileno(): "stderr",
            self.status_fd: "status",
            self.channel.fileno(): "channel",
        }
        give_up = time.monotonic() + PATIENCE
        while not done(self.seen):
            ready, _, _ = select.select(list(pipes), [], [], self._period)
            if not ready and self._signal and b"E" not in self.seen.status:
                self.process.send_signal(self._signal)
            assert time.monotonic() < give_up, f"nothing more came; so far {self.seen}"
            for fd in ready:
                if pipes[fd] == "channel":
                    try:
                        target = self._decoder.target()
                        data, descriptors, _, _ = socket.recv_fds(self.channel, target.nbytes, 200)
                    except ConnectionResetError:
                        data, descriptors = b"", []
                    target[: len(data)] = data
                    arrived = self._decoder.advance(len(data), descriptors) if data else []
                    for m in arrived:
                        if isinstance(m, Streams):
                            self.seen.messages += m.each()
                        elif not isinstance(m, Recording):
                            self.seen.messages.append(m)
                else:
                    data = os.read(fd, 1 << 16)
                    if pipes[fd] == "status":
                        self.seen.status += data
                    else:
                        self.seen.raw[pipes[fd]] += data
                if not data:
                    del pipes[fd]
                    if not pipes:
                        return self.seen
        return self.seen

    def run(self, code: str, **fields: Any) -> Seen:
        """Run a cell to its end."""
        self.execute(code, **fields)
        return self.to_the_end()

    def to_the_end(self) -> Seen:
        """Read until the changes are there, then let the child leave, and read what is left."""
        self.until(lambda seen: seen.messages and isinstance(seen.messages[-1], Changes))
        self.channel.shutdown(socket.SHUT_WR)
        self.until(lambda seen: False)
        return self.seen

    def until_text(self, text: str) -> Seen:
        return self.until(lambda seen: text in seen.text())

    def until_dead(self) -> Seen:
        """Read until the process has ended."""
        return self.until(lambda seen: False)

    def deadline(self) -> None:
        """Interrupt the code as the warden does at the deadline: again and again until it has ended."""
        self._signal, self._period = DEADLINE_SIGNAL, 0.25
        self.process.send_signal(DEADLINE_SIGNAL)

    def interrupt(self) -> None:
        """Interrupt the code as a user does, who tries again when it takes no effect.

        A signal that comes just before a call that waits does not end the wait.
        """
        self._signal, self._period = int(signal.SIGINT), 2.0
        self.process.send_signal(signal.SIGINT)

    def answer(self, value: str, error: str = "") -> None:
        self.send(InputReply(value, error))

    def commit(self) -> Commit:
        """Bring back what the code has changed."""
        commit = prepare(self.seen.changes.buffers, self.namespace, self._table)
        commit.apply()
        return commit

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        os.close(self.status_fd)
        os.close(self.stack_fd)
        self.channel.close()


@pytest.fixture
def child() -> Iterator[LiveChild]:
    """A child of a kernel, settled in."""
    live = LiveChild()
    yield live
    live.close()


@pytest.fixture
def make_child() -> Iterator[Callable[..., LiveChild]]:
    """Children of other hosts."""
    children: list[LiveChild] = []

    def make(**settings: Any) -> LiveChild:
        children.append(LiveChild(**settings))
        return children[-1]

    yield make
    for live in children:
        live.close()
