"""The messages between host and child, and between host and warden. Pure data, in any process.

Law of the file: a message is a frozen dataclass whose fields are JSON, but for ``buffers``, which travel
beside it as bytes. Only our own child's pickles travel in ``buffers``; everything a front end will see is JSON.

Messages of the child's output have the names and the fields of the Jupyter messaging protocol.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from operator import itemgetter
from typing import Any, TypeAlias, get_args

Buffer: TypeAlias = bytes | bytearray | memoryview
Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Attached:
    """Stands in a message for a buffer that travels as a descriptor of shared memory, beside the message's bytes."""

    descriptor: int
    size: int


# ---------------------------------------------------------------- host → child


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
class ProcessState:
    """What belongs to a process rather than to a namespace, and travels both ways."""

    #: The working directory; "" where it is gone.
    cwd: str
    environ: dict[str, str]
    sys_path: list[str]
    #: The states of random generators, by the name of their module, where that is imported.
    generators: dict[str, Json] = field(default_factory=dict)
    #: matplotlib's backend; "" where matplotlib is not imported, or has not chosen one yet.
    backend: str = ""


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


# ---------------------------------------------------------------- comms, between child and front end


@dataclass(frozen=True, slots=True)
class CommOpen:
    """The code opens a comm: a widget, mostly. As Jupyter's message of this name."""

    comm_id: str
    target_name: str
    target_module: str | None
    data: dict[str, Json]
    metadata: dict[str, Json]
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class CommMsg:
    """A message on a comm, in either direction."""

    comm_id: str
    data: dict[str, Json]
    metadata: dict[str, Json]
    #: The id of the front end's message that this is, or to which it is said; "" when the code says it by itself.
    request: str
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class CommClose:
    """The code closes a comm."""

    comm_id: str
    data: dict[str, Json]
    metadata: dict[str, Json]
    #: The id of the front end's message to which it is done; "" when the code does it by itself.
    request: str = ""
    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class CommTaken:
    """The child has a widget of the notebook, and speaks on its comm too from now on."""

    comm_id: str


@dataclass(frozen=True, slots=True)
class CommHandled:
    """The callbacks for a message of the front end have run."""

    request: str


# ---------------------------------------------------------------- child → host


@dataclass(frozen=True, slots=True)
class Running:
    """The namespace is rebuilt and the code starts now."""


@dataclass(frozen=True, slots=True)
class Stream:
    name: str
    text: str
    #: Of the last piece of text in it, as ``wire.recording`` numbers them.
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Streams:
    """Texts of the two streams in turn, in one message, so that many small ones cost what few large ones do."""

    #: All texts of each stream.
    stdout: str
    stderr: str
    #: How many characters come of the one and of the other in turn, first of stdout.
    lengths: Sequence[int]
    #: That of the last text.
    number: int

    def __post_init__(self) -> None:
        texts, counts = {type(self.stdout), type(self.stderr)}, {type(self.number), *map(type, self.lengths)}
        if texts != {str} or counts != {int}:
            raise TypeError("these are no texts")

    @staticmethod
    def of(texts: Sequence[tuple[str, str, int]]) -> Stream | Streams:
        """Return texts, each with the name of its stream and its number, as one message."""
        if len(names := set(map(itemgetter(0), texts))) == 1:
            return Stream(names.pop(), "".join(map(itemgetter(1), texts)), texts[-1][2])
        parts: tuple[list[str], list[str]] = [], []
        lengths: list[int] = []
        of_stderr, length, number = False, 0, texts[-1][2]
        for name, text, _ in texts:
            if (name == "stderr") != of_stderr:
                lengths.append(length)
                of_stderr, length = not of_stderr, 0
            parts[of_stderr].append(text)
            length += len(text)
        lengths.append(length)
        stdout, stderr = map("".join, parts)
        return Streams(stdout, stderr, lengths, number)

    def each(self) -> list[Stream]:
        """Return the texts in their order."""
        texts, at = (self.stdout, self.stderr), [0, 0]
        found = []
        for turn, length in enumerate(self.lengths):
            of_stderr = turn % 2
            begin, at[of_stderr] = at[of_stderr], at[of_stderr] + length
            if length:
                found.append(Stream(_STREAMS[of_stderr], texts[of_stderr][begin : begin + length], self.number))
        return found

    def gathered(self) -> list[Stream]:
        """Return the texts of each stream as one, first that of the stream that was written to first."""
        both = [Stream("stdout", self.stdout, self.number), Stream("stderr", self.stderr, self.number)]
        return both if self.lengths[0] else both[::-1]


