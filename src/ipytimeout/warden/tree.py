"""Know and end a whole process tree. Runs in the warden's only thread.

The law: a process belongs to a run when the run's child is its ancestor, or when it carries the run's mark
(``wire.marks``). The warden is the subreaper, so an orphan of any run becomes the warden's own child; its mark
tells which run it came from.

Linux. Elsewhere there is no subreaper: the child's session and its living descendants are ended, best effort.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator

from ipytimeout.wire import marks

LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TRACKERS = (
    b"from multiprocessing.resource_tracker import main",
    b"from joblib.externals.loky.backend.resource_tracker import main",
    b"from loky.backend.resource_tracker import main",
)
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


def become_subreaper() -> None:
    """Have orphans of this process's descendants come to this process (prctl(2))."""
    if _libc is not None and _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def die_with_parent() -> None:
    """Have this process killed when its parent ends; sound only where the parent has one thread."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def go_first(pid: int) -> None:
    """When the machine runs out of memory, let this process go before the kernel of the notebook does."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write("1000")


def children(pid: int) -> list[int]:
    """Return the living and the unreaped children of a process."""
    if not LINUX:
        return [child for child, parent in _ps() if parent == pid]
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
    except FileNotFoundError:
        if not os.path.exists(f"/proc/{pid}"):
            return found
        return _children_by_scan(pid)
    except OSError:  # it ended meanwhile
        return found
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield all descendants of a process, parents first."""
    todo = children(pid)
    seen = {pid}
    while todo:
        child = todo.pop()
        if child not in seen:
            seen.add(child)
            yield child
            todo.extend(children(child))


def runs_code(pid: int) -> bool:
    """Tell whether a process can still run a line of code."""
    return marks.runs_code(pid) if LINUX else any(child == pid for child, _ in _ps())


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, and of the children that it has waited for; 0 for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            times = file.read().rpartition(b")")[2].split()[11:15]
    except OSError:
        return 0.0
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def describe(pid: int) -> str:
    """Return a process's command line, cut to a line, with its number."""
    if LINUX:
        text = b" ".join(_arguments(pid)).decode("utf-8", "replace")
    else:
        text = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout
    text = " ".join(text.split())
    return f"{text[:57] + '…' if len(text) > 58 else text or 'a process'} (pid {pid})"


def is_resource_tracker(pid: int) -> bool:
    """Tell whether this is a resource tracker of Python or loky: it removes shared memory when its run is gone.

    Only an argument that is just that program counts: a run's own code may have the words in it too.
    """
    return any(argument.startswith(_TRACKERS) for argument in _arguments(pid))


def _arguments(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(1 << 16).split(b"\0")
    except OSError:
        return []


def send(pid: int, signum: int) -> None:
    """Send a signal; a process that is gone is no error."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return


def send_to_main_thread(pid: int, signum: int) -> None:
    """Send a signal to a process's first thread, which is where Python's handlers run.

    A signal to the process may be taken by any thread that is not just handling another one: of two sent at once one
    would go there, and what the main thread waits for would not be interrupted.
    """
    tgkill = getattr(_libc, "tgkill", None)
    if tgkill is None:  # glibc has it since 2.30
        send(pid, signum)
    else:
        tgkill(pid, pid, signum)


def freeze(roots: Iterable[int]) -> list[int]:
    """Stop everything below and including ``roots``, until nothing new appears; return all that was found.

    Without the stop a process that forks faster than we look would outrun the kill. Resource trackers are left
    running: what they have to do is wanted.
    """
    found: dict[int, None] = {}
    roots = list(roots)
    while True:
        new = [pid for root in roots for pid in (root, *descendants(root)) if pid not in found and runs_code(pid)]
        if not new:
            return list(found)
        for pid in new:
            found[pid] = None
            if not is_resource_tracker(pid):
                send(pid, signal.SIGSTOP)


def _children_by_scan(pid: int) -> list[int]:
    """For kernels without /proc/PID/task/TID/children."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(name))
    return found


def _ps() -> list[tuple[int, int]]:
    out = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True).stdout
    return [(int(a), int(b)) for a, b in (line.split() for line in out.splitlines())]
