"""A fresh clone of the repository as it is now: what a new user gets, with nothing installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import running
from tests.kernels.environments import REPOSITORY


def tracked_files() -> list[Path]:
    """Return the files of the repository, relative to it, new ones that git does not ignore among them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in sorted(set(listed.split("\0"))) if name and (REPOSITORY / name).is_file()]


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone, and the environment in which a user without any settings works in it."""

    directory: Path
    environ: dict[str, str]

    def run(self, command: str) -> str:
        """Run a line of shell to its end and return what it printed; fail with that when it fails."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}"
        return done.stdout

    def running(self, command: str, log: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Keep a line of shell running in a process group of its own, and end it."""
        return running(["bash", "-c", f"exec {command}"], log, cwd=self.directory, environ=self.environ)


def clone(where: Path) -> Clone:
    """Copy the repository's files, and leave behind every setting that this session has of its own."""
    directory = where / "ipytimeout"
    for path in tracked_files():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, target)
    ours = ("PYTHON", "PYTEST", "VIRTUAL_ENV", "JUPYTER", "IPYTHON", "IPYTIMEOUT")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    settings = {f"JUPYTER_{name}_DIR": str(where / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    return Clone(directory, {**environ, **settings, "IPYTHONDIR": str(where / "ipython")})
