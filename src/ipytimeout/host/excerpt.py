"""How much of a flood of output is shown: its head and its tail. Pure; in the thread that waits for the run.

Law of the file: what is shown depends on the outputs alone, not on when they come. Only text is left out here. It is
held back once half of the limit is used up; what is held at the end, or when something comes that must not wait for
the end, is shown as far as there is room, its last lines first.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from ipytimeout.host.comm_messages import Said, has_place
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, Flush, Output, Payload, Stream

#: So much text is shown where nothing else is said, in bytes.
DEFAULT_LIMIT: Final = 2_000_000
#: A line counts as so many bytes at least: short ones cost a page, and the notebook's file, more than their text.
LINE: Final = 20
#: A line with less is not cut in two.
_LONG: Final = 200
#: Of a line, what comes before the last carriage return that something follows.
_OVERWRITTEN: Final = re.compile(r"^[^\n]*(?=\r[^\r\n])", re.MULTILINE)
#: Of the limit: what text that is held back may use before a display, and what is kept for the end.
_BESIDE, _AT_END = 0.002, 0.25


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Stands where outputs are missing."""

    #: Bytes of text.
    size: int = 0
    displays: int = 0

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(self.size + other.size, self.displays + other.displays)


Shown: TypeAlias = Output | Said | LeftOut


