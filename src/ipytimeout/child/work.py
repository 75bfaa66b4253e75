"""One piece of the user's work: what is set up before the code runs, and the report of what it did.

Runs in the child, in its main thread. Law of the file: nothing here runs while the code does, so its cost can be
paid ahead of time, by the same steps on a job that does nothing.
"""

from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ipytimeout.child.changes import MISSING, Collected, Watch, collect_call
from ipytimeout.child.channel import Channel
from ipytimeout.child.checkpoints import Checkpoints
from ipytimeout.child.errors import text_of
from ipytimeout.child.inside import CodeClock, Inside
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.child.progress import Reporter
from ipytimeout.child.run import Ended
from ipytimeout.child.stays import set_in_process
from ipytimeout.child.streams import silenced
from ipytimeout.wire.adapters import Adapters, Items, difference
from ipytimeout.wire.adapters.packing import PLAIN, as_names, beside_plain, unpack
from ipytimeout.wire.adapters.process import lift_limits
from ipytimeout.wire.cell_text import CellText
from ipytimeout.wire.libraries import Mark, newer_than, newest_module, users_modules
from ipytimeout.wire.messages import ProcessState
from ipytimeout.wire.messages.from_child import Changes
from ipytimeout.wire.messages.to_child import Call, Execute, Rehearse, Resend
from ipytimeout.wire.pickling import EXCEPTION, FAULTS, RESULT, Loaded, load_namespace
from ipytimeout.wire.state import apply_state, read_state
from ipytimeout.wire.survey import Inherited

if TYPE_CHECKING:
    from ipytimeout.child.shell import ChildShell


@dataclass(frozen=True, slots=True)
class Known:
    """What this process is like, as a rehearsal has left it: nothing has run here since."""

    state: ProcessState
    #: The items of the adapters, as they came from the host and as they are here.
    plain: bytes
    items: Items
    #: What could not be set, each with its reason.
    unset: dict[str, str]
    #: How many modules were imported.
    modules: int


#: What a module has before anybody has put anything into it.
_OF_EVERY_MODULE = frozenset({*vars(types.ModuleType("")), "__builtins__"})


#: What a shell uses itself.
_OF_SHELLS = frozenset({"IPython", "pygments", "traitlets", "cloudpickle", "ipytimeout"})


