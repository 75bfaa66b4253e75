"""Fork a process whose parent is the warden. In the template, which has one Python thread.

A process without a parent goes to the nearest subreaper, so it takes a process in between that ends at once. That one
need not be a copy: as after ``vfork``, it runs in the memory of the template, which sleeps meanwhile (clone(2),
CLONE_VM and CLONE_VFORK), and forks from there. One copy of the page tables instead of two, and none to tear down:
a third of the time.

Law of the file: whichever way is taken, the new process is a plain fork of the template, with its main thread on the
stack where it belongs.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import warnings
from collections.abc import Callable
from typing import NoReturn, TypeAlias

#: The life of the new process; it is given the number of its parent, which is about to end.
Life: TypeAlias = Callable[[int], NoReturn]

_CLONE_VM, _CLONE_VFORK = 0x100, 0x4000
#: More than a ``ucontext_t`` has, in bytes.
_CONTEXT = 1 << 13
#: So far below its end is the stack of a template that forks, at most …
_DEPTH = 1 << 26
#: … and so far below the template's own calls the process in between begins; older kernels let a stack grow by 64 KiB.
_GAP = 1 << 15


def fork_orphan(life: Life) -> int:
    """Fork a process that lives ``life`` as a child of the nearest subreaper; return its number. In the main thread.

    Raises:
        OSError: There can be no further process.
    """
    between = _between()
    return fork_twice(life) if between is None else between(life)


def fork_twice(life: Life) -> int:
    """The plain way: the process in between is a copy, and tells through a pipe."""
    read, write = os.pipe()
    if (between := _fork()) == 0:
        here = os.getpid()
        try:
            pid = _fork()
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0:
            os.close(read)
            os.close(write)
            life(here)
        os.write(write, str(pid).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        pid = int(pipe.read())
    os.waitpid(between, 0)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return pid


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads that there are survive a fork
        return os.fork()


@functools.cache
def _between() -> Callable[[Life], int] | None:
    """Return what forks from a process in between that shares this memory; None where that cannot be had."""
    library = ctypes.CDLL(None, use_errno=True)
    end = _end_of_stack()
    if end is None or not (hasattr(library, "clone") and hasattr(library, "getcontext")):
        return None
    in_between = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    library.clone.argtypes = [in_between, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    context = (ctypes.c_size_t * (_CONTEXT // ctypes.sizeof(ctypes.c_size_t)))()

    def fork(life: Life) -> int:
        told: list[int | OSError] = []

        def run(_: object) -> int:
            here = os.getpid()
            try:
                pid = _fork()
            except OSError as error:
                told.append(error)
                return 0
            if pid == 0:
                life(here)
            told.append(pid)
            return 0

        # Of the registers, the one that points deepest into the stack is the stack pointer.
        library.getcontext(context)
        pointer = min(word for word in context if end - _DEPTH < word < end)
        between = library.clone(
            in_between(run), (pointer - _GAP) & -64, _CLONE_VM | _CLONE_VFORK | signal.SIGCHLD, None
        )
        if between < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.waitpid(between, 0)
        if isinstance(told[0], OSError):
            raise told[0]
        return told[0]

    return fork


def _end_of_stack() -> int | None:
    """Return the upper end of the main thread's stack; None where it is not known."""
    try:
        with open("/proc/self/maps") as maps:
            places = [line.split()[0] for line in maps if line.endswith("[stack]\n")]
    except OSError:
        return None
    return int(places[0].partition("-")[2], 16) if places else None
