"""Fork a process whose parent is the warden. In the template, which has one Python thread.

A process without a parent goes to the nearest subreaper, so it takes a process in between that ends at once. That one
need not be a copy: as after ``vfork``, it runs in the memory of the template, which sleeps meanwhile (clone(2),
CLONE_VM and CLONE_VFORK), and forks from there. One copy of the page tables instead of two, and none to tear down:
a third of the time.

Law of the file: whichever way is taken, the new process is a plain fork of the template.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn, TypeAlias

#: The life of the new process; it is given the number of its parent, which is about to end.
Life: TypeAlias = Callable[[int], NoReturn]

_CLONE_VM, _CLONE_VFORK = 0x100, 0x4000
_LARGEST_STACK = 1 << 30
_GUARD = 1 << 16
#: From this version on Python looks whether its stack is where the thread's was at first.
_CHECKS_STACK = (3, 14)


def fork_orphan(life: Life) -> int:
    """Fork a process that lives ``life`` as a child of the nearest subreaper; return its number.

    Raises:
        OSError: There can be no further process.
    """
    if sys.version_info < _CHECKS_STACK and (between := _between()) is not None:
        return between(life)
    return fork_twice(life)


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
    """Return what forks from a process in between that shares this memory; None where the C library cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    if not sys.platform.startswith("linux") or not hasattr(library, "clone"):
        return None
    in_between = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    library.clone.argtypes = [in_between, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    memory, top = _stack(library)

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
                life(here)  # on this stack
            told.append(pid)
            return 0

        between = library.clone(in_between(run), top, _CLONE_VM | _CLONE_VFORK | signal.SIGCHLD, None)
        if between < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.waitpid(between, 0)
        if isinstance(told[0], OSError):
            raise told[0]
        assert memory
        return told[0]

    return fork


def _stack(library: ctypes.CDLL) -> tuple[mmap.mmap, int]:
    """Return memory for a stack as large as this thread's may grow, and its upper end; its lower one is guarded."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    size = _LARGEST_STACK if soft in (resource.RLIM_INFINITY, -1) else min(max(soft, 1 << 23), _LARGEST_STACK)
    size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_STACK)
    low = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    library.mprotect(ctypes.c_void_p(low), ctypes.c_size_t(_GUARD), 0)
    return memory, low + size - 64
