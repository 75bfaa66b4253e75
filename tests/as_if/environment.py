"""The environment whose kernels run the corpora: everything that the cells of ``cells`` use.

It is made once, in ``.venv-as-if`` at the top of the repository (git-ignored), and made anew when its recipe changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable

from tests.kernels.environments import REPOSITORY, make_environment, pip_install

WHERE = REPOSITORY / ".venv-as-if"
#: Beyond what the notebooks need.
PACKAGES = ("networkx", "polars", "pyarrow", "seaborn", "sympy", "tqdm")


def environment(say: Callable[[str], None]) -> str:
    """Return the Python of the environment; make the environment first when it is not there."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    parts = project["dependencies"] + project["optional-dependencies"]["notebooks"]
    digest = hashlib.sha256("\n".join((sys.version, *parts, *PACKAGES)).encode()).hexdigest()
    stamp, python = WHERE / "made-of", WHERE / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == digest and python.exists()):
        say(f"making {WHERE.name} (once; a minute or so)")
        shutil.rmtree(WHERE, ignore_errors=True)
        make_environment(sys.executable, WHERE)
        pip_install(python, "-e", ".[notebooks]", *PACKAGES, cwd=REPOSITORY)
        stamp.write_text(digest)
    return str(python)


def versions(python: str) -> str:
    """Return what is installed, as one text."""
    code = (
        "import sys, importlib.metadata as m; "
        "print(sys.version, sorted((d.name, d.version) for d in m.distributions() if d.name))"
    )
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
