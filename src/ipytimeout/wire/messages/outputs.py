"""What the code shows, as the child tells the host. Pure data.

The messages have the names and the fields of the Jupyter messaging protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeAlias

from ipytimeout.wire.messages import Json


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


#: What can stand in the output of a cell.
Output: TypeAlias = Stream | Flush | DisplayData | ClearOutput | ExecuteResult | Error | Payload
