"""``--start fork``: a copy of this process runs the code. It sees everything, and nothing is sent to it.

Any thread of the user's process forks; the copy's copy is the child:

    this process ── forks ──► a process between ── forks ──► the child
                              that becomes a warden           that runs the code

A warden must be its child's parent, and the one that this process has is not: so each such run has a warden of its own.
The process between gives birth to the child, and then turns into the warden's program, which keeps it as its child.

Law of the file: from the fork on, neither of the two ever returns into the code that called it, nor runs what this
process would run at its exit.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, NoReturn

from ipytimeout.host.launch import inherited
from ipytimeout.host.launch.child import Child
from ipytimeout.host.launch.plumbing import Plumbing
from ipytimeout.host.launch.warden import command, send
from ipytimeout.outcomes import EXIT_BROKEN, EXIT_CHANNEL_LOST
from ipytimeout.wire.messages.to_child import Rehearse, Settle
from ipytimeout.wire.messages.warden import Adopt
from ipytimeout.wire.sockets import socket_pair
from ipytimeout.wire.streams import warnings_held
from ipytimeout.wire.survey import Inherited

#: What the copy becomes, by its name, as a program would be started: at this moment it changes its role, and nothing
#: of the child is imported into the host.
_CHILD = "ipytimeout.child.forked"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: So long a warden may take to leave when its run is over, in seconds.
_PATIENCE = 1.0


class CannotFork(Exception):
    """There is no copy of this process; the text says why."""


class ForkLauncher:
    """Nothing is made ready ahead of time: the copy is made when it is needed."""

    def prepare(self, settle: Settle, rehearsal: Callable[[], Rehearse | None]) -> None:
        """There is nothing to prepare."""

    def ahead(self, count: int, rehearsal: Rehearse) -> AbstractContextManager[None]:
        return nullcontext()

    def take(self, settle: Settle, copied: Inherited | None = None) -> Child:
        """Return a child that is a copy of this process.

        Raises:
            CannotFork: The system does not let this process be copied, or is none that can.
        """
        if sys.platform != "linux":
            raise CannotFork("only Linux keeps what is said of the end of a run for a copy of the kernel")
        if copied is None:
            raise CannotFork("nobody has said what is to be copied")
        with _one_at_a_time, Plumbing() as plumbing:
            null, (status, status_child), (stack, stack_child) = plumbing.null(), plumbing.pipe(), plumbing.pipe()
            ours, theirs = socket_pair()
            with theirs:
                try:
                    fds = [null, plumbing.stdout[1], plumbing.stderr[1], plumbing.channel[1].fileno()]
                    fds += [status_child, stack_child]
                    between, pid = _fork(plumbing, ours, theirs, fds, settle, copied)
                except BaseException:
                    ours.close()
                    raise
            try:
                control = send(ours, Adopt(pid, of_host=True), [status, stack])
            except BaseException:
                _end_warden(between, ours)
                raise
            child = plumbing.child(control)
            child.on_close = lambda: _end_warden(between, ours)
        return child

    def close(self) -> None:
        """Nothing is kept."""


#: Each copy would have the unfinished plumbing of the other.
_one_at_a_time = threading.Lock()


def _fork(
    plumbing: Plumbing, ours: socket.socket, theirs: socket.socket, fds: list[int], settle: Settle, copied: Inherited
) -> tuple[int, int]:
    """Fork twice; return the numbers of the process between and of the child."""
    host = os.getpid()
    between = 0
    collects = gc.isenabled()
    born, tell = os.pipe()
    try:
        try:
            gc.disable()  # what it would end in a copy is the kernel's
            with _signals_blocked():
                between = _plain_fork()
                if not between:
                    with _never_returning():
                        _come_between(host, (born, tell), plumbing, ours, theirs, fds, settle, copied, collects)
        finally:
            if collects:
                gc.enable()
            os.close(tell)
            with open(born, "rb") as file:
                told = file.read()
        if not told:
            raise CannotFork("the copy has ended at once")
    except BaseException:
        if between:
            _end_warden(between, ours)
        raise
    return between, int(told)


def _plain_fork() -> int:
    """Fork; that this process has threads is known, and told where it is a risk."""
    with warnings_held():
        try:
            return os.fork()
        except OSError as error:
            raise CannotFork(f"this process cannot be copied ({error.strerror})") from None


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let no handler of this process run in a copy of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _never_returning() -> Iterator[None]:
    """In a copy: say what went wrong, and end."""
    try:
        yield
    except BaseException:
        os.write(2, ("ipytimeout's copy of the process failed:\n" + traceback.format_exc()).encode("utf-8", "replace"))
        os._exit(EXIT_BROKEN)
    finally:
        os._exit(EXIT_CHANNEL_LOST)  # even the standard streams are closed


# ---------------------------------------------------------------- in the copies


def _come_between(
    host: int,
    pipe: tuple[int, int],
    plumbing: Plumbing,
    ours: socket.socket,
    theirs: socket.socket,
    fds: list[int],
    settle: Settle,
    copied: Inherited,
    collects: bool,
) -> NoReturn:
    """In the process between: give birth to the child, and become its warden."""
    libc: Any = ctypes.CDLL(None)
    os.setsid()  # the front end's interrupt goes to the kernel's whole process group
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    between = os.getpid()
    child = _plain_fork()
    if not child:
        with _never_returning():
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != between:
                os._exit(EXIT_BROKEN)  # it is dead already
            gc.freeze()
            if collects:
                gc.enable()
            _become_child(plumbing, (ours, theirs), pipe, fds, settle, copied)
    os.write(pipe[1], str(child).encode())
    _become_warden(host, theirs.fileno(), fds[0])


def _become_warden(host: int, connection: int, null: int) -> NoReturn:
    """Turn into the warden's program, with nothing of this process's but the socket of the host."""
    connection = os.dup(connection)  # out of the way of what comes
    for number in (0, 1):
        os.dup2(null, number)
    if connection != 3:
        os.dup2(connection, 3)
    os.set_inheritable(3, True)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    argv = command(3, host)
    os.execv(argv[0], argv)


def _become_child(
    plumbing: Plumbing,
    warden: tuple[socket.socket, socket.socket],
    pipe: tuple[int, int],
    fds: list[int],
    settle: Settle,
    copied: Inherited,
) -> NoReturn:
    """Let go of what is the host's, and live as a child."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()
    os.setsid()
    channel, status, stack = map(os.dup, fds[3:])
    for number, descriptor in enumerate(fds[:3]):
        os.dup2(descriptor, number)
    plumbing.close()
    inherited.let_go()
    for descriptor in pipe:
        os.close(descriptor)
    for end in warden:
        end.close()
    child: Any = importlib.import_module(_CHILD)
    child.main(channel, status, stack, settle, copied)
    raise AssertionError("a child does not return")


def _end_warden(pid: int, connection: socket.socket) -> None:
    """Let a warden go, whose run is over, and wait for that."""
    connection.close()
    with suppress(OSError):  # the notebook's code may have waited for it, as for any child
        gone = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(gone, select.POLLIN)
            if not poll.poll(_PATIENCE * 1000):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        finally:
            os.close(gone)
