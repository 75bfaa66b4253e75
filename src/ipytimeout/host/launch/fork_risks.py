"""What this process has that does not survive a fork. In any thread of the user's process.

A library that keeps native threads finds none of them in a copy, and waits for them for ever: it looks like a timeout.
"""

from __future__ import annotations

import contextlib
import os
import sys

#: Libraries that hang in a copy once they were used.
_RISKY = ("polars", "torch", "jax", "tensorflow", "grpc", "pyspark", "ray")
#: Threads, by the start of their name, that say nothing of OpenMP.
_OTHERS = ("ZMQbg", "jemalloc", "polars")

_told: set[str] = set()


def fork_risks() -> str:
    """Return one line that names what may hang in a copy, and has not been named before; "" where there is nothing."""
    found = [name for name in _RISKY if name in sys.modules]
    if _has_openmp_threads():
        found.append("OpenMP, which has threads")
    new = [name for name in found if name not in _told]
    _told.update(new)
    if not new:
        return ""
    return (
        f"--start fork: this process uses {', '.join(new)}, which may hang or crash in a copy of it; "
        "where the run does not need the copy, leave --start out"
    )


def _has_openmp_threads() -> bool:
    """Tell whether an OpenMP library is loaded, and there are native threads that nobody else accounts for."""
    try:
        from threadpoolctl import threadpool_info

        info = threadpool_info()
    except Exception:  # a library that it does not understand
        return False
    if not any(each["user_api"] == "openmp" for each in info):
        return False
    openblas = sum(max(0, each["num_threads"] - 1) for each in info if each["internal_api"] == "openblas")
    native = 0
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/comm") as file:
            native += not file.read().startswith(_OTHERS)
    return bool(native - len(sys._current_frames()) > openblas)
