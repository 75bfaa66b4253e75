"""Outputs that wait to be shown, in order. Pure; in the thread that waits for the run.

Law of the file: nothing overtakes anything, but text of one stream that of the other where as many wait as
``joins_after`` says: a kernel gathers the texts of each, too, before it sends them. What nobody could have seen is
dropped in silence: an update that a newer one of the same display replaces, what a ``clear_output`` would clear. What
is left out has something in its place. A message of a comm is never left out.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from ipytimeout.host.comm_messages import goes_on, is_values, together, weight
from ipytimeout.host.excerpt import LeftOut, Shown, size_of, without_overwritten
from ipytimeout.wire.messages.comms import CommClose, CommHandled, CommMsg, CommOpen
from ipytimeout.wire.messages.outputs import ClearOutput, DisplayData, Error, ExecuteResult, Flush, Stream

#: So many outputs wait at most, and displays of so many bytes.
MOST: Final = 2500
MOST_BYTES: Final = 64 << 20
#: Texts that wait side by side become one, up to so many characters.
_MERGED = 1 << 16
#: So far back an update is looked for that a newer one replaces.
_LOOK_BACK = 50
#: Where more than this waits, what the code has flushed is gathered as any text.
_FLUSHED = 50


class Backlog:
    """Outputs in, the same outputs out, later."""

    def __init__(self, joins_after: float = inf) -> None:
        self._joins_after = joins_after
        self._waiting: deque[Shown] = deque()
        self._bytes = 0
        #: How many wait that are no text.
        self._others = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> Shown:
        """What waits longest."""
        return self._waiting[0]

    @property
    def is_too_long(self) -> bool:
        return self._others > MOST or self._bytes > MOST_BYTES

    @property
    def missing(self) -> LeftOut:
        """What was left out before the first that waits."""
        first = self._waiting[0] if self._waiting else None
        return first if isinstance(first, LeftOut) else LeftOut()

    def put(self, output: Shown) -> None:
        """Add what comes next."""
        last = self._waiting[-1] if self._waiting else None
        match output:
            case ClearOutput():
                self._forget_cleared()
            case DisplayData(update=True):
                self._forget_overtaken(output)
            case CommMsg() if goes_on(last, output):
                self._pop()
                return
            case CommMsg() if is_values(output):
                output = self._with_overtaken_values(output)
            case Flush() if last == output or len(self._waiting) > _FLUSHED:
                return  # nothing more to be shown now, or far too much
            case Stream() if isinstance(last, Stream):
                output = self._joined(last, output)
            case LeftOut() if isinstance(last, LeftOut):
                output += last
                self._pop()
        self._waiting.append(output)
        self._count(output, 1)

    def _joined(self, last: Stream, text: Stream) -> Stream:
        """Join a text with one that waits; return what is the last one then."""
        if _fit(last, text):
            self._pop()
            return _join(last, text)
        before = self._waiting[-2] if len(self._waiting) > max(1, self._joins_after) else None
        if last.name == text.name or not isinstance(before, Stream) or not _fit(before, text):
            return text
        self._waiting[-2] = _join(before, text)
        return self._pop_text()

    def put_back(self, output: Shown) -> None:
        """Have it be the first again."""
        self._waiting.appendleft(output)
        self._count(output, 1)

    def take(self) -> Shown:
        """Return the first, which waits no more."""
        output = self._waiting.popleft()
        self._count(output, -1)
        return output

    def leave_out(self, down_to: int = -1) -> list[Shown]:
        """Leave out what waits longest, until no more than so many wait that are no text; without a number, all.

        Return what must not be missing, to be shown now.
        """
        missing, kept = LeftOut(), list[Shown]()
        while self._waiting and (self._others > down_to or self._bytes > MOST_BYTES):
            match output := self.take():
                case LeftOut():
                    missing += output
                case Stream():
                    missing += LeftOut(size=size_of(output.text))
                case DisplayData(update=False):
                    missing += LeftOut(displays=1)
                case Flush():
                    pass
                case _:
                    kept.append(output)
        if missing != LeftOut():
            self.put_back(missing)
        return kept

    def _pop_text(self) -> Stream:
        text = self._pop()
        assert isinstance(text, Stream)
        return text

    def _pop(self) -> Shown:
        output = self._waiting.pop()
        self._count(output, -1)
        return output

    def _count(self, output: Shown, sign: int) -> None:
        if not isinstance(output, Stream | Flush | LeftOut):
            self._others += sign
        self._bytes += sign * _weight(output)

    def _forget_cleared(self) -> None:
        """Drop what would be cleared before anybody has seen it; but nothing before what is no output."""
        kept: deque[Shown] = deque()
        while self._waiting:
            match self._waiting[-1]:
                case Stream() | Flush() | ExecuteResult() | Error() | ClearOutput() | LeftOut():
                    self._pop()
                case DisplayData(update=False):
                    self._pop()
                case DisplayData():
                    kept.appendleft(self._pop())
                case _:
                    break
        for output in kept:
            self._waiting.append(output)
            self._count(output, 1)

    def _with_overtaken_values(self, newer: CommMsg) -> CommMsg:
        """Take along what has not been said yet of the same widget."""
        for back in range(1, min(len(self._waiting), _LOOK_BACK) + 1):
            match self._waiting[-back]:
                case CommMsg(comm_id) as older if comm_id == newer.comm_id:
                    if older.request != newer.request or not is_values(older):
                        return newer
                    self._count(older, -1)
                    del self._waiting[-back]
                    return together(older, newer)
                case CommOpen() | CommClose():
                    return newer
        return newer

    def _forget_overtaken(self, update: DisplayData) -> None:
        for back in range(1, min(len(self._waiting), _LOOK_BACK) + 1):
            match self._waiting[-back]:
                case DisplayData(update=True, transient=transient) as older if transient == update.transient:
                    self._count(older, -1)
                    del self._waiting[-back]
                    return
                case DisplayData() | Stream() | Flush():
                    continue
                case _:
                    return


def _fit(first: Stream, second: Stream) -> bool:
    """Tell whether two texts may become one."""
    return first.name == second.name and len(first.text) < _MERGED


def _join(first: Stream, second: Stream) -> Stream:
    return Stream(first.name, without_overwritten(first.text + second.text))


def _weight(output: Shown) -> int:
    """Return how many bytes of it wait; texts are limited already."""
    match output:
        case CommOpen() | CommMsg() | CommClose() | CommHandled():
            return weight(output)
        case DisplayData(data):
            return sum(len(value) if isinstance(value, str) else 100 for value in data.values())
        case _:
            return 0
