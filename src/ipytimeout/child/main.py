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
import contextvars
import dataclasses
import importlib
import linecache
import os
import sys
import traceback
import types
from typing import TYPE_CHECKING, Any, NoReturn

from ipytimeout.child import process
from ipytimeout.child.channel import Channel
from ipytimeout.child.interrupts import Interrupts
from ipytimeout.child.run import Ended, ended_before_the_code, rehearse, run_call, run_cell
from ipytimeout.child.stdin import Questions
from ipytimeout.child.streams import OutStream, silenced
from ipytimeout.child.work import HostModules, Known, Work, nothing
from ipytimeout.inside import enter
from ipytimeout.outcomes import EXIT_BROKEN
from ipytimeout.wire.adapters import Adapters
from ipytimeout.wire.adapters import load as load_adapters
from ipytimeout.wire.adapters.packing import PLAIN, needs_import
from ipytimeout.wire.framing import encode
from ipytimeout.wire.messages.codec import Message
from ipytimeout.wire.messages.from_child import Changes, Running
from ipytimeout.wire.messages.outputs import Error
from ipytimeout.wire.messages.to_child import Call, Execute, InputReply, Rehearse, Resend, Settle
from ipytimeout.wire.pickling import CALL, CannotRebuild, load_namespace
from ipytimeout.wire.state import apply_state
from ipytimeout.wire.survey import Inherited

if TYPE_CHECKING:
    from ipytimeout.child.comms import Comms
    from ipytimeout.child.shell import ChildShell


def main(channel_fd: int, status_fd: int, stack_fd: int) -> NoReturn:
    """Live, in a fresh interpreter."""
    child = Child()
    child.attach(channel_fd, status_fd, stack_fd)
    child.live()


#: A spare rehearses when nothing was said to it for so long, in seconds: a run that goes on needs the processors.
_LULL = 0.015