_STREAMS = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Flush:
    """The code has flushed a stream: what it has written there is to be seen now."""

    name: str


@dataclass(frozen=True, slots=True)
class Recording:
    """``buffers``: memory in which the child keeps text until it is sent (``wire.recording``)."""

    buffers: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True)
class DisplayData:
    data: dict[str, Json]
    metadata: dict[str, Json]
    transient: dict[str, Json]
    update: bool = False


@dataclass(frozen=True, slots=True)
class ClearOutput:
    wait: bool


@dataclass(frozen=True, slots=True)
class ExecuteResult:
    data: dict[str, Json]
    metadata: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Error:
    """A traceback that the child's shell shows."""

    ename: str
    evalue: str
    traceback: list[str]
    #: Whether it was raised while the cell's value was being displayed: then newer kernels call the cell failed.
    displaying: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """A page (``x?``) or the next input (``%load``) for the front end."""

    payload: dict[str, Json]


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


# ---------------------------------------------------------------- host → warden


@dataclass(frozen=True, slots=True)
class Start:
    """Start a program in a session of its own, as an idle spare until ``Arm``.

    With five descriptors: the warden's end of the run's own control socket, then stdin, stdout, stderr
    and the channel of the child. ``argv`` may name the child's inherited descriptors as ``{channel}``,
    ``{status}`` and ``{stack}``.
    """

    argv: list[str]
    environ: dict[str, str]
    cwd: str


@dataclass(frozen=True, slots=True)
class Listen:
    """Somebody else will ask for adoptions: a template. With one descriptor, the warden's end of a socket to it."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """A child that the template has forked, or the host itself, is the warden's from now on.

    With three descriptors: the warden's end of the run's control socket, the read ends of status and stack pipe.
    """

    pid: int
    #: Whether it is a copy of the host: then what it shares with that is not the run's.
    of_host: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """From now on the child is a run. All in seconds; ``timeout`` may be infinite."""

    timeout: float
    #: The grace period: from the interrupt to the kill.
    grace: float
    #: Sending and bringing back each end when nothing moved for so long.
    stall: float
    #: Whether the changes are wanted even when the deadline ended the code.
    partial: bool
    #: How many bytes the run and its descendants may use together while the code runs; may be infinite.
    memory: float = inf
    #: Whether the host wants to be told how much they use.
    tell_usage: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes have moved while sending or bringing back."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The user interrupted the kernel."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The user clicked Cancel, or ``cancel()`` was called."""


@dataclass(frozen=True, slots=True)
class Extend:
    seconds: float


@dataclass(frozen=True, slots=True)
class Where:
    """The user asks where the running code is; the answer is a ``Stack``."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The user is asked something; the clock stands still while ``waiting``."""

    waiting: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """The host has what it wants: end everything that is left."""


# ---------------------------------------------------------------- warden → host


class Cause(enum.Enum):
    """Why a run did not end by itself."""

    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    STALLED = "stalled"
    #: The run used more than it was allowed.
    OVER_MEMORY = "over memory"
    #: The container, or the machine, had almost none left, and this run had taken the most.
    OUT_OF_MEMORY = "out of memory"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Started:
    pid: int
    #: What all its descendants carry (``wire.marks``).
    mark: int


