"""Environments that tests run kernels in: this one, and a second one with the oldest supported ipykernel.

The second is made once, in ``.venv-ipykernel6`` at the top of the repository (git-ignored), and made anew
when what it is made of changes. It has the oldest Python found, so that the tests of one session meet both
ends of what is supported.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernels.interpreters import interpreters

REPOSITORY = Path(__file__).resolve().parents[2]
SECOND = REPOSITORY / ".venv-ipykernel6"
SECOND_IPYKERNEL = "6.31"


def second_environment(say: Callable[[str], None] = lambda text: None) -> str:
    """Return the Python of the second environment; make the environment first when it is not there."""
    base = interpreters()[0]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    parts = project["dependencies"] + project["optional-dependencies"]["notebooks"]
    recipe = "\n".join((str(base), SECOND_IPYKERNEL, *parts))
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    stamp, python = SECOND / "made-of", SECOND / "bin" / "python"
    with one_at_a_time(SECOND):
        if stamp.exists() and stamp.read_text() == digest and python.exists():
            return str(python)
        version = ".".join(map(str, base.version))
        say(f"making {SECOND.name}: Python {version} with ipykernel {SECOND_IPYKERNEL} (once; a minute or so)")
        shutil.rmtree(SECOND, ignore_errors=True)
        make_environment(base.path, SECOND)
        pip_install(python, "-e", ".[notebooks]", f"ipykernel=={SECOND_IPYKERNEL}.*", cwd=REPOSITORY)
        stamp.write_text(digest)
        return str(python)


@contextmanager
def one_at_a_time(where: Path) -> Iterator[None]:
    """Hold off the other processes of the tests that need this environment while one of them makes it."""
    with open(where.with_name(f"{where.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_environment(python: str, where: Path) -> None:
    """Make a virtual environment."""
    _run([python, "-m", "venv", str(where)], REPOSITORY)


def pip_install(python: Path, *arguments: str, cwd: Path) -> None:
    """Install into the environment of ``python``."""
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments], cwd)


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise pytest.UsageError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")


#: The kernels of the tests, by test id; each is found, or made, by calling it.
ENVIRONMENTS: dict[str, Callable[[], str]] = {
    "ipykernel7": lambda: sys.executable,
    "ipykernel6": second_environment,
}
