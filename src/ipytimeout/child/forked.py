"""A copy of the kernel becomes a child: ``--start fork``. Runs in the child, in the thread that has forked.

It was the kernel a moment ago, and has all of it: the namespace, the shell, the buffers, the descriptors, but none of
its other threads. So what is the kernel's is put away or turned into what a child has, and nothing of it is closed,
flushed or collected: two processes have it.

Law of the file: what waits in a buffer of the kernel is the kernel's to write. Locks that another thread of the
kernel may have held are not taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import io
import logging
import os
import signal
import stat
import sys
from typing import Any, NoReturn

from ipytimeout.child.channel import Channel
from ipytimeout.child.main import Child
from ipytimeout.child.streams import OutStream
from ipytimeout.wire import contexts, memory, widgets
from ipytimeout.wire.messages.to_child import Settle
from ipytimeout.wire.survey import Inherited
from ipytimeout.wire.table import seeds_of

#: What must not be collected here: its end would be felt in the kernel.
_kept: list[object] = []


def main(channel: int, status: int, stack: int, settle: Settle, inherited: Inherited) -> NoReturn:
    """Live as a child. Signals are blocked until there are handlers of a child's own."""
    _leave_the_loop()
    _reopen_files()
    _renew_stdio()
    memory.begin_as_copy()
    before = sys.stdout, sys.stderr
    child = Child()
    _take_streams(child.channel, before)
    child.attach(channel, status, stack)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    child.take_over(settle, inherited)
    if child.comms is not None:
        for widget in filter(widgets.is_widget, inherited.survey.table.objects):
            child.comms.take_over(widget)
    # What is each process's own is another thing here now.
    seeds = seeds_of(inherited.namespace)
    inherited.survey.table.objects[: len(seeds)] = seeds
    child.live()


def _leave_the_loop() -> None:
    """The loop in which the kernel runs its cells is not this process's."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
    asyncio._set_running_loop(None)
    contexts.forget_loop()


def _reopen_files() -> None:
    """Have a place of one's own in each open file of the disk: what is read here is not read there."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        with contextlib.suppress(OSError):
            if (
                fd > 2
                and stat.S_ISREG(os.fstat(fd).st_mode)
                and not os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:")
            ):
                flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
                place, inheritable = os.lseek(fd, 0, os.SEEK_CUR), os.get_inheritable(fd)
                again = os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
                os.lseek(again, place, os.SEEK_SET)
                os.dup2(again, fd, inheritable)
                os.close(again)


def _renew_stdio() -> None:
    """Have streams of one's own on descriptors 0 to 2: what waits in those of the kernel, the kernel writes."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        libc = ctypes.CDLL(None)
        for name in ("stdout", "stderr"):
            libc.__fpurge(ctypes.c_void_p.in_dll(libc, name))
    _kept.extend((sys.__stdout__, sys.__stderr__, sys.__stdin__))
    if type(sys.__stdout__) is io.TextIOWrapper:
        sys.__stdout__ = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    if type(sys.__stderr__) is io.TextIOWrapper:
        sys.__stderr__ = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # type: ignore[misc]  # noqa: SIM115


def _take_streams(channel: Channel, before: tuple[Any, Any]) -> None:
    """Let the kernel's own ``sys.stdout`` and ``sys.stderr`` be the child's, for all that hold them."""
    for name, old in zip(("stdout", "stderr"), before, strict=True):
        new: Any = getattr(sys, name)
        _kept.append((old, dict(getattr(old, "__dict__", {}))))
        try:
            old.__class__ = OutStream
        except (TypeError, AttributeError):  # one that is written in C: it is replaced where it is known to be
            for reference in list(logging._handlerList):  # type: ignore[attr-defined]
                handler = reference()
                if getattr(handler, "stream", None) is old:
                    handler.stream = new
        else:
            vars(old).clear()  # ipykernel has methods in the instance
            vars(old).update(vars(new))
            setattr(sys, name, old)
