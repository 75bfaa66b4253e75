"""How fast output may go to a page. Pure, told the time; in the threads that wait for runs.

The Jupyter server drops what a kernel sends beyond 1 MB/s of streams or 1,000 messages/s, averaged over 3 s: displays
and errors too. (``iopub_data_rate_limit``, ``iopub_msg_rate_limit`` and ``rate_limit_window`` of ``jupyter_server``,
which counts anew when the kernel is idle.) And a page that gets that much answers to nothing else.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Final


@dataclass(frozen=True, slots=True)
class Rate:
    """So much in any time of so many seconds."""

    size: int
    messages: int
    seconds: float


#: While the code runs: what leaves a page time for its user.
LIVE: Final = Rate(size=300_000, messages=120, seconds=0.6)
#: So many messages of a run may go out before that holds: the page shows them as it would natively.
BURST: Final = 600
#: When the code has ended, all that waits is shown at once, as far as the server lets it through.
SERVER: Final = Rate(size=2_700_000, messages=2_700, seconds=3.0)


class Window:
    """What was sent in the last seconds."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._sent: deque[tuple[float, int, int]] = deque()
        self._size = self._messages = 0

    def room(self, now: float) -> tuple[int, int]:
        """Return how many bytes of text and how many messages may be sent now."""
        while self._sent and self._sent[0][0] <= now - self._rate.seconds:
            _, size, messages = self._sent.popleft()
            self._size -= size
            self._messages -= messages
        return self._rate.size - self._size, self._rate.messages - self._messages

    def spend(self, now: float, size: int, messages: int) -> None:
        if self._sent and self._sent[-1][0] == now:
            _, size_before, messages_before = self._sent.pop()
            self._sent.append((now, size_before + size, messages_before + messages))
        else:
            self._sent.append((now, size, messages))
        self._size += size
        self._messages += messages

    def opens(self) -> float:
        """Return the moment at which there is more room than now; infinite when there can be none."""
        return self._sent[0][0] + self._rate.seconds if self._sent else inf


class Together:
    """The runs that send to one page at the same time, in the cell and in the background."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.paces: weakref.WeakSet[Pace] = weakref.WeakSet()


class Pace:
    """What may be sent now: while the code runs (``live``), and when it has ended. What others send counts too."""

    def __init__(self, together: Together | None = None) -> None:
        self._live, self._server = Window(LIVE), Window(SERVER)
        self._burst = BURST
        self._together = together if together is not None else Together()
        with self._together.lock:
            self._together.paces.add(self)

    def room(self, now: float, *, live: bool) -> tuple[int, int]:
        """Return how many bytes of text and how many messages may be sent now."""
        with self._together.lock:
            size, messages = self._server.room(now)
            if live:
                size_now, messages_now = self._live.room(now)
                return min(size, size_now), min(messages, max(messages_now, self._burst))
            return size, messages

    def spend(self, now: float, size: int, messages: int) -> None:
        with self._together.lock:
            self._burst -= messages
            for each in self._together.paces:
                each._live.spend(now, size, messages)
                each._server.spend(now, size, messages)

    def opens(self, *, live: bool) -> float:
        """Return a moment at which it is worth to look again."""
        with self._together.lock:
            return self._live.opens() if live else self._server.opens()


def sent_size(text: str) -> int:
    """Return how many bytes a text has in a message."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))
