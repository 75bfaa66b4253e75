"""A program that looks at the processes of the one that has started it, and tells the peak of those that end.

Standard library only, in as little time as possible: on "watch" it begins, on "stop" it prints the largest high-water
mark, in bytes, among the processes that have ended meanwhile. Those that stay are no part of a run: a template, a
warden, the next spare.
"""

from __future__ import annotations

import os
import select
import sys

_INTERVAL = 0.002


def main() -> None:
    root = os.getppid()
    for line in sys.stdin:
        if line.strip() == "watch":
            print("watching", flush=True)
            print(_watch(root), flush=True)


def _watch(root: int) -> int:
    """Look until there is something to read on stdin."""
    peaks: dict[int, int] = {}
    foreign: set[int] = {os.getpid(), root}
    while True:
        _find(root, peaks, foreign)
        for pid, peak in peaks.items():
            peaks[pid] = max(peak, _peak(pid))
        if select.select([0], [], [], _INTERVAL)[0]:
            sys.stdin.readline()
            return max((peak for pid, peak in peaks.items() if not _peak(pid)), default=0)


def _find(root: int, peaks: dict[int, int], foreign: set[int]) -> None:
    """Add the new descendants of ``root``."""
    pids = {int(name) for name in os.listdir("/proc") if name.isdigit()} - peaks.keys() - foreign
    parents = {pid: _parent(pid) for pid in pids}
    while ours := [pid for pid, parent in parents.items() if parent == root or parent in peaks]:
        for pid in ours:
            peaks[pid] = 0
            del parents[pid]
    foreign.update(parents)


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _peak(pid: int) -> int:
    """Return the high-water mark of a process; 0 when its memory is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    main()