class Child:
    """A process that runs one piece of the user's code.

    ``settle_in`` may come before ``attach``, in another process: the template settles in once, and each process
    forked from it attaches and lives.
    """

    def __init__(self) -> None:
        self.channel = Channel()
        self.interrupts = Interrupts()
        self.shell: ChildShell | None = None
        self.comms: Comms | None = None
        self.of_host = HostModules()
        self._adapters = Adapters({})
        self._known: Known | None = None
        self._inherited: Inherited | None = None
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
        with silenced(self.channel):
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
                self._have_comms(message)
            elif not message.shell:
                sys.modules["__main__"] = types.ModuleType("__main__")
                vars(sys.modules["__main__"])["__builtins__"] = builtins  # as in a script, or C code that imports fails
            self._adapters = load_adapters(message.adapters)
            self.of_host.update(message.preload)
            for name in message.preload:
                if name not in sys.modules:
                    with contextlib.suppress(BaseException):  # what it raises, the kernel has seen long ago
                        importlib.import_module(name)

    def take_over(self, message: Settle, inherited: Inherited) -> None:
        """Be a copy of the host, which is like the host already: only its shell becomes a child's."""
        self._inherited = inherited
        if message.shell:
            from ipytimeout.child.inherited_shell import take_over

            self.shell = take_over(
                inherited.shell,
                self.channel,
                self.interrupts,
                looks_like_kernel=message.kernel,
                cell_directory=message.cell_directory,
            )
            self._have_comms(message)
        self._adapters = load_adapters(message.adapters)
        self.of_host.update(list(sys.modules))

    def _have_comms(self, message: Settle) -> None:
        if message.kernel:
            from ipytimeout.child.comms import Comms

            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, OutStream):
                    stream.be_named_as_in_a_kernel()
            self.comms = Comms(self.channel, self.interrupts)
            self.comms.install()

    def rehearse(self, message: Rehearse) -> None:
        """Do once what every run does, with nothing and ahead of time.

        A forked process gets its own copy of each page of memory when it first writes to it, a fresh one its
        imports: some ten milliseconds, which a spare has and a run has not.
        """
        if self.channel.has_received(within=_LULL):
            return
        self.channel.start_recording()
        with silenced(self.channel):
            for cell in (True, False) if self.shell is not None else (False,):
                if self.channel.has_received():
                    return  # a run is waiting already
                work = self._work(nothing(message, cell=cell))
                if cell and self.shell is not None:
                    rehearse(self.shell, self.interrupts)
                process.Reserve().release()
                process.flush_stdio()
                process.flush_files()
                process.end_pools()
                encode(work.report(Ended(contextvars.copy_context()), Resend(None, {})))
                self._known = work.known()  # now, since a run that comes meanwhile breaks this off

    def be_like_host(self, message: Rehearse) -> None:
        """In a template: set now what each child would have to set, so that those forked from now on have it.

        Unless that takes an import: of the user's own modules a template has none, and of libraries those it is told.
        """
        self.forget()
        state = message.state
        if not sys.modules.keys() >= state.generators.keys() | ({"matplotlib"} if state.backend else set()):
            return
        with silenced(self.channel), contextlib.suppress(Exception):  # a child whose run it is says what is wrong
            plain: Any = load_namespace(message.buffers, {}).extra.get(PLAIN, b"")
            if not needs_import(plain, self._adapters):
                self._known = self._work(nothing(message, cell=False)).known()

    def forget(self) -> None:
        """Take nothing for known: an import may have changed anything."""
        self._known = None

    def was_forked(self) -> None:
        """Have what is known to be the host's again: random generators are seeded anew in a forked process."""
        if self._known is not None:
            apply_state(self._known.state, dataclasses.replace(self._known.state, generators={}))

    def live(self) -> NoReturn:
        """Do what the host asks for, and leave."""
        try:
            while isinstance(job := self.channel.receive_quietly(), Settle | Rehearse):
                if isinstance(job, Settle):
                    self.settle_in(job)
                else:
                    self.rehearse(job)
            if isinstance(job, Execute | Call):
                self._do(job)
            self._leave()
        except BaseException:
            process.flush_stdio()
            # The reason; the exit code alone says only that it was our own code.
            os.write(2, ("ipytimeout's child failed:\n" + traceback.format_exc()).encode("utf-8", "backslashreplace"))
            os._exit(EXIT_BROKEN)

    # ------------------------------------------------------------ one run

    def _work(self, job: Execute | Call) -> Work:
        own = self.channel, self.shell, self.interrupts, self._adapters, self.of_host
        return Work(job, *own, self._known, self._inherited)

    def _do(self, job: Execute | Call) -> None:
        try:
            work = self._work(job)
        except CannotRebuild as error:
            self.channel.send(_refusal(error))
            return
        enter(work.inside)
        ended = self._run(work)
        enter(None)
        work.reporter.stop()
        self.channel.flush()
        process.flush_stdio()
        process.flush_files(self._inherited.survey.table.objects if self._inherited is not None else [])
        process.end_pools()
        answer: Message | None = Resend(None, {})
        while isinstance(answer, Resend | InputReply):
            if isinstance(answer, Resend):
                # In the code's context: what it has set there is part of what it leaves.
                self.channel.send_report(ended.context.run(work.report, ended, answer))
            answer = self.channel.receive_quietly()

    def _run(self, work: Work) -> Ended:
        """Run the code, between the two bytes that make the warden's clock run."""
        Questions(self.channel).install()
        ended: Ended | None = None
        reserve = process.Reserve()
        if self.shell is not None:
            self.shell.reserve = reserve
        if self.comms is not None:
            self.comms.start(work.namespace, work.job.request)
        self.channel.start_recording()
        self.channel.send(Running())
        os.write(self._status_fd, b"R")
        work.clock.start()
        try:
            self.interrupts.start()
            ended = self._call_or_execute(work)
            self.interrupts.stop()
        except KeyboardInterrupt as error:  # it hit one of our own lines
            self.interrupts.stop()
            ended = ended or ended_before_the_code(error)
        if self.comms is not None:
            self.comms.stop()
        if os.getpid() != self.channel.pid:
            process.flush_stdio()
            os._exit(0)  # the code has forked, and this is the copy: the run goes on in the original
        reserve.release()
        os.write(self._status_fd, b"E")
        return ended

    def _call_or_execute(self, work: Work) -> Ended:
        job = work.job
        if isinstance(job, Execute):
            if self.shell is None:
                raise RuntimeError("a cell needs a shell, and the host has none")
            return run_cell(self.shell, self.interrupts, job)
        called: Any = work.loaded.extra[CALL]
        function, args, kwargs = called
        return run_call(self.shell, self.interrupts, job.refused, function, args, kwargs)

    def _leave(self) -> NoReturn:
        """End, without the ``atexit`` of the user's modules: natively nothing exits at the end of a cell."""
        process.flush_stdio()
        os._exit(0)


def _refusal(error: CannotRebuild) -> Changes:
    """Tell that the namespace could not be rebuilt."""
    left_behind = {error.name: error.reason} if error.name is not None else {}
    shown = Error(type(error).__name__, str(error), [str(error)])
    return Changes(False, shown, False, False, left_behind, None, {}, [])