@dataclass(frozen=True, slots=True)
class Extended:
    """The deadline was moved: the code may run for so many seconds in all."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Stack:
    """What faulthandler wrote about the running code, its end when it is long; "" when the child did not answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How many bytes the run and its descendants use now."""

    used: int


@dataclass(frozen=True, slots=True)
class EndBegun:
    """The run is being ended, for this cause (a ``Cause``'s value)."""

    cause: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The code runs no more. ``cause`` is "" when it ended by itself."""

    cause: str
    #: Seconds from the first to the last line of the code, without the time the user was asked something.
    elapsed: float
    #: As ``Popen.returncode``, when the child is dead; else None.
    returncode: int | None
    #: What faulthandler wrote when the run was ended, or died: where the code was.
    stack: str
    #: Whether the operating system killed the child, because there was no memory left.
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing of the run lives any more."""

    #: What the child itself had left running, one text each: "sleep 60 (pid 4711)".
    ended_processes: list[str]
    #: The most bytes that the run and its descendants were seen to use while the code ran.
    peak: int = 0
    #: Seconds of CPU time of the child, and of the processes that it has waited for.
    cpu: float = 0.0


Message: TypeAlias = (
    Settle
    | Preload
    | Fork
    | Hurry
    | Forked
    | Listen
    | Rehearse
    | Adopt
    | Execute
    | Call
    | Resend
    | Clock
    | InputReply
    | CommOpen
    | CommMsg
    | CommClose
    | CommTaken
    | CommHandled
    | Running
    | Stream
    | Streams
    | Flush
    | Recording
    | DisplayData
    | ClearOutput
    | ExecuteResult
    | Error
    | Payload
    | InputRequest
    | InputEnded
    | Progressed
    | Checkpoint
    | Changes
    | Start
    | Arm
    | Progress
    | Interrupt
    | Cancel
    | Extend
    | Where
    | Asking
    | Finish
    | Started
    | Extended
    | Stack
    | Usage
    | EndBegun
    | Verdict
    | Gone
)

#: What the code shows.
Output: TypeAlias = Stream | Flush | DisplayData | ClearOutput | ExecuteResult | Error | Payload

#: A text of so many characters travels beside the JSON.
_LONG = 1 << 16
_NESTED: dict[str, type] = {"state": ProcessState, "error": Error}
_TYPES: dict[str, type] = {t.__name__: t for t in get_args(Message)}


def _fields(value: Any) -> dict[str, Json]:
    return {name: getattr(value, name) for name in value.__slots__ if name != "buffers"}


def to_json(message: Message) -> tuple[dict[str, Json], Sequence[Buffer]]:
    """Split a message into its JSON part and its buffers."""
    if isinstance(message, Stream) and len(message.text) >= _LONG:  # JSON would look at every character
        content = {"name": message.name, "number": message.number}
        return {"type": "Stream", "content": content}, (message.text.encode("utf-8", "surrogatepass"),)
    content = _fields(message)
    for name in _NESTED.keys() & content.keys():
        if isinstance(content[name], _NESTED[name]):
            content[name] = _fields(content[name])
    return {"type": type(message).__name__, "content": content}, getattr(message, "buffers", ())


def from_json(data: dict[str, Json], buffers: Sequence[Buffer]) -> Message:
    """Rebuild a message. Raise ``ValueError`` for what is none: the other side is not our own program."""
    try:
        cls = _TYPES[data["type"]]
        content = dict(data["content"])
        for name in _NESTED.keys() & content.keys():
            if isinstance(content[name], dict):
                content[name] = _NESTED[name](**content[name])
        if buffers and cls is Stream:
            content["text"] = str(buffers[0], "utf-8", "surrogatepass")
        elif buffers:
            content["buffers"] = tuple(buffers)
        message: Message = cls(**content)
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a message of ipytimeout: {str(data)[:200]}") from error
    return message
