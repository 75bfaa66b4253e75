"""What the host says to a child, and to the template that forks children. Pure data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from ipytimeout.wire.messages import Buffer, ProcessState


@dataclass(frozen=True, slots=True)
class Settle:
    """To a fresh child, once: what it needs to be like the host. It answers nothing."""

    sys_path: list[str]
    argv: list[str]
    #: Modules to import ahead of the run, in this order; a failing one is passed over.
    preload: list[str]
    #: Whether the host has IPython: then the child has an InteractiveShell.
    shell: bool
    #: Whether the host is an ipykernel: then the shell looks like one to libraries that ask.
    kernel: bool
    #: Where the kernel pretends that its cells are stored; "" without a kernel.
    cell_directory: str
    #: Where other packages have adapters for process state (``wire.adapters``).
    adapters: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Preload:
    """To the template: import these modules too, in this order, in an environment like the host's."""

    modules: list[str]
    environ: dict[str, str]
    sys_path: list[str]


@dataclass(frozen=True, slots=True)
class Fork:
    """To the template: fork a child, and have it adopted.

    With eight descriptors: the child's stdout, stderr, channel, status and stack, and those of ``Adopt``.
    """

    #: In so many seconds, when nobody waits for anything; or sooner, at ``Hurry``.
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Hurry:
    """To the template: a run waits for the child."""


@dataclass(frozen=True, slots=True)
class Rehearse:
    """To a spare, or to a template that is to fork many: what a run of this moment would be sent. It answers nothing.

    ``buffers``: what is set in the host beside names, as ``wire.pickling`` dumped it with no names.
    """

    state: ProcessState
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class Execute:
    """Run one cell, or (``statement``) one statement whose value is wanted.

    ``buffers``: the namespace, as ``wire.pickling`` dumped it: the pickle, then its out-of-band buffers.
    """

    code: str
    statement: bool
    execution_count: int
    #: What tracebacks call this code; "" lets the child's shell choose.
    filename: str
    state: ProcessState
    #: The source of earlier cells: file name → (text, number). Tracebacks and ``inspect`` need it.
    sources: dict[str, tuple[str, int]]
    #: Names that could not be sent, each with its reason; using one raises a NameError that says it.
    refused: dict[str, str]
    #: Whether nothing is to come back.
    discard: bool
    #: Names that are to come back; ``None``: all.
    keep: list[str] | None
    #: Whether to send the changes also after the deadline's interrupt.
    partial: bool
    buffers: Sequence[Buffer] = ()
    #: How long the code may run, in seconds, as the child knows it at first.
    timeout: float = inf
    #: The id of the front end's request, under which outputs appear; "" where there is none.
    request: str = ""
    #: The cells so far, as they were written, where the code asks for ``In``.
    inputs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """Call one function.

    ``buffers``: a namespace as in ``Execute``, dumped together with the function and its arguments
    under the name ``CALL`` of ``wire.pickling``.
    """

    state: ProcessState
    sources: dict[str, tuple[str, int]]
    refused: dict[str, str]
    discard: bool
    buffers: Sequence[Buffer] = ()
    timeout: float = inf
    #: Whether what it changes comes back as from a cell: arguments, globals, the state of the process.
    commit: bool = False
    #: As in ``Execute``; of what is committed.
    keep: list[str] | None = None
    partial: bool = False
    request: str = ""


@dataclass(frozen=True, slots=True)
class Resend:
    """The changes could not be rebuilt: send them again, one name only, or without some names."""

    only: str | None
    without: dict[str, str]


@dataclass(frozen=True, slots=True)
class Clock:
    """While the code runs: when it is to be ended now. Moments of the monotonic clock, which a machine has one of."""

    #: May be infinite.
    deadline: float
    #: Since when the clock stands still, because the user is asked something.
    stands_since: float | None


@dataclass(frozen=True, slots=True)
class InputReply:
    """The answer to an InputRequest; or, by class name and text, the exception it ended with."""

    value: str
    error: str = ""


ToChild: TypeAlias = Settle | Preload | Fork | Hurry | Rehearse | Execute | Call | Resend | Clock | InputReply