class Excerpt:
    """Outputs in, outputs out: what is to be shown now. ``limit``: bytes of text in all; may be infinite."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._begin()

    def _begin(self) -> None:
        self._left = self._limit
        self._lines = {"stdout": _Line(), "stderr": _Line()}
        #: Text that is held back, and how many characters it has.
        self._held: deque[Stream] = deque()
        self._length = 0
        self._dropped = LeftOut()

    @property
    def holds(self) -> bool:
        """Whether there is text that is not shown yet."""
        return bool(self._held)

    @property
    def not_shown(self) -> int:
        """How many bytes of text, roughly, have come and are not shown as yet."""
        return self._dropped.size + self._length

    def latest(self, lines: int, length: int) -> str:
        """Return the last lines of the text that is held."""
        parts: list[str] = []
        for piece in reversed(self._held):
            parts.append(piece.text)
            if sum(map(len, parts)) > length:
                break
        return "\n".join(without_overwritten("".join(reversed(parts))[-length:]).rstrip("\n").split("\n")[-lines:])

    def take(self, message: Output | Said) -> list[Shown]:
        """Take the next output; return what is to be shown."""
        match message:
            case Stream():
                return self._take_text(message)
            case ClearOutput():
                self._begin()  # a page that is cleared has room again
                return [message]
            case DisplayData(update=True) | Payload() | Flush():
                return [message]
            case CommOpen() | CommMsg() | CommClose() | CommHandled() if not has_place(message):
                return [message]
            case DisplayData() | CommMsg():
                return [*self._release(min(self._limit * _BESIDE, self._left - self._limit * _AT_END)), message]
            case _:
                return [*self.end(), message]

    def end(self) -> list[Shown]:
        """Return what is still to be shown at the end."""
        return self._release(max(self._left, self._limit * _BESIDE))

    def _take_text(self, message: Stream) -> list[Shown]:
        room = self._left - self._limit / 2
        line = self._lines[message.name]
        if self._limit == float("inf") or (not self._held and line.cost(message.text) <= room):
            self._left -= line.write(message.text)
            return [message]
        if self._held or room <= 0:
            self._hold(message)
            return []
        head = first_part(message.text, int(room))
        self._left -= line.write(head)
        self._hold(Stream(message.name, message.text[len(head) :]))
        return [Stream(message.name, head)] if head else []

    def _hold(self, message: Stream) -> None:
        self._held.append(message)
        self._length += len(message.text)
        most = int(self._limit / 2)
        if self._length <= 2 * most:
            return
        self._merge()
        while self._length > most:
            first = self._held.popleft()
            too_many = self._length - most
            if too_many < len(first.text):
                self._held.appendleft(Stream(first.name, first.text[too_many:]))
            gone = first.text[:too_many]
            self._length -= len(gone)
            self._dropped += LeftOut(size_of(gone))

    def _merge(self) -> None:
        """Make neighbours of one stream one piece, without what they overwrite themselves."""
        merged: list[tuple[str, list[str]]] = []
        for piece in self._held:
            if not merged or merged[-1][0] != piece.name:
                merged.append((piece.name, []))
            merged[-1][1].append(piece.text)
        self._held = deque(Stream(name, without_overwritten("".join(texts))) for name, texts in merged)
        self._length = sum(len(piece.text) for piece in self._held)

    def _release(self, room: float) -> list[Shown]:
        """Return the end of what is held, as much as there is room for, and before it what is left out."""
        kept: deque[Shown] = deque()
        missing, self._dropped = self._dropped, LeftOut()
        while self._held:
            piece = self._held.pop()
            line = _Line()
            cost = line.cost(piece.text)
            if cost > room:
                text = last_part(piece.text, int(room))
                missing += LeftOut(size_of(piece.text[: len(piece.text) - len(text)]))
                if text:
                    kept.appendleft(Stream(piece.name, text))
                    self._left -= line.cost(text)
                room = 0
            else:
                kept.appendleft(piece)
                self._left -= cost
                room -= cost
        self._length = 0
        if missing.size:
            kept.appendleft(missing)
        return list(kept)


class _Line:
    """What a stream costs. What a carriage return makes it overwrite does not count."""

    def __init__(self) -> None:
        self._at = self._widest = 0  # in the line that has no end yet
        self._seen: tuple[str | None, tuple[int, int, int]] = None, (0, 0, 0)

    def cost(self, text: str) -> int:
        self._seen = text, self._look(text)
        return self._seen[1][0]

    def write(self, text: str) -> int:
        cost, self._at, self._widest = self._seen[1] if self._seen[0] is text else self._look(text)
        self._seen = None, (0, 0, 0)
        return cost

    def _look(self, text: str) -> tuple[int, int, int]:
        if "\r" not in text:
            return self._look_at_lines(text)
        text = text.replace("\r\n", "\n")  # as a terminal ends its lines, of which a command may write millions
        begin = text.rfind("\n", 0, text.find("\r")) + 1 if "\r" in text else len(text)
        cost, at, widest = self._look_at_lines(text[:begin]) if begin else (0, self._at, self._widest)
        for number, line in enumerate(text[begin:].split("\n")):
            if number:
                cost += LINE
                at = widest = 0
            first, *others = line.removesuffix("\r").split("\r")
            at += size_of(first)
            wide = max(widest, at, *map(size_of, others))
            if line.endswith("\r"):
                at = 0
            elif others:
                at = size_of(others[-1])
            cost, widest = cost + wide - widest, wide
        return cost, at, widest

    def _look_at_lines(self, text: str) -> tuple[int, int, int]:
        """The same for a text in which nothing is overwritten."""
        newlines = text.count("\n")
        size = size_of(text)
        last = size_of(text[text.rfind("\n") + 1 :]) if newlines else self._at + size
        # A line of a progress bar may be overwritten by text without a carriage return of its own.
        return max(size, LINE * newlines), last, last if newlines else max(self._widest, last)


def size_of(text: str) -> int:
    """Return how many bytes a text has."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def first_part(text: str, room: int) -> str:
    """Return the beginning of a text that costs no more than ``room``: whole lines, if there is one."""
    part, lines = text[: max(0, room)], max(0, room) // LINE
    if part.count("\n") > lines:
        part = "\n".join((*part.split("\n", lines)[:-1], ""))
    while part and size_of(part) > room:
        part = part[: len(part) // 2]
    return part[: part.rfind("\n") + 1] or (part if len(part) > _LONG else "")


def last_part(text: str, room: int) -> str:
    """Return the end of a text that costs no more than ``room``: whole lines, if there is one."""
    part, lines = text[-room:] if room > 0 else "", max(0, room) // LINE
    if part.count("\n") > lines:
        part = "\n".join(part.rsplit("\n", lines)[1:])
    while part and size_of(part) > room:
        part = part[len(part) - len(part) // 2 :]
    return part[part.find("\n", 0, -1) + 1 :] if "\n" in part[:-1] or len(part) > _LONG else ""


def without_overwritten(text: str) -> str:
    """Return a text without what its own carriage returns overwrite."""
    returns = text.count("\r")
    if not returns or returns == text.count("\r\n") + text.endswith("\r"):
        return text
    return _OVERWRITTEN.sub("", text)
