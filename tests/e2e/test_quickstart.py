"""The tutorial notebook, run without a browser: by nbclient on both kernels, and by papermill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.e2e.quickstart import NOTEBOOK, check_outputs
from tests.kernels.harness import under_test

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(300)]


def test_the_quickstart_says_what_happens(python: str, tmp_path: Path) -> None:
    """Each cell of the tutorial gives what its text says, on either ipykernel."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    manager = under_test(AsyncKernelManager, python, tmp_path)
    NotebookClient(notebook, km=manager, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    check_outputs(notebook)


def papermill(notebook: Path, out: Path) -> str:
    """Run a notebook with an error in it; return what papermill said, and expect it to fail."""
    command = [sys.executable, "-m", "papermill", "-k", "python3", "--cwd", str(out.parent), "--no-progress-bar"]
    done = subprocess.run([*command, str(notebook), str(out)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "DeadlineExceeded" in done.stderr
    return done.stderr


def test_papermill_runs_the_quickstart(tmp_path: Path) -> None:
    """Papermill goes on after the errors that are meant, to the end; only then it reports them, as it always does."""
    out = tmp_path / "out.ipynb"
    papermill(NOTEBOOK, out)
    check_outputs(nbformat.read(out, as_version=4))


def test_papermill_stops_at_a_timed_out_cell(tmp_path: Path) -> None:
    """A timeout is an error of the cell: without a tag that allows it, nothing after it runs."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source)
        for source in ("%load_ext ipytimeout", "%%timeout 0.5\nwhile True: pass", "print('not reached')")
    ]
    nbformat.write(notebook, tmp_path / "endless.ipynb")
    papermill(tmp_path / "endless.ipynb", tmp_path / "out.ipynb")
    assert nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs == []


def test_the_quickstart_is_stored_without_outputs() -> None:
    """Outputs would be what one machine showed once."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in notebook.cells if "outputs" in cell)
