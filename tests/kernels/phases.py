"""Bring a run into a phase of its life and keep it there: for tests of what can happen to it in each phase.

Starting a fresh interpreter takes as long as it takes; a namespace is sent for as long as the child rebuilds it, and
is on its way back for as long as the child pickles it: here half a minute each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.kernels.harness import Cell, Kernel

STARTING, SENDING, RUNNING, RETURNING = PHASES = ("starting", "sending", "running", "on the way back")
_ARRIVE = "import os, time; open({path!r}, 'a').close(); time.sleep(30)"


Sent = TypeVar("Sent")


def reach(kernel: Kernel, phase: str, directory: Path, magic: str = "%%timeout 60") -> Cell:
    """Submit a timed cell that would change the namespace, and return when it is in this phase."""
    return reach_by(kernel.submit, kernel, phase, directory, magic)


def reach_by(
    submit: Callable[[str], Sent], kernel: Kernel, phase: str, directory: Path, magic: str = "%%timeout 60"
) -> Sent:
    """The same for a cell that is submitted in another way."""
    arrived = directory / "arrived"
    arrived.unlink(missing_ok=True)
    arrive = _ARRIVE.format(path=str(arrived))
    codes = {
        STARTING: "",
        SENDING: "slow",
        RUNNING: arrive,
        RETURNING: f"class Slow:\n    def __reduce__(self): {arrive}\nslow = Slow()",
    }
    setup = (
        f"class Slow:\n    def __reduce__(self): return exec, ({arrive!r},)\nslow = Slow()" if phase == SENDING else ""
    )
    assert kernel.run(f"rows, alias = [0], None\n{setup}").status == "ok"
    if phase == STARTING:
        magic = magic.replace("%%timeout", "%%timeout --start spawn")
    cell = submit(f"{magic}\nrows.append(1); made = 1\n{codes[phase]}")
    if phase == STARTING:
        time.sleep(0.1)  # a fresh interpreter takes longer
        return cell
    until = time.monotonic() + 30
    while not arrived.exists():
        assert time.monotonic() < until, "the phase was never reached"
        time.sleep(0.005)
    return cell


def forget_spares(kernel: Kernel) -> None:
    """Let the next spawned run start an interpreter: the spare ends with its warden."""
    kernel.run("from ipytimeout.host.launch.launcher import get_launcher, StartMethod")
    kernel.run("get_launcher(StartMethod.SPAWN).close()")


UNTOUCHED = "[0] False\n"


def namespace(kernel: Kernel) -> str:
    """Return what the namespace of the test looks like now."""
    return kernel.run("print(rows, 'made' in globals())").stdout
