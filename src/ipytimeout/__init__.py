"""Cells with a deadline, that you can cancel, and that never half-happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ipytimeout.api import jobs, run_with_timeout, submit, timeout
    from ipytimeout.exceptions import (
        ChildDied,
        DeadlineExceeded,
        DeadlineInterrupt,
        ForeignError,
        MemoryLimitExceeded,
        RunCancelled,
        RunError,
    )
    from ipytimeout.host.job import Job
    from ipytimeout.inside import checkpoint, progress, remaining

__version__ = "0.1.0.dev0"

__all__ = [
    "ChildDied",
    "DeadlineExceeded",
    "DeadlineInterrupt",
    "ForeignError",
    "Job",
    "MemoryLimitExceeded",
    "RunCancelled",
    "RunError",
    "checkpoint",
    "jobs",
    "progress",
    "remaining",
    "run_with_timeout",
    "submit",
    "timeout",
]

_MODULES = {
    **dict.fromkeys(("jobs", "run_with_timeout", "submit", "timeout"), "ipytimeout.api"),
    "Job": "ipytimeout.host.job",
    **dict.fromkeys(("checkpoint", "progress", "remaining"), "ipytimeout.inside"),
}


def __getattr__(name: str) -> Any:
    """Load a public name on its first use: child and warden import this package too, and stay small."""
    if name not in __all__:
        raise AttributeError(f"module 'ipytimeout' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(_MODULES.get(name, "ipytimeout.exceptions"))
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "load_ipython_extension"])


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%%timeout`` and ``%timeout``: what ``%load_ext ipytimeout`` calls."""
    from ipytimeout.loading import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics back: what ``%unload_ext ipytimeout`` calls."""
    from ipytimeout.loading import unload

    unload(shell)
