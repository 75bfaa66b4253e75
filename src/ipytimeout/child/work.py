"""One piece of the user's work: what is set up before the code runs, and the report of what it did.

Runs in the child, in its main thread. Law of the file: nothing here runs while the code does, so its cost can be
paid ahead of time, by the same steps on a job that does nothing.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ipytimeout.child.changes import MISSING, Collected, Watch, collect_call
from ipytimeout.child.channel import Channel
from ipytimeout.child.checkpoints import Checkpoints
from ipytimeout.child.errors import text_of
from ipytimeout.child.inside import CodeClock, Inside
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.child.progress import Reporter
from ipytimeout.child.run import Ended
from ipytimeout.child.streams import silenced
from ipytimeout.wire.adapters import Adapters, Items, difference
from ipytimeout.wire.adapters.packing import as_names, unpack
from ipytimeout.wire.messages import Buffer, Call, Changes, Execute, ProcessState, Resend
from ipytimeout.wire.pickling import EXCEPTION, FAULTS, RESULT, Loaded, load_namespace
from ipytimeout.wire.state import apply_state, read_state

if TYPE_CHECKING:
    from ipytimeout.child.shell import ChildShell


class Work:
    """A job whose names are in place."""

    def __init__(
        self,
        job: Execute | Call,
        channel: Channel,
        shell: ChildShell | None,
        interrupts: Interrupts,
        adapters: Adapters,
    ) -> None:
        """Set it up.

        Raises:
            CannotRebuild: The names, or what the job refers to beside them.
        """
        self.job = job
        self._shell = shell
        self._interrupts = interrupts
        self._adapters = adapters
        self._namespace = sys.modules["__main__"].__dict__
        apply_state(job.state)
        self._learn_sources()
        with silenced(channel):  # importing the user's modules prints what it printed long ago
            self.loaded: Loaded = load_namespace(job.buffers, self._namespace)
            self._namespace.update(self.loaded.values)
            if shell is not None and isinstance(job, Execute):
                shell.refused = job.refused
                shell.adopt_history(self.loaded.values, job.execution_count)
            #: What could not be set here as the host has it, each with its reason.
            self._unset = adapters.write(difference(adapters.read(), unpack(self.loaded.extra)))
        self._learn_assigned()
        self._watch = None
        if isinstance(job, Execute):
            self._watch = Watch(self._namespace, self.loaded.table, self.loaded.values)
        self._state: ProcessState = read_state()
        self._items: Items = adapters.read()
        self._modules = frozenset(sys.modules)
        self.clock, self.reporter = CodeClock(channel, job.timeout), Reporter(channel)
        checkpoints = None
        if not job.discard:
            keep = job.keep if isinstance(job, Execute) else None
            checkpoints = Checkpoints(channel, interrupts, self.loaded.table, self._watch, keep)
        #: What the functions for code inside a run are to work with.
        self.inside = Inside(self.clock, self.reporter, checkpoints)

    def report(self, ended: Ended, resend: Resend) -> Changes:
        """Say how the code ended and what it changed. To be called in the code's context."""
        collected = self._collect(ended, resend)
        after = read_state()
        return Changes(
            success=ended.exception is None,
            error=ended.error,
            deadline_interrupt=ended.deadline_interrupt,
            interrupted=ended.interrupted,
            left_behind={**ended.still_running, **collected.left_behind, **self._unset},
            state=None if after == self._state else after,
            modules=[name for name in list(sys.modules) if name not in self._modules],
            sources=self._shell.compile.made_sources() if self._shell is not None else {},
            frames=ended.frames,
            buffers=collected.buffers,
        )

    def _collect(self, ended: Ended, resend: Resend) -> Collected:
        """Pickle what the code has changed, where it is wanted."""
        job = self.job
        if job.discard:
            return Collected([], {})
        if self._interrupts.deadline_came and not (isinstance(job, Execute) and job.partial):
            return Collected([], {})  # the run is timed out, however the code took it
        result = ended.value if ended.has_value else MISSING
        try:
            if self._watch is None or isinstance(job, Call):
                return self._collect_call(result, ended.exception, resend)
            assert self._shell is not None
            self._learn_assigned()
            return self._watch.collect(
                keep=job.keep,
                hidden=self._shell.bookkeeping(),
                result=result,
                exception=ended.exception,
                without=resend.without,
                only=resend.only,
                settings=as_names(difference(self._items, self._adapters.read())),
            )
        except FAULTS as error:  # a reducer of the user's, or a fault of ours: never silent
            return Collected([], {"everything": f"{type(error).__name__}: {text_of(error)}"})

    def _collect_call(self, result: object, exception: BaseException | None, resend: Resend) -> Collected:
        """Pickle what a function leaves, but for what the host could not rebuild."""
        without = resend.without
        collected = collect_call(
            self.loaded.table,
            MISSING if RESULT in without else result,
            None if EXCEPTION in without else exception,
        )
        if RESULT in without:
            collected.left_behind["the result"] = without[RESULT]
        return collected

    def _learn_sources(self) -> None:
        """Know the text of earlier cells, for tracebacks and ``inspect``."""
        sources = self.job.sources
        for name, (text, _) in sources.items():
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        if self._shell is not None:
            self._shell.compile.number({name: number for name, (_, number) in sources.items()})

    def _learn_assigned(self) -> None:
        """Know which attributes of modules the cell assigns."""
        if isinstance(self.job, Execute) and self._shell is not None:
            self._adapters.learn(self.job.code, self._shell.transform_cell, self._namespace)


def nothing(buffers: Sequence[Buffer], *, cell: bool) -> Execute | Call:
    """Return a job that does nothing; ``buffers``: an empty namespace, dumped."""
    state = read_state()
    if not cell:
        return Call(state, {}, {}, False, buffers)
    return Execute(
        code="None",
        statement=False,
        execution_count=0,
        filename="<rehearsal>",
        state=state,
        sources={},
        refused={},
        discard=False,
        keep=None,
        partial=False,
        buffers=buffers,
    )
