"""A new process of the user's Python: forked from the warden, with the run's descriptors. Runs in the warden.

Law of the file: what the warden is, its signals, session and descriptors, is not what its children are.
"""

from __future__ import annotations

import contextlib
import os
import signal

from ipytimeout.warden import tree
from ipytimeout.wire import marks
from ipytimeout.wire.messages.warden import Start


def start(message: Start, mark: int, descriptors: list[int], status: int, stack: int) -> int:
    """Fork and become the program that was asked for; return the number of the process.

    ``descriptors`` are its stdin, stdout, stderr and channel. An argument "{channel}", "{status}" or "{stack}" becomes
    the number that this descriptor has there.
    """
    pid = os.fork()
    if pid == 0:
        _become(message, mark, descriptors, status, stack)
    return pid


def _become(message: Start, mark: int, descriptors: list[int], status: int, stack: int) -> None:
    """In the forked child: turn into the program that was asked for, or exit with 127."""
    try:
        os.setsid()  # the front end's interrupt goes to the kernel's whole process group
        tree.die_with_parent()
        marks.put_on(os.getpid(), mark)
        tree.go_first(os.getpid())
        for signum in signal.valid_signals():
            with contextlib.suppress(OSError, ValueError):
                signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        *standard, channel = descriptors
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number, inheritable=True)
        numbers = {"{channel}": channel, "{status}": status, "{stack}": stack}
        for descriptor in numbers.values():
            os.set_inheritable(descriptor, True)
        with contextlib.suppress(OSError):  # a directory that is gone: the run's own state says where to be
            os.chdir(message.cwd)
        argv = [str(numbers.get(argument, argument)) for argument in message.argv]
        os.execve(argv[0], argv, message.environ)
    except BaseException as error:
        os.write(2, f"ipytimeout: {message.argv[0]} could not be started: {error}\n".encode())
    finally:
        os._exit(127)
