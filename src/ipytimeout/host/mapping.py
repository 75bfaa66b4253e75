"""Call a function for each of many items, some at once, each in a process of its own. In the caller's thread.

Law of the file: bounded. No more than ``workers`` children live, and no more items are read than can be waited for.
"""

from __future__ import annotations

import contextlib
import enum
import queue
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from math import inf
from typing import Any

from ipytimeout.host import process_state
from ipytimeout.host.commit import interrupts_held
from ipytimeout.host.handle import Handle
from ipytimeout.host.job import Job
from ipytimeout.host.launch.launcher import get_launcher
from ipytimeout.host.shell import cell_numbers, current_shell
from ipytimeout.host.view.live import SilentView, listening, view_of_call
from ipytimeout.host.view.run_state import RunState
from ipytimeout.options import RunOptions
from ipytimeout.outcomes import Ending
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.warden import Cancel

#: For each worker, so many results may wait for a slower one in front of them.
_AHEAD = 4
#: An interrupt is heard at least so often, in seconds, while clicks are.
_SLICE = 0.1


class Fate(enum.Enum):
    """What became of an item."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"


class Tally:
    """How a map is going. Written in the thread that waits for it, cancelled from any."""

    def __init__(self, total: int | None) -> None:
        """``total``: how many items there are; None where nobody knows."""
        self._total = total
        self._counts = dict.fromkeys(Fate, 0)
        self._running: set[Job[Any]] = set()
        self.cancelled = False
        #: For the view of a run, which shows this too.
        self.state = RunState(inf)
        self.state.runs()
        self._say()

    @property
    def words(self) -> str:
        """In words: "12 done, 1 failed, 2 timed out, 85 left"."""
        parts = [f"{count} {fate.value}" for fate, count in self._counts.items() if count or fate is Fate.DONE]
        if self._total is not None:
            parts.append(f"{max(0, self._total - sum(self._counts.values()))} left")
        elif self._running:
            parts.append(f"{len(self._running)} running")
        return ", ".join(parts)

    @property
    def running(self) -> int:
        return len(self._running)

    def begins(self, job: Job[Any]) -> None:
        self._running.add(job)
        self._say()
        if self.cancelled:
            job.cancel()

    def ends(self, job: Job[Any]) -> None:
        self._running.discard(job)
        outcome = job._handle.outcome
        if outcome is not None and outcome.ending is Ending.TIMED_OUT:
            fate = Fate.TIMED_OUT
        else:
            fate = Fate.FAILED if job.cancelled() or job.exception() is not None else Fate.DONE
        self._counts[fate] += 1
        self._say()

    def waits_for(self, job: Job[Any]) -> bool:
        return job in self._running

    def cancel(self) -> None:
        """Begin nothing more, and end what runs."""
        self.cancelled = True
        self.end()

    def end(self) -> None:
        for job in list(self._running):
            job.cancel()

    def wish(self, message: Message) -> None:
        """Do what the user has clicked on."""
        if isinstance(message, Cancel):
            self.cancel()

    def _say(self) -> None:
        fraction = sum(self._counts.values()) / self._total if self._total else None
        self.state.has_progressed(fraction, self.words)


class _Bell:
    """Ends of jobs, as a descriptor that can be waited for together with clicks."""

    def __init__(self) -> None:
        self._ended: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def ring(self, job: Future[Any]) -> None:
        """Called in the thread of the run."""
        assert isinstance(job, Job)
        self._ended.put(job)
        with contextlib.suppress(OSError):  # full is as good, closed means that nobody waits
            self._write.send(b".")

    def close(self) -> None:
        self._read.close()
        self._write.close()

    def wait(self, view: SilentView, kernel: Any) -> Job[Any]:
        """Wait for the next end, with the view drawn and its clicks heard meanwhile."""
        while self._ended.empty():
            # Where clicks are let in an interrupt raises nothing: it does between two slices.
            with interrupts_held(), listening(view, kernel):
                until = min(view.due(), time.monotonic() + _SLICE)
                if view.waiter is not None:
                    view.waiter.wait({self._read.fileno(): select.POLLIN}, until)
                else:
                    select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            with contextlib.suppress(BlockingIOError):
                self._read.recv(1 << 12)
            if time.monotonic() >= view.due():
                view.draw()
        return self._ended.get()


def count_of(items: Iterable[Any]) -> int | None:
    """Return how many items there are; None where that is not known without reading them."""
    try:
        return len(items)  # type: ignore[arg-type]  # which may have no length
    except TypeError:
        return None


def run_all(
    submit: Callable[[Any], Job[Any]],
    items: Iterable[Any],
    workers: int,
    *,
    ordered: bool,
    options: RunOptions,
) -> Iterator[Job[Any]]:
    """Yield an ended job for each item: in the order of the items, or as they end. Left early, it ends the rest.

    After a click on Cancel nothing more is begun, and what runs is ended.
    """
    tally = Tally(count_of(items))
    waiting: deque[Job[Any]] = deque()  # in order: those that run, and those that have ended behind them
    source, more = iter(items), True
    shell = current_shell()
    bell = _Bell()
    with (
        contextlib.closing(bell),
        get_launcher(options.start).ahead(workers, process_state.rehearsal()),
        view_of_call(shell, cell_numbers(shell), quiet=options.quiet, has_stack=False) as view,
    ):
        view.attach(tally.state, tally.wish)
        try:
            while True:
                while more and not tally.cancelled and tally.running < workers and len(waiting) < workers * _AHEAD:
                    try:
                        item = next(source)
                    except StopIteration:
                        more = False
                        break
                    job = _begun(submit, item)
                    waiting.append(job)
                    tally.begins(job)
                    job.add_done_callback(bell.ring)
                if not waiting:
                    return
                if ordered and not tally.waits_for(waiting[0]):
                    yield waiting.popleft()
                    continue
                job = bell.wait(view, getattr(shell, "kernel", None))
                tally.ends(job)
                if not ordered:
                    waiting.remove(job)
                    yield job
        finally:
            tally.end()


def _begun(submit: Callable[[Any], Job[Any]], item: Any) -> Job[Any]:
    """Begin with an item; one that cannot even be sent has failed, and costs only itself."""
    try:
        return submit(item)
    except Exception as error:
        failed: Job[Any] = Job("an item", Handle(inf))
        failed.set_exception(error)
        return failed
