"""A mark that tells which run a process came from, whatever became of its parents. In warden and host.

The operating system hands the mark down through fork, exec and setsid: it is a soft limit of ``RLIMIT_RTTIME``, which
binds only real-time processes, set to a random number that is far too large to matter.

Linux; elsewhere nothing carries a mark.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time

LINUX = sys.platform == "linux"
_PF_EXITING = 0x4


def new_mark() -> int:
    """Return a number that no other run carries: microseconds of real-time CPU, some 35,000 years or more."""
    return random.SystemRandom().randrange(1 << 60, 1 << 61)


def put_on(pid: int, mark: int) -> None:
    """Give a process, and all its future descendants, the mark."""
    if LINUX:
        import resource

        with contextlib.suppress(OSError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)
            if hard == resource.RLIM_INFINITY or hard > mark:
                resource.prlimit(pid, resource.RLIMIT_RTTIME, (mark, hard))


def mark_of(pid: int) -> int | None:
    """Return the mark a process carries, or None where it cannot be asked."""
    if not LINUX:
        return None
    import resource

    try:
        return resource.prlimit(pid, resource.RLIMIT_RTTIME)[0]
    except OSError:
        return None


def runs_code(pid: int) -> bool:
    """Tell whether a process can still run a line of code.

    A killed process with gigabytes takes long to go away, but runs nothing from the moment the kernel says
    that it is exiting.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return False
    return fields[0] not in (b"Z", b"X") and not int(fields[6]) & _PF_EXITING


def kill_marked(mark: int, within: float = 0.5) -> None:
    """Kill every process that carries the mark, again until there is none or ``within`` seconds have passed.

    For a host whose warden was killed: nobody else knows the run's processes any more.
    """
    until = time.monotonic() + within
    while LINUX and time.monotonic() < until:
        found = [int(name) for name in os.listdir("/proc") if name.isdigit() and mark_of(int(name)) == mark]
        running = [pid for pid in found if runs_code(pid)]
        if not running:
            return  # without the warden nobody may be there who takes note of their end
        for pid in running:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
