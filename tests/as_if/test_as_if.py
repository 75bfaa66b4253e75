"""Timed cells leave what native ones leave: a sample in real kernels, and with ``-m full`` the whole first corpus."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.as_if.environment import environment, versions
from tests.as_if.notebooks import Notebook, own_notebooks
from tests.as_if.report import differences
from tests.as_if.run import Runner

NOTEBOOKS = {notebook.name: notebook for notebook in own_notebooks()}
#: Small ones of everyday Python, which need nothing but the standard library.
SAMPLE = ("contexts", "functools", "logging", "metaclasses", "modules", "names")


def run(notebook: Notebook, python: str, start: str, kept: Path | None) -> None:
    """Fail with what is different."""
    done = Runner(python, versions(python), f"%%timeout -q --start {start} 60", kept).run([notebook], lambda each: None)
    if done[0].trouble.startswith("not installed"):
        pytest.skip(f"not here: {done[0].trouble}")
    assert done[0].cells, done[0].trouble
    cells = [cell for cell in done[0].cells if cell.deterministic]
    assert all(cell.same or cell.named for cell in cells), differences(done, details=True)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_notebook_of_timed_cells_is_as_if(name: str, tmp_path: Path) -> None:
    """Outputs, names, what they share, imports and process state, after each cell."""
    run(NOTEBOOKS[name], sys.executable, "warm", tmp_path)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("start", ["warm", "spawn"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_area_is_as_if(name: str, start: str) -> None:
    """The whole first corpus, in the environment that has all its libraries."""
    run(NOTEBOOKS[name], environment(print), start, Runner.kept if isinstance(Runner.kept, Path) else None)
