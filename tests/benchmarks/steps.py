"""Where the time of an empty run goes: moments that the kernel's own thread sees. In the kernel that is measured.

The steps in other processes are seen by the messages that end them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from ipytimeout.host import attempt, prepared, run, supervise
from ipytimeout.host.launch.launcher import AutoLauncher

#: The moments of the run at hand, and the steps of all runs, in milliseconds.
_moments: list[tuple[str, float]] = []
_steps: list[list[tuple[str, float]]] = []
#: What has ended when a message arrives.
_ENDED_BY = {
    "Started": "the warden has the child",
    "Running": "the child loads what was sent",
    "Verdict": "the code",
    "Changes": "the child's changes arrive",
    "Gone": "the end of the child, seen by the warden",
}


def watch() -> None:
    """Note the moments of each timed cell from now on."""
    take = supervise.Supervision._take

    def took(self: Any, message: Any) -> None:
        if (name := type(message).__name__) in _ENDED_BY:
            _mark(_ENDED_BY[name])
        take(self, message)

    supervise.Supervision._take = took  # type: ignore[method-assign]
    run.run_cell = _whole(run.run_cell)
    for module, name, what in (
        (prepared, "needed_names", "the names the code needs"),
        (prepared, "dumped", "pickling them"),
        (AutoLauncher, "take", "taking the spare"),
        (attempt, "prepare", "rebuilding what came back"),
        (prepared, "_take_back", "putting it in place"),
    ):
        setattr(module, name, _marked(getattr(module, name), what))
    from ipytimeout import magics

    if hasattr(magics, "run_cell"):
        magics.run_cell = run.run_cell


def median_steps() -> list[dict[str, object]]:
    """Return the steps with their medians, in their order."""
    from statistics import median

    usual = [[what for what, _ in steps] for steps in _steps]
    common = max(usual, key=usual.count)
    same = [steps for steps, whats in zip(_steps, usual, strict=True) if whats == common]
    return [{"what": what, "ms": median(steps[i][1] for steps in same)} for i, what in enumerate(common)]


def _mark(what: str) -> None:
    _moments.append((what, time.perf_counter()))


def _marked(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    def marked(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        _mark(what)
        return value

    return marked


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    def whole(*args: Any, **kwargs: Any) -> Any:
        _moments.clear()
        _mark("")
        try:
            return function(*args, **kwargs)
        finally:
            _mark("the summary line, and the rest")
            _steps.append([(what, (at - before) * 1000) for (_, before), (what, at) in itertools.pairwise(_moments)])

    return whole
