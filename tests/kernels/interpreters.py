"""The Python interpreters of this machine that the package supports, found without knowing the machine.

``python -m tests.kernels.interpreters`` prints them, oldest first: version, a tab, path. ``.ci/run`` uses
that, so this file is standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)


@dataclass(frozen=True, slots=True, order=True)
class Interpreter:
    version: tuple[int, int, int]
    path: str


def interpreters() -> list[Interpreter]:
    """Return one interpreter for each supported minor version found, oldest first."""
    found: dict[tuple[int, int], Interpreter] = {}
    for candidate in _candidates():
        interpreter = _ask(candidate)
        if interpreter and OLDEST <= interpreter.version[:2] <= NEWEST:
            found.setdefault(interpreter.version[:2], interpreter)
    return sorted(found.values())


def _candidates() -> list[str]:
    """Possible interpreters, the running one's base first: it surely can make virtual environments."""
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)] + ["python3"]
    on_path = [found for name in names if (found := shutil.which(name))]
    managed: list[str] = []
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
        managed = [str(path) for path in sorted(Path(root, "versions").glob("3.*/bin/python"))] if root else []
    base = getattr(sys, "_base_executable", sys.executable)
    return [base, *on_path, *managed]


def _ask(path: str) -> Interpreter | None:
    """Run it: a shim of a version manager exists on the path even when its version does not."""
    code = "import sys, ensurepip, venv; print(*sys.version_info[:3], sys.executable)"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        answer = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=30, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return None
    major, minor, micro, executable = answer.stdout.strip().split(" ", 3)
    return Interpreter((int(major), int(minor), int(micro)), executable)


if __name__ == "__main__":
    for each in interpreters():
        print(*each.version, sep=".", end=f"\t{each.path}\n")
