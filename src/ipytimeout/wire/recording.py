"""Text that has not left its process yet, in shared memory: it is there when the process is not any more. Pure.

The child writes entries, the host reads them when the child is gone. An entry has a number, as the same text has when
it comes through the channel: what came already is not read a second time.

Law of the file: memory is never half-written. An entry, and the end mark behind it, are one assignment.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence

from ipytimeout.wire.messages import Buffer
from ipytimeout.wire.messages.outputs import Stream

#: So much is kept, in bytes.
SIZE = 1 << 20
_HEAD = struct.Struct("<QBI")  # number, stream, length of the text in bytes
_NAMES = ("", "stdout", "stderr")
_KINDS = {name: kind for kind, name in enumerate(_NAMES)}
#: Added to the kind of stream: this is a text and the end of its line, two texts as ``print`` writes them, in one.
_PRINTED = 4
_HEAD_SIZE = 13  # a number and no call: see ``Recorder.note``
_END = bytes(_HEAD_SIZE)


class Recorder:
    """The writing end. Safe against signal handlers that raise, and good enough for several threads."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._used = 0

    def note(self, texts: Sequence[tuple[str, str, int]]) -> bool:
        """Keep texts, each with its stream and its number, until ``forget``; tell whether there was room for them."""
        if _are_printed(texts):
            (_, text, _), (name, _, number) = texts
            data = (text + "\n").encode("utf-8", "surrogatepass")
            marked = _HEAD.pack(number, _KINDS[name] + _PRINTED, len(data)) + data + _END
        else:
            parts = []
            for name, text, number in texts:
                data = text.encode("utf-8", "surrogatepass")
                parts += [_HEAD.pack(number, _KINDS[name], len(data)), data]
            marked = b"".join((*parts, _END))
        size = len(marked) - _HEAD_SIZE
        # Nothing is called from here on: no other thread comes in between, and no signal handler.
        end = self._used + size
        if end > SIZE - _HEAD_SIZE:
            return False
        self._memory[self._used : end + _HEAD_SIZE] = marked
        self._used = end
        return True

    def forget(self, waiting: object) -> None:
        """Forget everything, if nothing waits."""
        if not waiting:
            self._used = 0
            self._memory[:_HEAD_SIZE] = _END


def recorded(memory: Buffer, after: int) -> Iterator[Stream]:
    """Return the texts with a number above ``after``."""
    view, at = memoryview(memory).cast("B"), 0
    while at + _HEAD_SIZE <= view.nbytes:
        number, kind, length = _HEAD.unpack_from(view, at)
        at += _HEAD_SIZE
        printed, kind = divmod(kind, _PRINTED)
        if kind not in (1, 2) or printed > 1 or at + length > view.nbytes:
            return
        if number > after:
            text = bytes(view[at : at + length]).decode("utf-8", "surrogatepass")
            # The text may have come already, and the end of its line not.
            yield Stream(_NAMES[kind], text[-1:] if printed and number - 1 == after else text, number)
        at += length


def _are_printed(texts: Sequence[tuple[str, str, int]]) -> bool:
    """Tell whether these are what ``print`` writes: a text, and right after it the end of its line."""
    if len(texts) != 2:
        return False
    (first, _, number), (second, end, next_number) = texts
    return end == "\n" and first == second and next_number == number + 1
