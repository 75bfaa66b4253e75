"""The files in ``binder/``: an environment made from them, as repo2docker does it, runs the tutorial."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.clone import clone
from tests.e2e.quickstart import check_outputs
from tests.kernels.environments import REPOSITORY
from tests.kernels.interpreters import interpreters

BINDER = REPOSITORY / "binder"


@pytest.mark.notebook
@pytest.mark.fresh
@pytest.mark.timeout(900)
def test_the_quickstart_runs_in_the_environment_that_binder_makes(tmp_path: Path) -> None:
    """Install from the repository's top, run ``postBuild``, then the notebook: nothing else is needed."""
    fresh = clone(tmp_path)
    wanted = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    found = {".".join(map(str, each.version[:2])): each.path for each in interpreters()}
    fresh.run(f"{found.get(wanted, sys.executable)} -m venv .venv")
    fresh.environ["PATH"] = f"{fresh.directory / '.venv' / 'bin'}:{fresh.environ['PATH']}"
    fresh.run("pip install -q --no-cache-dir -r binder/requirements.txt && binder/postBuild")
    fresh.run("jupyter execute --inplace --timeout=120 notebooks/quickstart.ipynb")
    check_outputs(json.loads((fresh.directory / "notebooks" / "quickstart.ipynb").read_text()))


def test_postbuild_is_a_program() -> None:
    """Binder runs it only when it is executable."""
    assert os.access(BINDER / "postBuild", os.X_OK)