class HostModules:
    """What the host has imported, of which the child has more: a template's first uses import some, say."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._packages: frozenset[str] = frozenset()
        #: What was here when it was noted last: as a mark, in full, and of it what the host has not.
        self._mark: Mark = (0, "")
        self._before: tuple[frozenset[str], ...] = ()
        self._more: list[str] = []

    def update(self, names: Collection[str]) -> None:
        self._names.update(names)
        self._packages = frozenset(name.partition(".")[0] for name in self._names)
        self._packages -= _OF_SHELLS | sys.stdlib_module_names
        self._mark = (0, "")

    def note(self) -> None:
        """Note what is here, before the code runs. A forked process looks only at what it has itself imported."""
        mark, new = newest_module(), newer_than(self._mark)
        if new is None:
            self._before, self._more, new = (), [], list(sys.modules)
        if new:
            self._before = (*self._before, frozenset(new))
            more = [name for name in new if name not in self._names]
            self._more = [*self._more, *(name for name in more if name.partition(".")[0] in self._packages)]
        self._mark = mark

    def imported_since(self) -> list[str]:
        """Return the modules that the code has imported, and those of libraries that were ready here, but not there."""
        new = newer_than(self._mark)
        if new is None:  # the code has taken some out
            new = [name for name in list(sys.modules) if not any(name in before for before in self._before)]
        return [*self._more, *new]


class Work:
    """A job whose names are in place."""

    def __init__(
        self,
        job: Execute | Call,
        channel: Channel,
        shell: ChildShell | None,
        interrupts: Interrupts,
        adapters: Adapters,
        of_host: HostModules,
        known: Known | None = None,
        inherited: Inherited | None = None,
    ) -> None:
        """Set it up, and the sooner the more is ``known`` of this process. ``inherited``: in a copy of the host.

        Raises:
            CannotRebuild: The names, or what the job refers to beside them.
        """
        self.job = job
        self._text = (
            CellText(job.code, shell.transform_cell) if shell is not None and isinstance(job, Execute) else None
        )
        self._shell = shell
        self._interrupts = interrupts
        self._adapters = adapters
        self._of_host = of_host
        self.namespace = inherited.namespace if inherited is not None else vars(sys.modules["__main__"])
        state = known.state if known is not None else read_state()
        if state != job.state:
            apply_state(job.state, state)
            # Where only random generators have moved on, all else is as it was.
            same = replace(state, generators=job.state.generators) == job.state
            known = replace(known, state=job.state) if known is not None and same else None
        self._learn_sources()
        with silenced(channel):  # importing the user's modules prints what it printed long ago
            if inherited is not None:
                modules = frozenset(users_modules())
                self.loaded = Loaded(dict(self.namespace), inherited.extra, inherited.survey.table, modules)
            else:
                self.loaded = load_namespace(job.buffers, self.namespace)
                self.namespace.update(self.loaded.values)
            if shell is not None and isinstance(job, Execute):
                shell.refused = job.refused
                shell.adopt_history(self.loaded.values, job.execution_count, job.inputs)
            if known is not None and known.plain != self._plain:
                known = None  # other settings
            if known is not None and known.modules != len(sys.modules):  # one of the user's may have set anything
                items = adapters.read()
                same = read_state() == known.state and difference(known.items, items) == ({}, [])
                known = replace(known, items=items) if same else None
            #: What could not be set here as the host has it, each with its reason.
            self._unset = {} if known is None else known.unset
            # Objects of the notebook, handlers of loggers above all, cannot be known.
            rest = None if known is None else beside_plain(self.loaded.extra)
            if rest is None or rest:
                wanted = unpack(self.loaded.extra)
                wanted = wanted if rest is None else {name: wanted[name] for name in rest}
                self._unset = {**self._unset, **adapters.write(difference(adapters.read(rest), wanted))}
        if self._learn_assigned():
            known = rest = None
        self._watch = None
        if isinstance(job, Execute) or job.commit:
            closed, unseen = (inherited.survey.closed, inherited.survey.unseen) if inherited is not None else ({}, {})
            self._watch = Watch(
                self.namespace, self.loaded.table, self.loaded.values, self.loaded.modules, closed, unseen
            )
        self._state: ProcessState = known.state if known is not None else read_state()
        self._items: Items = {**(known.items if known is not None else {}), **adapters.read(rest)}
        #: What the code has set beside names, once it has ended.
        self._settings: tuple[dict[str, Any], list[str]] | None = None
        of_host.note()
        self.clock, self.reporter = CodeClock(channel, job.timeout), Reporter(channel)
        checkpoints = None
        if not job.discard:
            checkpoints = Checkpoints(channel, interrupts, self.loaded.table, self._watch, job.keep)
        #: What the functions for code inside a run are to work with.
        self.inside = Inside(self.clock, self.reporter, checkpoints)

    @property
    def _plain(self) -> Any:
        return self.loaded.extra.get(PLAIN)

    def known(self) -> Known | None:
        """Say what this process is like now, where that is what the job asked for."""
        items, state, plain = self._adapters.read(), read_state(), self._plain
        if plain is None or beside_plain(self.loaded.extra) or state != self.job.state:
            return None
        if difference(self._items, items) != ({}, []):
            return None
        return Known(state, plain, items, self._unset, len(sys.modules))

    def report(self, ended: Ended, resend: Resend) -> Changes:
        """Say how the code ended and what it changed. To be called in the code's context."""
        modules = self._of_host.imported_since()  # before pickling imports some
        collected = self._collect(ended, resend)
        after = read_state()
        return Changes(
            success=ended.exception is None,
            error=ended.error,
            deadline_interrupt=ended.deadline_interrupt,
            interrupted=ended.interrupted,
            left_behind={**ended.still_running, **collected.left_behind, **self._unset, **self._set_in_process()},
            state=None if after == self._state else after,
            modules=modules,
            sources=self._shell.compile.made_sources() if self._shell is not None else {},
            frames=ended.frames,
            buffers=collected.buffers,
        )

    def _set_in_process(self) -> dict[str, str]:
        """Name what the cell has set that nobody can ask for."""
        return {} if self._text is None or self.job.discard else set_in_process(self._text, self.namespace)

    def _collect(self, ended: Ended, resend: Resend) -> Collected:
        """Pickle what the code has changed, where it is wanted."""
        job = self.job
        if job.discard:
            return Collected([], {})
        if self._interrupts.deadline_came and not job.partial:
            return Collected([], {})  # the run is timed out, however the code took it
        result = ended.value if ended.has_value else MISSING
        try:
            if self._watch is None:
                return self._collect_call(result, ended.exception, resend)
            if self._settings is None:
                self._learn_assigned()
                self._settings = as_names(difference(self._items, self._adapters.read()))
                lift_limits(self._items.get("resource", {}))
            return self._watch.collect(
                keep=job.keep,
                hidden=self._shell.bookkeeping() if self._shell is not None else _OF_EVERY_MODULE,
                result=result,
                exception=ended.exception,
                without=resend.without,
                only=resend.only,
                settings=self._settings,
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

    def _learn_assigned(self) -> bool:
        """Know which attributes of modules the cell assigns; tell whether any of them is new."""
        return self._text is not None and self._adapters.learn(self._text, self.namespace)


def nothing(rehearsal: Rehearse, *, cell: bool) -> Execute | Call:
    """Return a job that does nothing."""
    if not cell:
        return Call(rehearsal.state, {}, {}, False, rehearsal.buffers)
    return Execute(
        code="None",
        statement=False,
        execution_count=0,
        filename="<rehearsal>",
        state=rehearsal.state,
        sources={},
        refused={},
        discard=False,
        keep=None,
        partial=False,
        buffers=rehearsal.buffers,
    )
