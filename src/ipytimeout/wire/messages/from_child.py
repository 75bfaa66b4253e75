"""What a child says to the host beside its outputs, and what the template does. Pure data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ipytimeout.wire.messages import Buffer, ProcessState
from ipytimeout.wire.messages.outputs import Error, Output, Streams


@dataclass(frozen=True, slots=True)
class Running:
    """The namespace is rebuilt and the code starts now."""


@dataclass(frozen=True, slots=True)
class Recording:
    """``buffers``: memory in which the child keeps text until it is sent (``wire.recording``)."""

    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class InputRequest:
    prompt: str
    password: bool


@dataclass(frozen=True, slots=True)
class InputEnded:
    """The code waits for the answer no more: something was raised meanwhile."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the code says it is, by ``progress()``."""

    #: From 0 to 1; None where the end is not known.
    fraction: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Values that ``checkpoint()`` makes safe, and that belong together.

    ``buffers``: the pickle of all of them, then its out-of-band buffers. A last one of no bytes is the receipt of a
    message with shared memory (``wire.memory``).
    """

    #: In the order of the pickle.
    names: list[str]
    #: How many objects the table has.
    size: int
    #: Classes and functions of the notebook that the values use, and that the code has changed in place.
    changed: list[str]
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """The code has ended, and this is what it leaves. The last message, but for answers to Resend.

    ``buffers``: what ``child.changes`` dumped: the pickle, then its out-of-band buffers; none with ``discard``.
    """

    #: Whether the code ended without an exception.
    success: bool
    #: The exception that ended the code: its class name, text and rendered traceback.
    error: Error | None
    #: Whether that was the interrupt that the warden raised at the deadline or on Cancel.
    deadline_interrupt: bool
    #: Whether that was a KeyboardInterrupt.
    interrupted: bool
    #: Names (or texts like "an item of rows") that stay behind, each with its reason.
    left_behind: dict[str, str]
    state: ProcessState | None
    #: The source of cells that the run has made (nested ``run_cell``): file name → (text, number).
    sources: dict[str, tuple[str, int]]
    #: Where the exception was raised: the code's own frames, outermost first, as (file name, line, function).
    frames: list[tuple[str, int, str]]
    buffers: Sequence[Buffer] = ()
    #: Modules that the code has imported, in its order.
    modules: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Forked:
    """From the template: the child that was asked for; or, with ``pid`` 0, why there can be none."""

    pid: int
    reason: str


FromChild: TypeAlias = (
    Running | Output | Streams | Recording | InputRequest | InputEnded | Progressed | Checkpoint | Changes | Forked
)
