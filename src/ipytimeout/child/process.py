"""What belongs to the child's process rather than to its namespace. Runs in the child, in its main thread.

Law of the file: the code finds the descriptors, the C streams, the directory, the environment and the import path
that it would find in the kernel, and none of ours in its way.
"""

from __future__ import annotations

import ctypes
import faulthandler
import fcntl
import functools
import gc
import io
import itertools
import mmap
import os
import resource
import signal
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from ipytimeout.wire.signals import HARD_STACK_SIGNAL, STACK_SIGNAL

_IOLBF = 1
_OUT_OF_THE_WAY = 900
#: So many characters of the stacks of all threads are written (less than a pipe holds), and frames of each.
_MOST_STACKS, _MOST_FRAMES = 1 << 15, 100
#: What it takes to render a traceback and to pickle a namespace, in bytes.
_RESERVE = 32 << 20


def move_up(fd: int) -> int:
    """Move a descriptor out of the reach of ``os.closerange(3, 256)``, and let no program inherit it."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest = _OUT_OF_THE_WAY if limit == resource.RLIM_INFINITY else max(3, min(_OUT_OF_THE_WAY, limit - 16))
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
    except OSError:
        os.set_inheritable(fd, False)
        return fd
    os.close(fd)
    return moved


def write_stacks_to(fd: int) -> None:
    """Let the stack be written there: on a fatal signal, and when the warden asks."""
    faulthandler.enable(file=fd, all_threads=False)
    faulthandler.register(HARD_STACK_SIGNAL, file=fd, all_threads=False, chain=False)

    def write_stacks(signum: int, frame: FrameType | None) -> None:
        with suppress(OSError):  # the code may have closed it
            os.write(fd, _stacks(frame)[:_MOST_STACKS].encode("utf-8", "replace"))

    signal.signal(STACK_SIGNAL, write_stacks)


def _stacks(mine: FrameType | None) -> str:
    """Write the stacks of all threads as faulthandler does, this thread's first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks: dict[str, FrameType | None] = {"Stack": mine}
    for ident, top in sys._current_frames().items():
        if ident != threading.get_ident():
            stacks[f"Thread 0x{ident:x} [{names.get(ident, '')}]"] = top
    lines = []
    for title, innermost in stacks.items():
        lines.append(f"{title} (most recent call first):")
        frame = innermost
        for _ in range(_MOST_FRAMES):
            if frame is None:
                break
            lines.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}')
            frame = frame.f_back
        lines.append("")
    return "\n".join(lines)


def buffer_stdio_by_line() -> None:
    """Let C's stdout and Python's own ``sys.__stdout__`` keep no whole line: to a pipe they would, and lose it."""
    with suppress(OSError, ValueError):
        libc = _libc()
        stdout = ctypes.c_void_p.in_dll(libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
        libc.setvbuf(stdout, None, _IOLBF, ctypes.c_size_t(0))
    for stream in (sys.__stdout__, sys.__stderr__):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


class Reserve:
    """Address space that is kept from the code, so that what follows a ``MemoryError`` of its own can be reported.

    Where the memory of a process is limited (``ulimit -v``), the code may use it up and end with all of it in its
    hands. It is never written to, and so costs nothing.
    """

    def __init__(self) -> None:
        self._kept: mmap.mmap | None = None
        with suppress(OSError):
            self._kept = mmap.mmap(-1, _RESERVE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def release(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def flush_stdio() -> None:
    """Write what the code's streams and C's still keep."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(Exception):  # the code may have put anything there
            stream.flush()  # type: ignore[union-attr]
    with suppress(OSError):
        _libc().fflush(None)


def flush_files(inherited: Sequence[object] = ()) -> None:
    """Write what the code's open files still keep: natively they would stay open, here they end.

    ``inherited``: objects of the kernel, of which this process is a copy, that the collector does not know.
    """
    if not _has_files_open_for_writing():
        return
    for candidate in itertools.chain(gc.get_objects(), inherited):
        if issubclass(type(candidate), io.BufferedWriter | io.BufferedRandom | io.TextIOWrapper):
            with suppress(Exception):
                if candidate.writable():  # one that is read would forget where it is, after ``next(file)``
                    candidate.flush()


def end_pools() -> None:
    """Shut joblib's pool of processes down: natively it would wait for the next call, here it ends.

    Killed together with its resource tracker it would have that tell the user of semaphores that leaked.
    """
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(loky, "_executor", None)
    if executor is not None:
        with suppress(Exception):
            getattr(executor, "terminate", executor.shutdown)(kill_workers=True)


def _has_files_open_for_writing() -> bool:
    """Look for a file or a terminal among the descriptors: going through all objects is not cheap."""
    try:
        fds, nowhere = os.listdir("/dev/fd"), os.stat(os.devnull).st_rdev
    except OSError:
        return True
    for fd in fds:
        with suppress(OSError):
            if int(fd) > 2 and fcntl.fcntl(int(fd), fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
                of = os.fstat(int(fd))
                if stat.S_ISREG(of.st_mode) or (stat.S_ISCHR(of.st_mode) and of.st_rdev != nowhere):
                    return True
    return False


@contextmanager
def descriptors_silenced() -> Iterator[None]:
    """Let what is written to descriptors 1 and 2 vanish."""
    kept = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        flush_stdio()
        for fd, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, fd)
            os.close(copy)
        os.close(nowhere)
