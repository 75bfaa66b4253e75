"""A child's life on one page: settle in → receive → run → report → leave. Runs in the child, in its main thread.

Law of the file: a child is used for one run. It speaks with the host by frames on its channel, with the warden by
two bytes on the status pipe (``R``: the code starts, ``E``: it has ended), and leaves by ``os._exit``.

Three contracts with the host that the messages alone do not show:

- ``Changes`` without a ``Running`` before it: the namespace could not be rebuilt. ``left_behind`` names what could
  not, where that is known; a new child without it may succeed.
- An interrupt may end a question of ``input()`` without its answer; an answer that comes later is dropped.
- After ``Changes`` the child waits for ``Resend``, or for ``Finish`` or the end of the channel, and leaves.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import linecache
import os
import sys
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ipytimeout.child import process
from ipytimeout.child.changes import MISSING, Collected, Watch, collect_call
from ipytimeout.child.channel import Channel
from ipytimeout.child.checkpoints import Checkpoints
from ipytimeout.child.errors import text_of
from ipytimeout.child.inside import CodeClock, Inside
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.child.progress import Reporter
from ipytimeout.child.run import Ended, ended_before_the_code, rehearse, run_call, run_cell
from ipytimeout.child.stdin import Questions
from ipytimeout.child.streams import OutStream
from ipytimeout.inside import enter
from ipytimeout.outcomes import EXIT_BROKEN
from ipytimeout.wire.adapters import Adapters, Items, difference
from ipytimeout.wire.adapters import load as load_adapters
from ipytimeout.wire.adapters.packing import Packed, as_names, unpack
from ipytimeout.wire.messages import (
    Call,
    Changes,
    Error,
    Execute,
    InputReply,
    Message,
    ProcessState,
    Resend,
    Running,
    Settle,
)
from ipytimeout.wire.pickling import (
    CALL,
    EXCEPTION,
    FAULTS,
    RESULT,
    CannotRebuild,
    Loaded,
    dump_namespace,
    load_namespace,
)
from ipytimeout.wire.state import apply_state, read_state

if TYPE_CHECKING:
    from ipytimeout.child.shell import ChildShell


#: What a shell uses itself.
_OF_SHELLS = frozenset({"IPython", "pygments", "traitlets", "cloudpickle", "ipytimeout"})


def main(channel_fd: int, status_fd: int, stack_fd: int) -> NoReturn:
    """Live, in a fresh interpreter."""
    child = Child()
    child.attach(channel_fd, status_fd, stack_fd)
    child.live()


@dataclass(frozen=True, slots=True)
class _Before:
    """What the process was like before the code ran."""

    state: ProcessState
    items: Items
    modules: frozenset[str]


class Child:
    """A process that runs one piece of the user's code.

    ``settle_in`` may come before ``attach``, in another process: the template settles in once, and each process
    forked from it attaches and lives.
    """

    def __init__(self) -> None:
        self.channel = Channel()
        self.interrupts = Interrupts()
        self.shell: ChildShell | None = None
        #: Modules that the host has imported.
        self.of_host: set[str] = set()
        self._adapters = Adapters({})
        self._status_fd = -1
        # Python 3.13 keeps what it was started with, and would show it as the source of any "<string>".
        linecache.cache.pop("<string>", None)
        # Before any import of the user's: logging handlers keep the streams that they find.
        sys.stdout = OutStream(self.channel, "stdout")
        sys.stderr = OutStream(self.channel, "stderr")

    def attach(self, channel_fd: int, status_fd: int, stack_fd: int) -> None:
        """Take the descriptors of this process's own."""
        self.interrupts.install()  # first of all: what these signals do by default is to kill
        process.write_stacks_to(process.move_up(stack_fd))
        self._status_fd = process.move_up(status_fd)
        self.channel.attach(process.move_up(channel_fd))
        process.buffer_stdio_by_line()

    def settle_in(self, message: Settle) -> None:
        """Become like the host: its path, its shell, its imports."""
        sys.path[:] = message.sys_path
        sys.argv[:] = message.argv
        with self.quietly():
            if message.shell and self.shell is None:
                from ipytimeout.child.shell import make_shell, warm_up

                # Before the imports: pyplot and others look for a shell when they are imported.
                self.shell = make_shell(
                    self.channel,
                    self.interrupts,
                    looks_like_kernel=message.kernel,
                    cell_directory=message.cell_directory,
                )
                warm_up(self.shell)
            elif not message.shell:
                sys.modules["__main__"] = types.ModuleType("__main__")
                vars(sys.modules["__main__"])["__builtins__"] = builtins  # as in a script, or C code that imports fails
            self._adapters = load_adapters(message.adapters)
            self.of_host.update(message.preload)
            for name in message.preload:
                if name not in sys.modules:
                    with contextlib.suppress(BaseException):  # what it raises, the kernel has seen long ago
                        importlib.import_module(name)

    def rehearse(self) -> None:
        """Do once what every run does, on nothing and ahead of time.

        A forked process gets its own copy of each page of memory when it first writes to it, a fresh one its
        imports: some ten milliseconds, which a spare has and a run has not.
        """
        if self.channel.has_received():
            return  # a run is waiting already
        with self.quietly():
            apply_state(read_state())
            items = self._adapters.read()
            self._adapters.write(difference(items, unpack(Packed().pack(items))))
            namespace = sys.modules["__main__"].__dict__
            loaded = load_namespace(dump_namespace({}, (), {RESULT: None}).buffers, namespace)
            watch = Watch(namespace, loaded.table, loaded.values)
            if self.shell is not None:
                rehearse(self.shell, self.interrupts)
                watch.collect(keep=None, hidden=self.shell.bookkeeping(), result=None)
            collect_call(loaded.table, None, None)

    def live(self) -> NoReturn:
        """Do what the host asks for, and leave."""
        try:
            job = self._receive()
            if isinstance(job, Settle):
                self.settle_in(job)
                self.rehearse()
                job = self._receive()
            if isinstance(job, Execute | Call):
                self._do(job)
            self._leave()
        except BaseException:
            process.flush_stdio()
            # The reason; the exit code alone says only that it was our own code.
            os.write(2, ("ipytimeout's child failed:\n" + traceback.format_exc()).encode("utf-8", "backslashreplace"))
            os._exit(EXIT_BROKEN)

    # ------------------------------------------------------------ one run

    def _do(self, job: Execute | Call) -> None:
        apply_state(job.state)
        self._learn(job.sources)
        namespace = sys.modules["__main__"].__dict__
        try:
            with self.quietly():  # importing the user's modules prints what it printed long ago
                loaded = load_namespace(job.buffers, namespace)
        except CannotRebuild as error:
            self.channel.send(_refusal(error))
            return
        values = loaded.values
        namespace.update(values)
        if self.shell is not None and isinstance(job, Execute):
            self.shell.refused = job.refused
            self.shell.adopt_history(values, job.execution_count, job.inputs)
        unset = self._adopt_settings(job, loaded, namespace)
        watch = Watch(namespace, loaded.table, values, loaded.modules) if isinstance(job, Execute) else None
        before = _Before(read_state(), self._adapters.read(), frozenset(sys.modules))
        clock, reporter = CodeClock(self.channel, job.timeout), Reporter(self.channel)
        checkpoints = None
        if not job.discard:
            keep = job.keep if isinstance(job, Execute) else None
            checkpoints = Checkpoints(self.channel, self.interrupts, loaded.table, watch, keep)

        enter(Inside(clock, reporter, checkpoints))
        ended = self._run(job, loaded, clock)
        enter(None)

        reporter.stop()
        self.channel.flush()
        process.flush_stdio()
        process.flush_files()
        process.end_pools()
        answer: Message | None = Resend(None, {})
        while isinstance(answer, Resend | InputReply):
            if isinstance(answer, Resend):
                # In the code's context: what it has set there is part of what it leaves.
                changes = ended.context.run(self._changes, job, ended, loaded, watch, before, answer)
                changes.left_behind.update(unset)
                self.channel.send_report(changes)
                del changes
            answer = self.channel.receive_quietly()

    def _run(self, job: Execute | Call, loaded: Loaded, clock: CodeClock) -> Ended:
        """Run the code, between the two bytes that make the warden's clock run."""
        Questions(self.channel).install()
        ended: Ended | None = None
        reserve = process.Reserve()
        if self.shell is not None:
            self.shell.reserve = reserve
        self.channel.send(Running())
        os.write(self._status_fd, b"R")
        clock.start()
        try:
            self.interrupts.start()
            ended = self._call_or_execute(job, loaded)
            self.interrupts.stop()
        except KeyboardInterrupt as error:  # it hit one of our own lines
            self.interrupts.stop()
            ended = ended or ended_before_the_code(error)
        if os.getpid() != self.channel.pid:
            process.flush_stdio()
            os._exit(0)  # the code has forked, and this is the copy: the run goes on in the original
        reserve.release()
        os.write(self._status_fd, b"E")
        return ended

    def _call_or_execute(self, job: Execute | Call, loaded: Loaded) -> Ended:
        if isinstance(job, Execute):
            if self.shell is None:
                raise RuntimeError("a cell needs a shell, and the host has none")
            return run_cell(self.shell, self.interrupts, job)
        called: Any = loaded.extra[CALL]
        function, args, kwargs = called
        return run_call(self.shell, self.interrupts, job.refused, function, args, kwargs)

    # ------------------------------------------------------------ the report

    def _changes(
        self,
        job: Execute | Call,
        ended: Ended,
        loaded: Loaded,
        watch: Watch | None,
        before: _Before,
        resend: Resend,
    ) -> Changes:
        modules = self._imported(before.modules)  # before pickling imports some
        collected = self._collect(job, ended, loaded, watch, before.items, resend)
        after = read_state()
        return Changes(
            success=ended.exception is None,
            error=ended.error,
            deadline_interrupt=ended.deadline_interrupt,
            interrupted=ended.interrupted,
            left_behind={**ended.still_running, **collected.left_behind},
            state=None if after == before.state else after,
            modules=modules,
            sources=self._made_sources(),
            frames=ended.frames,
            buffers=collected.buffers,
        )

    def _collect(
        self, job: Execute | Call, ended: Ended, loaded: Loaded, watch: Watch | None, before: Items, resend: Resend
    ) -> Collected:
        """Pickle what the code has changed, where it is wanted."""
        if job.discard:
            return Collected([], {})
        if self.interrupts.deadline_came and not (isinstance(job, Execute) and job.partial):
            return Collected([], {})  # the run is timed out, however the code took it
        result = ended.value if ended.has_value else MISSING
        try:
            if watch is None or isinstance(job, Call):
                return _collect_call(loaded, result, ended.exception, resend)
            assert self.shell is not None
            self._adapters.learn(job.code, self.shell.transform_cell, sys.modules["__main__"].__dict__)
            return watch.collect(
                keep=job.keep,
                hidden=self.shell.bookkeeping(),
                result=result,
                exception=ended.exception,
                without=resend.without,
                only=resend.only,
                settings=as_names(difference(before, self._adapters.read())),
            )
        except FAULTS as error:  # a reducer of the user's, or a fault of ours: never silent
            return Collected([], {"everything": f"{type(error).__name__}: {text_of(error)}"})

    def _imported(self, before: frozenset[str]) -> list[str]:
        """Return the modules that the code has imported, and those of libraries that were ready here, but not there."""
        packages = {name.partition(".")[0] for name in self.of_host} - _OF_SHELLS - sys.stdlib_module_names
        return [
            name
            for name in list(sys.modules)
            if name not in before or (name not in self.of_host and name.partition(".")[0] in packages)
        ]

    def _made_sources(self) -> dict[str, tuple[str, int]]:
        """Return the text of the cells that the run has made itself."""
        return self.shell.compile.made_sources() if self.shell is not None else {}

    # ------------------------------------------------------------ small things

    def _adopt_settings(self, job: Execute | Call, loaded: Loaded, namespace: dict[str, object]) -> dict[str, str]:
        """Set here what the host has set. Return what could not be set, each with its reason."""
        with self.quietly():
            unset = self._adapters.write(difference(self._adapters.read(), unpack(loaded.extra)))
        if isinstance(job, Execute) and self.shell is not None:
            self._adapters.learn(job.code, self.shell.transform_cell, namespace)
        return unset

    def _receive(self) -> Message | None:
        return self.channel.receive_quietly()

    def _learn(self, sources: dict[str, tuple[str, int]]) -> None:
        """Know the text of earlier cells, for tracebacks and ``inspect``."""
        for name, (text, _) in sources.items():
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        if self.shell is not None:
            self.shell.compile.number({name: number for name, (_, number) in sources.items()})

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Drop what is written meanwhile, by Python and by C."""
        self.channel.muted = True
        try:
            with process.descriptors_silenced():
                yield
        finally:
            self.channel.muted = False

    def _leave(self) -> NoReturn:
        """End, without the ``atexit`` of the user's modules: natively nothing exits at the end of a cell."""
        process.flush_stdio()
        os._exit(0)


def _collect_call(loaded: Loaded, result: object, exception: BaseException | None, resend: Resend) -> Collected:
    """Pickle what a function leaves, but for what the host could not rebuild."""
    without = resend.without
    collected = collect_call(
        loaded.table, MISSING if RESULT in without else result, None if EXCEPTION in without else exception
    )
    if RESULT in without:
        collected.left_behind["the result"] = without[RESULT]
    return collected


def _refusal(error: CannotRebuild) -> Changes:
    """Tell that the namespace could not be rebuilt."""
    left_behind = {error.name: error.reason} if error.name is not None else {}
    shown = Error(type(error).__name__, str(error), [str(error)])
    return Changes(False, shown, False, False, left_behind, None, {}, [])
